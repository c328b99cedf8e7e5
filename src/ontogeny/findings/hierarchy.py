"""Hierarchy: do regions higher in a cortical hierarchy resemble deeper layers?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ontogeny.errors import DataError
from ontogeny.findings.data.cells import CHANCE_LEFT_IN, Cells
from ontogeny.findings.data.region_orders import places
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._rank_tests import permuted_p, rank_correlations
from ontogeny.findings.statistics._score_array import Cube, best_on_others, cube, jackknifed
from ontogeny.findings.statistics.subject_agreement import mean_interval, over_subjects

__all__ = ["Best", "hierarchy"]

Best = Literal["centre", "others"]

_ELSE = (
    "Receptive fields grow along the visual stream and along a convolutional network or a pyramid of tokens: any "
    "network of that build, untrained too, can order them. Ask the same of the untrained model.",
    "Regions higher up have less signal; where scores are noise, a best layer is anywhere: drawn to the middle.",
    "Deeper layers may have fewer or more features, or another effective dimension, and metrics that are not corrected "
    "for it favour some layers in all regions.",
)

Depths = Float[np.ndarray, "subjects rois"]


def hierarchy(
    cells: Cells,
    order: str | Sequence[str] = "ventral",
    *,
    best: Best = "centre",
    raw: bool = False,
    draws: int = 9999,
    seed: int = 0,
) -> Finding:
    """Rank correlation of a ROI's place in the hierarchy with the depth of the layers that it resembles.

    After the spatial score of Raugel et al. 2025 (arXiv:2508.18226; there the distance from V1). Spearman's rho per
    subject, mean and t interval over subjects; p by giving the ROIs' depths to other places (all orders up to 7 ROIs).

    Args:
        cells: of one model, step, benchmark, pooling and metric, two subjects and three layers or more, with depths.
        order: a name of `ORDERS`, or ROIs from lowest to highest, "LO=PIT" for a shared place.
        best: "centre": the centre of mass over depth of alignment above chance, in which noise has no pull to the
            middle; "others": the layer that is best in the other subjects (three or more).
        raw: values as they are, where chance is not known; then "others" is the sounder choice.
        draws: permutations, where there are more than 7 ROIs.
        seed: of them.

    Raises:
        DataError: too few subjects, layers or ROIs; no depths; chance is not known and `raw` is not said.
    """
    made = cube(cells, raw=raw)
    _refuse(made)
    depths, unplaced = _depths(made, best)
    rois = [roi for roi in made.rois if roi not in unplaced]
    at = places(order, rois)
    chosen = depths[:, [made.rois.index(roi) for roi in at]]
    place = np.asarray(list(at.values()))
    rho = rank_correlations(chosen, place)
    which = "centre of mass over depth" if best == "centre" else "best layer of the other subjects"
    found = over_subjects(
        rho if best == "centre" else _steady(made, list(at), place),
        name="hierarchy score",
        unit="Spearman rho",
        how=f"{which} of each region (values: {made.said}) against its place, rho per subject, about these regions; p "
        "is that depths fall to regions by chance",
        tested=False,
    )
    low, high = (None if end is None else float(np.clip(end, -1, 1)) for end in (found.low, found.high))
    score = replace(found, low=low, high=high, p=permuted_p(chosen, place, draws=draws, seed=seed))
    each = [
        Estimate(name=f"subject {s}", value=float(r), unit="Spearman rho", n=len(at), of="regions", how="one subject")
        for s, r in zip(made.subjects, rho, strict=True)
    ]
    return Finding(
        question="Do higher regions resemble deeper layers?",
        answer=_answer(score, list(at), chosen.mean(axis=0)),
        headline=score,
        estimates=(score, *each),
        else_explains=_ELSE,
        cannot_tell=_cannot(made, at, unplaced),
        details={"depths": _depth_rows(made, at, chosen), "profiles": _profile_rows(made, at)},
        source=f"{cells.model[0]}, {cells.benchmark[0]}: {len(made.subjects)} subjects, {len(at)} regions, "
        f"{len(made.layers)} layers, {made.metric}, {made.said}",
    )


def _steady(made: Cube, rois: Sequence[str], place: np.ndarray) -> np.ndarray:
    """Rank correlations of the subjects' best layers, with the spread that the choice of layers gives them."""
    rows = [made.rois.index(roi) for roi in rois]
    return jackknifed(lambda v: rank_correlations(made.depth[best_on_others(v)][:, rows], place), made.values)


def _refuse(made: Cube) -> None:
    if len(made.layers) < 3:
        raise DataError(f"depth needs three layers or more, got {list(made.layers)}")
    if not np.isfinite(made.depth).all():
        raise DataError("the depth of some layers is not known; give cells a column depth, 0 the first to 1 the last")
    if len(made.subjects) < 2:
        raise DataError(
            f"one subject ({made.subjects[0] or 'unnamed'}) gives no interval over subjects; two or more are needed"
        )


def _depths(made: Cube, best: Best) -> tuple[Depths, tuple[str, ...]]:
    """Depth of each subject's ROI, and the ROIs that have none: not aligned above chance (or above 0, raw)."""
    if best not in ("centre", "others"):
        raise DataError(f"best is 'centre' or 'others', got {best!r}")
    if best == "others":
        return made.depth[best_on_others(made.values)], ()
    mass = made.values.sum(axis=2)
    lows = np.asarray([mean_interval(column)[1] for column in mass.T])
    usable = (lows > 0) & (mass > 0).all(axis=0)
    if not usable.any():
        raise DataError(
            "no region is aligned above chance in the mean over layers, so none has a centre of mass over depth; "
            "choose another metric or more subjects, or best='others'"
        )
    centres = np.divide(made.values @ made.depth, mass, out=np.full_like(mass, np.nan), where=usable)
    return centres, tuple(roi for roi, use in zip(made.rois, usable, strict=True) if not use)


def _answer(score: Estimate, rois: Sequence[str], depth: np.ndarray) -> str:
    if np.ptp(depth) == 0:
        return f"No order of depth: in the mean over subjects all regions resemble the same depth, {depth[0]:.2f}."
    low, high, p = score.low or 0.0, score.high or 0.0, 1.0 if score.p is None else score.p
    if p >= 0.05 or low * high <= 0:
        return f"No order of depth is shown: {score.text()}."
    ends = f"{rois[0]} at depth {depth[0]:.2f}, {rois[-1]} at {depth[-1]:.2f}"
    return f"Higher regions resemble {'deeper' if score.value > 0 else 'shallower'} layers: {score.text()}; {ends}."


def _cannot(made: Cube, at: Any, unplaced: Sequence[str]) -> tuple[str, ...]:
    out = ["Whether it is the model's training: an untrained model's score has to stand beside it."]
    if len(at) <= 4:
        least = 2 / math.factorial(len(at))
        out.append(f"Much of any order: {len(at)} regions have {math.factorial(len(at))}, the least p is {least:.2g}.")
    if unplaced:
        out.append(f"{', '.join(unplaced)}: not above chance in the mean over layers, so no centre of mass.")
    if made.left_out:
        out.append(f"{', '.join(made.left_out)}: not there for every subject and layer.")
    if made.said == CHANCE_LEFT_IN:
        out.append(
            "How much of each value is chance; a floor that all layers share draws a centre of mass to the middle."
        )
    return tuple(out)


def _depth_rows(made: Cube, at: Any, chosen: Depths) -> tuple[dict[str, Any], ...]:
    rows = []
    for (roi, place), column in zip(at.items(), chosen.T, strict=True):
        mean, low, high = mean_interval(column)
        own = {f"subject {s}": float(v) for s, v in zip(made.subjects, column, strict=True)}
        rows.append({"roi": roi, "place": place, "depth": mean, "low": low, "high": high, **own})
    return tuple(rows)


def _profile_rows(made: Cube, at: Any) -> tuple[dict[str, Any], ...]:
    mean = made.values.mean(axis=0)
    return tuple(
        {"roi": roi, "place": at[roi], "layer": layer, "depth": float(depth), "alignment": float(mean[i, j])}
        for i, roi in enumerate(made.rois)
        if roi in at
        for j, (layer, depth) in enumerate(zip(made.layers, made.depth, strict=True))
    )
