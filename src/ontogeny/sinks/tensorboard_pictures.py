"""Bands and leads as pictures in TensorBoard, beside the scalars that a trainer's logger writes."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ontogeny._messages import say
from ontogeny.errors import MissingExtraError, require
from ontogeny.record import Record
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.sinks._record_charts import MOST_CHARTS, Leads, bands, named_groups, pairs_of
from ontogeny.sinks.charts import Chart, png

__all__ = ["TensorboardPictures"]

_FEWEST = 2


class TensorboardPictures:
    """A sink for pictures alone: `alignment_curves/<roi>` and `alignment_first/<roi>`, at the step of the last probe.

    Args:
        writer: a `SummaryWriter`, anything with `add_image`.
        leads: record -> pairs to be drawn, `ontogeny.lag.record_shares`; none are drawn where not given.
    """

    name = "TensorBoard"
    first_refresh = 2.0

    def __init__(self, writer: Any, *, leads: Leads | None = None) -> None:
        self._writer = writer
        self._leads = leads
        self._silent = False

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing: the logger has the numbers."""

    def refresh(self, record: Record) -> None:
        """Draw the record so far."""
        if len(record.events(kind="probe")) >= _FEWEST:
            self._draw(record, running=True)

    def finish(self, record: Record) -> None:
        """Draw all of it."""
        self._draw(record, running=False)

    def _draw(self, record: Record, *, running: bool) -> None:
        named = named_groups(record)
        if not named or self._silent:
            return
        try:
            self._pictures(record, named, running=running)
        except MissingExtraError as error:
            self._silent = True
            say(f"no pictures in TensorBoard: {error}")

    def _pictures(self, record: Record, named: dict[str, CurveGroup], *, running: bool) -> None:
        step = max(panel.steps[-1] for panel in named.values())
        self._add("alignment_curves", bands(named), step)
        if self._leads is not None:
            self._add("alignment_first", pairs_of(self._leads(record), running=running), step)

    def _add(self, section: str, makers: list[Callable[[], Chart]], step: int) -> None:
        for chart in (make() for make in makers[:MOST_CHARTS]):
            picture = require("PIL.Image", "wandb").open(io.BytesIO(png(chart))).convert("RGB")
            self._writer.add_image(f"{section}/{chart.name}", np.asarray(picture), step, dataformats="HWC")
        flush = getattr(self._writer, "flush", None)
        if callable(flush):
            flush()
