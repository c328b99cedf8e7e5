"""One plain line about a probe, for someone who watches the training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ontogeny._display import number
from ontogeny.brain.noise_ceiling import share_of_ceiling
from ontogeny.record import Record, Row, Score

__all__ = ["KnownSurfaces", "Surfaces", "progress_line"]

_LONGEST = 89  # with "ontogeny: " before it under 100
_ERRORS = 2

Surfaces = Mapping[tuple[str, str, str], tuple[str, float]]
"""(benchmark, ROI, metric) -> the stimuli's own surface by name, and what it reaches."""


class KnownSurfaces:
    """What the stimuli's own surface reaches, asked of the record again only after a baseline was written."""

    def __init__(self) -> None:
        self._known: Surfaces | None = None

    def after(self, written: Sequence[Row]) -> None:
        """These rows were written."""
        if any(row.kind == "baseline" for row in written):
            self._known = None

    def of(self, record: Record) -> Surfaces:
        """Of the record that they were written to."""
        if self._known is None:
            self._known = _surfaces_of(record)
        return self._known


def _surfaces_of(record: Record) -> Surfaces:
    """The first baseline of each region, mean over subjects."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for score in (s for s in record.select(kind="baseline") if s.value is not None):
        values = found.setdefault((score.benchmark, score.roi, score.metric), {})
        values.setdefault(score.layer, []).append(score.value or 0.0)
    return {key: (name := next(iter(of)), float(np.mean(of[name]))) for key, of in found.items()}


def progress_line(rows: Sequence[Row], surfaces: Surfaces | None = None) -> str:
    """Best layer of every ROI by the benchmark's first metric, what it is read against, and the task: of one probe.

    "step 464  IT 0.18 (47 % of ceiling, pixels 0.09)  V1 at chance  loss 1.46". Which is first is no matter of one
    probe: `ontogeny lag` says it, with its reasons.

    Args:
        rows: of one probe.
        surfaces: what the stimuli's own surface reaches.
    """
    scores = [row for row in rows if isinstance(row, Score)]
    curves: dict[tuple[str, str], dict[tuple[str, str], list[Score]]] = {}
    first: dict[tuple[str, str], str] = {}
    for score in scores:
        roi = (score.benchmark, score.roi)
        if (
            score.kind == "alignment"
            and score.value is not None
            and first.setdefault(roi, score.metric) == score.metric
        ):
            curves.setdefault(roi, {}).setdefault((score.layer, score.pooling), []).append(score)
    known = {} if surfaces is None else surfaces
    parts = [_best(key[1], sites, known.get((*key, first[key]))) for key, sites in curves.items()]
    tasks = [f"{s.metric} {number(s.value, '.3g')}" for s in scores if s.kind == "task" and s.value is not None]
    return _fitted(f"step {rows[0].step if rows else 0:,}", parts or ["nothing could be scored"], tasks)


def _fitted(step: str, parts: Sequence[str], tasks: Sequence[str]) -> str:
    """As many regions as fit beside the first task, and how many more there are."""
    tail = list(tasks[:1])
    for n in range(len(parts), -1, -1):
        more = [f"and {len(parts) - n} more regions"] if n < len(parts) else []
        line = "  ".join([step, *parts[:n], *more, *tail])
        if len(line) <= _LONGEST:
            break
    for task in tasks[1:]:
        line = line if len(line) + len(task) + 2 > _LONGEST else f"{line}  {task}"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _best(roi: str, sites: Mapping[tuple[str, str], Sequence[Score]], surface: tuple[str, float] | None) -> str:
    values = {site: [s.value for s in own if s.value is not None] for site, own in sites.items()}
    site = max(values, key=lambda at: float(np.mean(values[at])))
    mean = float(np.mean(values[site]))
    chances, ceilings = (
        [v for s in sites[site] if (v := getattr(s, name)) is not None] for name in ("chance", "ceiling")
    )
    error = float(np.std(values[site], ddof=1)) / math.sqrt(len(values[site])) if len(values[site]) > 1 else 0.0
    if chances and mean <= float(np.mean(chances)) + _ERRORS * error:
        return f"{roi} at chance"
    share = share_of_ceiling(mean, float(np.mean(ceilings)) if ceilings else None)
    against = [] if share is None else [f"{100 * share:.0f} % of ceiling"]
    against += [] if surface is None else [f"{surface[0]} {number(surface[1])}"]
    beside = f" ({', '.join(against)})" if against else ""
    return f"{roi} {number(mean)}{beside}"
