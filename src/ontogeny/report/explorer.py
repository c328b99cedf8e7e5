"""All curves in a compact block of data, from which the page draws what its reader picks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.layer_names import short_names
from ontogeny.report.run_data import RunFacts

__all__ = ["explorer_data"]

_MOST_BYTES = 6_000_000
_SIXTEEN, _EIGHT = 65534, 254


def explorer_data(runs: Sequence[RunFacts]) -> tuple[dict[str, Any], str]:
    """The block, and a sentence on what did not fit into it ("" where all did)."""
    out: list[dict[str, Any]] = []
    size, left = 0, 0
    for facts in runs:
        panels = []
        for panel in (p for p in facts.panels if p.layers):
            need = panel.means.value.size * 4
            if size + need > _MOST_BYTES:
                left += 1
                continue
            size += need
            panels.append(_panel(panel))
        if panels:
            out.append({"run": facts.name, "panels": panels})
    said = f"{left} regions or runs did not fit here; tables/curves.csv has all curves." if left else ""
    return {"runs": out}, said


def _panel(panel: CurveGroup) -> dict[str, Any]:
    value, error = panel.means.value, panel.means.error
    low, high = float(np.nanmin(value)), float(np.nanmax(value))
    most = float(np.nanmax(error)) or 1.0
    known = np.isfinite(value)
    coded = np.where(known, (value - low) / ((high - low) or 1.0) * _SIXTEEN, 65535).round().astype("<u2")
    spread = np.where(known, np.nan_to_num(error) / most * _EIGHT, 255).round().astype(np.uint8)
    baseline = panel.baseline
    return {
        "benchmark": panel.benchmark,
        "metric": panel.metric,
        "pooling": panel.pooling,
        "roi": panel.roi,
        "unit": panel.unit,
        "layers": panel.layers,
        "short": short_names(panel.layers, panel.layers),
        "steps": panel.steps,
        "range": [low, high],
        "most": most,
        "value": base64.b64encode(coded.tobytes()).decode(),
        "error": base64.b64encode(spread.tobytes()).decode(),
        "n": int(panel.means.n_subjects.max(initial=0)),
        "chance": panel.chance,
        "ceiling": [panel.ceiling_lower, panel.ceiling],
        "baseline": None if baseline is None else list(baseline),
        "controls": [
            {
                "name": name,
                "step": found.steps,
                "value": [round(float(v), 5) if np.isfinite(v) else None for v in found.mean],
            }
            for name, found in panel.stated.items()
            if not name.startswith("baseline: ")
        ],
    }
