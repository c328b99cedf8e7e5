"""Stories word by word: a model reads each word with the words before it, and its features become those of volumes.

    stories = [Story(name="souls", words=words, times=times, volume_times=volume_times, start=10, end=5), ...]
    pieces = story_pieces(stories, name="my stories", context=20)      what is read, and the way to the volumes
    assembly = Assembly(stimulus_ids=pieces.stimuli.ids, ...)          responses of the volumes that are left
    Benchmark(stimuli=pieces.stimuli, pieces=pieces, folds=make_folds(n, groups=pieces.stimuli.groups), ...)

The last token of a window is the last of its word, so the probe's pooling "last" gives a word in its context (Jain &
Huth 2018, NeurIPS). Nothing reaches from one story into another. The layer "surprisal" is that of the word.

With `stride` above 1, so many words have a window that begins at one word: the windows are prefixes of the longest of
them, which a causal model reads in one forward pass.

Use `Ridge(rule="kfold")`: responses that are z-scored within story sum to 0 there, so that a volume is known from the
others of its story, and leave-one-out and GCV choose far too small a penalty where features outnumber volumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array, vstack

from ontogeny._arrays import digest
from ontogeny._display import one_line
from ontogeny._memory import require_memory
from ontogeny.benchmarks import StimulusMapping
from ontogeny.errors import DataError
from ontogeny.neuroimaging.story_features import How, convolve_glover, fir_delays, to_volumes, trimmed
from ontogeny.stimuli import StimulusSet

__all__ = ["SILENT", "Story", "story_pieces"]

SILENT = "..."
_NOTHING = 1e-12
_LOBES = 3  # of the Lanczos kernel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Story:
    """One story as it was heard or read, and when the volumes were taken.

    Args:
        name: of the story; of a run where the story was cut into runs.
        words: in order.
        times: the middle of each word, in seconds.
        volume_times: the middle of each volume on the same clock, in seconds, evenly spaced.
        start: volumes cut at the beginning: there are no responses to them, or none that are wanted.
        end: volumes cut at the end.
        parts: blocks that the volumes which are left are cut into, each a group of its own (where there is one story).
        gap: volumes left out between two blocks, so that no delayed feature reaches from one into the other.
        features: name -> one value a word, e.g. surprisal or frequency: a baseline beside word rate and length.

    Raises:
        DataError: lengths that differ, an empty word, times that fall, or no word near any volume.
    """

    name: str
    words: tuple[str, ...]
    times: Float[np.ndarray, " words"]
    volume_times: Float[np.ndarray, " volumes"]
    start: int = 0
    end: int = 0
    parts: int = 1
    gap: int = 0
    features: Mapping[str, Float[np.ndarray, " words"]] = field(default_factory=dict)

    __repr__ = one_line

    def __post_init__(self) -> None:
        if len(self.words) != len(self.times) or not self.words:
            raise DataError(
                f"story {self.name!r}: expected one time a word and one word or more, got {len(self.words)} words and "
                f"{len(self.times)} times"
            )
        wrong = [name for name, x in self.features.items() if len(x) != len(self.words) or not np.isfinite(x).all()]
        if wrong:
            raise DataError(f"story {self.name!r}: give a finite number of {wrong[0]!r} for each word")
        if empty := [place for place, word in enumerate(self.words) if not word.strip()]:
            raise DataError(
                f"story {self.name!r}: {len(empty)} words are empty, e.g. number {empty[0]}; leave them out"
            )
        falls = np.flatnonzero(~(np.diff(self.times) >= 0))
        if falls.size or not np.isfinite(self.times).all():
            where = int(falls[0]) + 1 if falls.size else 0
            raise DataError(
                f"story {self.name!r}: times of words should be finite and rise, but that of word {where} "
                f"({self.words[where]!r}) does not; put the words into the order in which they were heard"
            )
        first, last = self.volume_times[[0, -1]] if len(self.volume_times) else (0.0, 0.0)
        if self.times[0] > last or self.times[-1] < first:
            raise DataError(
                f"story {self.name!r}: words from {self.times[0]:g} to {self.times[-1]:g} s, volumes from {first:g} to "
                f"{last:g} s; are they on one clock, in seconds?"
            )

    def heard(self) -> list[str]:
        """What was heard during each volume, `SILENT` where nothing was."""
        half = np.diff(self.volume_times).mean() / 2
        edges = np.append(self.volume_times - half, self.volume_times[-1] + half)
        bins = np.searchsorted(edges, self.times, side="right") - 1
        out: list[list[str]] = [[] for _ in self.volume_times]
        for volume, word in zip(bins, self.words, strict=True):
            if 0 <= volume < len(out):
                out[volume].append(word)
        return [" ".join(words) or SILENT for words in out]

    def fingerprint(self) -> str:
        """Sixteen hex digits over all of it."""
        cut = () if self.parts == 1 else (self.parts, self.gap)
        more = [part for name, values in self.features.items() for part in (name, values)]
        return digest(self.name, self.words, self.times, self.volume_times, self.start, self.end, *cut, *more)

    def windows(self, context: int, between: str = " ", stride: int = 1) -> list[str]:
        """Each word with `context` to `context + stride - 1` words before it; windows begin every `stride` words."""
        begins = (max(0, place - place % stride - context) for place in range(len(self.words)))
        return [between.join(self.words[begin : place + 1]) for place, begin in enumerate(begins)]

    def blocks(self) -> dict[str, np.ndarray]:
        """Group -> its volumes, of those that are left.

        Raises:
            DataError: cuts and gaps leave fewer than two volumes of a block.
        """
        kept = np.flatnonzero(trimmed([self.name] * len(self.volume_times), start=self.start, end=self.end))
        if self.parts == 1:
            return {self.name: kept}
        sizes = [len(part) for part in np.array_split(kept[: len(kept) - self.gap * (self.parts - 1)], self.parts)]
        if self.parts < 1 or self.gap < 0 or min(sizes) < 2 or sum(sizes) + self.gap * (self.parts - 1) > len(kept):
            raise DataError(
                f"story {self.name!r}: {len(kept)} volumes cannot be cut into {self.parts} blocks with {self.gap} left "
                "out between two; take fewer folds"
            )
        begins = np.cumsum([0, *(size + self.gap for size in sizes[:-1])])
        return {
            f"{self.name}, part {number}": kept[begin : begin + size]
            for number, (begin, size) in enumerate(zip(begins, sizes, strict=True), 1)
        }


def story_pieces(
    stories: Sequence[Story],
    *,
    name: str,
    context: int = 20,
    stride: int = 1,
    how: How = "lanczos",
    response: Sequence[int] | str = (1, 2, 3, 4),
    zscore: bool = True,
    between: str = " ",
) -> StimulusMapping:
    """Windows of words, each read once, and the frozen way from their features to the volumes.

    Resampling and delays see whole stories; volumes are cut afterwards, so that no delayed copy begins with zeros where
    the scanner ran already.

    Args:
        stories: one or several.
        name: of the stimulus set.
        context: words before each word; a model sees no more of the story. Mind the model's longest input.
        stride: words from one beginning of a window to the next; above 1 a word has `context` to `context + stride - 1`
            words before it, and a causal model reads `stride` words in one forward pass.
        how: words to volumes, see `ontogeny.neuroimaging.to_volumes`.
        response: delays in volumes, to be fitted (a finite impulse response a feature), or "glover": one that is fixed.
        zscore: z-score each delayed feature within each story over the volumes that are left, as LeBel et al. 2023 do.
        between: what stands between two words of a window; "" for Chinese.

    Returns:
        `pieces.stimuli` are the volumes that are left, with ids "story/volume" (counted from 0 before anything was
        cut) and stories as groups; their texts say what was heard, no model reads them.

    Raises:
        DataError: no story, two of one name, a negative context, or a response that is none.
    """
    _check(stories, context, response, stride)
    windows = [
        list(zip(story.windows(context, between, stride), story.words, *story.features.values(), strict=True))
        for story in stories
    ]
    place = {window: column for column, window in enumerate(dict.fromkeys(w for some in windows for w in some))}
    delays = 1 if isinstance(response, str) else len(response)
    blocks = [
        _delayed(story, how=how, response=response) @ _to_windows(some, place)
        for story, some in zip(stories, windows, strict=True)
    ]
    ids = tuple(f"window-{number:06d}" for number in range(1, len(place) + 1))
    texts, words, *more = zip(*place, strict=True)
    numbers = np.column_stack([np.ones(len(words)), [float(len(word)) for word in words], *more])
    print_of = [story.fingerprint() for story in stories]
    return StimulusMapping(
        read=StimulusSet(name=f"{name}, windows", modality="text", ids=ids, inputs=texts, tails=words),
        stimuli=_volumes(stories, name),
        weights=csr_array(vstack(blocks)),
        delays=delays,
        zscore=zscore,
        surface=(", ".join(["word rate and length", *stories[0].features]), numbers),
        how=f"{len(place)} {_how(context, stride, how, response)}{', z-scored within story' if zscore else ''}",
        made_of=digest(print_of, context, how, _LOBES, tuple(response), *([] if stride == 1 else [stride])),
    )


def _how(context: int, stride: int, how: How, response: Sequence[int] | str) -> str:
    late = "Glover's response" if isinstance(response, str) else f"delays of {', '.join(map(str, response))} volumes"
    began = "" if stride == 1 else f", {stride} words a forward pass of a causal model"
    return f"windows of up to {context + stride} words{began}, {how} to volumes, {late}"


def _check(stories: Sequence[Story], context: int, response: Sequence[int] | str, stride: int) -> None:
    names = [story.name for story in stories]
    if not names or len(set(names)) < len(names):
        raise DataError(f"expected one story or more, each with a name of its own, got {names}")
    if len({tuple(story.features) for story in stories}) > 1:
        raise DataError("give the words of all stories the same features, in one order")
    if context < 0 or stride < 1:
        raise DataError(f"context is 0 words or more, stride 1 or more, got {context} and {stride}")
    if response != "glover" and (isinstance(response, str) or not response):
        raise DataError(f"response is delays in volumes, e.g. (1, 2, 3, 4), or 'glover', got {response!r}")


def _volumes(stories: Sequence[Story], name: str) -> StimulusSet:
    kept = [
        (f"{story.name}/{volume:04d}", heard[volume], group)
        for story, heard in ((story, story.heard()) for story in stories)
        for group, volumes in story.blocks().items()
        for volume in volumes.tolist()
    ]
    ids, texts, groups = zip(*kept, strict=True)
    return StimulusSet(name=name, modality="text", ids=ids, inputs=texts, groups=groups, contiguous=True)


def _delayed(story: Story, *, how: How, response: Sequence[int] | str) -> csr_array:
    """(Volumes left * delays) x words: what words to volumes and the response do to the unit vectors of words."""
    n_words, labels = len(story.words), [story.name] * len(story.volume_times)
    delays = 1 if isinstance(response, str) else len(response)
    require_memory(
        8 * n_words * (n_words + len(labels) * (2 + 2 * delays)),
        f"story {story.name!r}: {n_words:,} words x {len(labels):,} volumes",
        instead="cut it into its sections or runs",
    )
    whole = to_volumes(story.times, np.eye(n_words), story.volume_times, how=how, window=_LOBES)
    if isinstance(response, str):
        delayed = convolve_glover(whole, stories=labels, tr=float(np.diff(story.volume_times).mean()))
    else:
        delayed = fir_delays(whole, stories=labels, delays=response)
    rows = delayed[np.concatenate(list(story.blocks().values()))].reshape(-1, n_words)
    rows[np.abs(rows) < _NOTHING] = 0.0
    return csr_array(rows)


def _to_windows(windows: Sequence[tuple[Any, ...]], place: Mapping[tuple[Any, ...], int]) -> csr_array:
    """Words x windows: 1 where a word's window is."""
    n = len(windows)
    return csr_array((np.ones(n), (np.arange(n), [place[window] for window in windows])), shape=(n, len(place)))
