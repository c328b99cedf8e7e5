"""Split leak: do the folds let a model know held-out responses by their neighbours?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ontogeny._arrays import PerVoxel
from ontogeny._display import number
from ontogeny.benchmarks.controls import SEED
from ontogeny.brain import Target
from ontogeny.brain.assembly import some_voxels
from ontogeny.metrics import Encoding, Folds, LayerGeometry, Splits
from ontogeny.metrics.memory_limits import check_squares
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.stimuli import StimulusSet, position_features

__all__ = ["SplitLeak", "split_leak"]

_VOXELS = 64
_PERMUTATIONS = 99
_LEVEL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitLeak:
    """What position alone scores under a benchmark's folds.

    Args:
        value: Pearson r of ridge, mean over folds and voxels.
        p: share of 100 orders of the responses, the true one among them, that score as high or higher: one-sided, 0.01
            at best. Shuffled folds hold that every order is as likely.
        n_voxels: voxels tried, spread evenly over subjects and ROIs.
    """

    value: float
    p: float
    n_voxels: int

    @property
    def leaks(self) -> bool:
        """Whether it scores above chance."""
        return self.p <= _LEVEL and self.value > 0

    def line(self) -> str:
        """For a person."""
        found = f"position alone (OASM) reaches r = {number(self.value, '.3f')}, p = {self.p:.2f}"
        if not self.leaks:
            return f"no leak found: {found}"
        return (
            f"THIS SPLIT LEAKS: {found}, since neighbours of held-out stimuli are trained on. Use folds that keep them "
            "together: make_folds(groups=...) by story, passage or run; contiguous=True leaks at the edges of blocks"
        )


def split_leak(stimuli: StimulusSet, targets: Sequence[Target], folds: Folds | Splits) -> SplitLeak | None:
    """Score features that know nothing but which stimuli are neighbours, by ridge under these folds.

    The model is the OASM of Hadidi, Feghhi et al. 2026 (Nature Communications, doi 10.1038/s41467-026-72253-7; preprint
    Feghhi et al. 2024, arXiv 2406.01538), see `position_features`. Neighbours are those of the groups and of the order
    of the stimulus set: where that is not the order of measurement, what time alone shares is not found.

    Args:
        stimuli: in their order, with their groups.
        targets: aligned to the stimuli.
        folds: that are examined.

    Returns:
        None where no target has voxels: a geometry has no split.

    Raises:
        TooLargeError: no memory for stimuli x stimuli.
    """
    voxels = some_voxels(targets, _VOXELS)
    if voxels is None:
        return None
    check_squares("the split leak", len(stimuli), 10 + len(folds) / 2)
    x = position_features(stimuli)
    if not any((x[test] @ x[train].T).any() for train, test in folds):
        return SplitLeak(value=0.0, p=1.0, n_voxels=voxels.shape[1])
    rng = np.random.default_rng((SEED, 2))
    orders = [np.arange(len(stimuli)), *(rng.permutation(len(stimuli)) for _ in range(_PERMUTATIONS))]
    r = _by_ridge(x, np.concatenate([voxels[order] for order in orders], axis=1), folds)
    values = r.reshape(len(orders), voxels.shape[1]).mean(axis=1)
    as_high = int((values >= values[0] - 1e-9).sum())
    return SplitLeak(value=float(values[0]), p=as_high / len(orders), n_voxels=voxels.shape[1])


def _by_ridge(x: np.ndarray, y: np.ndarray, folds: Folds | Splits) -> PerVoxel:
    if isinstance(folds, Folds):
        return ridge_cv(torch.as_tensor(x), y, folds=folds)
    from sklearn.linear_model import RidgeCV

    target = Target(subject="", roi="", responses=y, n_voxels=y.shape[1])
    metric = Encoding(RidgeCV(alphas=np.logspace(-2, 4, 7), alpha_per_target=True))
    return metric.prepare([target], folds).per_voxel(LayerGeometry(torch.as_tensor(x)))
