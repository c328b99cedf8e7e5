"""A story's shape: 10,000 volumes x 4,000 features x 1,000 voxels, over one bare factorisation. Minutes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ontogeny.metrics import LayerGeometry, Ridge, make_folds
from tests.timings.defaults import Row, cpu, features, target


def rows() -> Iterator[Row]:
    n, d, voxels = 10_000, 4_000, 1_000
    x = features(n, d) * np.logspace(0, -1.5, d, dtype=np.float32)
    prepared = Ridge().prepare([target(n, voxels, x)], make_folds(n, contiguous=True))
    view = LayerGeometry(torch.as_tensor(x))
    products = view.x.numpy().T @ view.x.numpy()
    one, seconds = cpu(lambda: np.linalg.eigh(products)), cpu(lambda: prepared.per_voxel(view))
    yield f"ridge, GCV, {n:,} x {d:,} x {voxels:,}, five folds", seconds, f"{seconds / one:.1f} x one bare eigh"
