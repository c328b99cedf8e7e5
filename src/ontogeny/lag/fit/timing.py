"""Timing: when a curve reaches a quarter, a half, three quarters of its gain, and how well that is known.

The noise about the curve is AR(1) with an unknown coefficient. The variance of a crossing is averaged over that
coefficient's posterior: with 15 to 60 checkpoints no single value of it is good enough (with one, 95 % intervals
covered 88 % of planted leads under AR(.6) noise at 30 checkpoints).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import linalg

from ontogeny.lag.fit._curve_shapes import Shape, curve
from ontogeny.lag.fit._growth_curve import Rise

__all__ = [
    "QUANTILES",
    "ShapeTiming",
    "Timing",
    "admitted_by",
    "common_shapes",
    "determined",
    "deviance",
    "noise",
    "tangent",
    "timing",
    "weights_of",
]

QUANTILES = (0.25, 0.5, 0.75)
_PHI = np.arange(0, 0.96, 0.05)
_ADMIT_EXTRA = (9.0, 130.0)
_RIVALS = 6.0
_WHITE = 20.0

Three = Float[np.ndarray, "3"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeTiming:
    """Crossings of one fitted shape.

    Args:
        rise: the fit.
        u: log10(step + 1) at 25, 50 and 75 % of the gain, first crossings of the noise-free curve; NaN where none.
        variance: of each.
        half: log10(step + 1) at the half point of the main rise alone, and its variance.
        weights: by how much each crossing, and that half point, moves with each value of the series.
        noise: autocovariance of the noise, from lag 0 on.
        phi: posterior mean of the noise's AR(1) coefficient.
        penalised: -2 log likelihood + penalty; lower is better.
    """

    rise: Rise
    u: Three
    variance: Three
    half: tuple[float, float]
    weights: Float[np.ndarray, "4 steps"]
    noise: Float[np.ndarray, " steps"]
    phi: float
    penalised: float

    def crossing(self, which: int) -> tuple[float, float]:
        """Place and variance of a row of `weights`: 0 to 2 are shares of the gain, 3 is the main rise's half."""
        return self.half if which == 3 else (float(self.u[which]), float(self.variance[which]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timing:
    """When one series rises.

    Args:
        every: all fitted shapes, one rise first.
        shapes: those that have to agree: one rise; and, where an extra is admitted, what may describe the series.
        best: the shape that describes the series best.
    """

    every: tuple[ShapeTiming, ...]
    shapes: tuple[ShapeTiming, ...]
    best: ShapeTiming

    @property
    def one_rise(self) -> ShapeTiming:
        """The plain rise."""
        return self.shapes[0]

    @property
    def shape(self) -> Shape:
        """The name of the best shape."""
        return self.best.rise.shape


def timing(fits: Sequence[Rise]) -> Timing:
    """Crossings of one series' fits, and which of them are plausible.

    An extra (bump, second rise) is admitted when it lowers -2 log likelihood by more than 9 + 130 / n for its three
    parameters. Then the plain rise and every extra within 6 of the best count, since none of them is known to be right.
    """
    timed = [_shape_timing(rise) for rise in fits]
    phi = min(t.phi for t in timed)
    timed = [_scored(t, phi) for t in timed]
    usable = [t for t in timed[1:] if determined(t)]
    best = min(timed[:1] + usable, key=lambda t: t.penalised)
    rivals = [t for t in usable if t.penalised < best.penalised + _RIVALS]
    plausible = (timed[0],) if best is timed[0] else (timed[0], *rivals)
    return Timing(every=tuple(timed), shapes=plausible, best=best)


def determined(found: ShapeTiming) -> bool:
    """Whether the data tie the half point down at all: an extra at the very edge can have any height."""
    u = found.rise.u
    return bool(np.isfinite(found.u[1]) and np.sqrt(found.variance[1]) < (u[-1] - u[0]) / 4)


def _scored(found: ShapeTiming, phi: float) -> ShapeTiming:
    """With its penalised likelihood, of residuals whitened by a common coefficient."""
    left = found.rise.residuals
    extra = 0.0 if found.rise.shape == "one rise" else admitted_by(len(left))
    return replace(found, penalised=deviance(left, phi) + extra)


def deviance(residuals: Float[np.ndarray, " steps"], phi: float) -> float:
    """-2 log likelihood of AR(1) residuals with a coefficient, up to a constant."""
    n = len(residuals)
    white = np.concatenate([residuals[:1] * np.sqrt(1 - phi**2), residuals[1:] - phi * residuals[:-1]])
    return float(n * np.log(max(float(white @ white), 1e-300) / n) - np.log(1 - phi**2))


def admitted_by(n: int) -> float:
    """By how much three parameters more have to lower it, with this many checkpoints."""
    return _ADMIT_EXTRA[0] + _ADMIT_EXTRA[1] / n


def _shape_timing(rise: Rise) -> ShapeTiming:
    grid = np.linspace(rise.u[0] - 0.3, rise.u[-1], 1500)
    f = rise.at(grid)
    u, rates = (np.asarray(part) for part in zip(*(_crossing(rise, q, grid, f) for q in QUANTILES), strict=True))
    half = np.zeros(len(rise.theta))
    half[2] = 1.0
    weights = weights_of(rise.jacobian, np.stack([*_by_parameters(rise, u, rates), half]))
    basis = tangent(rise.jacobian)
    covariance, phi = noise(rise.residuals, basis, df=float(len(rise.u) - basis.shape[1]))
    variance = np.einsum("wn,nm,wm->w", weights, linalg.toeplitz(covariance), weights)
    return ShapeTiming(
        rise=rise,
        u=u,
        variance=np.where(np.isfinite(u), variance[:3], np.nan),
        half=(float(rise.theta[2]), float(variance[3])),
        weights=weights,
        noise=covariance,
        phi=phi,
        penalised=0.0,
    )


def _crossing(
    rise: Rise, q: float, grid: Float[np.ndarray, " points"], f: Float[np.ndarray, " points"]
) -> tuple[float, float]:
    """Where the noise-free curve `f` first reaches share `q` of its gain, and how steeply; NaN where never."""
    level = rise.theta[0] + q * rise.gain
    above = np.sign(rise.gain) * (f - level) >= 0
    i = int(above.argmax())
    if i == 0:
        return float("nan"), 1.0
    rate = (f[i] - f[i - 1]) / (grid[1] - grid[0])
    return float(grid[i - 1] + (level - f[i - 1]) / rate), float(rate)


def _by_parameters(rise: Rise, u: Three, rates: Three) -> Float[np.ndarray, "3 parameters"]:
    """Derivatives of the three crossings; 0 where there is none."""
    known = np.isfinite(u)
    moved = curve(np.where(known, u, 0.0), rise.theta[None], rise.shape)[1][0]
    moved[:, 0] -= 1.0
    moved[:, 1] -= QUANTILES
    if rise.shape == "two rises":
        moved[:, 5] -= QUANTILES
    out: Float[np.ndarray, "3 parameters"] = np.where(known[:, None], -moved / rates[:, None], 0.0)
    return out


def weights_of(
    jacobian: Float[np.ndarray, "steps parameters"], gradients: Float[np.ndarray, "wanted parameters"]
) -> Float[np.ndarray, "wanted steps"]:
    """By how much smooth functions of the parameters move with each value, by least squares."""
    norms = _column_norms(jacobian)
    out: Float[np.ndarray, "wanted steps"] = gradients / norms @ np.linalg.pinv(jacobian / norms, rcond=1e-9)
    return out


def _column_norms(jacobian: Float[np.ndarray, "steps parameters"]) -> Float[np.ndarray, " parameters"]:
    """So that the unit of the series does not matter; 1 where a column is zero."""
    norms = np.linalg.norm(jacobian, axis=0)
    return np.where(norms > 0, norms, 1.0)


def tangent(jacobian: Float[np.ndarray, "steps parameters"]) -> Float[np.ndarray, "steps directions"]:
    """Orthonormal directions in which the curve moves with its parameters."""
    left, size, _ = np.linalg.svd(jacobian / _column_norms(jacobian), full_matrices=False)
    out: Float[np.ndarray, "steps directions"] = left[:, size > 1e-7 * size[0]]
    return out


def noise(
    residuals: Float[np.ndarray, " steps"], basis: Float[np.ndarray, "steps directions"], *, df: float
) -> tuple[Float[np.ndarray, " steps"], float]:
    """Autocovariance of AR(1) noise, averaged over its coefficient, and that coefficient's mean.

    Coefficients are weighed by their restricted likelihood (Harville 1974) and a prior that holds white noise possible:
    n / (n + 20) on 0, the rest even on (0, .95].

    Args:
        residuals: what the fit left.
        basis: orthonormal directions that the fit took away.
        df: degrees of freedom of the residuals.
    """
    n = len(residuals)
    correlation, precision, logdet = _ar1(n)
    gram = basis.T @ precision @ basis
    linear = basis.T @ (precision @ residuals)[..., None]
    rss = residuals @ precision @ residuals - (linear * np.linalg.solve(gram, linear)).sum(axis=(1, 2))
    scale = np.maximum(rss, 1e-300) / df
    white = n / (n + _WHITE)
    prior = np.log(np.where(_PHI == 0, white, (1 - white) / (len(_PHI) - 1)))
    weight = prior - 0.5 * logdet - 0.5 * np.linalg.slogdet(gram)[1] - df / 2 * np.log(scale)
    weight = np.exp(weight - weight.max())
    weight /= weight.sum()
    return (weight * scale) @ correlation[:, 0], float(weight @ _PHI)


@lru_cache(maxsize=8)
def _ar1(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AR(1) correlation matrices of every coefficient, their inverses and log determinants."""
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    correlation = _PHI[:, None, None] ** distance
    return correlation, np.linalg.inv(correlation), np.linalg.slogdet(correlation)[1]


def common_shapes(runs: Sequence[Timing]) -> list[list[ShapeTiming]]:
    """One shape for several runs of one kind: that with the least summed penalised likelihood, and its rivals within 6.

    Returns:
        For each plausible shape, the best first, one timing per run.
    """
    fewest = min(len(timed.every) for timed in runs)
    columns = [[timed.every[i] for timed in runs] for i in range(fewest)]
    columns = columns[:1] + [column for column in columns[1:] if all(determined(t) for t in column)]
    totals = [sum(t.penalised for t in column) for column in columns]
    order = np.argsort(totals, kind="stable")
    return [columns[i] for i in order if totals[i] < min(totals) + _RIVALS]
