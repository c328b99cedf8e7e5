"""Formulas of a rise and of a rise with an extra, with their derivatives.

One Richards rise (Richards 1959, J Exp Bot 10:290), written so that its half point is a parameter; or one with an
extra: a Gaussian bump (overshoot, dip), or a second, logistic rise (learning-rate drop).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

__all__ = [
    "SHAPES",
    "Shape",
    "Values",
    "bump_or_rise",
    "curve",
    "derivatives_from",
    "terms_of",
    "values_from",
    "values_of",
]

Shape = Literal["one rise", "one rise and a bump", "two rises"]
SHAPES: tuple[Shape, ...] = ("one rise", "one rise and a bump", "two rises")
Values = Float[np.ndarray, "series steps"]


def curve(
    u: Float[np.ndarray, " steps"], theta: Float[np.ndarray, "series parameters"], shape: Shape
) -> tuple[Values, Float[np.ndarray, "series steps parameters"]]:
    """Curves and their derivatives by the parameters."""
    terms = terms_of(u, theta, shape)
    return values_from(theta, terms), derivatives_from(theta, terms, shape)


def values_of(u: Float[np.ndarray, " steps"], theta: Float[np.ndarray, "series parameters"], shape: Shape) -> Values:
    """The same curves without their derivatives: a third of the work."""
    return values_from(theta, terms_of(u, theta, shape))


def terms_of(u: np.ndarray, theta: np.ndarray, shape: Shape) -> tuple[np.ndarray, ...]:
    """What curves and derivatives are made of: of the Richards rise, then of the extra, each ending in its values."""
    half, log_width, log_nu = (theta[:, i : i + 1] for i in range(2, 5))
    main = _richards(u, half, np.exp(log_width), np.exp(log_nu))
    if shape == "one rise":
        return main
    centre, log_spread = (theta[:, i : i + 1] for i in range(6, 8))
    return (*main, *bump_or_rise(u, centre, np.exp(log_spread), shape))


def values_from(theta: np.ndarray, terms: Sequence[np.ndarray]) -> Values:
    f: Values = theta[:, :1] + theta[:, 1:2] * terms[4]
    return f if len(terms) == 5 else np.asarray(f + theta[:, 5:6] * terms[6])


def derivatives_from(
    theta: np.ndarray, terms: Sequence[np.ndarray], shape: Shape
) -> Float[np.ndarray, "series steps parameters"]:
    gain, width, nu = theta[:, 1:2], np.exp(theta[:, 3:4]), np.exp(theta[:, 4:5])
    x, decay, inside, logs, rise = terms[:5]
    slope = rise / nu * (2**nu - 1) * decay / inside
    by_nu = nu * rise * (logs / nu**2 - (2**nu * np.log(2)) * decay / (nu * inside))
    out = np.empty((*rise.shape, theta.shape[1]))
    for place, part in enumerate((1.0, rise, -gain * slope / width, -gain * slope * x, gain * by_nu)):
        out[..., place] = part
    if shape != "one rise":
        (z, extra), height, spread = terms[5:], theta[:, 5:6], np.exp(theta[:, 7:8])
        by_z = -z * extra if shape == "one rise and a bump" else extra * (1 - extra)
        for place, part in enumerate((extra, -height * by_z / spread, -height * by_z * z), 5):
            out[..., place] = part
    return out


def _richards(u: np.ndarray, half: np.ndarray, width: np.ndarray, nu: np.ndarray) -> tuple[np.ndarray, ...]:
    """What a Richards rise is made of, and the rise: from 0 to 1, .5 at its half point."""
    x = np.clip((u - half) / width, -60, 60)
    decay = np.exp(-x)
    inside = 1 + (2**nu - 1) * decay
    logs = np.log(inside)
    return x, decay, inside, logs, np.exp(-logs / nu)


def bump_or_rise(u: np.ndarray, centre: Any, spread: Any, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Its argument and its values, of height 1."""
    z = np.clip((u - centre) / spread, -60, 60)
    return z, np.exp(-0.5 * z * z) if shape == "one rise and a bump" else 1 / (1 + np.exp(-z))
