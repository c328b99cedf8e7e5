"""How high each layer ends: tested against chance, the stimuli's surface and the ceiling, and corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import special

from ontogeny.lag.false_discovery import false_discovery_control
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.report.figures import BAND, BLUE, GREY, INK, Figure

__all__ = ["KINDS", "LevelTest", "level_tests", "levels_figure"]

KINDS = ("chance", "surface", "ceiling")
FEWEST = 3
_ALPHA = 0.05
_MOST = 60
_NAMES = {"domain": False, "ticks": False, "labelLimit": 190}


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTest:
    """One layer of one region at the last step that all its subjects have.

    Args:
        panel: the region's curves.
        layer: which.
        step: which.
        value: mean over subjects.
        error: one standard error of it.
        n: subjects.
        p: "chance" and "surface": one-sided p of "not above"; "ceiling": of "not below its lower edge". By t tests over
            subjects, after Benjamini-Hochberg over all layers and regions; NaN with fewer than three subjects.
    """

    panel: CurveGroup
    layer: str
    step: int
    value: float
    error: float
    n: int
    p: dict[str, float]

    def in_words(self, kind: str) -> str:
        """Yes, no, or why it was not tested."""
        if math.isnan(self.p[kind]):
            known = {"chance": self.panel.chance, "surface": self.panel.baseline, "ceiling": self.panel.ceiling}[kind]
            return "not scored" if known is None else f"not tested (n = {self.n})"
        p = self.p[kind]
        return f"{'yes' if p < _ALPHA else 'no'} (p {'< .001' if p < 0.001 else f'= {p:.3f}'.replace('= 0', '= ')})"


def level_tests(panels: Sequence[CurveGroup]) -> list[LevelTest]:
    """Every layer of every region."""
    out = [one for panel in panels for one in _tested(panel)]
    for kind in KINDS:
        p = np.asarray([one.p[kind] for one in out])
        here = np.flatnonzero(np.isfinite(p))
        if len(here):
            for place, q in zip(here, false_discovery_control(p[here]), strict=True):
                out[place].p[kind] = float(q)
    return out


def _tested(panel: CurveGroup) -> list[LevelTest]:
    """Every layer at its last step with a mean."""
    known = np.isfinite(panel.means.value)
    rows = np.flatnonzero(known.any(axis=1))
    last = known.shape[1] - 1 - known[rows, ::-1].argmax(axis=1)
    own = panel.each[:, rows, last].T
    lower = panel.ceiling_lower if panel.ceiling_lower is not None else panel.ceiling
    p = {
        "chance": _above(own - (math.nan if panel.chance is None else panel.chance)),
        "surface": _above(own - _surface(panel)),
        "ceiling": _above((math.nan if lower is None else lower) - own),
    }
    return [
        LevelTest(
            panel=panel,
            layer=panel.layers[i],
            step=panel.steps[k],
            value=float(panel.means.value[i, k]),
            error=float(panel.means.error[i, k]),
            n=int(panel.means.n_subjects[i, k]),
            p={kind: float(p[kind][row]) for kind in KINDS},
        )
        for row, (i, k) in enumerate(zip(rows.tolist(), last.tolist(), strict=True))
    ]


def _surface(panel: CurveGroup) -> Float[np.ndarray, " subjects"]:
    """What the surface reaches of each subject, of all of them where it was not scored by subject."""
    for name, found in panel.stated.items():
        if name.startswith("baseline: "):
            own = found.each[: len(panel.subjects), -1]
            return own if np.isfinite(own).all() else np.full(len(panel.subjects), np.nanmean(found.each[:, -1]))
    return np.full(len(panel.subjects), math.nan)


def _above(difference: Float[np.ndarray, "layers subjects"]) -> Float[np.ndarray, " layers"]:
    """One-sided p of each row's t test that its mean is not above 0; NaN with fewer than three subjects."""
    known = np.isfinite(difference)
    n = known.sum(axis=1)
    enough = n >= FEWEST
    count = np.maximum(n, 2)
    mean = np.where(known, difference, 0.0).sum(axis=1) / count
    square = np.where(known, (difference - mean[:, None]) ** 2, 0.0).sum(axis=1) / (count - 1)
    t = mean / np.maximum(np.sqrt(square / count), 1e-300)
    return np.where(enough, special.stdtr(count - 1, -t), math.nan)


def levels_figure(found: Sequence[LevelTest], name: str, runs: str = "") -> Figure:
    """The layer that ends highest of each region, between chance and ceiling.

    Args:
        found: of `level_tests`.
        name: stem of its files.
        runs: a sentence on which runs are drawn; "" where there is one.
    """
    over = "runs" if " Mean over " in runs else "subjects"
    best: dict[str, LevelTest] = {}
    for one in found:
        if one.panel.roi not in best or one.value > best[one.panel.roi].value:
            best[one.panel.roi] = one
    shown = list(best.values())[:_MOST]
    rows = [_row(one) for one in shown]
    y = {"field": "roi", "type": "nominal", "sort": [row["roi"] for row in rows], "title": None, "axis": _NAMES}
    cut = f" {len(shown)} of {len(best)} regions are drawn; layers.csv has all." if len(shown) < len(best) else ""
    caption = (
        f"Blue: the highest layer of each region at the last step, ± 1 SE over {over}; filled: above "
        "chance and above the stimuli's "
        f"surface at 5 %, corrected for {len(found)} layers and regions. Thin tick: chance; thick tick: "
        "surface; yellow: noise ceiling." + runs + cut
    )
    chart = {
        "width": 300,
        "height": max(60, 24 * len(rows)),
        "datasets": {"rows": rows},
        "data": {"name": "rows"},
        "usermeta": {"fit": 170},
        "encoding": {"y": y},
        "layer": _level_layers(shown[0].panel.unit, rows),
    }
    return Figure(
        name=name,
        title="How high, between chance and ceiling?",
        caption=caption,
        chart=chart,
    )


def _level_layers(unit: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    x = {"field": "value", "type": "quantitative", "title": unit, "scale": {"zero": True}}
    tip = [{"field": n} for n in ("roi", "layer", "above chance", "above surface", "below ceiling")]
    tip += [{"field": n, "type": "quantitative", "format": ".3f"} for n in ("value", "SE", "surface", "ceiling")]
    band = {"type": "bar", "color": BAND, "height": 16}
    tick = {"type": "tick", "size": 16}
    fill = {"condition": {"test": "!datum.above", "value": "white"}, "value": BLUE}
    beside = {
        "ceiling": (band, {"x": {**x, "field": "lower"}, "x2": {"field": "ceiling"}}),
        "chance": ({**tick, "color": INK, "thickness": 1}, {"x": {**x, "field": "chance"}}),
        "surface": ({**tick, "color": GREY, "thickness": 3}, {"x": {**x, "field": "surface"}}),
    }
    known = {name: [row for row in rows if row[name] is not None] for name in beside}
    return [
        *(
            {"transform": [{"filter": f"isValid(datum.{name})"}], "mark": mark, "encoding": encoding}
            for name, (mark, encoding) in beside.items()
            if known[name]
        ),
        {
            "mark": {"type": "rule", "color": BLUE, "strokeWidth": 2},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "color": BLUE, "opacity": 1},
            "encoding": {"x": x, "tooltip": tip, "fill": fill, "stroke": {"value": BLUE}},
        },
    ]


def _row(one: LevelTest) -> dict[str, Any]:
    panel, above = one.panel, [one.p[kind] for kind in ("chance", "surface") if not math.isnan(one.p[kind])]
    lower = panel.ceiling_lower if panel.ceiling_lower is not None else panel.ceiling
    return {
        "roi": panel.roi,
        "layer": one.layer,
        "value": one.value,
        "SE": one.error,
        "low": one.value - one.error,
        "high": one.value + one.error,
        "chance": panel.chance,
        "surface": None if panel.baseline is None else panel.baseline[1],
        "lower": lower,
        "ceiling": panel.ceiling if panel.ceiling is None or lower != panel.ceiling else panel.ceiling * 1.001,
        "above": bool(above) and max(above) < _ALPHA,
        **{f"{'below' if kind == 'ceiling' else 'above'} {kind}": one.in_words(kind) for kind in KINDS},
    }
