"""What tests share: where real data are, seeded generators, and a tiny text and image benchmark."""

from __future__ import annotations

import os
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
if "ONTOGENY_DATA" not in os.environ and _BESIDE.is_dir():
    os.environ["ONTOGENY_DATA"] = str(_BESIDE)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def unchecked(monkeypatch):
    """As users run it: without the tests' type checker, which would catch wrong arguments before our errors do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def text_benchmark(rng):
    from ontogeny import Assembly, Benchmark, StimulusSet
    from ontogeny.metrics import make_folds
    from ontogeny.metrics.encoding import Ridge

    words = ["dog", "cat", "tree", "river", "stone", "runs", "sleeps", "falls", "sings", "quickly", "there", "again"]
    sentences = [" ".join(rng.choice(words, size=rng.integers(3, 7))) for _ in range(40)]
    ids = tuple(f"s{i:02d}" for i in range(40))
    lengths = np.array([len(s) for s in sentences], dtype=float)
    responses = lengths[:, None] * rng.standard_normal(6) / 10 + rng.standard_normal((40, 6))
    return Benchmark(
        name="tiny-text",
        version="1",
        citation="none",
        licence="none",
        about="made for tests",
        simulated=True,
        stimuli=StimulusSet(name="tiny-text", modality="text", ids=ids, inputs=sentences),
        assemblies=(
            Assembly(
                name="tiny-text",
                subject="s1",
                stimulus_ids=ids,
                responses=responses,
                roi=("left",) * 3 + ("right",) * 3,
                ceiling=np.full(6, 0.8),
                ceiling_source="made up for tests",
            ),
        ),
        metrics=(Ridge(),),
        folds=make_folds(40),
    )


@pytest.fixture
def image_benchmark(rng):
    from ontogeny import Benchmark, Geometry, StimulusSet
    from ontogeny.metrics import make_folds
    from ontogeny.metrics.cka import CKA
    from ontogeny.metrics.rsa import RSA

    ids = tuple(f"p{i:02d}" for i in range(16))
    images = [rng.integers(0, 256, size=(12, 12, 3), dtype=np.uint8) for _ in ids]
    shared = rng.standard_normal((16, 5))
    geometries = []
    for subject in ("s1", "s2"):
        x = shared + 0.5 * rng.standard_normal((16, 5))
        rdm = ((x[:, None] - x[None]) ** 2).sum(axis=2)
        geometries.append(Geometry(name="tiny-image", subject=subject, roi="IT", stimulus_ids=ids, rdm=rdm))
    return Benchmark(
        name="tiny-image",
        version="1",
        citation="none",
        licence="none",
        about="made for tests",
        simulated=True,
        stimuli=StimulusSet(name="tiny-image", modality="image", ids=ids, inputs=images),
        assemblies=tuple(geometries),
        metrics=(RSA(), CKA()),
        folds=make_folds(16),
    )
