"""Cells: alignment by model, step, subject, ROI, layer and metric, as columns of equal length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ontogeny._display import one_line
from ontogeny.errors import DataError, nearest
from ontogeny.record import Record
from ontogeny.record.curve_groups import SURPRISAL
from ontogeny.record.score_columns import ScoreColumns

__all__ = ["ABOVE_CHANCE", "CHANCE_LEFT_IN", "Cells", "is_biased", "unit_of"]

ABOVE_CHANCE = "above chance"
CHANCE_LEFT_IN = "chance not known, left in"
"""What a finding says of its values, see `Cells.levels`."""

_NUMBERS = ("depth", "value", "chance", "ceiling")


def is_biased(metric: str) -> bool:
    """Whether values of this metric rise with the features' dimension alone, so that they need their chance level.

    True of biased CKA, by our names ("cka-rbf-36-biased-z") and the study's ("cka_36").
    """
    return metric.startswith("cka_") or (metric.startswith("cka-") and "debiased" not in metric)


def unit_of(metric: str, said: str) -> str:
    """The unit of a metric's values, with what `Cells.levels` says of them."""
    return f"{metric} {said}" if said == ABOVE_CHANCE else f"{metric} ({said})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Alignment, one cell a row; all columns are arrays of one length.

    Args:
        model: whose layers (a run of a record, or a model of a table).
        modality: what the model reads: "text" or "image".
        step: optimizer updates done; 0 where a table has finished models only.
        benchmark: which stimuli and responses.
        subject: whose responses.
        roi: which region.
        layer: which layer, "" where a table keeps none.
        depth: place of the layer in the model, 0 the first that was read to 1 the last; NaN where not known.
        pooling: how the layer became one vector a stimulus.
        metric: with its options.
        value: the score in the metric's unit.
        chance: its expected value when stimuli and responses are unrelated; NaN where not known.
        ceiling: the highest that the noise allows; NaN where not known.

    Raises:
        DataError: columns of unequal lengths, or a value that is not finite.
    """

    model: np.ndarray
    modality: np.ndarray
    step: np.ndarray
    benchmark: np.ndarray
    subject: np.ndarray
    roi: np.ndarray
    layer: np.ndarray
    depth: np.ndarray
    pooling: np.ndarray
    metric: np.ndarray
    value: np.ndarray
    chance: np.ndarray
    ceiling: np.ndarray

    __repr__ = one_line

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in _COLUMNS}
        if len(set(sizes.values())) > 1:
            raise DataError(f"all columns of cells are of one length, got {sizes}")
        if not np.isfinite(self.value).all():
            raise DataError(f"{int((~np.isfinite(self.value)).sum())} of {len(self)} values are not finite; drop them")

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def of_table(cls, table: Mapping[str, Any]) -> Cells:
        """Cells of columns by name; one that is missing, or a single word or number, is the same for all.

        Raises:
            DataError: no values, an unknown column, unequal lengths.
        """
        for name in table:
            if name not in _COLUMNS:
                raise DataError(f"cells have no column {name!r}. {nearest(name, _COLUMNS)}")
        if "value" not in table:
            raise DataError(f"cells need a column value; got {sorted(table)}")
        n = len(table["value"])
        return cls(**{name: _column(name, table.get(name), n) for name in _COLUMNS})

    @classmethod
    def of_records(cls, records: Iterable[Record], *, step: int | None = None) -> Cells:
        """Alignment scores of records, each a model (surprisal is no layer and is left out).

        Args:
            records: one per model or run.
            step: only this; all where None.

        Raises:
            DataError: no alignment score in any of them.
        """
        asked: dict[str, Any] = {"kind": "alignment"} if step is None else {"kind": "alignment", "step": step}
        at = "" if step is None else f" at step {step}"
        return cls.of_columns([(record.columns(**asked), record.header) for record in records], where=at)

    @classmethod
    def of_columns(cls, runs: Iterable[tuple[ScoreColumns, Mapping[str, Any]]], *, where: str = "") -> Cells:
        """The same of alignment scores that were read already: those of a run, with its record's header.

        Raises:
            DataError: no alignment score in any of them.
        """
        parts = [_of_run(scores, header) for scores, header in runs]
        if not sum(len(part["value"]) for part in parts):
            raise DataError(f"the records hold no alignment score{where}; the first probe writes some")
        return cls.of_table({name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS})

    def where(self, **columns: Any) -> Cells:
        """The cells whose columns equal what is asked for, or are in a list of it.

        Raises:
            DataError: no such column, or nothing matches; says what there is.
        """
        keep = np.ones(len(self), dtype=bool)
        for name, want in columns.items():
            if name not in _COLUMNS:
                raise DataError(f"cells have no column {name!r}. {nearest(name, _COLUMNS)}")
            wanted = list(want) if isinstance(want, Sequence | np.ndarray) and not isinstance(want, str) else [want]
            found = np.isin(getattr(self, name), wanted)
            if not found.any():
                have = np.unique(getattr(self, name)).tolist()
                raise DataError(f"no cell has {name} = {want!r}; there is {have[:12]}{' ...' * (len(have) > 12)}")
            keep &= found
        if not keep.any():
            raise DataError(f"no cell has {columns}; each value occurs, but not together")
        return self.only(keep)

    def only(self, rows: np.ndarray) -> Cells:
        """The cells of a mask or of places."""
        return Cells(**{name: getattr(self, name)[rows] for name in _COLUMNS})

    def at_last_step(self) -> Cells:
        """The cells of each model's last step."""
        last = {model: self.step[self.model == model].max() for model in self.names("model")}
        return self.only(np.asarray([step == last[model] for model, step in zip(self.model, self.step, strict=True)]))

    def names(self, column: str) -> list[Any]:
        """What occurs in a column, in the order of first appearance."""
        return list(dict.fromkeys(getattr(self, column).tolist()))

    @classmethod
    def joined(cls, *cells: Cells) -> Cells:
        """All of them, one after the other."""
        return cls(**{name: np.concatenate([getattr(one, name) for one in cells]) for name in _COLUMNS})

    def levels(self, *, raw: bool = False) -> tuple[np.ndarray, str]:
        """What every question analyses of the values, and in which words: less chance wherever chance is known.

        Args:
            raw: where chance is known of no cell, take the values as they are; the words say so.

        Raises:
            DataError: chance is not known of some cells, and `raw` is not said; or known of others.
        """
        unknown = ~np.isfinite(self.chance)
        if not unknown.any():
            return np.asarray(self.value - self.chance), ABOVE_CHANCE
        if raw and unknown.all():
            return self.value, CHANCE_LEFT_IN
        metric = str(self.metric[unknown][0])
        biased = ", and of biased CKA it differs by region and layer" if is_biased(metric) else ""
        how = "take a metric that has it, or say raw and read it so"
        how = how if unknown.all() else "choose one kind with where(metric=...)"
        raise DataError(
            f"chance is not known of {int(unknown.sum())} of {len(self)} cells, e.g. of metric {metric!r}{biased}; "
            f"{how}"
        )


_COLUMNS = tuple(field.name for field in fields(Cells))


def _column(name: str, given: Any, n: int) -> np.ndarray:
    kind: Any = np.float64 if name in _NUMBERS else np.int64 if name == "step" else np.str_
    if given is None:
        return np.full(n, np.nan) if name in _NUMBERS else np.zeros(n, dtype=np.int64 if name == "step" else "<U1")
    if isinstance(given, str | int | float | np.generic):
        return np.full(n, given, dtype=None if kind is np.str_ else kind)
    return np.asarray(given, dtype=kind)


def _of_run(scores: ScoreColumns, header: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Column -> values of one run's scores."""
    scores = scores.only(np.isfinite(scores.numbers["value"]) & ~scores.is_one_of("layer", [SURPRISAL]))
    modality = {name: str(about.get("modality", "")) for name, about in header["benchmarks"].items()}
    read = [modality.get(name, "") for name in scores.words["benchmark"]]
    written = ("benchmark", "subject", "roi", "layer", "pooling", "metric")
    return {
        "model": scores.text("run"),
        "modality": np.asarray([*read, ""], dtype=np.str_)[scores.codes["benchmark"]],
        "depth": _depths(scores),
        **{name: scores.text(name) for name in written},
        **{name: scores.numbers[name] for name in ("step", "value", "chance", "ceiling")},
    }


def _depths(scores: ScoreColumns) -> np.ndarray:
    """Place of each score's layer in its benchmark's reading, 0 to 1, in the order in which the model was read."""
    out = np.zeros(len(scores))
    for code in np.unique(scores.codes["benchmark"]):
        here = scores.codes["benchmark"] == code
        _, first, layer = np.unique(scores.codes["layer"][here], return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
        out[here] = rank[layer] / max(1, len(first) - 1)
    return out
