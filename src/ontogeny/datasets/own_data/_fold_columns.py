"""How stimuli of a table are split into folds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ontogeny.datasets.own_data._array_files import StimulusTable
from ontogeny.datasets.own_data._stimulus_order import StimulusOrder
from ontogeny.errors import DataError
from ontogeny.metrics import Folds, make_folds
from ontogeny.neuroimaging.bids_names import COLUMNS
from ontogeny.neuroimaging.table_files import Sheet
from ontogeny.neuroimaging.volume_matching import first_fall
from ontogeny.stimuli import Chosen, StimulusSet

__all__ = ["Split", "split_stimuli"]

How = Literal["shuffled", "groups", "contiguous", "column"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How stimuli are split into folds.

    Args:
        how: "shuffled" (stimuli are independent of each other), "groups" (never split), "contiguous" (blocks in the
            table's order: a story, a run), or "column" (the stimulus table's own column `fold`).
        groups: the stimulus table's column with one label per stimulus.
        n_folds: how many.
        seed: of shuffling.
        own: subjects saw different stimuli: each is scored on those that it saw, folds are the same for all.
    """

    how: How = "shuffled"
    groups: str | None = None
    n_folds: int = 5
    seed: int = 0
    own: bool = False

    def __post_init__(self) -> None:
        if self.how == "groups" and self.groups is None:
            raise DataError("folds by groups need the name of the stimulus table's column with the groups")
        if self.how == "shuffled" and self.groups is not None:
            raise DataError(
                f"groups {self.groups!r} are given, so that shuffled folds would split them; fold by groups"
            )


def split_stimuli(
    path: Path,
    name: str,
    table: StimulusTable,
    order: StimulusOrder,
    split: Split,
    seen: Mapping[str, Collection[str]] | None = None,
) -> tuple[StimulusSet, Folds]:
    """The stimuli in their order, and their folds.

    Args:
        path: of the table.
        name: of the stimulus set.
        table: that was read.
        order: of the stimuli.
        split: how they are split.
        seen: subject -> what it saw; shuffled folds are balanced over who saw what.

    Raises:
        DataError: a column that is missing or has empty cells, or onsets that contradict the order of contiguous folds.
    """
    sheet = Sheet(path=path, columns=table.columns)
    groups = None if split.groups is None else order.of(sheet.labels(split.groups))
    contiguous = split.how == "contiguous"
    if contiguous:
        _refuse_onsets_that_fall(sheet)
    stimuli = StimulusSet(
        name=name,
        modality=table.modality,
        ids=order.of(table.ids),
        inputs=Chosen(table.inputs, order.rows),
        groups=groups,
        contiguous=contiguous,
    )
    if split.how == "column":
        return stimuli, _own_folds(order.of(sheet.labels("fold")))
    by = groups if split.how == "groups" else None
    who = None
    if seen is not None and by is None:
        who = ["".join("01"[name in seen[subject]] for subject in sorted(seen)) for name in stimuli.ids]
    return stimuli, make_folds(
        len(stimuli), n_folds=split.n_folds, groups=by, contiguous=contiguous, strata=who, seed=split.seed
    )


def _refuse_onsets_that_fall(sheet: Sheet) -> None:
    """Contiguous folds are blocks in the table's order: onsets in it must not say that the order was another."""
    if (column := sheet.find("onset")) is None:
        return
    within = [sheet.labels(name) for names in COLUMNS.values() if (name := sheet.find(*names)) is not None]
    runs = ["_".join(labels) for labels in zip(*within, strict=True)] or [""] * len(sheet)
    if (found := first_fall(sheet.numbers(column), runs)) is not None:
        raise DataError(
            f"{sheet.path}, rows {found[0] + 1} and {found[1] + 1}: column {column!r} falls, but contiguous folds are "
            "blocks in the order of the rows; sort the table by onset, and name runs in a column run"
        )


def _own_folds(labels: Sequence[str]) -> Folds:
    """Labels of any kind, numbered in their sorted order."""
    names = sorted(set(labels), key=lambda label: (len(label), label))
    if len(names) < 2:
        raise DataError(f"column 'fold' should name at least two folds, got {names}")
    return Folds(
        held_out=tuple(names.index(label) for label in labels), how=f"{len(names)} folds given with the stimuli"
    )
