"""p-values corrected for how many were looked at; SciPy's numbers without its half second of imports."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

__all__ = ["false_discovery_control"]


def false_discovery_control(p: Float[np.ndarray, " tests"], *, any_dependence: bool = False) -> np.ndarray:
    """The smallest rate of false discoveries at which each would be rejected, as `scipy.stats` has it.

    Args:
        p: of each test.
        any_dependence: by Benjamini and Yekutieli (2001); else by Benjamini and Hochberg (1995), for tests that are
            independent or depend positively on each other.

    Example:
        >>> false_discovery_control(np.asarray([0.01, 0.04, 0.5])).round(3).tolist()
        [0.03, 0.06, 0.5]
    """
    order, place = np.argsort(p), np.arange(1, len(p) + 1, dtype=np.float64)
    sorted_p = p[order] * (len(p) / place)
    if any_dependence and len(p) > 1:
        sorted_p *= np.sum(1 / place)
    out = np.empty(len(p))
    out[order] = np.minimum.accumulate(sorted_p[::-1])[::-1]
    return np.clip(out, 0.0, 1.0)
