"""Stories word by word: a model reads each word with the words before it, and its features become those of volumes.

    stories = [Story(name="souls", words=words, times=times, volume_times=volume_times, start=10, end=5), ...]
    pieces = story_pieces(stories, name="my stories", context=20)      what is read, and the way to the volumes
    assembly = Assembly(stimulus_ids=pieces.stimuli.ids, ...)          responses of the volumes that are left
    Benchmark(stimuli=pieces.stimuli, pieces=pieces, folds=make_folds(n, groups=pieces.stimuli.groups), ...)

The last token of a window is the last of its word, so the probe's pooling "last" gives a word in its context (Jain &
Huth 2018, NeurIPS). Nothing reaches from one story into another.

Use `Ridge(rule="kfold")`: responses that are z-scored within story sum to 0 there, so that a volume is known from the
others of its story, and leave-one-out and GCV choose far too small a penalty where features outnumber volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

    Raises:
        DataError: lengths that differ, an empty word, times that fall, or no word near any volume.
    """

    name: str
    words: tuple[str, ...]
    times: Float[np.ndarray, " words"]
    volume_times: Float[np.ndarray, " volumes"]
    start: int = 0
    end: int = 0

    __repr__ = one_line

    def __post_init__(self) -> None:
        if len(self.words) != len(self.times) or not self.words:
            raise DataError(
                f"story {self.name!r}: expected one time a word and one word or more, got {len(self.words)} words and "
                f"{len(self.times)} times"
            )
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
        return digest(self.name, self.words, self.times, self.volume_times, self.start, self.end)

    def windows(self, context: int, between: str = " ") -> list[str]:
        """Each word with so many words before it."""
        return [between.join(self.words[max(0, place - context) : place + 1]) for place in range(len(self.words))]


def story_pieces(
    stories: Sequence[Story],
    *,
    name: str,
    context: int = 20,
    how: How = "lanczos",
    window: int = 3,
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
        how: words to volumes, see `ontogeny.neuroimaging.to_volumes`.
        window: lobes of the Lanczos kernel.
        response: delays in volumes, to be fitted (a finite impulse response a feature), or "glover": one that is fixed.
        zscore: z-score each delayed feature within each story over the volumes that are left, as LeBel et al. 2023 do.
        between: what stands between two words of a window; "" for Chinese.

    Returns:
        `pieces.stimuli` are the volumes that are left, with ids "story/volume" (counted from 0 before anything was
        cut) and stories as groups; their texts say what was heard, no model reads them.

    Raises:
        DataError: no story, two of one name, a negative context, or a response that is none.
    """
    _check(stories, context, response)
    windows = [story.windows(context, between) for story in stories]
    spoken = {
        t: w for story, some in zip(stories, windows, strict=True) for t, w in zip(some, story.words, strict=True)
    }
    place = {text: column for column, text in enumerate(spoken)}
    delays = 1 if isinstance(response, str) else len(response)
    blocks = [
        _delayed(story, how=how, window=window, response=response) @ _to_windows(some, place)
        for story, some in zip(stories, windows, strict=True)
    ]
    said = "Glover's response" if isinstance(response, str) else f"delays of {', '.join(map(str, response))} volumes"
    ids = tuple(f"window-{number:06d}" for number in range(1, len(place) + 1))
    return StimulusMapping(
        read=StimulusSet(name=f"{name}, windows", modality="text", ids=ids, inputs=tuple(place)),
        stimuli=_volumes(stories, name),
        weights=csr_array(vstack(blocks)),
        delays=delays,
        zscore=zscore,
        surface=("word rate and length", np.array([[1.0, len(word)] for word in spoken.values()])),
        how=(
            f"{len(place)} windows of up to {context + 1} words, {how} to volumes, {said}"
            f"{', z-scored within story' if zscore else ''}"
        ),
        made_of=digest([story.fingerprint() for story in stories], context, how, window, tuple(response)),
    )


def _check(stories: Sequence[Story], context: int, response: Sequence[int] | str) -> None:
    names = [story.name for story in stories]
    if not names or len(set(names)) < len(names):
        raise DataError(f"expected one story or more, each with a name of its own, got {names}")
    if context < 0:
        raise DataError(f"context is a number of words, 0 or more, got {context}")
    if response != "glover" and (isinstance(response, str) or not response):
        raise DataError(f"response is delays in volumes, e.g. (1, 2, 3, 4), or 'glover', got {response!r}")


def _kept(story: Story) -> np.ndarray:
    return np.flatnonzero(trimmed([story.name] * len(story.volume_times), start=story.start, end=story.end))


def _volumes(stories: Sequence[Story], name: str) -> StimulusSet:
    kept = [(story, int(volume), text) for story in stories for volume, text in _of_kept(story)]
    return StimulusSet(
        name=name,
        modality="text",
        ids=tuple(f"{story.name}/{volume:04d}" for story, volume, _ in kept),
        inputs=tuple(text for _, _, text in kept),
        groups=tuple(story.name for story, _, _ in kept),
        contiguous=True,
    )


def _of_kept(story: Story) -> list[tuple[int, str]]:
    heard = story.heard()
    return [(int(volume), heard[volume]) for volume in _kept(story)]


def _delayed(story: Story, *, how: How, window: int, response: Sequence[int] | str) -> csr_array:
    """(Volumes left * delays) x words: what words to volumes and the response do to the unit vectors of words."""
    n_words, labels = len(story.words), [story.name] * len(story.volume_times)
    delays = 1 if isinstance(response, str) else len(response)
    require_memory(
        8 * n_words * (n_words + len(labels) * (2 + 2 * delays)),
        f"story {story.name!r}: {n_words:,} words x {len(labels):,} volumes",
        instead="cut it into its sections or runs",
    )
    whole = to_volumes(story.times, np.eye(n_words), story.volume_times, how=how, window=window)
    if isinstance(response, str):
        delayed = convolve_glover(whole, stories=labels, tr=float(np.diff(story.volume_times).mean()))
    else:
        delayed = fir_delays(whole, stories=labels, delays=response)
    rows = delayed[_kept(story)].reshape(-1, n_words)
    rows[np.abs(rows) < _NOTHING] = 0.0
    return csr_array(rows)


def _to_windows(windows: Sequence[str], place: dict[str, int]) -> csr_array:
    """Words x windows: 1 where a word's window is."""
    n = len(windows)
    return csr_array((np.ones(n), (np.arange(n), [place[text] for text in windows])), shape=(n, len(place)))
