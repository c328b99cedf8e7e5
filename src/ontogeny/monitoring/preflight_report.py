"""PreflightReport: what stands in the way of reading a model, which stimulus it is, and what to do."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from ontogeny._display import fitted, wrapped
from ontogeny.errors import LayerNotFoundError, OntogenyError
from ontogeny.extraction import Probe
from ontogeny.extraction.model_inputs import make_inputs
from ontogeny.stimuli import StimulusSet

__all__ = ["ANYTHING", "Obstacle", "PreflightReport", "failure", "obstacle", "untokenized", "ways"]

ANYTHING = (Exception, SystemExit)  # what other people's code may raise; Ctrl-C is none of it
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One thing that stands in the way.

    Args:
        what: in words, with the stimulus and its length where it is one.
        options: of `watch`, with which the model can be read.
    """

    what: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightReport:
    """A doctor's report.

    Args:
        lines: benchmarks, layers, scores now, refusals, cost.
        obstacles: what stands in the way; none where the model can be watched as it is.
        ways: lines to copy.
    """

    lines: tuple[str, ...]
    obstacles: tuple[Obstacle, ...] = ()
    ways: tuple[str, ...] = ()

    @override
    def __str__(self) -> str:
        """The verdict, then all of it, wrapped; lines to copy as they are."""
        found = [f"finding    {one.what}" for one in self.obstacles]
        return "\n".join([*wrapped(self.verdict), "", *fitted([*self.lines, *found]), *self.ways])

    @property
    def verdict(self) -> str:
        """Whether the model can be watched, in one sentence."""
        n = len(self.obstacles)
        if not n:
            return "This model can be watched as it is."
        return f"This model cannot be watched as it is: {n} finding{'' if n == 1 else 's'} below."


def failure(error: BaseException) -> str:
    """An error in one line: ours as it is, others by class, message, and the line of code that raised."""
    if isinstance(error, OntogenyError):
        return _short(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return _short(f"{type(error).__name__}: {error}") + place


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def untokenized(stimuli: StimulusSet, tokenizer: Any) -> Obstacle | None:
    """The first text that a tokenizer fails on."""
    if stimuli.modality != "text" or not callable(tokenizer):
        return None
    for stimulus, text in zip(stimuli.ids, stimuli.inputs, strict=True):
        try:
            tokenizer(text)
        except ANYTHING as error:
            shown = f"{stimulus!r}, {len(str(text))} characters ({str(text)[:60]!r})"
            return Obstacle(what=f"the tokenizer failed on stimulus {shown}: {failure(error)}")
    return None


def obstacle(probe: Probe, model: nn.Module, error: BaseException) -> Obstacle:
    """Why a probe cannot read a model: by reading parts of its stimuli.

    Args:
        probe: that failed.
        model: as it was read.
        error: that reading all gave.
    """
    reads = _Reads(probe, model)
    if isinstance(error, LayerNotFoundError):
        return Obstacle(what=failure(error))
    if isinstance(error.__cause__, torch.OutOfMemoryError):
        return _of_memory(probe, reads, error)
    try:
        groups = reads.groups()
    except ANYTHING as again:
        return Obstacle(what=failure(again))
    outcomes = {length: reads.error(rows) for length, rows in groups.items()}
    bad = [length for length, found in outcomes.items() if found is not None]
    good = [length for length, found in outcomes.items() if found is None]
    if not bad:
        return Obstacle(what=f"all stimuli at once cannot be read, though parts of them can: {failure(error)}")
    if not good:
        everything = failure(reads.error(groups[bad[0]][:1]) or outcomes[bad[0]] or error)
        return Obstacle(what=f"no stimulus can be read, the shortest neither: {everything}")
    if min(bad) > max(good) and reads.error(range(len(probe.stimuli)), truncation=max(good)) is None:
        return _too_long(probe, groups, bad, good, outcomes)
    return _one(probe, reads, groups[bad[0]], bad[0], outcomes[bad[0]] or error)


@dataclass(frozen=True, slots=True)
class _Reads:
    """Some of a probe's stimuli, read by the model."""

    probe: Probe
    model: nn.Module

    def groups(self) -> dict[int, list[int]]:
        """Tokens -> rows of the stimuli with so many, the shortest first; 0 of pictures."""
        probe = self.probe
        reader = make_inputs(probe.stimuli, probe.reader, truncation=probe.truncation, image_type=probe.image_type)
        found: dict[int, list[int]] = {}
        for batch in reader.batches(len(probe.stimuli)):
            found.setdefault(batch.n_tokens or 0, []).extend(batch.rows or range(batch.size))
        return found

    def error(self, rows: Sequence[int], **options: Any) -> BaseException | None:
        """What reading them raises."""
        try:
            replace(self.probe, stimuli=self.probe.stimuli.only(list(rows)), **options)(self.model)
        except ANYTHING as error:
            return error
        return None


def _of_memory(probe: Probe, reads: _Reads, error: BaseException) -> Obstacle:
    size, everything = probe.batch_size, range(len(probe.stimuli))
    while size > 1:
        size //= 2
        if reads.error(everything, batch_size=size) is None:
            what = f"{failure(error)}. With batch_size={size} (--batch-size {size}) all of them are read"
            return Obstacle(what=what, options={"batch_size": size})
    return Obstacle(what=f"{failure(error)}. Nor has it for each of them alone (--batch-size 1)")


def _too_long(
    probe: Probe,
    groups: Mapping[int, Sequence[int]],
    bad: Sequence[int],
    good: Sequence[int],
    outcomes: Mapping[int, BaseException | None],
) -> Obstacle:
    """Every text beyond a length fails, and none below it."""
    n, most, longest = sum(len(groups[length]) for length in bad), max(good), max(bad)
    first = probe.stimuli.ids[groups[longest][0]]
    return Obstacle(
        what=f"{n} of {len(probe.stimuli)} texts cannot be read: those of {min(bad)} tokens or more, the longest "
        f"{first!r} with {longest}; texts of {most} can. Pass truncation={most} (--truncation {most}), or leave them "
        f"out. {_cause(outcomes[longest])}",
        options={"truncation": most},
    )


def _one(probe: Probe, reads: _Reads, rows: Sequence[int], length: int, error: BaseException) -> Obstacle:
    """A single stimulus that cannot be read, found by halves."""
    left = list(rows)
    while len(left) > 1:
        halves = (left[: len(left) // 2], left[len(left) // 2 :])
        failing = next(((half, found) for half in halves if (found := reads.error(half)) is not None), None)
        if failing is None:
            return Obstacle(what=f"{len(left)} stimuli cannot be read together, though each half can: {failure(error)}")
        left, error = failing
    tokens = f", {length} tokens" if length else ""
    who = f"stimulus {probe.stimuli.ids[left[0]]!r}{tokens}"
    return Obstacle(what=f"{who} cannot be read: {_cause(error)}")


def _cause(error: BaseException | None) -> str:
    """What the model itself raised, where our message wraps it."""
    cause = error.__cause__ if error is not None else None
    plain = cause is None or type(cause).__name__.startswith("_")
    return failure(error if plain and error is not None else cause or RuntimeError())


_READERS = {"text": "tokenizer", "image": "transform"}


def ways(
    benchmarks: Mapping[str, str], options: Mapping[str, Any], *, addresses: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The lines to copy: of a callback, of a plain loop, and of a replay.

    Args:
        benchmarks: name -> modality.
        options: of `watch` that are not the default.
        addresses: "module:attribute" of model, tokenizer and transform, for the command; made up where not known.
    """
    known = dict(addresses or {})
    names = list(benchmarks)
    readers = list(dict.fromkeys(_READERS[modality] for modality in benchmarks.values()))
    first = _quoted(names[0] if len(names) == 1 else names)
    given = ", ".join([*(f"{r}={r}" for r in readers), *(f"{key}={_quoted(v)}" for key, v in options.items())])
    flags = [f"--{name} {known.get(name, f'my_module:{name}')}" for name in ("model", *readers)]
    flags += [f"--{key.replace('_', '-')} {_flag(value)}" for key, value in options.items()]
    return (
        "the lines to copy",
        f'  callback   AlignmentCallback({first}, {given}, task=HeldOutLoss(loader), record="runs/a")',
        f'  plain loop monitor = ontogeny.watch({first}, {given}, task=HeldOutLoss(loader), record="runs/a")',
        f"  replay     ontogeny replay CHECKPOINTS --benchmark {' '.join(names)} {' '.join(flags)}",
    )


def _quoted(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    return repr(value).replace("'", '"') if not callable(value) else getattr(value, "__name__", "function")


def _flag(value: Any) -> str:
    return " ".join(map(_one_flag, value)) if isinstance(value, list | tuple) else _one_flag(value)


def _one_flag(value: Any) -> str:
    text = getattr(value, "__name__", "") if callable(value) else str(value)
    return shlex.quote(text)
