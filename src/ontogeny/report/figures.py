"""Figure: one picture with its caption, and the axes that all pictures share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ontogeny._messages import printable
from ontogeny._plain_json import plain
from ontogeny.errors import require

__all__ = [
    "Figure",
    "Picture",
    "altair",
    "as_picture",
    "depth_colour",
    "file_stem",
    "finished",
    "plain_json",
    "step_axis",
]

_THOUSANDS = "datum.value < 1000 ? datum.value : datum.value / 1000 + 'k'"
_STEP_TITLE = "step (optimizer updates; log axis, step 0 shown)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture.

    Args:
        name: stem of its PNG file.
        title: what it shows, a few words.
        caption: how to read it, for someone who has not seen one before.
        chart: an Altair chart; page and PNG are made from the same specification.
    """

    name: str
    title: str
    caption: str
    chart: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture that is drawn already.

    Args:
        name: stem of its PNG file.
        title: what it shows, a few words.
        caption: how to read it.
        png: the file, two pixels a point.
    """

    name: str
    title: str
    caption: str
    png: bytes

    @property
    def width(self) -> int:
        """In points."""
        return int.from_bytes(self.png[16:20], "big") // 2


def as_picture(figure: Figure) -> Picture:
    """Draw it: thousands of voxels are a small PNG, and a heavy page as single marks.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    return Picture(name=figure.name, title=figure.title, caption=figure.caption, png=as_png(figure.chart))


def as_png(chart: Any) -> bytes:
    """Two pixels a point.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    version = ".".join(altair().SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    spec = plain_json(chart.to_dict())
    return bytes(require("vl_convert", "report").vegalite_to_png(spec, vl_version=version, scale=2))


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


def depth_colour(layers: Sequence[str]) -> Any:
    """A colour per layer, dark for the first and light for the last."""
    alt = altair()
    scheme = alt.SchemeParams(name="viridis", extent=[0.0, 0.85])
    return alt.Color(
        "layer:O",
        sort=list(layers),
        scale=alt.Scale(domain=list(layers), scheme=scheme),
        legend=alt.Legend(title="layer (first to last)", symbolType="stroke", symbolOpacity=1, symbolStrokeWidth=3),
    )


def file_stem(*parts: str) -> str:
    """A file name out of names that come from a record: letters, digits, dashes and dots inside words only."""
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") or "unnamed" for part in parts)


def finished(chart: Any) -> Any:
    """Common look of all pictures."""
    return (
        chart.configure_view(stroke="#d5d8dc")
        .configure_axis(gridColor="#eef0f2", labelFontSize=11, titleFontSize=11, titleFontWeight="normal")
        .configure_title(fontSize=13, anchor="start")
        .configure_legend(labelLimit=260, titleFontSize=11)
    )


def plain_json(value: Any) -> Any:
    """As JSON takes it, with "?" for control characters: drawing ends the process where a name holds one."""
    return plain(value, printable)
