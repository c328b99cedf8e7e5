"""Files of weights that no template names -> steps: each is looked into, and what contradicts itself is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ontogeny.errors import WeightsError
from ontogeny.replay._loading.state_dict import DamagedError, State
from ontogeny.replay._step_inference import Count, Unit, agreed, by_name, one_unit, stem
from ontogeny.replay.checkpoint_series import UPDATES, CheckpointProblem, Kind
from ontogeny.replay.step_templates import Naming

__all__ = ["Found", "Look", "recognised", "same_state", "step_of", "unit_of"]

Look = Callable[[Path], tuple[Count | None, State]]

_ONCE_MORE = ("last", "latest", "best", "model_best", "final")
_UNITS = {"updates": UPDATES, "epochs": "epochs", "numbers": "numbers in the names"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Checkpoints by step.

    Args:
        at: step -> file, rising.
        problems: files that cannot be used, and why.
        notes: how the steps were found.
        unit: what they count.
    """

    at: Mapping[int, Path]
    problems: tuple[CheckpointProblem, ...]
    notes: tuple[str, ...]
    unit: str


def recognised(
    paths: Iterable[Path],
    look: Look,
    *,
    naming: Naming | None = None,
    step: int | None = None,
    reads_names: bool = True,
) -> Found:
    """Find the step of each file.

    Args:
        paths: the files. Those called last or best are left out where another has their step and weights.
        look: file -> what it says of its step, and its weights.
        naming: how many updates an epoch has; its templates are not asked.
        step: of the one file, whatever its name and content say.
        reads_names: whether names say a step where the content does not.
    """
    counted_files: list[tuple[Path, Count]] = []
    problems: list[CheckpointProblem] = []
    notes: list[str] = []
    for path in sorted(paths, key=lambda p: (p.name.casefold().startswith(_ONCE_MORE), p.name)):
        try:
            inside, _ = look(path)
            counted_files.append((path, _count(path, inside, step, notes, reads_names=reads_names)))
        except WeightsError as error:
            problems.append(_problem(path, error))
    known = naming or Naming(templates=())
    usable, others = _of_one_unit(counted_files, known)
    found, twice = _by_step(usable, look, known)
    return Found(
        at=dict(sorted(found.items())),
        problems=(*problems, *others, *twice),
        notes=(*notes, *(_notes([count for _, count in usable], known) if step is None else ())),
        unit=unit_of([count for _, count in usable], known),
    )


def _count(path: Path, inside: Count | None, step: int | None, notes: list[str], *, reads_names: bool) -> Count:
    name = by_name(stem(path.name))
    if step is None:
        # An inner step counts by itself; a name can still contradict it.
        return agreed(name if reads_names or (name is not None and name.unit == "updates") else None, inside)
    given = Count(number=step, unit="updates", by="what was given")
    notes += [f"{path.name}: {other}; step {step} was given and counts" for other in _others(given, name, inside)]
    return given


def _others(given: Count, *counted_files: Count | None) -> list[Count]:
    return [count for count in counted_files if count and count.unit == "updates" and count.number != given.number]


def _problem(path: Path, error: WeightsError) -> CheckpointProblem:
    reason = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
    kind: Kind = "damaged" if isinstance(error, DamagedError) else "unusable"
    return CheckpointProblem(kind=kind, what=str(path), reason=f"{reason}; left out")


def _of_one_unit(
    counted_files: Sequence[tuple[Path, Count]], naming: Naming
) -> tuple[list[tuple[Path, Count]], list[CheckpointProblem]]:
    """Those that say the same kind of thing; epochs go with updates where it is known how many one has."""
    if not counted_files:
        return [], []
    unit = one_unit(count for _, count in counted_files)
    fitting: set[Unit] = {unit, "epochs"} if unit == "updates" and naming.updates_per_count is not None else {unit}
    others = [
        CheckpointProblem(
            kind="unread",
            what=str(path),
            reason=f"{count}, where others say {_UNITS[unit]}; left out. Say how many updates one epoch has with "
            "updates_per_count= (--updates-per-count)",
        )
        for path, count in counted_files
        if count.unit not in fitting
    ]
    return [pair for pair in counted_files if pair[1].unit in fitting], others


def _by_step(
    counted_files: Sequence[tuple[Path, Count]], look: Look, naming: Naming
) -> tuple[dict[int, Path], list[CheckpointProblem]]:
    found: dict[int, Path] = {}
    problems: list[CheckpointProblem] = []
    for path, count in counted_files:
        step = step_of(count, naming)
        first = found.setdefault(step, path)
        if first != path and not same_state(look(path)[1], look(first)[1]):
            reason = f"is step {step} with other weights than {first.name}, which is used"
            problems.append(CheckpointProblem(kind="twice", what=str(path), step=step, reason=reason))
    return found, problems


def same_state(one: State, other: State) -> bool:
    """Whether two have the same weights by the same names, to the bit."""
    return set(one) == set(other) and all(torch.equal(value, other[name]) for name, value in one.items())


def step_of(count: Count, naming: Naming) -> int:
    """Optimizer updates of a count, as far as it is known how many an epoch has."""
    return count.number if count.unit == "updates" else naming.counted(count.number)


def unit_of(counts: Sequence[Count], naming: Naming) -> str:
    """What the steps of a series count."""
    return UPDATES if not counts or naming.updates_per_count is not None else _UNITS[one_unit(counts)]


def _notes(counts: Sequence[Count], naming: Naming) -> list[str]:
    by_source = Counter(count.by for count in counts)
    lines = [f"steps from {by} ({n} {'file' if n == 1 else 'files'})" for by, n in by_source.items()]
    epochs = [count.number for count in counts if count.unit != "updates"]
    if naming.updates_per_count is not None and 0 in epochs and naming.zero_count == 0:
        lines.append("epoch 0 is taken as before any update; where it is after one epoch, say zero_count=-1")
    return lines
