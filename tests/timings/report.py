"""Records of many curves: the map of leads and the report, as the command line makes them, and how they grow."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ontogeny import Record, Score
from ontogeny.lag import lead_text, leads_map
from ontogeny.record import Event
from ontogeny.report import write_report
from tests.timings import Row, cpu_seconds

_ROIS, _LAYERS, _SUBJECTS, _STEPS = 16, 12, 4, 60
_METRICS = (1, 3)


def scores(metrics: int) -> Iterator[Score | Event]:
    """Rises over 60 steps in 16 ROIs, 12 layers and 4 subjects, with two surfaces, a control and a loss."""
    rng = np.random.default_rng(0)
    common = {"run": "r", "benchmark": "made", "fingerprint": "0" * 16, "unit": "Pearson r", "n_stimuli": 1000}
    common |= {"ceiling": 0.6, "ceiling_lower": 0.5, "chance": 0.0}
    steps = np.unique(np.geomspace(1, 20_000, 90).astype(int))[-_STEPS:].tolist()
    names = [f"ridge-gcv-{i}" for i in range(metrics)]
    layers = [*((f"layer {i}", "alignment", "mean", 0.05 + 0.02 * i) for i in range(_LAYERS))]
    layers += [("length", "baseline", "stimuli", 0.05), ("position", "baseline", "stimuli", 0.03)]
    layers += [(f"permuted {i}", "control", "mean", 0.0) for i in range(1)]
    for place, step in enumerate(steps):
        rise = 1 / (1 + np.exp(-(np.log(step) - 6)))
        for metric in names:
            for roi in range(_ROIS):
                for layer, kind, pooling, height in layers:
                    if kind == "baseline" and place:
                        continue
                    for subject in range(_SUBJECTS):
                        value = height * (1 if kind == "baseline" else rise) * (1 + roi / 20)
                        yield Score(
                            **common,
                            step=step,
                            kind=kind,
                            metric=metric,
                            roi=f"roi {roi}",
                            layer=layer,
                            pooling=pooling,
                            subject=f"s{subject}",
                            value=value + 0.01 * rng.standard_normal(),
                            weights=f"{step:016x}",
                        )
        loss = 10 - 6 / (1 + np.exp(-(np.log(step) - 6.5))) + 0.01 * rng.standard_normal()
        yield Score(run="r", step=step, kind="task", metric="loss", value=loss, unit="nats", weights=f"{step:016x}")
        yield Event(run="r", step=step, kind="probe", metric="seconds", value=1.0, unit="s")


def rows() -> Iterator[Row]:
    few: dict[str, tuple[int, float]] = {}
    for metrics in _METRICS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "r"
            made = Record(path, create=True)
            made.append(list(scores(metrics)))
            works = {
                f"`ontogeny lag --map`, {_ROIS * _LAYERS} cells": lambda path=path: lead_text.map_lines(
                    leads_map(Record(path), metric="ridge-gcv-0")
                ),
                "`ontogeny report`": lambda path=path: write_report(path),
            }
            for name, work in works.items():
                n, seconds = len(made), cpu_seconds(work, 1)
                before = few.setdefault(name, (n, seconds))
                power = "" if n == before[0] else np.log(seconds / before[1]) / np.log(n / before[0])
                yield f"{name}, {n:,} rows", seconds, f"rows to the power of {power:.2f}" if power != "" else ""
