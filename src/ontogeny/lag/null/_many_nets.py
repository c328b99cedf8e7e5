"""Time-reversed net Granger of hundreds of pairs, from products of their columns."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from ontogeny.lag.granger import time_reversed_net

__all__ = ["time_reversed_nets"]

_LEAST_LEFT = 1e-6

Batch = Float[np.ndarray, "pairs steps"]
Products = Float[np.ndarray, "columns columns pairs"]


def time_reversed_nets(a: Batch, p: Batch, lags: int = 2) -> Float[np.ndarray, " pairs"]:
    """`ontogeny.lag.granger.time_reversed_net` of each, to 1e-9, in a third of its time.

    Products square how close columns are to each other; pairs of which a column keeps less than a millionth of itself
    when the others are taken away are made the exact way.

    Args:
        a: alignment, one row per pair.
        p: performance.
        lags: of both.
    """
    (forward, left_forward), (backward, left_backward) = (
        _nets(x, y, lags) for x, y in ((a, p), (a[:, ::-1], p[:, ::-1]))
    )
    out: Float[np.ndarray, " pairs"] = forward - backward
    if len(close := np.flatnonzero(~(np.minimum(left_forward, left_backward) > _LEAST_LEFT))):
        out[close] = time_reversed_net(a[close], p[close], lags)
    return out


def _nets(a: Batch, p: Batch, k: int) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Net Granger of a for p; and the least share of a column that the others leave."""
    n = a.shape[1]
    past = [x[:, k - lag : n - lag] for x in (p, a) for lag in range(1, k + 1)]
    columns = np.stack([*past, a[:, k:], p[:, k:]], axis=1)
    columns -= columns.mean(axis=2, keepdims=True)
    both: Products = np.ascontiguousarray((columns @ columns.swapaxes(1, 2)).transpose(1, 2, 0))
    whole, own = _sizes(both), both[k:-1, k:-1].copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        _take_away(own, k)
        without_a = own[-1, -1]
        _take_away(both, k)
        without_p = both[-1, -1].copy()
        _take_away(both[k:, k:], k)
        left = np.minimum((_sizes(both) / whole).min(axis=0), (_sizes(own) / whole[k:-1]).min(axis=0))
        net = np.log(without_p / both[-1, -1]) - np.log(without_a / both[-2, -2])
    return net, left


def _sizes(products: Products) -> Float[np.ndarray, "columns pairs"]:
    return np.diagonal(products).T.copy()


def _take_away(products: Products, first: int) -> None:
    """Leave of all columns' products what the first ones do not explain."""
    for place in range(first):
        with_one = products[place, place + 1 :]
        products[place + 1 :, place + 1 :] -= with_one[:, None] * (with_one / products[place, place])
