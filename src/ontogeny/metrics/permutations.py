"""Permuted stimuli: the same scores with the features of other stimuli, as cheaply as each metric allows.

Metrics say by an attribute `permuted` how they want it done:

    "layer"     all pairs of stimuli are compared, so that the layer's side of them is permuted (its dissimilarities,
                kernel or neighbours), which every target shares; their `together` function takes the orders
    "voxels"    the value is a mean over voxels, so that a fixed sample of them is enough to show chance
    (none)      the targets are copied with permuted responses
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from ontogeny._arrays import Pairs, Square, symmetric
from ontogeny._memory import require_memory
from ontogeny.brain import Target

__all__ = ["NONE", "Permutations", "in_orders", "inverse", "permuted", "permuted_pairs", "sampled_voxels"]

_EVERY = 25
_FEWEST = 4

Order = Int[np.ndarray, " stimuli"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutations:
    """Orders of the stimuli that responses are put into.

    Args:
        orders: row numbers; row i of permuted responses is row `order[i]` of the responses.
        sampled: of each order, whether a sample of the voxels is enough where values are means over voxels.
    """

    orders: tuple[np.ndarray, ...] = ()
    sampled: tuple[bool, ...] = ()

    def copies(self, targets: Sequence[Target], *, means: bool) -> list[Target]:
        """All targets in each order.

        Args:
            targets: in their own order.
            means: whether values are means over voxels.

        Raises:
            TooLargeError: no memory for them; says how much they need.
        """
        chosen = [
            [sampled_voxels(_width(t), i) if means and sampled and t.responses is not None else None for t in targets]
            for i, sampled in enumerate(self.sampled)
        ]
        size = sum(_bytes(t, some) for row in chosen for t, some in zip(targets, row, strict=True))
        what = f"{len(self.orders)} permuted copies of the responses"
        require_memory(size, what, instead="leave them out: controls=False, or names")
        return [
            permuted(t, order, f"copy {i}", some)
            for i, (order, row) in enumerate(zip(self.orders, chosen, strict=True))
            for t, some in zip(targets, row, strict=True)
        ]


NONE = Permutations()


def _width(target: Target) -> int:
    return 0 if target.responses is None else target.responses.shape[1]


def _bytes(target: Target, some: Int[np.ndarray, " some"] | None) -> int:
    given = target.responses if target.rdm is None else target.rdm
    if given is None:
        return 0
    return given.nbytes if some is None else given.itemsize * len(given) * len(some)


def sampled_voxels(n_voxels: int, which: int) -> Int[np.ndarray, " some"]:
    """A twenty-fifth of the voxels, 4 at least, evenly spread; each permutation has others.

    Args:
        n_voxels: of the ROI.
        which: number of the permutation, from 0.

    Example:
        >>> sampled_voxels(100, 0).tolist(), sampled_voxels(100, 1).tolist(), sampled_voxels(3, 1).tolist()
        ([0, 25, 50, 75], [5, 30, 55, 80], [0, 1, 2])
    """
    n = min(n_voxels, max(_FEWEST, -(-n_voxels // _EVERY)))
    first = (which % 5) / 5
    return np.unique(((np.arange(n) + first) * n_voxels / n).astype(int))


def permuted(target: Target, order: Order, name: str, voxels: Int[np.ndarray, " some"] | None = None) -> Target:
    """The same responses to other stimuli, of all voxels or some."""
    if target.rdm is not None:
        return replace(target, roi=f"{target.roi} {name}", rdm=target.rdm[np.ix_(order, order)])
    assert target.responses is not None  # noqa: S101 - a target has one or the other
    rows = target.responses[order] if voxels is None else target.responses[np.ix_(order, voxels)]
    ceiling = target.ceiling if voxels is None or target.ceiling is None else target.ceiling[voxels]
    return replace(target, roi=f"{target.roi} {name}", responses=rows, ceiling=ceiling, n_voxels=rows.shape[1])


def inverse(order: Order) -> Order:
    """The order that features are put into where responses would have been put into `order`."""
    return np.argsort(order)


def permuted_pairs(square: Square, order: Order, room: Pairs) -> None:
    """Entries i < j of a symmetric matrix whose responses' side would have been put into `order`, into `room`."""
    place, end = inverse(order), 0
    for i in range(len(square) - 1):
        start, end = end, end + len(square) - 1 - i
        np.take(square[place[i]], place[i + 1 :], out=room[start:end], mode="clip")


def in_orders(rows: Float[np.ndarray, "rows entries"], orders: Sequence[np.ndarray]) -> Float[np.ndarray, "_ entries"]:
    """Each row of pairs i < j (and of stimuli, after them), followed by the same of permuted stimuli."""
    if not orders:
        return rows
    n_pairs = len(orders[0]) * (len(orders[0]) - 1) // 2
    out = np.empty((len(rows), 1 + len(orders), rows.shape[1]), rows.dtype)
    for row, room in zip(rows, out, strict=True):
        room[0], square = row, symmetric(row[:n_pairs])
        for order, part in zip(orders, room[1:], strict=True):
            permuted_pairs(square, order, part[:n_pairs])
            part[n_pairs:] = row[n_pairs:][inverse(order)] if rows.shape[1] > n_pairs else 0
    return out.reshape(-1, rows.shape[1])
