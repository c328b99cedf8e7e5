"""Figure: one picture with its caption, and the axes that all pictures share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ontogeny._messages import printable
from ontogeny._plain_json import plain
from ontogeny.errors import require

__all__ = [
    "BAND",
    "BLUE",
    "CONFIG",
    "GREY",
    "INK",
    "ORANGE",
    "WIDTH",
    "Figure",
    "Picture",
    "altair",
    "as_picture",
    "data_of",
    "depth_colour",
    "file_stem",
    "finished",
    "plain_json",
    "step_axis",
    "step_x",
    "vegalite",
]

INK, GREY, BLUE, ORANGE, BAND = "#1c2833", "#5d6d7e", "#0b6fb0", "#b8500a", "#f6e3a1"
"""Text; what is read against; alignment; the task; the noise ceiling. Told apart by the colour-blind too."""
WIDTH = 692
"""Widest figure in points of the page: 183 mm in print, where its smallest text is 7 pt."""
CONFIG: dict[str, Any] = {
    "background": "white",
    "config": {
        "font": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif",
        "view": {"stroke": None},
        "axis": {
            "grid": False,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titleFontWeight": "normal",
            "labelColor": INK,
            "titleColor": INK,
            "domainColor": INK,
            "tickColor": INK,
            "labelLimit": 200,
        },
        "axisQuantitative": {"labelOverlap": True, "labelSeparation": 5},
        "title": {"fontSize": 12, "anchor": "start", "color": INK, "fontWeight": 600},
        "header": {"labelFontSize": 11, "labelColor": INK, "labelFontWeight": 600, "labelLimit": 150, "title": None},
        "legend": {"labelLimit": 260, "titleFontSize": 11, "labelFontSize": 11, "labelColor": INK, "titleColor": INK},
        "text": {"fontSize": 11, "color": INK},
        "aria": False,
    },
}
_AXES = 90
_THOUSANDS = "datum.value < 1000 ? datum.value : datum.value / 1000 + 'k'"
_STEP_TITLE = "training step (log scale)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture.

    Args:
        name: stem of its files.
        title: what it shows, a few words.
        caption: how to read it, for someone who has not seen one before.
        chart: an Altair chart, or a Vega-Lite specification; page and files are made from the same.
    """

    name: str
    title: str
    caption: str
    chart: Any
    _made: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def spec(self) -> dict[str, Any]:
        """The Vega-Lite specification, with one description for who does not see it; made once."""
        if "spec" not in self._made:
            self._made["spec"] = self._specified()
        spec: dict[str, Any] = self._made["spec"]
        return spec

    @property
    def svg(self) -> str:
        """Drawn once; PNG and PDF are made from this.

        Raises:
            MissingExtraError: the extra `report` is not installed.
        """
        if "svg" not in self._made:
            self._made["svg"] = require("vl_convert", "report").vegalite_to_svg(self.spec, vl_version=vegalite())
        return str(self._made["svg"])

    @property
    def png(self) -> bytes:
        """The same as pixels, two a point; made once.

        Raises:
            MissingExtraError: the extra `report` is not installed.
        """
        if "png" not in self._made:
            self._made["png"] = bytes(require("vl_convert", "report").svg_to_png(self.svg, scale=2))
        return bytes(self._made["png"])

    def _specified(self) -> dict[str, Any]:
        drawn = self.chart if isinstance(self.chart, Mapping) else self.chart.to_dict(validate=False)
        schema = {"$schema": f"https://vega.github.io/schema/vega-lite/{altair().SCHEMA_VERSION}.json"}
        whole = {**schema, **drawn, **CONFIG, "config": {**drawn.get("config", {}), **CONFIG["config"]}}
        spec: dict[str, Any] = plain_json({**_wrapped(whole), "description": f"{self.title}. {self.caption}"})
        return spec

    @property
    def marks(self) -> int:
        """Rows of data that it draws: above some thousands a picture is lighter than its marks."""
        return sum(len(rows) for rows in data_of(self.spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture that is drawn already.

    Args:
        name: stem of its PNG file.
        title: what it shows, a few words.
        caption: how to read it.
        png: the file, two pixels a point.
        frames: names of the parts of one height that it is made of, from its top, which the page shows one at a time.
    """

    name: str
    title: str
    caption: str
    png: bytes
    frames: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """In points."""
        return int.from_bytes(self.png[20:24], "big") // 2

    @property
    def width(self) -> int:
        """In points."""
        return int.from_bytes(self.png[16:20], "big") // 2


def as_picture(figure: Figure) -> Picture:
    """Draw it: thousands of voxels are a small PNG, and a heavy page as single marks.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    return Picture(name=figure.name, title=figure.title, caption=figure.caption, png=figure.png)


def _wrapped(spec: dict[str, Any]) -> dict[str, Any]:
    """Parts beside each other that are wider than the page stand in rows; a single one is narrowed."""
    if "hconcat" in spec and _wide(spec) > WIDTH:
        parts = [_wrapped(part) for part in spec["hconcat"]]
        columns = max(1, int(WIDTH // max(map(_wide, parts))))
        return {**{k: v for k, v in spec.items() if k != "hconcat"}, "concat": parts, "columns": columns}
    if "vconcat" in spec:
        return {**spec, "vconcat": [_wrapped(part) for part in spec["vconcat"]]}
    if isinstance(spec.get("width"), int | float) and spec["width"] > WIDTH - _AXES:
        return {**spec, "width": WIDTH - _AXES}
    return spec


def _wide(spec: Mapping[str, Any]) -> float:
    """About how wide it is drawn, with its axes."""
    if "hconcat" in spec:
        return float(sum(map(_wide, spec["hconcat"])))
    if "vconcat" in spec:
        return max(map(_wide, spec["vconcat"]))
    width = spec.get("width", 200)
    return float(width if isinstance(width, int | float) else 200) + _AXES


def vegalite() -> str:
    """The Vega-Lite version of Altair's specifications, "6.4"."""
    return ".".join(altair().SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def data_of(spec: Any) -> list[list[dict[str, Any]]]:
    """All rows of data in a specification, a list per data set, in the order in which they are drawn."""
    if isinstance(spec, list):
        return [rows for part in spec for rows in data_of(part)]
    if not isinstance(spec, dict):
        return []
    own = list(spec.get("datasets", {}).values())
    if isinstance(values := spec.get("data", {}).get("values") if isinstance(spec.get("data"), dict) else None, list):
        own.append(values)
    return [*own, *(rows for name, part in spec.items() if name not in ("datasets", "data") for rows in data_of(part))]


def altair() -> Any:
    """The plot library, imported when the first picture is drawn."""
    return require("altair", "report")


def step_axis(steps: Sequence[int], *, titled: bool = True) -> Any:
    """The x axis: log above 1, linear below, so that step 0 has its place.

    Args:
        steps: all probed steps of the record, so that pictures of one record share their axis.
        titled: write what the axis is, under the lowest of several pictures.
    """
    alt = altair()
    last = max([1, *steps])
    ticks = [0, *(m * 10**e for e in range(len(str(last))) for m in (1, 3) if m * 10**e <= last)]
    return alt.X(
        "step:Q",
        title=_STEP_TITLE if titled else None,
        scale=alt.Scale(type="symlog", constant=1, domain=[0, last], nice=False),
        axis=alt.Axis(values=ticks, labelExpr=_THOUSANDS, grid=True),
    )


def step_x(steps: Sequence[int], *, title: str | None = "training step (log scale)", count: int = 12) -> dict[str, Any]:
    """The same as part of a Vega-Lite specification."""
    last = max([1, *steps])
    powers = [10**e for e in range(len(str(last))) if 10**e <= last]
    apart = -(-len(powers) // count)
    axis = {"values": [0, *powers[::apart]], "labelExpr": _THOUSANDS, "labelFlush": True}
    scale = {"type": "symlog", "constant": 1, "domain": [0, last], "nice": False}
    return {"field": "step", "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def depth_colour(layers: Sequence[str]) -> Any:
    """A colour per layer, dark for the first and light for the last."""
    alt = altair()
    scheme = alt.SchemeParams(name="viridis", extent=[0.0, 0.85])
    return alt.Color(
        "layer:O",
        sort=list(layers),
        scale=alt.Scale(domain=list(layers), scheme=scheme),
        legend=alt.Legend(title="layer, input to output", symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3),
    )


def file_stem(*parts: str) -> str:
    """A file name out of names that come from a record: letters, digits, dashes and dots inside words only."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") or "unnamed" for part in parts)


def finished(chart: Any) -> Any:
    """An Altair chart as it is; the look of all pictures is `CONFIG`, which `Figure.spec` adds."""
    return chart


def plain_json(value: Any) -> Any:
    """As JSON takes it, with "?" for control characters: drawing ends the process where a name holds one."""
    return plain(value, printable)
