"""Records with a known answer, to be looked at: rises with a planted lead over the loss, and what can go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ontogeny.record import Event, Record, Score

__all__ = ["STEPS", "about", "task_rows", "world", "write_world"]

STEPS = tuple(int(s) for s in np.unique(np.r_[0, np.logspace(0, 5, 45).round()]))
SUBJECTS = ("a", "b", "c", "d")


def about(**more: object) -> dict[str, object]:
    return {
        "fingerprint": "f",
        "version": 1,
        "simulated": True,
        "about": "simulated responses",
        "modality": "image",
        "citation": "Nobody (2026)",
        "n_stimuli": 92,
        "folds": "5 frozen folds",
        **more,
    }


def rise(steps: Sequence[int], half: float, width: float = 4.0) -> np.ndarray:
    u = np.log10(np.asarray(steps, dtype=float) + 1)
    return np.asarray(1 / (1 + np.exp(-width * (u - np.log10(half + 1)))))


def world(
    halves: Mapping[str, float | None],
    *,
    steps: Sequence[int] = STEPS,
    layers: int = 6,
    subjects: Sequence[str] = SUBJECTS,
    top: float = 0.4,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """ROI -> subjects x layers x steps: half of the gain at the step given, None: nothing but noise."""
    rng = np.random.default_rng(seed)
    out = {}
    for place, (roi, half) in enumerate(halves.items()):
        best = round(place / max(1, len(halves) - 1) * (layers - 1))
        size = np.asarray([top / (1 + 0.5 * abs(i - best)) for i in range(layers)])
        shape = np.zeros(len(steps)) if half is None else rise(steps, half)
        person = 1 + 0.1 * rng.standard_normal((len(subjects), 1, 1))
        noise = 0.008 * rng.standard_normal((len(subjects), layers, len(steps)))
        out[roi] = 0.02 + person * size[None, :, None] * shape + noise
    return out


def task_rows(run: str, steps: Sequence[int], half: float = 1800.0, seed: int = 0) -> list[Score]:
    rng = np.random.default_rng(seed + 1000)
    loss = 10.8 - 7.5 * rise(steps, half) + 0.03 * rng.standard_normal(len(steps))
    return [
        Score(run=run, step=int(s), kind="task", metric="loss", value=float(v), unit="nats")
        for s, v in zip(steps, loss, strict=True)
    ]


def write_world(
    folder: Path,
    values: Mapping[str, np.ndarray],
    *,
    steps: Sequence[int] = STEPS,
    loss_half: float = 1800.0,
    baseline: float | None = 0.1,
    seed: int = 0,
    metric: str = "ridge-gcv",
    missing: Sequence[tuple[str, str, int]] = (),
    header: Mapping[str, object] | None = None,
    benchmark: str = "world",
) -> Record:
    """A record of it; `missing`: subject, ROI and place of a step that has no value."""
    record = Record(folder, create=True)
    record.describe(benchmark, about(**(header or {})))
    gone = set(missing)
    columns: dict[str, list[object]] = {name: [] for name in ("step", "subject", "roi", "layer", "value")}
    for roi, cube in values.items():
        for (s, layer, at), value in np.ndenumerate(cube):
            columns["step"].append(steps[at])
            columns["subject"].append(SUBJECTS[s])
            columns["roi"].append(roi)
            columns["layer"].append(f"transformer.h.{layer}.mlp")
            columns["value"].append(float("nan") if (SUBJECTS[s], roi, at) in gone else float(value))
    n = len(columns["step"])
    same = {
        "run": record.run,
        "kind": "alignment",
        "benchmark": benchmark,
        "fingerprint": "f",
        "pooling": "mean",
        "metric": metric,
        "unit": "Pearson r",
        "chance": 0.0,
        "ceiling": 0.55,
        "ceiling_lower": 0.42,
        "n_stimuli": 92,
    }
    record.append_table(pa.table({**columns, **{name: [value] * n for name, value in same.items()}}))
    rows: list[Score | Event] = [*task_rows(record.run, steps, loss_half, seed)]
    if baseline is not None:
        common = {"kind": "baseline", "layer": "pixels", "pooling": "stimuli", "subject": "", "step": steps[0]}
        for roi in values:
            for subject in SUBJECTS[: next(iter(values.values())).shape[0]]:
                row = {**same, **common, "roi": roi, "subject": subject, "value": baseline}
                rows.append(Score(**row))  # type: ignore[arg-type]
    rows += [Event(run=record.run, step=int(s), kind="probe", metric="seconds", value=0.5) for s in steps]
    record.append(rows)
    return record
