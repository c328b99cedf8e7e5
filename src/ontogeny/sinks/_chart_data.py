"""Records and leads -> charts: alignment with its error band, and which moves first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from ontogeny._display import number
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.sinks.charts import BAND, LAG, Chart, two_lines

__all__ = ["HalfWay", "band_chart", "lag_chart"]

T = TypeVar("T")
Row = dict[str, Any]

_MOST_LAYERS = 24
_MOST_STEPS = 380
_APART = 0.07
_NUMBERS = ("order", "step", "value", "low", "high")


def band_chart(panel: CurveGroup, name: str) -> Chart:
    """The chart of one benchmark, metric, ROI and pooling.

    At most 24 layers (and the one that ends best) and 380 steps are drawn, evenly spread: under 10 000 rows.

    Args:
        panel: with one value at least.
        name: see `Chart`.
    """
    layers, steps = _layers(panel), _spread(panel.steps, _MOST_STEPS)
    rows = [_layer_row(row, layers) for row in panel.rows if row["layer"] in layers and row["step"] in steps]
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    levels, above = _levels(panel, low=low, high=high)
    rows += [row for level in levels for row in _level_rows(level, steps)]
    rows += _labels(levels, last=steps[-1], span=_span([low, high, *(level["value"] for level in levels)]))
    notes = [_about_subjects(panel), above]
    notes += [f"{len(layers)} of {len(panel.layers)} layers drawn"] if len(layers) < len(panel.layers) else []
    notes += [f"{len(steps)} of {len(panel.steps)} steps drawn"] if len(steps) < len(panel.steps) else []
    about = "; ".join(part for part in notes if part)
    title = f"{' · '.join(part for part in (panel.roi, panel.metric, panel.pooling) if part)} over training"
    strings = {"title": title, "unit": panel.unit, **two_lines(about)}
    return Chart(spec=BAND, name=name, rows=rows, strings=strings, caption=f"{title}. {about}.")


def _span(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _layers(panel: CurveGroup) -> list[str]:
    at = panel.at(panel.steps[-1])
    kept = {*_spread(panel.layers, _MOST_LAYERS), max(at, key=lambda layer: at[layer])}
    return [layer for layer in panel.layers if layer in kept]


def _spread(items: Sequence[T], most: int) -> Sequence[T]:
    """First, last, and evenly spread between them."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _row(kind: str, line: str, **numbers: float) -> Row:
    """With its columns in the order of all rows."""
    return {"kind": kind, "line": line, **{name: numbers[name] for name in _NUMBERS}}


def _layer_row(row: Mapping[str, Any], layers: Sequence[str]) -> Row:
    numbers = {name: row[name] for name in ("step", "value", "low", "high")}
    return _row("layer", row["layer"], order=layers.index(row["layer"]), **numbers)


def _levels(panel: CurveGroup, *, low: float, high: float) -> tuple[list[Row], str]:
    """What is drawn across: chance, ceiling, baseline. A ceiling so high that it would flatten the curves is told."""
    reach = low + 4 * max(high - low, 1e-9)
    bounds = [b for b in (panel.ceiling_lower, panel.ceiling) if b is not None]
    drawn = [b for b in bounds if b <= reach]
    levels = [{"kind": "ceiling", "line": "ceiling", "value": b, "low": drawn[0], "high": b} for b in drawn[-1:]]
    if len(drawn) == 2:
        levels.append(_flat("ceiling", "ceiling, lower", drawn[0]))
    elif drawn and len(bounds) == 2:
        levels[0]["line"] = "ceiling, lower"
    if panel.chance is not None:
        levels.append(_flat("chance", "chance", panel.chance))
    for name, part in panel.references.items():
        if name.startswith("baseline: "):
            levels.append(_flat("baseline", name.removeprefix("baseline: ") + " alone", part[-1]["value"]))
    above = [number(b, ".3f") for b in bounds if b > reach]
    which = "the upper ceiling" if drawn else "the ceiling"
    return levels, f"{which}, {' to '.join(above)}, lies above the picture" if above else ""


def _flat(kind: str, line: str, value: float) -> Row:
    return {"kind": kind, "line": line, "value": value, "low": value, "high": value}


def _level_rows(level: Row, steps: Sequence[int]) -> list[Row]:
    return [_row(order=-1, step=step, **level) for step in dict.fromkeys((steps[0], steps[-1]))]


def _labels(levels: Sequence[Row], *, last: int, span: float) -> list[Row]:
    """Names at the right end, moved apart where their levels are close."""
    out: list[Row] = []
    for level in sorted(levels, key=lambda v: float(v["value"])):
        at = level["value"] if not out else max(level["value"], out[-1]["value"] + _APART * max(span, 1e-9))
        out.append(_row(f"name of {level['kind']}", level["line"], order=-1, step=last, value=at, low=at, high=at))
    return out


def _about_subjects(panel: CurveGroup) -> str:
    subjects = max(row["n_subjects"] for row in panel.rows)
    stimuli = min(row["n_stimuli"] for row in panel.rows)
    who = f"mean of {subjects} subjects ± one standard error over them" if subjects > 1 else "one subject"
    own = " or more of each subject's own" if panel.own_stimuli else ""
    return f"{panel.benchmark}, {stimuli} stimuli{own}, {who}"


@runtime_checkable
class HalfWay(Protocol):
    """One pair of series as shares of their own gain: what `ontogeny.lag.record_shares` gives."""

    @property
    def name(self) -> str:
        """Which curve against which task."""
        ...

    @property
    def key(self) -> str:
        """The same in every run."""
        ...

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Columns kind, series, step, value, low, high; empty where nothing can be drawn."""
        ...

    @property
    def says(self) -> str:
        """What was found, or why nothing could be."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What to know beside it."""
        ...

    def so_far(self) -> HalfWay:
        """The same while training runs: what is said is no reason to stop."""
        ...


def lag_chart(pair: HalfWay) -> Chart:
    """Both series in units of their own gain, and when each is half-way.

    Args:
        pair: with one row at least.
    """
    strings = {"title": pair.name, **two_lines(pair.says)}
    how = "Both series in units of their own fitted gain; dashes: half of it is reached, with its 95 % interval."
    caption = " ".join([f"{pair.name}.", how, f"{pair.says}", *pair.warnings])
    return Chart(spec=LAG, name=pair.key, rows=pair.rows, strings=strings, caption=caption)
