"""Charts: Vega-Lite specifications that Weights & Biases can keep, and the same pictures drawn without it.

A specification names its data "wandb", its columns "${field:name}" and its texts "${string:name}", as Weights & Biases
has it. `ontogeny wandb register` sends them there; `png` fills them and draws them here.

    ontogeny-alignment-band   a line per layer, one standard error over subjects, chance, ceiling, baseline
    ontogeny-lag              alignment and task as shares of their own gain, and when each is half-way
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ontogeny.errors import ConfigError, nearest, require

__all__ = ["BAND", "LAG", "TITLES", "Chart", "as_lines", "filled", "png", "spec_text", "two_lines"]

BAND = "ontogeny-alignment-band"
LAG = "ontogeny-lag"
TITLES = {
    BAND: "ontogeny: alignment over training, with error band",
    LAG: "ontogeny: which moves first, alignment or task",
}
_SIZE = (860, 440)
_LINE = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart with its data.

    Args:
        spec: name of the specification.
        name: what it is of, short and the same in every run: the last part of its panel's key.
        rows: the data; every row has the same columns, named as the specification's fields.
        strings: the specification's texts.
        caption: how to read it.
    """

    spec: str
    name: str
    rows: Sequence[Mapping[str, Any]]
    strings: Mapping[str, str]
    caption: str

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.rows[0])

    @property
    def fields(self) -> dict[str, str]:
        """Field of the specification -> column."""
        return {name: name for name in self.columns}


def spec_text(name: str) -> str:
    """A specification as it is shipped, JSON, to be sent to Weights & Biases or pasted there.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in TITLES:
        raise ConfigError(f"there is no chart {name!r}. {nearest(name, TITLES)}")
    return resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")


def filled(chart: Chart) -> dict[str, Any]:
    """The specification with its data, columns and texts in place: plain Vega-Lite."""
    spec: dict[str, Any] = _replaced(json.loads(spec_text(chart.spec)), chart)
    width, height = _SIZE
    return {**spec, "data": {"values": [dict(row) for row in chart.rows]}, "width": width, "height": height}


def as_lines(chart: Chart) -> list[list[Any]]:
    """Step, line, value: what a plain line chart can show of it."""
    out = []
    for row in chart.rows:
        if row["value"] is None or row["kind"].startswith("name of "):
            continue
        name = row["line"] if "line" in row else row["series"]
        out.append([row["step"], f"{name}, fitted" if row["kind"] == "fitted" else name, row["value"]])
    return out


def _replaced(part: Any, chart: Chart) -> Any:
    if isinstance(part, dict):
        return {key: _replaced(value, chart) for key, value in part.items()}
    if isinstance(part, list):
        return [_replaced(value, chart) for value in part]
    if not isinstance(part, str):
        return part
    known = {"field": chart.fields, "string": chart.strings}
    return re.sub(r"\$\{(field|string):(\w+)\}", lambda found: known[found[1]][found[2]], part)


def png(chart: Chart) -> bytes:
    """The chart as a PNG, drawn without a browser or a network.

    Raises:
        MissingExtraError: vl-convert is not installed.
    """
    out: bytes = require("vl_convert", "wandb").vegalite_to_png(filled(chart), scale=2)
    return out


def two_lines(text: str) -> dict[str, str]:
    """A text as the two lines under a title; what is longer ends in dots (the caption has all of it)."""
    first, *rest = textwrap.wrap(text, min(_LINE, max(len(text) // 2 + 10, 100))) or [""]
    return {"subtitle": first, "note": textwrap.shorten(" ".join(rest), _LINE, placeholder=" ...")}
