"""Detectability: how many independent stimuli, what their surface scores, and how small an effect shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ontogeny.benchmarks.controls import SEED
from ontogeny.benchmarks.prepared import PreparedBenchmark
from ontogeny.brain import Target
from ontogeny.brain.assembly import some_voxels
from ontogeny.record import Score
from ontogeny.record.curve_means import mean_of
from ontogeny.stimuli import StimulusSet

__all__ = ["Detectability", "detectability", "effective_stimuli", "least_correlation"]

_DRAWS = 20
_FEATURES = 64
_VOXELS = 200
_SEEN = 1.645 + 0.842  # one-sided 5 %, power 80 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectability:
    """One ROI and metric before any model, mean over subjects, in the metric's unit.

    Args:
        roi: the region.
        metric: with its options.
        surface: what the stimuli's surface scores; None where no baseline is asked for.
        surface_name: what that surface is.
        chance: mean over 20 draws of 64 random features.
        spread: standard deviation over these draws.
        ceiling: the highest value that noise allows; None where not known.
        ceiling_lower: what other subjects reach; None where not known.
    """

    roi: str
    metric: str
    surface: float | None
    surface_name: str
    chance: float
    spread: float
    ceiling: float | None = None
    ceiling_lower: float | None = None

    @property
    def least(self) -> float:
        """The smallest value that a model with such a spread shows above chance in 4 of 5 cases (one-sided 5 %)."""
        return self.chance + _SEEN * self.spread


def detectability(prepared: PreparedBenchmark) -> list[Detectability]:
    """Score the stimuli's surface and random features, for every ROI and metric."""
    stimuli = prepared.benchmark.stimuli
    rng = np.random.default_rng((SEED, 3))
    rows = prepared.known({f"random {i}": rng.standard_normal((len(stimuli), _FEATURES)) for i in range(_DRAWS)})
    surface = prepared.constants(run="", n_features=_FEATURES, names=("surface",))
    random, known = _by_curve(rows), _by_curve(surface)
    out = []
    for (roi, metric), found in random.items():
        means = [_mean(found, layer) for layer in dict.fromkeys(r.layer for r in found)]
        baseline = known.get((roi, metric), [])
        out.append(
            Detectability(
                roi=roi,
                metric=metric,
                surface=_mean(baseline, baseline[0].layer) if baseline else None,
                surface_name=baseline[0].layer if baseline else "",
                chance=float(np.mean(means)),
                spread=float(np.std(means, ddof=1)),
                ceiling=mean_of(r.ceiling for r in found),
                ceiling_lower=mean_of(r.ceiling_lower for r in found),
            )
        )
    return out


def _by_curve(rows: Sequence[Score]) -> dict[tuple[str, str], list[Score]]:
    out: dict[tuple[str, str], list[Score]] = {}
    for row in rows:
        if row.value is not None:
            out.setdefault((row.roi, row.metric), []).append(row)
    return out


def _mean(rows: Sequence[Score], layer: str) -> float:
    return float(np.mean([r.value for r in rows if r.layer == layer and r.value is not None]))


def effective_stimuli(stimuli: StimulusSet, targets: Sequence[Target]) -> float:
    """How many independent stimuli a correlation over these is worth: n over its variance's inflation.

    Where neighbours in order are not independent (a story, a run): n / (1 + 2 sum (1 - k / n) rho(k)^2), rho(k) the
    responses' mean autocorrelation, up to the first lag that is not above its own noise (Bayley and Hammersley 1946,
    J R Stat Soc Suppl 8:184, of two series as alike as these). Where there are groups (passages, categories): the
    design effect 1 + (m - 1) ICC^2 of groups of m. Else n: stimuli are taken to be independent.

    Args:
        stimuli: in their order, with their groups.
        targets: aligned to the stimuli; voxels of at most 200 are read. A geometry has no order: n.
    """
    n, y = len(stimuli), some_voxels(targets, _VOXELS)
    if y is None:
        return float(n)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    if stimuli.contiguous:
        return _of_series(y)
    return _of_groups(y, stimuli.groups) if stimuli.groups is not None else float(n)


def _of_series(y: Float[np.ndarray, "stimuli voxels"]) -> float:
    n, inflation = len(y), 1.0
    for lag in range(1, n // 2):
        rho = (y[lag:] * y[:-lag]).sum(axis=0) / n
        if rho.mean() <= 1.645 / math.sqrt(n * len(rho)):
            break
        inflation += 2 * (1 - lag / n) * float((rho**2).mean())
    return n / inflation


def _of_groups(y: Float[np.ndarray, "stimuli voxels"], groups: Sequence[str]) -> float:
    """One-way analysis of variance; groups of unequal size by their usual mean."""
    _, label = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(label)
    n, k = len(y), len(sizes)
    if k in (1, n):
        return float(n)
    means = np.stack([y[label == g].mean(axis=0) for g in range(k)])
    within = ((y - means[label]) ** 2).sum(axis=0) / (n - k)
    between = (sizes[:, None] * means**2).sum(axis=0) / (k - 1)
    usual = (n - (sizes**2).sum() / n) / (k - 1)
    icc = np.maximum(between - within, 0) / (between + (usual - 1) * within)
    return float(n / (1 + (usual - 1) * (icc**2).mean()))


def least_correlation(n: float) -> float:
    """The smallest Pearson r of one voxel that n independent stimuli show in 4 of 5 cases (one-sided 5 %; Fisher z)."""
    return math.tanh(_SEEN / math.sqrt(n - 3)) if n > 4 else 1.0
