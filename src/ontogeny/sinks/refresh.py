"""Refreshing: what is drawn while training runs, no more often than 1 % of the probes' time allows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ontogeny._messages import has_to_pass, warn
from ontogeny.record import Record
from ontogeny.sinks.sink import Sink, error_text, sink_name

__all__ = ["SHARE", "Refresher", "RefreshingSink"]

SHARE = 0.01
"""Largest share of the probes' seconds that all drawing may take together."""


@runtime_checkable
class RefreshingSink(Sink, Protocol):
    """A sink that draws the record while it grows."""

    first_refresh: float
    """About how many seconds the first time takes; 0 where it may be tried at once."""

    def refresh(self, record: Record) -> None:
        """Called after a probe, where there is time for it; with the record so far."""
        ...


class Refresher:
    """Decides which sinks draw after a probe. What fails warns once and is left alone from then on.

    Sinks have equal parts of the share, so that a quick one does not starve a slow one. A drawing is made where its
    seconds, as long as the last one took, fit into what is left of its part. One that may be tried at once is made
    after the first probe whatever it takes, and not counted.
    """

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._spent: dict[int, float] = {}
        self._broken: set[int] = set()

    def __call__(self, sinks: Sequence[Sink], record: Record, probing: float) -> float:
        """Let sinks draw.

        Args:
            sinks: of the monitor.
            record: so far.
            probing: seconds of all probes so far.

        Returns:
            Seconds that it took.
        """
        began = time.perf_counter()
        drawing = [sink for sink in sinks if isinstance(sink, RefreshingSink) and id(sink) not in self._broken]
        for sink in drawing:
            self._one(sink, record, SHARE * probing / len(drawing))
        return time.perf_counter() - began

    def _one(self, sink: RefreshingSink, record: Record, allowed: float) -> None:
        key = id(sink)
        first = key not in self._last
        at_once = first and not sink.first_refresh
        if not at_once and self._spent.get(key, 0.0) + self._last.get(key, sink.first_refresh) > allowed:
            return
        began = time.perf_counter()
        try:
            sink.refresh(record)
        except BaseException as error:  # a picture that cannot be made stops neither training nor other sinks
            if has_to_pass(error):
                raise
            self._broken.add(key)
            warn(f"{sink_name(sink)} draws nothing more while training runs: {error_text(error)}")
        self._last[key] = time.perf_counter() - began
        self._spent[key] = self._spent.get(key, 0.0) + (0.0 if at_once else self._last[key])
