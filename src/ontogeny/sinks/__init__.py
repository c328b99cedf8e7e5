"""Sinks: where the scores of a probe go beside the record.

A sink is anything with `write(step, metrics)`; `metrics` maps short names (`alignment/...`, `task/...`) to numbers.
One that also has `finish(record)` is given the whole record when training ends, for tables and charts; one that has
`refresh(record)` draws it while it grows, no more often than 1 % of the probes' time allows. Trainers' loggers are
sinks that their callbacks make. A broken sink warns and never stops training nor another sink.
"""

from __future__ import annotations

from ontogeny._renamed import renamed
from ontogeny.sinks.refresh import Refresher, RefreshingSink
from ontogeny.sinks.sink import (
    FinishingSink,
    Sink,
    finish,
    metric_keys,
    sink_name,
    write,
)

__all__ = ["FinishingSink", "Refresher", "RefreshingSink", "Sink", "finish", "metric_keys", "sink_name", "write"]

__getattr__ = renamed(__name__, {"short_names": "metric_keys"})
