"""Tiny benchmarks, made from a seed: for the tests and for scripts that they run in processes of their own."""

from __future__ import annotations

import numpy as np

from ontogeny import Assembly, Benchmark, Geometry, StimulusSet
from ontogeny.metrics import CKA, RSA, Ridge, make_folds
from tests.helpers.nets import WORDS

_ABOUT = {"version": "1", "citation": "none", "licence": "none", "about": "made for tests", "simulated": True}


def text_benchmark(seed: int = 0) -> Benchmark:
    rng = np.random.default_rng(seed)
    sentences = [" ".join(rng.choice(WORDS, size=rng.integers(3, 7))) for _ in range(40)]
    ids = tuple(f"s{i:02d}" for i in range(40))
    lengths = np.array([len(s) for s in sentences], dtype=float)
    responses = lengths[:, None] * rng.standard_normal(6) / 10 + rng.standard_normal((40, 6))
    return Benchmark(
        name="tiny-text",
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
        **_ABOUT,
    )


def image_benchmark(seed: int = 0, n: int = 16) -> Benchmark:
    rng = np.random.default_rng(seed)
    ids = tuple(f"p{i:02d}" for i in range(n))
    images = [rng.integers(0, 256, size=(12, 12, 3), dtype=np.uint8) for _ in ids]
    shared = rng.standard_normal((n, 5))
    geometries = []
    for subject in ("s1", "s2"):
        x = shared + 0.5 * rng.standard_normal((n, 5))
        rdm = ((x[:, None] - x[None]) ** 2).sum(axis=2)
        geometries.append(Geometry(name="tiny-image", subject=subject, roi="IT", stimulus_ids=ids, rdm=rdm))
    return Benchmark(
        name="tiny-image",
        stimuli=StimulusSet(name="tiny-image", modality="image", ids=ids, inputs=images),
        assemblies=tuple(geometries),
        metrics=(RSA(), CKA()),
        folds=make_folds(n),
        **_ABOUT,
    )
