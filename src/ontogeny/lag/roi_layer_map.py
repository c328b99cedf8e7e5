"""ROI x layer: one p a cell, corrected for looking at many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from ontogeny._display import Table, table_html
from ontogeny._plain_json import plain
from ontogeny.errors import LagError, in_words
from ontogeny.lag.answer import Level, Verdict
from ontogeny.lag.false_discovery import false_discovery_control
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import Decomposed, decompose
from ontogeny.lag.levels import levels_of
from ontogeny.lag.null.fluctuation_lead import flip_test, fluctuation_lead
from ontogeny.lag.null.surrogates import flip_signs
from ontogeny.lag.preconditions import Pair, clean, refuse_fluctuation, refuse_pair, refuse_trend
from ontogeny.lag.results import FluctuationLead, TrendLead, Untestable
from ontogeny.lag.runs_from_records import Run, paired, task_series
from ontogeny.record import Record, Score
from ontogeny.record.series import curve

__all__ = ["LeadMap", "MapCell", "leads_map", "map_of_runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A two-sided p of one cell, and what is left of it after all cells were looked at.

    Args:
        p: of this cell alone.
        bh: Benjamini-Hochberg, for a map of cells that depend positively on each other.
        by: Benjamini-Yekutieli, under any dependence.
        max_t: p of "a lead somewhere", from the largest statistic of all cells in each shared flip; None for trends.
    """

    p: float
    bh: float
    by: float
    max_t: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCell:
    """One ROI and layer."""

    roi: str
    layer: str
    trend: TrendLead | Untestable
    fluctuation: FluctuationLead | Untestable
    trend_p: Corrected | None
    fluctuation_p: Corrected | None
    level: Level | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadMap:
    """Leads over ROIs and layers.

    Args:
        cells: by ROI, then layer.
        task: what alignment is compared with.
        n: checkpoints.
        grid: which.
        note: how to read it.
        path: of the record, for commands; "" where there is none.
    """

    cells: tuple[MapCell, ...]
    task: str
    n: int
    grid: str
    note: str = (
        "Declare one primary ROI and layer before looking. The best cell of a map, chosen on the same data, is a "
        "description; a claim needs the corrected p."
    )
    path: str = ""

    @property
    def answer(self) -> Verdict:
        """In how many cells, corrected for their number."""
        from ontogeny.lag.verdict_pooled import verdict_of_map

        return verdict_of_map(self)

    @override
    def __repr__(self) -> str:
        tested = sum(cell.trend_p is not None for cell in self.cells)
        return f"LeadMap(task={self.task!r}, cells={len(self.cells)}, tested={tested}, n={self.n})"

    @override
    def __str__(self) -> str:
        """What `ontogeny lag --map` prints."""
        from ontogeny.lag.lead_text import map_lines

        return "\n".join(map_lines(self))

    _repr_html_ = table_html

    def _table(self) -> Table:
        from ontogeny.lag.lead_tables import map_table

        return map_table(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        out: dict[str, Any] = plain({**asdict(self), "answer": asdict(self.answer)})
        for row, cell in zip(out["cells"], self.cells, strict=True):
            row["trend"]["verdict"], row["fluctuation"]["verdict"] = cell.trend.verdict, cell.fluctuation.verdict
        return out


def leads_map(
    record: Record,
    *,
    task: str = "loss",
    rois: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    seed: int = 0,
    surrogates: int = 999,
    **columns: Any,
) -> LeadMap:
    """Leads of every ROI and layer of a record over its task.

    Args:
        record: of one run.
        task: metric of the task rows.
        rois: which; all where not given.
        layers: which, in order; all where not given.
        seed: of surrogates, which all cells share.
        surrogates: conjugate flips.
        **columns: what else makes a curve one: benchmark, metric, pooling.

    Raises:
        RecordError: the columns do not choose one curve per cell.
        LagError: no such task, or the curves cannot be put on one grid.
    """
    scores = record.select(kind="alignment", **columns)
    rows = [s for s in scores if s.value is not None]
    chosen = list(rois) if rois is not None else list(dict.fromkeys(s.roi for s in rows))
    depths = list(layers) if layers is not None else list(dict.fromkeys(s.layer for s in rows))
    of_cell: dict[tuple[str, str], list[Score]] = {}
    for row in rows:
        of_cell.setdefault((row.roi, row.layer), []).append(row)
    cells = [(roi, layer) for roi in chosen for layer in depths if (roi, layer) in of_cell]
    if not cells:
        filters = {**columns, **{name: v for name, v in (("roi", rois), ("layer", layers)) if v is not None}}
        raise LagError(f"record {record.folder} holds no alignment with {in_words(filters)}")
    performance = task_series(record, task)
    runs = [paired(curve(of_cell[cell]), performance) for cell in cells]
    found = map_of_runs(runs, cells, task=task, seed=seed, surrogates=surrogates)
    levels = levels_of(record, scores, **columns)
    leveled = (replace(cell, level=levels.get((cell.roi, cell.layer))) for cell in found.cells)
    return replace(found, cells=tuple(leveled), path=str(record.folder))


def map_of_runs(
    runs: Sequence[Run], cells: Sequence[tuple[str, str]], *, task: str, seed: int = 0, surrogates: int = 999
) -> LeadMap:
    """The same from series: one run a (ROI, layer), all of one training.

    Raises:
        LagError: the runs are not on one grid, or all cells are refused for the same pair of reasons.
    """
    first = runs[0]
    if any(len(r.steps) != len(first.steps) or (np.asarray(r.steps) != first.steps).any() for r in runs):
        raise LagError("the cells of a map need one grid of steps: every ROI and layer at the same checkpoints")
    whole = np.isfinite(np.stack([r.alignment for r in runs])).all(axis=0)
    pairs = [_pair(run, whole) for run in runs]
    refusals = [refuse_pair(pair) for pair in pairs]
    trends: list[TrendLead | Untestable | None] = [*refusals]
    fluctuations: list[FluctuationLead | Untestable | None] = [*refusals]
    known = [i for i, refused in enumerate(refusals) if refused is None]
    max_t: dict[int, float] = {}
    if known:
        values = np.stack([pairs[known[0]].values[1], *(pairs[i].values[0] for i in known)])
        parts = decompose(pairs[known[0]].steps, values)
        few = refuse_fluctuation(pairs[known[0]])
        tested, max_t = ([few] * len(known), {}) if few else _fluctuations(parts, known, surrogates, seed)
        for row, i in enumerate(known, 1):
            times = parts.timings[row], parts.timings[0]
            trends[i] = refuse_trend(*times) or trend_lead(*times)
            fluctuations[i] = tested[row - 1]
    found = _cells(cells, [t for t in trends if t], [f for f in fluctuations if f], max_t)
    return LeadMap(cells=found, task=task, n=pairs[0].n, grid=pairs[0].grid)


def _pair(run: Run, whole: np.ndarray) -> Pair:
    return clean(
        run.steps,
        np.where(whole, run.alignment, np.nan),
        run.performance,
        higher_is_better=run.higher_is_better,
    )


def _fluctuations(
    parts: Decomposed, known: Sequence[int], surrogates: int, seed: int
) -> tuple[list[FluctuationLead | Untestable], dict[int, float]]:
    """Every cell's lead, and its max-T p: all cells share the flips, so their dependence stays."""
    signs = flip_signs(len(parts.u), surrogates, np.random.default_rng(seed))
    leads, scaled, nulls = [], [], []
    for row in range(1, len(known) + 1):
        test = flip_test(parts.residuals[[row, 0]], signs)
        leads.append(fluctuation_lead(parts.residuals[[row, 0]], test, np.random.default_rng([seed, row])))
        spread = float(test[1].std()) or 1.0
        scaled.append(abs(test[0]) / spread)
        nulls.append(np.abs(test[1]) / spread)
    largest = np.stack(nulls).max(axis=0)
    p = {i: float((1 + (largest >= t - 1e-12).sum()) / (surrogates + 1)) for i, t in zip(known, scaled, strict=True)}
    return list(leads), p


def _two_sided(lead: TrendLead | FluctuationLead) -> float:
    return min(1.0, 2 * min(lead.p_alignment_leads, lead.p_performance_leads))


def _corrected(found: Sequence[TrendLead | FluctuationLead | Untestable]) -> dict[int, tuple[float, float, float]]:
    rows = {i: _two_sided(lead) for i, lead in enumerate(found) if not isinstance(lead, Untestable)}
    if not rows:
        return {}
    p: Float[np.ndarray, " cells"] = np.asarray(list(rows.values()))
    bh, by = (false_discovery_control(p, any_dependence=way) for way in (False, True))
    return {i: (float(p[k]), float(bh[k]), float(by[k])) for k, i in enumerate(rows)}


def _cells(
    names: Sequence[tuple[str, str]],
    trends: Sequence[TrendLead | Untestable],
    fluctuations: Sequence[FluctuationLead | Untestable],
    max_t: dict[int, float],
) -> tuple[MapCell, ...]:
    of_trend, of_fluctuation = _corrected(trends), _corrected(fluctuations)
    return tuple(
        MapCell(
            roi=roi,
            layer=layer,
            trend=trends[i],
            fluctuation=fluctuations[i],
            trend_p=_written(of_trend.get(i), None),
            fluctuation_p=_written(of_fluctuation.get(i), max_t.get(i)),
        )
        for i, (roi, layer) in enumerate(names)
    )


def _written(p: tuple[float, float, float] | None, max_t: float | None) -> Corrected | None:
    return None if p is None else Corrected(p=p[0], bh=p[1], by=p[2], max_t=max_t)
