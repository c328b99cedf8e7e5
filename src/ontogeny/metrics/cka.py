"""CKA: centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414; debiased: Song et al. 2012, JMLR 13:1393)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import Square
from ontogeny.assembly import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import Value
from ontogeny.metrics.ceiling import Bounds, subject_bounds
from ontogeny.metrics.folds import Folds
from ontogeny.metrics.view import LayerView

__all__ = ["CKA", "cka", "kernel"]

Kernel = Literal["linear", "rbf"]


def kernel(
    x: Float[Tensor, "stimuli features"] | Float[np.ndarray, "stimuli features"],
    *,
    kind: Kernel = "linear",
    width: float | None = None,
) -> Square:
    """Kernel matrix of the stimuli, not centred for "rbf".

    Args:
        x: stimuli x features (or voxels).
        kind: "linear": inner products of centred features; "rbf": exp(-d^2 / (2 sigma^2)).
        width: sigma of "rbf" in the unit of x; None: the median distance between stimuli.

    Returns:
        stimuli x stimuli.
    """
    data = torch.as_tensor(x)
    view = LayerView(data)
    if kind == "linear":
        return view.gram.numpy() * view.scale**2
    return _kernel(view, kind, None if width is None else width / view.scale)


def _kernel(view: LayerView, kind: Kernel, width: float | None) -> Square:
    if kind == "linear":
        return view.gram.numpy()
    return _gaussian(view.squared_distances.numpy(), width)


def _gaussian(squared: Square, width: float | None) -> Square:
    upper = squared[np.triu_indices(len(squared), 1)]
    variance = float(np.median(upper)) if width is None else width**2
    if variance <= 0:
        raise MetricError("more than half of the stimuli pairs have distance 0, so the median width is 0; set a width")
    out: Square = np.exp(-squared / (2 * variance))
    return out


def _centre(k: Square, *, debiased: bool) -> Square:
    """H K H, or the U-centred kernel with zero diagonal (its inner products are unbiased HSIC up to a factor)."""
    n = len(k)
    if not debiased:
        rows = k.mean(axis=0)
        out: Square = k - rows[:, None] - rows[None, :] + rows.mean()
        return out
    hollow = k - np.diag(np.diag(k))
    rows = hollow.sum(axis=0) / (n - 2)
    out = hollow - rows[:, None] - rows[None, :] + hollow.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0.0)
    return out


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
    return float(_direction(k, debiased=debiased) @ _direction(l, debiased=debiased))


def _direction(k: Square, *, debiased: bool) -> Float[np.ndarray, " entries"]:
    """The centred kernel, flattened, with unit norm."""
    if len(k) < 4:
        raise MetricError(f"CKA needs at least 4 stimuli, got {len(k)}")
    flat = _centre(k, debiased=debiased).ravel()
    norm = float(np.linalg.norm(flat))
    if norm <= 1e-12 * float(np.abs(k).max()) * len(k):
        raise MetricError("a kernel that is the same for every pair of stimuli cannot be aligned with anything")
    out: Float[np.ndarray, " entries"] = flat / norm
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class CKA:
    """Centred kernel alignment of features and responses.

    Chance: 0 for the debiased form; for the biased one tr(Kc) tr(Lc) / ((n - 1) |Kc| |Lc|), which is the exact mean
    over permutations of the stimuli and grows with the features' effective dimension, with no true alignment.
    Ceiling: bounds over subjects, see `ontogeny.metrics.ceiling`. A geometry's kernel is -D/2.

    Args:
        kind: "linear" or "rbf".
        width: of "rbf", in units of the features; None: median distance, of each side its own.
        debiased: use the unbiased HSIC.
    """

    kind: Kernel = "linear"
    width: float | None = None
    debiased: bool = True

    @property
    def name(self) -> str:
        """E.g. "cka-linear-debiased", "cka-rbf-36-biased"."""
        width = f"-{self.width:g}" if self.kind == "rbf" and self.width is not None else ""
        return f"cka-{self.kind}{width}-{'debiased' if self.debiased else 'biased'}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "debiased CKA" if self.debiased else "biased CKA"

    def prepare(self, targets: Sequence[Target], folds: Folds) -> PreparedCKA:
        """Centre every target's kernel once."""
        del folds
        directions = np.stack([_direction(self._target_kernel(t), debiased=self.debiased) for t in targets])
        bounds = subject_bounds(targets, list(directions), _cosine)
        return PreparedCKA(metric=self, directions=directions, bounds=bounds)

    def _target_kernel(self, target: Target) -> Square:
        if target.rdm is None:
            if target.responses is None:
                raise MetricError(f"CKA: target {target.roi!r} of subject {target.subject!r} has no responses")
            return kernel(target.responses, kind=self.kind, width=self.width)
        if self.kind == "linear":
            return -target.rdm / 2
        if self.width is not None:
            raise MetricError(
                f"{self.name}: ROI {target.roi!r} of subject {target.subject!r} is a geometry, whose distances have "
                "no unit to measure a fixed width in; use width=None (median)"
            )
        return _gaussian(target.rdm, None)


def _cosine(a: Float[np.ndarray, " entries"], b: Float[np.ndarray, " entries"]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCKA:
    """CKA with the unit-norm centred kernels of all targets (targets x entries)."""

    metric: CKA
    directions: Float[np.ndarray, "targets entries"]
    bounds: list[Bounds]

    def score(self, view: LayerView) -> list[Value]:
        """One value a target."""
        metric = self.metric
        width = metric.width if metric.width is None else metric.width / view.scale
        mine = _direction(_kernel(view, metric.kind, width), debiased=metric.debiased)
        chance = np.zeros(len(self.directions))
        if not metric.debiased:
            diagonal = slice(None, None, view.n_stimuli + 1)
            chance = mine[diagonal].sum() * self.directions[:, diagonal].sum(axis=1) / (view.n_stimuli - 1)
        return [
            Value(value=float(value), chance=float(null), ceiling=upper, ceiling_lower=lower)
            for value, null, (lower, upper) in zip(self.directions @ mine, chance, self.bounds, strict=True)
        ]
