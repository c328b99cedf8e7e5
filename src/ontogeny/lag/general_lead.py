"""general_lead: would a trend lead be there for other seeds, subjects and stimuli? From scores of each draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ontogeny._display import counted
from ontogeny.errors import LagError, nearest
from ontogeny.lag._variance import critical_t, crossed_variance, p_above
from ontogeny.lag.answer import direction_of
from ontogeny.lag.drawn_run import DrawnRun
from ontogeny.lag.fit._growth_curve import half_points_like
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.fit.timing import ShapeTiming, Timing, common_shapes
from ontogeny.lag.general_results import FACTORS, Factor, GeneralLead, Source
from ontogeny.lag.preconditions import clean, refuse_pair, refuse_trend
from ontogeny.lag.results import Untestable

__all__ = ["check_draws", "check_factors", "chosen_cells", "general_lead", "too_few"]

FEWEST = {"seeds": 3, "subjects": 3, "stimuli": 6}
_SURE_FROM = 6
_ALPHA = 0.05
_LOST = 0.1
_FEWEST_DRAWS = 50


def check_factors(over: Sequence[str]) -> tuple[Factor, ...]:
    """What is drawn anew, in one order.

    Raises:
        LagError: nothing, or something else than seeds, subjects and stimuli.
    """
    named = (over,) if isinstance(over, str) else tuple(over)
    if not named:
        raise LagError(f"over= names what is drawn anew: {', '.join(FACTORS)}")
    for name in named:
        if name not in FACTORS:
            raise LagError(f"a lead is generalised over {', '.join(FACTORS)}; got {name!r}. {nearest(name, FACTORS)}")
    return tuple(name for name in FACTORS if name in named)


def check_draws(draws: int) -> None:
    """Refuse so few draws that their spread says nothing of the uncertainty.

    Raises:
        LagError: fewer than 50.
    """
    if not isinstance(draws, int) or draws < _FEWEST_DRAWS:
        raise LagError(f"draws is {draws!r}; at least {_FEWEST_DRAWS} are needed for an interval, 500 are usual")


def chosen_cells(curves: Float[np.ndarray, "*draws steps cells"]) -> np.ndarray:
    """The curve that ends highest: by the mean over the last eighth of the checkpoints."""
    last = max(1, curves.shape[-2] // 8)
    return np.asarray(np.where(np.isnan(curves), -np.inf, curves)[..., -last:, :].mean(axis=-2).argmax(axis=-1))


def general_lead(
    runs: Sequence[DrawnRun], *, over: Sequence[str], n_stimuli: int = 0, draws: int = 500, seed: int = 0
) -> GeneralLead | Untestable:
    """The trend lead over seeds, subjects and stimuli drawn anew.

    Each draw's curve is fitted with the shape of the observed one. The variance of the lead comes from bootstraps over
    each factor and both (`ontogeny.lag._variance`), so that it is right for few subjects too; the noise of checkpoints
    about the curves is added, which the spread over runs has in it where seeds are drawn. Quantiles are those of t with
    each source's degrees of freedom, by its share.

    Args:
        runs: with the same subjects, and the same draws of the stimuli, in the same order.
        over: "seeds", "subjects", "stimuli", one or several.
        n_stimuli: groups of stimuli that were drawn from.
        draws: of the subjects, where stimuli are not drawn.
        seed: of the draws of subjects.

    Returns:
        The lead; or why it cannot be tested: fewer than 3 runs, 3 subjects or 6 groups of stimuli, or no trend.

    Raises:
        LagError: another factor, no runs, runs of other subjects, stimuli without scores of their draws, or fewer
            than 50 draws.
    """
    factors = check_factors(over)
    if len({run.scores.shape[2] for run in runs}) != 1:
        raise LagError("general_lead needs one run or more, all with scores of the same subjects")
    subjects = runs[0].scores.shape[2]
    units = {"seeds": len(runs), "subjects": subjects, "stimuli": n_stimuli}
    if "stimuli" in factors and any(run.drawn is None for run in runs):
        raise LagError("stimuli are drawn anew from scores of every draw; give DrawnRun(drawn=...)")
    if refused := too_few({name: units[name] for name in factors}):
        return refused
    observed = [_observed(run) for run in runs]
    if why := next((one for one in observed if isinstance(one, Untestable)), None):
        return why
    timings = [one for one in observed if not isinstance(one, Untestable)]
    if "stimuli" in factors:
        draws = len(runs[0].drawn if runs[0].drawn is not None else ())
    check_draws(draws)
    weights = np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), size=draws) / subjects
    curves = [_curves(run, weights, factors) for run in runs]
    alignment, performance = _shapes(timings)
    cases = []
    for shape in alignment:
        halves = _half_points(shape, [one for _, one in curves])
        cases += [_case(shape, other, halves, {name: units[name] for name in factors}) for other in performance]
    lost = max(case.lost for case in cases)
    if lost > _LOST:
        return Untestable(reason=f"{lost:.0%} of the draws have no curve to fit; draw from more stimuli", kind="flat")
    return _result(cases, factors, runs, [cells for cells, _ in curves], draws)


def too_few(units: Mapping[str, int]) -> Untestable | None:
    """Why a factor cannot be drawn, where it has too few units.

    Args:
        units: "seeds", "subjects" or "stimuli" -> how many runs, subjects, groups of stimuli.
    """
    names = {"seeds": "run", "subjects": "subject", "stimuli": "stimulus group"}
    for factor, count in units.items():
        if count < FEWEST[factor]:
            many = counted(count, names[factor])
            reason = f"{many}; at least {FEWEST[factor]} are needed to speak of further {factor}"
            return Untestable(reason=reason, kind="runs" if factor == "seeds" else "few")
    return None


def _observed(run: DrawnRun) -> tuple[Timing, Timing] | Untestable:
    means = run.scores.mean(axis=2)
    curve = means[:, chosen_cells(means)]
    pair = clean(run.steps, curve, run.performance, higher_is_better=run.higher_is_better)
    if pair.n < len(run.steps):
        raise LagError(f"run {run.name!r} lacks scores of {len(run.steps) - pair.n} steps; leave these steps out")
    refused = refuse_pair(pair)
    if refused is None:
        a, p = decompose(pair.steps, pair.values).timings
        refused = refuse_trend(a, p)
        if refused is None:
            return a, p
    return replace(refused, reason=f"{run.name}: {refused.reason}") if run.name else refused


def _curves(
    run: DrawnRun, weights: Float[np.ndarray, "draws subjects"], factors: Sequence[str]
) -> tuple[np.ndarray, dict[frozenset[str], Float[np.ndarray, "draws steps"]]]:
    """The curve of each draw of subjects, of stimuli, and of both; and which cell was taken, over all draws."""
    found: dict[frozenset[str], np.ndarray] = {}
    if "subjects" in factors:
        found[frozenset(["subjects"])] = np.einsum("scj,bj->bsc", run.scores, weights)
    if "stimuli" in factors and run.drawn is not None:
        found[frozenset(["stimuli"])] = run.drawn.mean(axis=3)
        if "subjects" in factors:
            found[frozenset(["subjects", "stimuli"])] = np.einsum("bscj,bj->bsc", run.drawn, weights)
    cells = {key: chosen_cells(curves) for key, curves in found.items()}
    taken = {k: np.take_along_axis(c, cells[k][:, None, None], axis=2)[..., 0] for k, c in found.items()}
    alone = np.asarray([chosen_cells(run.scores.mean(axis=2))])
    return np.concatenate([alone, *cells.values()]), taken


def _shapes(timings: Sequence[tuple[Timing, Timing]]) -> list[list[list[ShapeTiming]]]:
    """The shapes that may describe alignment, and those that may describe performance: each with one per run."""
    if len(timings) == 1:
        return [[[shape] for shape in timing.shapes] for timing in timings[0]]
    return [common_shapes([pair[i] for pair in timings]) for i in (0, 1)]


def _half_points(
    shape: Sequence[ShapeTiming], curves: Sequence[dict[frozenset[str], np.ndarray]]
) -> dict[frozenset[str], Float[np.ndarray, "runs draws"]]:
    """Of alignment in each draw."""
    return {
        key: np.stack([half_points_like(one.rise, drawn[key]) for one, drawn in zip(shape, curves, strict=True)])
        for key in curves[0]
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The lead by one pair of shapes; `wide` is half of its 95 % interval."""

    log10: float
    error: float
    wide: float
    tails: tuple[float, float]
    sources: tuple[Source, ...]
    lost: float


def _case(
    alignment: Sequence[ShapeTiming],
    performance: Sequence[ShapeTiming],
    halves: dict[frozenset[str], Float[np.ndarray, "runs draws"]],
    units: dict[str, int],
) -> _Case:
    shapes = list(zip(alignment, performance, strict=True))
    observed, late = np.asarray([p.u[1] - a.u[1] for a, p in shapes]), np.asarray([[p.u[1]] for p in performance])
    known = {key: np.isfinite(at).all(axis=0) for key, at in halves.items()}
    lost = max((1 - float(here.mean()) for here in known.values()), default=0.0)
    drawn = {key: late - at[:, known[key]] for key, at in halves.items()}
    total, parts = crossed_variance(observed, drawn, units)
    df = {name: float(count - 1) for name, count in units.items()}
    counts = dict(units)
    if "seeds" not in units:  # with seeds the spread over runs has it
        parts["checkpoints"] = float(sum(a.variance[1] + p.variance[1] for a, p in shapes)) / len(shapes) ** 2
        counts["checkpoints"] = len(shapes[0][0].rise.u)
        df["checkpoints"] = float(counts["checkpoints"] - max(len(part.rise.theta) for pair in shapes for part in pair))
        total += parts["checkpoints"]
    lead, error = float(observed.mean()), float(np.sqrt(max(total, 1e-300)))
    return _Case(
        log10=lead,
        error=error,
        wide=critical_t(_ALPHA / 2, parts, df) * error,
        tails=(p_above(lead / error, parts, df), p_above(-lead / error, parts, df)),
        sources=tuple(Source(name=n, units=counts[n], error=float(np.sqrt(v)), df=df[n]) for n, v in parts.items()),
        lost=lost,
    )


def _result(
    cases: Sequence[_Case], over: tuple[Factor, ...], runs: Sequence[DrawnRun], cells: Sequence[np.ndarray], draws: int
) -> GeneralLead:
    first = cases[0]
    p_a, p_p = (max(case.tails[i] for case in cases) for i in (0, 1))
    taken = Counter(run.cells[place] for run, places in zip(runs, cells, strict=True) for place in places.tolist())
    return GeneralLead(
        over=over,
        log10=first.log10,
        ci_log10=(min(case.log10 - case.wide for case in cases), max(case.log10 + case.wide for case in cases)),
        factor=10**first.log10,
        p_alignment_leads=p_a,
        p_performance_leads=p_p,
        error=first.error,
        sources=first.sources,
        draws=draws,
        choices=tuple((name, count / taken.total()) for name, count in taken.most_common()),
        notes=_notes(over, first.sources),
        verdict=direction_of(p_a, p_p),
    )


def _notes(over: Sequence[Factor], sources: Sequence[Source]) -> tuple[str, ...]:
    out = [
        f"{source.units} {source.name}, fewer than {_SURE_FROM}: their share of the interval has {source.df:.0f} df."
        for source in sources
        if source.units < _SURE_FROM
    ]
    kept = [name for name in FACTORS if name not in over]
    return (*out, *([f"Not drawn anew: {', '.join(kept)}."] if kept else []))
