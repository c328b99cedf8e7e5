"""CKA: centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414; debiased: Song et al. 2012, JMLR 13:1393)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ontogeny._arrays import Square
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._batched.kernel_grid import prepare_kernels
from ontogeny.metrics._pairwise.kernels import Kind, direction, kernel
from ontogeny.metrics.batching import SingleMetric
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.on_arrays import score_arrays

__all__ = ["CKA", "cka", "kernel"]


def cka(k: Square, l: Square, *, debiased: bool = True) -> float:  # noqa: E741 - K and L are the papers' names
    """Centred kernel alignment of two kernel matrices.

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), with the biased HSIC tr(KHLH), or Song et al.'s unbiased one.

    Args:
        k: stimuli x stimuli.
        l: stimuli x stimuli.
        debiased: expected value 0 when the two are unrelated (it may be negative).

    Returns:
        At most 1; the unbiased form is not bounded below by 0.

    Raises:
        MetricError: sizes differ, fewer than 4 stimuli, or a kernel without any structure.
    """
    if k.shape != l.shape:
        raise MetricError(f"CKA needs two kernels over the same stimuli, got {k.shape} and {l.shape}")
    return float(direction(k, debiased=debiased)[0] @ direction(l, debiased=debiased)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class CKA:
    """Centred kernel alignment of features and responses.

    Chance: 0 for the debiased form; for the biased one tr(Kc) tr(Lc) / ((n - 1) |Kc| |Lc|), which is the exact mean
    over permutations of the stimuli and grows with the features' effective dimension, with no true alignment.
    Ceiling: bounds over subjects, see `ontogeny.metrics._intersubject_ceiling`. A geometry's kernel is -D/2.
    Several in one benchmark share the distances and one pass over the targets, see
    `ontogeny.metrics._batched.kernel_grid`.

    Args:
        kind: "linear" or "rbf".
        width: of "rbf", in units of the features; None: median distance, of each side its own.
        debiased: use the unbiased HSIC.
        standardise: z-score each feature and each voxel over stimuli first; a width is then in standard deviations.
        damping: added to the denominator sqrt(HSIC(K, K) HSIC(L, L)), which draws scores to 0 where kernels are nearly
            constant (Shen et al., arXiv 2507.01966: 1e-6). Ceilings are without it.

    Raises:
        MetricError: a width that is not positive, or of a linear kernel; a negative damping.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> features = rng.standard_normal((60, 5))
        >>> responses = features @ rng.standard_normal((5, 20)) + rng.standard_normal((60, 20))
        >>> CKA()(features, responses)
        cka-linear-debiased: debiased CKA = 0.8713 (chance 0; 60 stimuli, 5 features, 20 voxels)
    """

    kind: Kind = "linear"
    width: float | None = None
    debiased: bool = True
    standardise: bool = False
    damping: float = 0.0

    together: ClassVar = staticmethod(prepare_kernels)
    permuted: ClassVar = "layer"
    uses_folds: ClassVar = False
    __call__ = score_arrays

    def __post_init__(self) -> None:
        if self.width is not None and (self.kind == "linear" or not self.width > 0):
            raise MetricError(f"CKA: a width is a positive number for kind='rbf', got {self.width} for {self.kind!r}")
        if not self.damping >= 0:
            raise MetricError(f"CKA: damping is 0 or a small positive number, got {self.damping}")

    @property
    def name(self) -> str:
        """E.g. "cka-linear-debiased", "cka-rbf-36-biased-z-damped"."""
        width = "" if self.width is None else f"-{self.width:g}"
        how = "debiased" if self.debiased else "biased"
        return f"cka-{self.kind}{width}-{how}{'-z' * self.standardise}{'-damped' * (self.damping > 0)}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "debiased CKA" if self.debiased else "biased CKA"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> SingleMetric:
        """Centre every target's kernel once."""
        del folds
        return SingleMetric(family=prepare_kernels([self], targets))
