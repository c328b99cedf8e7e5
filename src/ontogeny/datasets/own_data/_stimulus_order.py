"""The order of a benchmark's stimuli, and where each of them is in another file: by id wherever it has ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.neuroimaging.bids_names import plain_label
from ontogeny.stimuli import check_ids

__all__ = ["StimulusOrder", "apart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StimulusOrder:
    """The stimulus table's ids, and which of its rows are the benchmark's first, second, ... stimulus."""

    table: tuple[str, ...]
    rows: tuple[int, ...]

    def of(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Values of the table's rows in the benchmark's order."""
        return tuple(values[row] for row in self.rows)

    def only(self, seen: Collection[str]) -> StimulusOrder:
        """Of the stimuli that one subject saw."""
        ids = tuple(stimulus for stimulus in self.table if stimulus in seen)
        place = {stimulus: row for row, stimulus in enumerate(ids)}
        return StimulusOrder(table=ids, rows=tuple(place[s] for s in self.of(self.table) if s in place))

    def places(self, path: Path, ids: tuple[str, ...] | None, n: int) -> list[int]:
        """Where in another file of n rows each stimulus of the benchmark is.

        Raises:
            DataError: without ids, another number of rows.
            AlignmentIdError: doubled ids, stimuli without a row, rows of unknown stimuli.
        """
        if ids is None:
            if n != len(self.table):
                raise DataError(
                    f"{path} has {n} rows and no ids, the stimulus table has {len(self.table)}; give one row a "
                    "stimulus in the table's order, or a table with a column stimulus_id"
                )
            return list(self.rows)
        check_ids(ids, str(path))
        place, known = {stimulus: row for row, stimulus in enumerate(ids)}, set(self.table)
        missing = [stimulus for stimulus in self.table if stimulus not in place]
        unknown = [stimulus for stimulus in ids if stimulus not in known]
        if missing or unknown:
            raise AlignmentIdError(
                f"{path} lacks {len(missing)} of {len(self.table)} stimuli, e.g. {missing[:3]}, and has {len(unknown)} "
                f"that the stimulus table lacks, e.g. {unknown[:3]}; {apart(missing, unknown)}make the two lists of "
                "ids the same"
            )
        return [place[stimulus] for stimulus in self.of(self.table)]


def apart(missing: Sequence[str], unknown: Sequence[str]) -> str:
    """What two lists of ids differ in, where it is little: of all unknown ones a missing one tells."""
    for difference, plain in (("zeros in front", plain_label), ("upper and lower case", str.casefold)):
        if unknown and {plain(one) for one in unknown} <= {plain(one) for one in missing}:
            return f"they differ only in {difference}: "
    return ""
