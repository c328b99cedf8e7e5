"""Monitoring: a model under training is probed, scored and recorded, beside the task of the same weights.

monitor.py           Monitor: due? probe, task, score, write; watch() is the same as a verb
factory.py           Options: names and plain words become what is watched, and how
probe_runner.py      one due step becomes a snapshot, its scores, and rows; scored here or in a thread
schedule.py          when to probe
_settings.py         how a monitor works, whatever it watches; _going_on.py: training outlives a probe that fails
_overhead.py         what probing takes of the wall time, and a budget for it
benchmark_probe.py   one benchmark and how the model is read on it
snapshot.py          all that one probe takes from the model
recorder.py          what the first rank does with a probe: record, cost, progress line, sinks
record_session.py    is it the record's own run, and does it go on as the record has it?
preflight.py         before training: what would be read, does it fit, what does it cost; preflight_report.py
heldout/             HeldOutLoss: the task, on held-out data that are read without a trace
callbacks/           adapters for Lightning and the Hugging Face Trainer (imported as `ontogeny.callbacks`)
"""

from __future__ import annotations

from ontogeny.monitoring.heldout.loss import (
    HeldOutLoss,
)
from ontogeny.monitoring.monitor import (
    Monitor,
    watch,
)

__all__ = ["HeldOutLoss", "Monitor", "watch"]
