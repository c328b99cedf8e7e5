"""The charts of a record as trackers get them: bands of every region, and which is first, with names that differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ontogeny.record import Record
from ontogeny.record.curve_groups import CurveGroup, curve_groups, curve_names
from ontogeny.sinks._chart_data import HalfWay, band_chart, lag_chart
from ontogeny.sinks.charts import Chart

__all__ = ["MOST_CHARTS", "Leads", "bands", "named_groups", "pairs_of"]

MOST_CHARTS = 6
Leads = Callable[[Record], Sequence[HalfWay]]


def named_groups(record: Record) -> dict[str, CurveGroup]:
    """Short name -> curves that have a value."""
    found = [panel for panel in curve_groups(record.scores) if panel.rows]
    return dict(zip(curve_names(found), found, strict=True))


def bands(named: dict[str, CurveGroup]) -> list[Callable[[], Chart]]:
    """What draws each of them."""
    return [partial(band_chart, panel, name) for name, panel in named.items()]


def pairs_of(pairs: Sequence[HalfWay], *, running: bool) -> list[Callable[[], Chart]]:
    """What draws which is first; while training runs with the words "so far"."""
    return [partial(lag_chart, pair.so_far() if running else pair) for pair in pairs if pair.rows]
