"""When: half points of every ROI and layer, in the order of the hierarchy and of depth, and which comes first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy import stats

from ontogeny._display import counted, number
from ontogeny.findings.data.cells import CHANCE_LEFT_IN, Cells, is_biased
from ontogeny.findings.data.region_orders import places
from ontogeny.findings.estimates import Estimate, Finding
from ontogeny.findings.statistics._half_rises import SIDES, Effects, HalfPoint, connected, effects, half_points
from ontogeny.findings.statistics._rank_tests import placed_p, rank_correlations, true_values

__all__ = ["when"]

_DRAWS = 4000
_WIDEST = 2.0
_TITLES = {"roi": "half points along the hierarchy", "layer": "half points over depth"}
_ELSE = (
    "Half of a curve's own gain: a region whose alignment ends higher is not earlier or later for that, but one whose "
    "curve has another shape (an overshoot, a late second rise) is.",
    "A transformed metric (accuracy-like thresholds, fourth powers) rises later than the same curve on a linear scale; "
    "metrics and noise that differ between regions or layers can order their half points.",
    "The chance level of biased metrics rises with the effective dimension of a layer; that rise has a half point too.",
    "Curves of one run share its fluctuations: half points of regions are not independent, and a run is one sample.",
)


def when(
    cells: Cells, order: str | Sequence[str] | None = None, *, raw: bool = False, draws: int = 9999, seed: int = 0
) -> Finding:
    """Which part of the brain a model resembles first, and whether half points follow hierarchy and depth.

    Half points that cannot be told (see `ontogeny.lag`) stay out, with their reasons. Those of a ROI become one by the
    model log10 t50 = ROI + layer (least squares, by precision), so that a ROI whose late layers were refused is
    not early for that; layers likewise. Rank correlation: of the true half points, see `true_values`; p by giving half
    points to other places. Half points known to no better than a factor of ten each way are not ordered.

    Args:
        cells: of one model, benchmark, pooling and metric, 12 steps or more; subjects are averaged.
        order: a name of `ORDERS`, or ROIs from lowest to highest; None: depth alone is asked about.
        raw: values as they are, where chance is not known; the finding says so.
        draws: permutations.
        seed: of permutations and draws.

    Raises:
        DataError: several kinds of cells, or an order whose ROIs are not there.
    """
    points, (_, said) = half_points(cells, raw=raw), cells.levels(raw=raw)
    known = connected([p for p in points if not p.why_not and p.high - p.low < _WIDEST])
    both = effects(known, seed) if known else {}
    rows = {side: both.get(side) for side in SIDES}
    place: dict[str, Mapping[str, float]] = {"layer": {p.layer: p.depth for p in points if math.isfinite(p.depth)}}
    if order is not None:
        place["roi"] = places(order, list(dict.fromkeys(p.roi for p in points)))
    asked = [
        _along(side, found, place[side], draws, seed)
        for side in SIDES
        if (found := rows[side]) is not None and _enough(found, place.get(side))
    ]
    first = [_first(side, found) for side in SIDES if (found := rows[side]) is not None and len(found.names) > 1]
    share = _share(points)
    return Finding(
        question="Which part of the brain does the model resemble first?",
        answer=" ".join(_sentence(e) for e in (*first, *asked, share)),
        headline=asked[0] if asked else first[0] if first else share,
        estimates=(*asked, *first, share),
        else_explains=_ELSE,
        cannot_tell=_cannot(cells, points, known, order, said, asked),
        details={
            "half_points": tuple(asdict(p) for p in points),
            **{f"{side}s": _rows(found, place.get(side, {})) for side, found in rows.items() if found is not None},
        },
        source=f"{cells.model[0]}, {cells.metric[0]}, {said}: {len(cells.names('step'))} steps to "
        f"{cells.step.max():,}, {counted(len(cells.names('roi')), 'region')}, "
        f"{counted(len(cells.names('layer')), 'layer')}, mean of {counted(len(cells.names('subject')), 'subject')}",
    )


def _enough(found: Effects, place: Mapping[str, float] | None) -> bool:
    return place is not None and len({place[name] for name in found.names if name in place}) >= 3


def _along(side: str, found: Effects, place: Mapping[str, float], draws: int, seed: int) -> Estimate:
    here = [i for i, name in enumerate(found.names) if name in place]
    at = np.asarray([place[found.names[i]] for i in here])
    values = found.log10[here]
    true = true_values(values, found.error[here], at, draws=_DRAWS, seed=seed)
    low, middle, high = np.quantile(rank_correlations(true, at), (0.025, 0.5, 0.975))
    return Estimate(
        name=_TITLES[side],
        value=float(middle),
        unit="Spearman rho",
        low=float(low),
        high=float(high),
        p=placed_p(values, found.error[here], at, draws=draws, seed=seed),
        n=len(here),
        of="regions" if side == "roi" else "layers",
        how=f"of the true half points, given the errors of each (of the half points as estimated: rho = "
        f"{number(rank_correlations(values[None], at)[0])}); p that half points fall to places by chance.",
    )


def _first(side: str, found: Effects) -> Estimate:
    lead = int(found.log10.argmin())
    ahead = found.draws - found.draws[:, [lead]]
    level = float(stats.norm.isf(0.05 / (len(found.names) - 1)))
    sd = np.delete(ahead.std(axis=0), lead)
    gap = np.delete(found.log10 - found.log10[lead], lead)
    others = [name for i, name in enumerate(found.names) if i != lead]
    tied = [name for name, far in zip(others, gap > level * sd, strict=True) if not far]
    of = "regions" if side == "roi" else "layers"
    return Estimate(
        name=f"first of the {of}: {found.names[lead]}",
        value=float((found.draws.argmin(axis=1) == lead).mean()),
        unit=f"share of draws in which it is first, at step {10 ** found.log10[lead] - 1:.3g}",
        n=len(found.names),
        of=of,
        how=f"drawn within their errors; not told apart from it (Bonferroni): {_listed(tied)}.",
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"{', '.join(names[:6])}{more}" if names else "none"


def _share(points: Sequence[HalfPoint]) -> Estimate:
    return Estimate(
        name="curves with a half point",
        value=sum(not p.why_not for p in points) / len(points),
        unit="share of curves",
        n=len(points),
        of="curves",
        how="the rest was refused by ontogeny.lag, each with its reason in the table half_points.",
    )


def _sentence(estimate: Estimate) -> str:
    name = f"{estimate.name[:1].upper()}{estimate.name[1:]}"
    if estimate.name.startswith("first"):
        tied = estimate.how.rsplit(": ", 1)[1].rstrip(".")
        more = "" if tied == "none" else f", not told apart from {tied}"
        return f"{name} ({estimate.value:.0%} of draws{more})."
    if estimate.unit == "Spearman rho":
        p = 1.0 if estimate.p is None else estimate.p
        way = "earlier to later" if estimate.value > 0 else "later to earlier"
        shown = p < 0.05 and (estimate.low or 0) * (estimate.high or 0) > 0
        return f"{name}: {f'from {way}' if shown else 'no order is shown'}, {estimate.text()}."
    return f"{estimate.value:.0%} of {estimate.n} curves have a half point."


def _cannot(
    cells: Cells, points: Sequence[HalfPoint], known: Sequence[HalfPoint], order: Any, said: str, asked: Sequence[Any]
) -> tuple[str, ...]:
    out = ["Whether another run would have the same order: this is one run, and its errors are those of the curves."]
    refused = [p.why_not for p in points if p.why_not]
    kinds = dict.fromkeys(reason.split(":")[0] for reason in refused)
    out += [f"{sum(r.startswith(kind) for r in refused)} of {len(points)} curves: {kind}." for kind in kinds]
    apart = len(points) - len(refused) - len(known)
    if apart:
        out.append(
            f"The place of {apart} half points: known to no better than a factor of ten each way, or of a region and "
            "layer that no other half point shares."
        )
    if order is not None and not any(e.of == "regions" for e in asked):
        out.append("Whether half points follow the hierarchy: fewer than three places have a region with a half point.")
    if said == CHANCE_LEFT_IN:
        of = " of biased CKA" if is_biased(str(cells.metric[0])) else ""
        out.append(f"Whether alignment rises or the chance level{of}, which is not known here.")
    return tuple(out)


def _rows(found: Effects, place: Mapping[str, float]) -> tuple[dict[str, Any], ...]:
    wide = float(stats.norm.isf(0.025)) * found.error
    return tuple(
        {
            "name": name,
            "place": place.get(name, math.nan),
            "log10": float(found.log10[i]),
            "low": float(found.log10[i] - wide[i]),
            "high": float(found.log10[i] + wide[i]),
            "step": float(10 ** found.log10[i] - 1),
        }
        for i, name in enumerate(found.names)
    )
