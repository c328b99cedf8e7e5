"""Two series on common steps: those that both have, or, when asked, the nearest or interpolated ones."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from ontogeny._arrays import Numbers
from ontogeny.errors import LagError, nearest

__all__ = ["FEWEST", "Match", "Matched", "matched"]

Match = Literal["same", "nearest", "interpolate"]

FEWEST = 12
"""Fewer checkpoints than that are refused by every test."""
_MOST_MISSING = 0.3
_ASK = "say match='nearest' or match='interpolate' (--match) to compare them all the same"


class Matched(NamedTuple):
    """Both series, one value per step; NaN where one of them has none."""

    steps: Numbers
    alignment: Numbers
    performance: Numbers
    notes: tuple[str, ...] = ()


class _Points(NamedTuple):
    steps: Float[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]


def matched(
    alignment: tuple[Numbers, Numbers],
    performance: tuple[Numbers, Numbers],
    how: Match = "same",
    *,
    fewest: int = 1,
) -> Matched:
    """Alignment and performance on common steps.

    Args:
        alignment: steps, rising, and values.
        performance: the same.
        how: "same": steps that both have; on one grid with gaps, all steps, with NaN in the gaps. "nearest": pairs of
            steps, each of which is the other's nearest; the step is alignment's. "interpolate": the one with more
            steps, linearly in log10(step + 1), at the steps of the other within its own range.
        fewest: of "same": common steps that are needed, where each series alone has as many.

    Raises:
        LagError: no common steps, or so few that it has to be said how the others should be matched.
    """
    if how not in get_args(Match):
        raise LagError(f"there is no match {how!r}. {nearest(str(how), get_args(Match))}")
    a, p = (_Points(*(np.asarray(part, dtype=np.float64) for part in own)) for own in (alignment, performance))
    if how == "same":
        return _same(a, p, fewest)
    return _nearest(a, p) if how == "nearest" else _interpolated(a, p)


def _same(a: _Points, p: _Points, fewest: int) -> Matched:
    common, at_a, at_p = np.intersect1d(a.steps, p.steps, return_indices=True)
    union = np.union1d(a.steps, p.steps)
    if len(common) >= (1 - _MOST_MISSING) * len(union):
        return Matched(union, _spread(union, a), _spread(union, p))
    shared = f"share {len(common)} step{'s' if len(common) > 1 else ''} ({_few(common)})" if len(common) else ""
    overlap = (
        f"alignment and performance {shared or 'share no step'}: alignment has {len(a.steps)} ({_few(a.steps)}), "
        f"performance {len(p.steps)} ({_few(p.steps)})"
    )
    lost = min(len(a.steps), len(p.steps))
    if len(common) < min(lost, fewest) or not len(common):
        raise LagError(f"{overlap}. Values between checkpoints are not made up unasked; {_ASK}")
    notes = (f"{overlap}; {_ASK}",) if len(common) < min(lost, FEWEST) else _left_out(len(common), a, p)
    return Matched(common, a.values[at_a], p.values[at_p], notes)


def _left_out(common: int, a: _Points, p: _Points) -> tuple[str, ...]:
    return tuple(
        f"{len(own.steps) - common} of {len(own.steps)} steps of {name} have no value of the other: left out"
        for name, own in (("alignment", a), ("performance", p))
        if len(own.steps) > common
    )


def _spread(union: Float[np.ndarray, " union"], own: _Points) -> Float[np.ndarray, " union"]:
    values = np.full(len(union), np.nan)
    values[np.searchsorted(union, own.steps)] = own.values
    return values


def _nearest(a: _Points, p: _Points) -> Matched:
    if not len(a.steps) or not len(p.steps):
        return Matched(np.array([]), np.array([]), np.array([]))
    apart = np.abs(a.steps[:, None] - p.steps[None, :])
    of_a, of_p = apart.argmin(axis=1), apart.argmin(axis=0)
    pairs = [i for i in range(len(a.steps)) if of_p[of_a[i]] == i]
    distance = apart[pairs, of_a[pairs]]
    note = (
        f"matched by nearest step, as asked: {len(pairs)} pairs of {len(a.steps)} steps of alignment and "
        f"{len(p.steps)} of performance, {distance.mean():.3g} steps apart on average and {distance.max():g} at most; "
        "a shorter lead cannot be resolved"
    )
    return Matched(a.steps[pairs], a.values[pairs], p.values[of_a[pairs]], (note,))


def _interpolated(a: _Points, p: _Points) -> Matched:
    many, few = (p, a) if len(p.steps) >= len(a.steps) else (a, p)
    within = (few.steps >= many.steps.min(initial=np.inf)) & (few.steps <= many.steps.max(initial=-np.inf))
    steps, own = few.steps[within], few.values[within]
    if not len(steps):
        raise LagError(
            f"alignment ({_few(a.steps)}) and performance ({_few(p.steps)}) cover no common range of steps, so that "
            "nothing can be interpolated"
        )
    made = np.interp(np.log10(steps + 1), np.log10(many.steps + 1), many.values)
    name = "performance" if many is p else "alignment"
    new = len(np.setdiff1d(steps, many.steps))
    note = (
        f"{name} is interpolated, as asked, at {new} of {len(steps)} steps, linearly in log step; interpolated values "
        "are smoother than measured ones, which moves fluctuations"
    )
    left = len(few.steps) - len(steps)
    outside = (f"{left} steps outside its range are left out",) if left else ()
    return Matched(steps, *((own, made) if many is p else (made, own)), (note, *outside))


def _few(steps: Float[np.ndarray, " steps"]) -> str:
    if len(steps) > 6:
        return f"{', '.join(f'{step:g}' for step in steps[:4])}, ..., {steps[-1]:g}"
    return ", ".join(f"{step:g}" for step in steps)
