"""Curves of a record for each subject, as one array: what is drawn anew when a lead is generalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ontogeny._display import one_line
from ontogeny.errors import RecordError
from ontogeny.record.record import Record
from ontogeny.record.score import Score

__all__ = ["SubjectCurves", "subject_curves"]

_ONE = ("benchmark", "fingerprint", "metric", "pooling")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubjectCurves:
    """Curves of one benchmark, metric and pooling, at the steps at which all have a value.

    Args:
        benchmark: name.
        metric: name with its options.
        pooling: how layers became one vector per stimulus.
        cells: region and layer of each curve.
        subjects: names.
        steps: optimizer updates.
        values: scores.
        weights: hash of the weights that were read, one per step.
    """

    benchmark: str
    metric: str
    pooling: str
    cells: tuple[tuple[str, str], ...]
    subjects: tuple[str, ...]
    steps: Int[np.ndarray, " steps"]
    values: Float[np.ndarray, "steps cells subjects"]
    weights: tuple[str, ...]

    __repr__ = one_line


def subject_curves(record: Record, **columns: Any) -> SubjectCurves:
    """The curves of each subject that match.

    Args:
        record: of one run.
        **columns: which scores, see `Record.select`; several regions and layers are several curves.

    Raises:
        RecordError: nothing matches, several benchmarks, metrics or poolings do, or a subject lacks a region.
    """
    found = [s for s in record.select(**{"kind": "alignment", **columns}) if s.value is not None]
    if not found:
        raise RecordError(f"record {record.folder} holds no such score. {record.hint(columns)}")
    for name in _ONE:
        if len(seen := sorted({str(getattr(s, name)) for s in found})) > 1:
            raise RecordError(f"choose {name} from {', '.join(map(repr, seen))}: curves of one are drawn together")
    cells = tuple(dict.fromkeys((s.roi, s.layer) for s in found))
    subjects, steps = tuple(dict.fromkeys(s.subject for s in found)), sorted({s.step for s in found})
    values = _table(found, steps, cells, subjects)
    never = np.argwhere(np.isnan(values).all(axis=0))
    if len(never):
        (roi, layer), subject = cells[never[0, 0]], subjects[never[0, 1]]
        raise RecordError(
            f"subject {subject!r} has no scores of {roi!r}, layer {layer!r}; choose roi, layer or subjects"
        )
    whole = np.isfinite(values).all(axis=(1, 2))
    hashes = {s.step: s.weights for s in found}
    return SubjectCurves(
        benchmark=found[0].benchmark,
        metric=found[0].metric,
        pooling=found[0].pooling,
        cells=cells,
        subjects=subjects,
        steps=np.asarray(steps)[whole],
        values=values[whole],
        weights=tuple(hashes[step] for step, here in zip(steps, whole, strict=True) if here),
    )


def _table(
    found: Sequence[Score], steps: Sequence[int], cells: Sequence[tuple[str, str]], subjects: Sequence[str]
) -> Float[np.ndarray, "steps cells subjects"]:
    at = {step: i for i, step in enumerate(steps)}
    cell = {name: i for i, name in enumerate(cells)}
    whose = {name: i for i, name in enumerate(subjects)}
    out = np.full((len(steps), len(cells), len(subjects)), np.nan)
    for s in found:
        out[at[s.step], cell[s.roi, s.layer], whose[s.subject]] = s.value
    return out
