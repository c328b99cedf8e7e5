"""The key curve and the task as plain SVG: a few milliseconds, no plot library, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ontogeny._display import number
from ontogeny.report._html import escape
from ontogeny.report.figures import BAND, BLUE, GREY, ORANGE
from ontogeny.report.study import Study

__all__ = ["live_svg"]

_WIDE, _HIGH, _LEFT, _RIGHT = 692, 190, 62, 110
Points = Sequence[tuple[int | float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One panel's place and scales."""

    top: float
    last: float
    low: float
    high: float

    def x(self, step: int | float) -> float:
        return _LEFT + (_WIDE - _LEFT - _RIGHT) * math.log10(step + 1) / math.log10(self.last + 1)

    def y(self, value: float) -> float:
        return self.top + _HIGH * (1 - (value - self.low) / (self.high - self.low))

    def line(self, points: Points, colour: str, wide: int | float) -> str:
        known = [(self.x(step), self.y(value)) for step, value in points if math.isfinite(value)]
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in known if wide > 1)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"/>{dots}'

    def level(self, value: float, name: str, dash: str) -> str:
        if not self.low <= value <= self.high:
            return ""
        y, end = self.y(value), _WIDE - _RIGHT
        line = f'<line x1="{_LEFT}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GREY}" stroke-dasharray="{dash}"/>'
        return f'{line}<text x="{end + 6}" y="{y + 4:.1f}">{escape(name)}</text>'

    def axis(self, title: str) -> str:
        ticks = [self.low + (self.high - self.low) * part for part in (0.05, 0.5, 0.95)]
        marks = "".join(
            f'<text x="{_LEFT - 8}" y="{self.y(v) + 4:.1f}" text-anchor="end">{number(round(v, 2) + 0.0)}</text>'
            for v in ticks
        )
        middle = self.top + _HIGH / 2
        turned = f'transform="rotate(-90 14 {middle})" text-anchor="middle"'
        return f'{marks}<text x="14" y="{middle}" {turned}>{escape(title[:40])}</text>'

    def steps(self) -> str:
        powers = [0, *(10**e for e in range(1, len(str(int(self.last)))) if 10**e <= self.last)]
        y = self.top + _HIGH + 16
        marks = "".join(f'<text x="{self.x(s):.1f}" y="{y}" text-anchor="middle">{s:,}</text>' for s in powers)
        middle = (_LEFT + _WIDE - _RIGHT) / 2
        return f'{marks}<text x="{middle}" y="{y + 18}" text-anchor="middle">training step (log scale)</text>'


def live_svg(study: Study) -> str:
    """Alignment of the key region's layers above, the task below, on one axis of steps.

    Args:
        study: with one value at least.
    """
    panel, layer, level = study.key.curves[0].panel, study.key.layer, study.key.level
    curves = [list(zip(panel.steps, row, strict=True)) for row in panel.means.value.tolist()]
    task = [(s.step, s.value) for s in study.runs[0].task if s.metric == study.task and s.value is not None]
    last = float(max(1, panel.steps[-1], *(step for step, _ in task)))
    values = [v for curve in curves for _, v in curve] + [level.chance, level.baseline, level.ceiling_lower]
    upper = _panel(14, last, values)
    key = panel.layers.index(layer)
    parts = [_ceiling(upper, level.ceiling_lower, level.ceiling)]
    parts += [upper.line(curve, "#b6bdc4", 1) for i, curve in enumerate(curves) if i != key]
    parts += [upper.line(curves[key], BLUE, 2.5), upper.level(level.baseline, f"{level.surface} alone", "6 4")]
    parts += [upper.level(level.chance, "chance", "2 3"), upper.axis(f"{study.key.roi} ({level.unit})")]
    lower = _panel(14 + _HIGH + 30, last, [value for _, value in task])
    parts += [lower.line(task, ORANGE, 2), lower.axis(f"held-out {study.task}")] if task else []
    bottom = lower if task else upper
    parts.append(bottom.steps())
    high = bottom.top + _HIGH + 40
    label = escape(f"Blue: {study.key.roi}, {layer}. Grey: other layers. Orange: held-out {study.task or 'task'}.")
    return (
        f'<figure><svg class="chart" role="img" aria-label="{label}" viewBox="0 0 {_WIDE} {high:.0f}" '
        f'font-size="11" fill="#1c2833">{"".join(parts)}</svg><figcaption>{label}</figcaption></figure>'
    )


def _panel(top: int, last: float, values: Sequence[float]) -> _Panel:
    known = [value for value in values if math.isfinite(value)] or [0.0]
    pad = 0.06 * max(max(known) - min(known), 1e-6)
    return _Panel(top=float(top), last=float(last), low=min(known) - pad, high=max(known) + pad)


def _ceiling(panel: _Panel, lower: float, upper: float) -> str:
    """As much of the band as is in the panel."""
    if math.isnan(upper) or math.isnan(lower) or lower > panel.high:
        return ""
    top, bottom = panel.y(min(upper, panel.high)), panel.y(lower)
    box = f'x="{_LEFT}" width="{_WIDE - _LEFT - _RIGHT}" y="{top:.1f}" height="{max(bottom - top, 1):.1f}"'
    return f'<rect {box} fill="{BAND}"/><text x="{_WIDE - _RIGHT + 6}" y="{bottom + 4:.1f}">ceiling</text>'
