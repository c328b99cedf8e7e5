"""Probes and callbacks for stacks of ingredients."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from ontogeny import Benchmark, Geometry, HeldOutLoss, Probe, StimulusSet, watch
from ontogeny.metrics import RSA, make_folds
from tests.helpers.ingredients import INGREDIENTS
from tests.helpers.training import ROWS, transform

__all__ = ["monitor_of", "probe_of", "probed", "watching"]


def stimuli(rows):
    pixels = np.random.default_rng(7).integers(0, 256, (rows, 12, 12, 3), dtype=np.uint8)
    return StimulusSet(name="tiny", modality="image", ids=tuple(f"p{i}" for i in range(rows)), inputs=list(pixels))


def sizes(names):
    """Stimuli and batch size: other than training's where all habits take that."""
    return (10, 4) if all(INGREDIENTS[n].any_batch for n in names) else (2 * ROWS, ROWS)


def probe_of(model, names):
    rows, size = sizes(names)
    return Probe(stimuli=stimuli(rows), reader=transform, layers=model.sites(), pooling="flatten", batch_size=size)


def benchmark(rows):
    rng = np.random.default_rng(3)
    held = stimuli(rows)
    x = rng.standard_normal((rows, 5))
    rdm = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    return Benchmark(
        name="tiny",
        stimuli=held,
        assemblies=(Geometry(name="tiny", subject="s1", roi="IT", stimulus_ids=held.ids, rdm=rdm),),
        metrics=(RSA(),),
        folds=make_folds(rows),
        version="1",
        citation="none",
        licence="none",
        about="made for tests",
        simulated=True,
    )


def monitor_of(model, names, folder):
    """Of a plain loop: it probes at every step, with a task whose loader shuffles."""
    rows, size = sizes(names)
    data = TensorDataset(torch.linspace(-1, 1, 16 * ROWS).reshape(2 * ROWS, 8), torch.arange(2 * ROWS) % 4)
    return watch(
        benchmark(rows),
        record=folder,
        transform=transform,
        layers=model.sites(),
        pooling="flatten",
        batch_size=size,
        schedule="every:1",
        controls=False,
        task=HeldOutLoss(DataLoader(data, batch_size=ROWS, shuffle=True)),
    )


def watching(kind, names, prefix, folder):
    """A callback that probes at every step; `prefix` is where the trainer's model holds the stack."""
    rows, size = sizes(names)
    return kind(
        benchmark(rows),
        record=folder / "record",
        transform=transform,
        layers=[f"{prefix}{site}" for site in ("stem", *(f"steps.{i}" for i in range(len(names))), "head")],
        pooling="flatten",
        batch_size=size,
        schedule="every:1",
        controls=False,
    )


def probed(callback):
    """How many steps were probed; a layer that a metric cannot use may be refused, a probe that failed may not."""
    record = callback.monitor.record
    may = (
        "intrinsic dimension",
        "NaN or infinity",
        "depend on what else",
        "no axis of the 1 stim",
    )  # or a carried state
    refused = [one.note for one in record.events(kind="refusal") if not any(what in one.note for what in may)]
    assert not refused or "doesn't match hidden0 batch size" in refused[0], refused[0]
    return len({row.step for row in record.events(kind="probe")})
