"""Leads as tables for a notebook: one row per run, or per cell of a map."""

from __future__ import annotations

from collections.abc import Mapping

from ontogeny._display import Table
from ontogeny.lag.lead_text import p_text, short
from ontogeny.lag.results import Leads, TrendLead
from ontogeny.lag.roi_layer_map import LeadMap
from ontogeny.lag.verdict import fewer_steps

__all__ = ["leads_table", "map_table"]


def leads_table(title: str, found: Mapping[str, Leads]) -> Table:
    """Several pairs, one row each.

    Args:
        title: of the table.
        found: name -> leads.
    """
    rows = [(name, str(one.n), one.trend.verdict, one.fluctuation.verdict) for name, one in found.items()]
    first = next(iter(found.values()), None)
    leads = [(name, (one.trend, one.fluctuation)) for name, one in found.items()]
    labels = ("trend lead", "fluctuation lead")
    sizes = [f"{name} {label}: {short(lead)}" for name, both in leads for label, lead in zip(labels, both, strict=True)]
    return Table(
        title=title,
        columns=("run", "checkpoints", "trend lead", "fluctuation lead"),
        rows=rows,
        notes=(*(sizes if len(found) == 1 else []), *([] if first is None else [first.grid])),
    )


def map_table(found: LeadMap) -> Table:
    """A map, the cells with the smallest corrected p first; what cannot be tested last."""
    cells = sorted(found.cells, key=lambda cell: cell.trend_p.bh if cell.trend_p else 2.0)
    rows = []
    for cell in cells:
        p = cell.trend_p
        size = fewer_steps(cell.trend.log10) if isinstance(cell.trend, TrendLead) else ""
        numbers = ("", "", "") if p is None else (p_text(p.p), p_text(p.bh), p_text(p.by))
        rows.append((cell.roi, cell.layer, cell.trend.verdict, size, *numbers))
    return Table(
        title=f"alignment against held-out {found.task}: {len(found.cells)} cells, {found.n} checkpoints",
        columns=("ROI", "layer", "trend lead", "steps", "p", "p (BH)", "p (BY)"),
        rows=rows,
        notes=(found.grid, found.note),
    )
