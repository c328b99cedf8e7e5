"""Curves that rise and fall more than once: a level and logistic transitions in log step, as many as the data ask for.

A transition more is admitted when it lowers -2 log likelihood by more than 9 + 130 / n for its three parameters, as an
extra of a rise is. Noise that is correlated from checkpoint to checkpoint looks like small transitions, and a fit that
follows it calls the rest white. So the likelihoods are compared, and the errors computed, with what the smaller fit,
too, says of the noise's AR(1) coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import linalg

from ontogeny.lag.fit.timing import admitted_by, deviance, noise, tangent, weights_of

__all__ = ["Transitions", "fit_transitions"]

_MOST = 5
_FREE = 7
_STARTS = 2
_IN_VAIN = 2
_LOG_WIDTH = (float(np.log(0.05)), float(np.log(0.8)))
_WIDTHS = (0.1, 0.2, 0.4)
_MOST_CORRELATED = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transitions:
    """One fitted curve.

    Args:
        u: log10(step + 1).
        theta: level before the first transition; then heights, centres (in u) and log widths of all.
        residuals: values less the curve.
        jacobian: derivatives of the curve by `theta`.
        phi: AR(1) coefficient of the noise, by this fit.
        phi_of_fewer: by the fit with a transition less; `phi` where there is none.
    """

    u: Float[np.ndarray, " steps"]
    theta: Float[np.ndarray, " parameters"]
    residuals: Float[np.ndarray, " steps"]
    jacobian: Float[np.ndarray, "steps parameters"]
    phi: float
    phi_of_fewer: float

    @property
    def count(self) -> int:
        """Transitions."""
        return (len(self.theta) - 1) // 3

    @property
    def df(self) -> int:
        """Degrees of freedom of the residuals."""
        return len(self.u) - len(self.theta)

    def at(self, u: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The noise-free curve anywhere."""
        heights, _, _ = self.theta[1:].reshape(3, -1)
        out: Float[np.ndarray, " points"] = self.theta[0] + _logistic(u, self.theta)[1] @ heights
        return out

    def gradient(self, u: Float[np.ndarray, " points"]) -> Float[np.ndarray, "points parameters"]:
        """Derivatives of the curve by its parameters."""
        return _gradient(self.theta, u)

    def slope(self, u: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """Derivative of the curve by u."""
        heights, _, widths = self.theta[1:].reshape(3, -1)
        s = _logistic(u, self.theta)[1]
        out: Float[np.ndarray, " points"] = (s * (1 - s) / np.exp(widths)) @ heights
        return out

    def extremum_gradient(self, u: Float[np.ndarray, " points"]) -> Float[np.ndarray, "points parameters"]:
        """How places with slope 0 move with the parameters."""
        heights, _, log_widths = self.theta[1:].reshape(3, -1)
        z, s = _logistic(u, self.theta)
        width, first = np.exp(log_widths), s * (1 - s)
        second = first * (1 - 2 * s)
        by_width = -heights * (first + second * z) / width
        by_theta = [np.zeros((len(u), 1)), first / width, -heights * second / width**2, by_width]
        out: Float[np.ndarray, "points parameters"] = -np.hstack(by_theta) / self.bend(u)[:, None]
        return out

    def bend(self, u: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """Second derivative of the curve by u."""
        heights, _, log_widths = self.theta[1:].reshape(3, -1)
        s = _logistic(u, self.theta)[1]
        out: Float[np.ndarray, " points"] = (s * (1 - s) * (1 - 2 * s) / np.exp(2 * log_widths)) @ heights
        return out

    def variance(self, gradients: Float[np.ndarray, "wanted parameters"]) -> Float[np.ndarray, " wanted"]:
        """Of smooth functions of the parameters, by the noise that the fit with a transition less sees, too."""
        n, basis = len(self.u), tangent(self.jacobian)
        correlation = linalg.toeplitz(min(max(self.phi, self.phi_of_fewer), _MOST_CORRELATED) ** np.arange(n))
        left = np.trace(correlation) - np.trace(basis.T @ correlation @ basis)
        scale = self.residuals @ self.residuals / max(float(left), 1e-9)
        weights = weights_of(self.jacobian, gradients)
        out: Float[np.ndarray, " wanted"] = scale * np.einsum("wn,nm,wm->w", weights, correlation, weights)
        return out


def fit_transitions(u: Float[np.ndarray, " steps"], values: Float[np.ndarray, " steps"]) -> Transitions:
    """The curve with as many transitions as the data ask for, at most 5.

    It is fitted with its lowest value as 0 and its highest as 1, so that units do not matter.

    Args:
        u: log10(step + 1), rising; 10 or more.
        values: not constant.
    """
    unit = (values - values.min()) / np.ptp(values)
    best = last = _fitted(u, unit, None)
    while last.count < min(_MOST, best.count + _IN_VAIN) and len(u) >= 4 + 3 * last.count + _FREE:
        last = _fitted(u, unit, last)
        phi = (best.phi + last.phi) / 2
        best = min(best, last, key=lambda one: _penalised(one, phi))
    return best


def _fitted(u: np.ndarray, unit: np.ndarray, fewer: Transitions | None) -> Transitions:
    """With a transition more, refined from the best places for it."""
    from scipy.optimize import least_squares

    low, high = _bounds(u, 1 if fewer is None else fewer.count + 1)
    found = [
        least_squares(
            lambda theta: _value(theta, u) - unit,
            np.clip(start, low + 1e-6, high - 1e-6),
            jac=lambda theta: _gradient(theta, u),
            bounds=(low, high),
            max_nfev=60,
        )
        for start in _starts(u, unit, fewer)
    ]
    theta = min(found, key=lambda one: float(one.cost)).x
    residuals, jacobian = unit - _value(theta, u), _gradient(theta, u)
    phi = noise(residuals, tangent(jacobian), df=float(len(u) - len(theta)))[1]
    before = phi if fewer is None else fewer.phi
    return Transitions(u=u, theta=theta, residuals=residuals, jacobian=jacobian, phi=phi, phi_of_fewer=before)


def _starts(u: np.ndarray, unit: np.ndarray, fewer: Transitions | None) -> list[np.ndarray]:
    """The best places on a grid for one transition more, all heights by linear least squares."""
    centres, widths = np.zeros((2, 0)) if fewer is None else fewer.theta[1:].reshape(3, -1)[1:]
    found = []
    for centre in np.linspace(u[0], u[-1], 15):
        for width in _WIDTHS:
            shapes = np.concatenate([centres, [centre], widths, [np.log(width)]])
            heights = np.zeros(len(shapes) // 2)
            design = np.column_stack([np.ones(len(u)), _logistic(u, np.concatenate([[0], heights, shapes]))[1]])
            linear = np.linalg.solve(design.T @ design + 1e-6 * np.eye(design.shape[1]), design.T @ unit)
            found.append((float(((unit - design @ linear) ** 2).sum()), np.concatenate([linear, shapes])))
    return [start for _, start in sorted(found, key=lambda one: one[0])[:_STARTS]]


def _bounds(u: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    one = np.ones(count)
    low = np.concatenate([[-3.0], -4 * one, (u[0] - 0.2) * one, _LOG_WIDTH[0] * one])
    high = np.concatenate([[4.0], 4 * one, (u[-1] + 0.2) * one, _LOG_WIDTH[1] * one])
    return low, high


def _penalised(fit: Transitions, phi: float) -> float:
    """-2 log likelihood of residuals whitened by a coefficient, and a penalty per transition."""
    return deviance(fit.residuals, phi) + fit.count * admitted_by(len(fit.u))


def _logistic(u: np.ndarray, theta: np.ndarray) -> tuple[Any, Any]:
    """Arguments and values of every transition, from 0 to 1."""
    _, centres, log_widths = theta[1:].reshape(3, -1)
    z = np.clip((u[:, None] - centres) / np.exp(log_widths), -60, 60)
    return z, 1 / (1 + np.exp(-z))


def _value(theta: np.ndarray, u: np.ndarray) -> np.ndarray:
    out: np.ndarray = theta[0] + _logistic(u, theta)[1] @ theta[1 : 1 + len(theta) // 3]
    return out


def _gradient(theta: np.ndarray, u: np.ndarray) -> np.ndarray:
    heights, _, log_widths = theta[1:].reshape(3, -1)
    z, s = _logistic(u, theta)
    moved = -heights * s * (1 - s)
    return np.hstack([np.ones((len(u), 1)), s, moved / np.exp(log_widths), moved * z])
