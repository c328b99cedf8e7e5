"""Rises: curves over log step, fitted by least squares, many at a time.

Levenberg-Marquardt with exact derivatives and bounds by clipping, over several starts and several series in one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from ontogeny.lag.fit._curve_shapes import (
    SHAPES,
    Shape,
    Values,
    bump_or_rise,
    curve,
    derivatives_from,
    terms_of,
    values_from,
    values_of,
)

__all__ = ["Rise", "fit_rises", "half_points_like", "log_steps"]

_LOG_WIDTH = (np.log(0.04), np.log(1.5))
_LOG_ASYMMETRY = (np.log(0.08), np.log(6.0))
_LOG_EXTRA_WIDTH = (np.log(0.06), np.log(0.5))
_FEWEST_FOR_EXTRA = 14
_STARTS_EACH = 2
_ROUNDS_NEAR = 15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rise:
    """One fitted curve.

    Args:
        shape: which formula.
        u: log10(step + 1).
        values: what was fitted.
        theta: base, gain, half point of the main rise (in u), log width, log asymmetry; and for an extra its height,
            centre (in u) and log width.
        fitted: the curve at `u`.
        jacobian: derivatives of the curve by `theta`.
    """

    shape: Shape
    u: Float[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]
    theta: Float[np.ndarray, " parameters"]
    fitted: Float[np.ndarray, " steps"]
    jacobian: Float[np.ndarray, "steps parameters"]

    @property
    def residuals(self) -> Float[np.ndarray, " steps"]:
        """Values less the curve."""
        left: Float[np.ndarray, " steps"] = self.values - self.fitted
        return left

    @property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self.residuals @ self.residuals)

    @property
    def r2(self) -> float:
        """Share of the variance that the curve explains."""
        centred = self.values - self.values.mean()
        return float(1.0 - self.rss / max(float(centred @ centred), 1e-300))

    @property
    def gain(self) -> float:
        """From the level before the rise to the level after it."""
        return float(self.theta[1] + (self.theta[5] if self.shape == "two rises" else 0.0))

    @property
    def edges(self) -> tuple[float, float]:
        """Share of the gain that the curve has at the first and at the last step."""
        first, last = (self.fitted[[0, -1]] - self.theta[0]) / self.gain
        return float(first), float(last)

    def at(self, u: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The noise-free curve anywhere."""
        out: Float[np.ndarray, " points"] = values_of(u, self.theta[None], self.shape)[0]
        return out


def log_steps(steps: Real[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """Steps as u = log10(step + 1), so that step 0 has its place."""
    u: Float[np.ndarray, " steps"] = np.log10(np.asarray(steps, dtype=np.float64) + 1.0)
    return u


def fit_rises(u: Float[np.ndarray, " steps"], values: Values) -> list[list[Rise]]:
    """Fit every shape to every series.

    Each is fitted with its lowest value as 0 and its highest as 1, so that units do not matter.

    Args:
        u: log10(step + 1), rising.
        values: one row a series, none of them constant.

    Returns:
        For each series its fits: one rise first, then, with 14 steps or more, the two shapes with an extra.
    """
    unit = (values - values.min(axis=1, keepdims=True)) / np.ptp(values, axis=1, keepdims=True)
    plain = _best(u, unit, *_starts(u, unit), "one rise")
    fits = [[_rise(u, y, theta, "one rise")] for y, theta in zip(values, plain, strict=True)]
    if len(u) >= _FEWEST_FOR_EXTRA:
        for shape in SHAPES[1:]:
            owner, starts = _extra_starts(u, unit, plain, shape)
            best = _best(u, unit, owner, starts, shape)
            for series, y, theta in zip(fits, values, best, strict=True):
                series.append(_rise(u, y, theta, shape))
    return fits


def half_points_like(rise: Rise, values: Values) -> Float[np.ndarray, " series"]:
    """Where further series on the same steps first reach half of their gain, fitted with the shape of a known one.

    Args:
        rise: whose shape, and where the fit starts.
        values: one row per series.

    Returns:
        log10(step + 1); NaN where a series is constant, or its curve begins above half of its gain.
    """
    out, known = np.full(len(values), np.nan), np.ptp(values, axis=1) > 0
    if not known.any():
        return out
    some = values[known]
    unit = (some - some.min(axis=1, keepdims=True)) / np.ptp(some, axis=1, keepdims=True)
    theta = rise.theta.copy()
    theta[[1, 5] if len(theta) > 5 else [1]] /= np.ptp(rise.values)
    theta[0] = (theta[0] - rise.values.min()) / np.ptp(rise.values)
    starts, bounds = np.repeat(theta[None], len(unit), axis=0), _bounds(rise.u, unit, rise.shape)
    best, _ = _levenberg_marquardt(rise.u, unit, starts, *bounds, rise.shape, rounds=_ROUNDS_NEAR)
    out[known] = best[:, 2] if rise.shape == "one rise" else _first_half(rise.u, best, rise.shape)
    return out


def _first_half(u: np.ndarray, theta: np.ndarray, shape: Shape) -> np.ndarray:
    grid = np.linspace(u[0] - 0.3, u[-1], 600)
    gain = theta[:, 1] + (theta[:, 5] if shape == "two rises" else 0.0)
    above = np.sign(gain)[:, None] * (values_of(grid, theta, shape) - (theta[:, 0] + gain / 2)[:, None]) >= 0
    first = above.argmax(axis=1)
    return np.where(first > 0, grid[first], np.nan)


def _rise(u: np.ndarray, y: np.ndarray, unit: np.ndarray, shape: Shape) -> Rise:
    """The curve in the series' own unit, from its parameters where the series lies between 0 and 1."""
    theta = unit.copy()
    theta[[1, 5] if len(theta) > 5 else [1]] *= np.ptp(y)
    theta[0] = y.min() + theta[0] * np.ptp(y)
    f, jacobian = curve(u, theta[None], shape)
    return Rise(shape=shape, u=u, values=y, theta=theta, fitted=f[0], jacobian=jacobian[0])


def _starts(u: np.ndarray, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Six starts a series, round where it first crosses half of what it gains; and whose they are."""
    edge = max(2, len(u) // 8)
    base, end = values[:, :edge].mean(axis=1), values[:, -edge:].mean(axis=1)
    gain = np.where(end == base, np.ptp(values, axis=1), end - base)
    half = u[((values - base[:, None]) / gain[:, None] >= 0.5).argmax(axis=1)]
    rows = [
        np.stack([base, gain, half + shift, np.full_like(half, np.log(width)), np.zeros_like(half)], axis=1)
        for shift in (0.0, -0.3, 0.3)
        for width in (0.12, 0.3)
    ]
    return np.tile(np.arange(len(values)), len(rows)), np.concatenate(rows)


def _extra_starts(u: np.ndarray, values: Values, plain: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Extras on a grid, each added by linear least squares to the plain rise or a narrower one; the best two a rise."""
    owner, starts = [], []
    for series, (y, theta) in enumerate(zip(values, plain, strict=True)):
        places = [(centre, spread) for centre in np.linspace(theta[2] - 0.4, u[-1] - 0.1, 7) for spread in (0.12, 0.25)]
        extras = np.stack([bump_or_rise(u, *place, shape)[1] for place in places])
        wide = np.flatnonzero((extras > 0.3).sum(axis=1) >= 2)
        narrow = [[theta[2] + shift, np.log(0.2), 0.0] for shift in (-0.8, -0.4, 0.0)]
        mains = np.asarray([theta[2:], theta[2:] + np.asarray([-0.15, -0.4, 0.0]), *narrow])
        rises = values_of(u, np.column_stack([np.zeros(len(mains)), np.ones(len(mains)), mains]), "one rise")
        linear, rss = _added(y, rises, extras[wide])
        for i, order in enumerate(np.argsort(rss, axis=1, kind="stable")[:, :_STARTS_EACH]):
            for k in order:
                centre, spread = places[wide[k]]
                owner.append(series)
                starts.append([*linear[i, k, :2], *mains[i], linear[i, k, 2], centre, np.log(spread)])
    return np.asarray(owner), np.asarray(starts)


def _added(y: np.ndarray, rises: np.ndarray, extras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Level, gain and height of each rise and extra by linear least squares; and what is left, summed and squared."""
    designs = np.ones((len(rises), *extras.shape, 3))
    designs[..., 1], designs[..., 2] = rises[:, None], extras
    turned = designs.swapaxes(2, 3)
    linear = np.linalg.solve(turned @ designs + 1e-9 * np.eye(3), turned @ y[:, None])
    left = y - (designs @ linear)[..., 0]
    return linear[..., 0], (left * left).sum(axis=2)


def _bounds(u: np.ndarray, values: Values, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest parameters of every series."""
    span, one = np.ptp(values, axis=1), np.ones(len(values))
    low = [values.min(axis=1) - span, -3 * span, u[0] * one, _LOG_WIDTH[0] * one, _LOG_ASYMMETRY[0] * one]
    high = [values.max(axis=1) + span, 3 * span, u[-1] * one, _LOG_WIDTH[1] * one, _LOG_ASYMMETRY[1] * one]
    if shape != "one rise":
        low += [-1.5 * span, u[0] * one, _LOG_EXTRA_WIDTH[0] * one]
        high += [1.5 * span, u[-1] * one, _LOG_EXTRA_WIDTH[1] * one]
    return np.stack(low, axis=1), np.stack(high, axis=1)


def _best(u: np.ndarray, values: Values, owner: np.ndarray, starts: np.ndarray, shape: Shape) -> np.ndarray:
    """Refine all starts; the best parameters of each series."""
    low, high = (bound[owner] for bound in _bounds(u, values, shape))
    theta, rss = _levenberg_marquardt(u, values[owner], starts, low, high, shape)
    chosen = np.lexsort((rss, owner))
    first = np.unique(owner[chosen], return_index=True)[1]
    out: np.ndarray = theta[chosen[first]]
    return out


def _levenberg_marquardt(
    u: np.ndarray, y: Values, theta: np.ndarray, low: np.ndarray, high: np.ndarray, shape: Shape, rounds: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with a damping for each row; parameters are clipped to their bounds."""
    scale, theta = high - low, np.clip(theta, low, high)
    damping, diagonal = np.full(len(theta), 1e-2), np.arange(theta.shape[1])
    f, jacobian = curve(u, theta, shape)
    left = y - f
    rss = (left**2).sum(axis=1)
    gram, gradient = _normal(jacobian * scale[:, None, :], left)
    for _ in range(rounds or (25 if shape == "one rise" else 40)):
        hessian = gram.copy()
        hessian[:, diagonal, diagonal] += damping[:, None] * (gram[:, diagonal, diagonal] + 1e-9) + 1e-12
        proposed = np.clip(theta + np.linalg.solve(hessian, gradient)[..., 0] * scale, low, high)
        terms = terms_of(u, proposed, shape)
        new = y - values_from(proposed, terms)
        better = (new_rss := (new**2).sum(axis=1)) < rss
        theta[better], left[better], rss[better] = proposed[better], new[better], new_rss[better]
        jacobian = derivatives_from(theta[better], [term[better] for term in terms], shape)
        gram[better], gradient[better] = _normal(jacobian * scale[better, None, :], left[better])
        damping = np.where(better, damping * 0.3, damping * 5).clip(1e-9, 1e6)
    return theta, rss


def _normal(scaled: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of every row."""
    turned = scaled.swapaxes(1, 2)
    return turned @ scaled, turned @ left[..., None]
