"""Many runs: the run is the unit, seeds and sizes are replicates. The primary design."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from ontogeny._display import Table, table_html
from ontogeny._plain_json import plain
from ontogeny.errors import LagError
from ontogeny.lag._meta_analysis import assumptions, pool
from ontogeny.lag.answer import Verdict
from ontogeny.lag.fit.decompose import Decomposed, decompose
from ontogeny.lag.fit.timing import ShapeTiming, common_shapes
from ontogeny.lag.general_results import GeneralLead
from ontogeny.lag.granger_results import Repairing
from ontogeny.lag.levels import level_over_runs
from ontogeny.lag.null.fluctuation_lead import peak_shift
from ontogeny.lag.null.surrogates import cross_correlation
from ontogeny.lag.preconditions import Pair, autocorrelation, clean, refuse_pair
from ontogeny.lag.results import Leads, PooledLead, TrendLead, Untestable
from ontogeny.lag.runs_from_records import Run, run_leads

__all__ = ["OneRun", "RunsLeads", "leads_over_runs"]

_FEWEST_RUNS, _FEWEST_REPAIRED, _FEWEST_STEPS = 3, 5, 30
_REACH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """One run's own answer."""

    name: str
    group: str
    leads: Leads


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsLeads:
    """What several runs say together.

    Args:
        trend: pooled lead of the rises, or why not.
        fluctuation: pooled lead of the fluctuations, or why not.
        runs: each run's own leads.
        repairing: placebo of the fluctuation lead; None with fewer than 5 runs on common steps.
        warnings: sentences.
        assumptions: sentences.
        general: the trend lead over seeds, subjects or stimuli drawn anew; None where that was not asked for.
    """

    trend: PooledLead | Untestable
    fluctuation: PooledLead | Untestable
    runs: tuple[OneRun, ...]
    repairing: Repairing | None
    warnings: tuple[str, ...]
    assumptions: tuple[str, ...]
    general: GeneralLead | Untestable | None = None

    @property
    def answer(self) -> Verdict:
        """In one sentence."""
        from ontogeny.lag.verdict_pooled import verdict_of_runs

        about = [run.leads.about for run in self.runs]
        return verdict_of_runs(self, level_over_runs([one.level for one in about]), task=about[0].task)

    @override
    def __repr__(self) -> str:
        trend, fluctuation = self.trend.verdict, self.fluctuation.verdict
        return f"RunsLeads(runs={len(self.runs)}, trend {trend!r}, fluctuation {fluctuation!r})"

    _repr_html_ = table_html

    def _table(self) -> Table:
        from ontogeny.lag.lead_tables import leads_table

        return leads_table(f"{len(self.runs)} runs", {run.name: run.leads for run in self.runs})

    @override
    def __str__(self) -> str:
        """What `ontogeny lag` prints."""
        from ontogeny.lag.lead_text import runs_lines

        return "\n".join(runs_lines(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        out: dict[str, Any] = plain({**asdict(self), "runs": [], "answer": asdict(self.answer)})
        out["runs"] = [{"name": r.name, "group": r.group, **r.leads.to_dict()} for r in self.runs]
        for name in ("trend", "fluctuation"):
            out[name]["verdict"] = getattr(self, name).verdict
        return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Usable:
    """A run that passed the gates of a pair."""

    run: Run
    pair: Pair
    parts: Decomposed


def leads_over_runs(runs: Sequence[Run | Mapping[str, Any]], *, seed: int = 0, surrogates: int = 999) -> RunsLeads:
    """Which moves first over several training runs; it generalises to further runs, not to further subjects.

    Args:
        runs: seeds or sizes of one kind of training, as `Run` or as a dict of its fields. Runs of one group are
            replicates; groups are blocks.
        seed: of everything random.
        surrogates: flips for each run's own fluctuation test.

    Raises:
        LagError: no runs, or two of one name.
    """
    given = _named_once(runs)
    own = tuple(OneRun(name=r.name, group=r.group, leads=run_leads(r, seed=seed, surrogates=surrogates)) for r in given)
    known = [part for part in map(_usable, given) if part is not None]
    with_trend = {one.name for one in own if isinstance(one.leads.trend, TrendLead)}
    common = _common_steps(known)
    return RunsLeads(
        trend=_pooled_trend([part for part in known if part.run.name in with_trend], seed),
        fluctuation=_pooled_fluctuation(known, common, seed),
        runs=own,
        repairing=_repaired(known, common, seed),
        warnings=_warnings(own, common),
        assumptions=assumptions([part.run.group for part in known]),
    )


def _named_once(runs: Sequence[Run | Mapping[str, Any]]) -> list[Run]:
    """All as `Run`, each under its own name."""
    if not runs:
        raise LagError("no runs to pool; a run is a Run(name=..., steps=..., alignment=..., performance=...)")
    try:
        out = [run if isinstance(run, Run) else Run(**run) for run in runs]
    except TypeError as error:
        names = ", ".join(f.name for f in fields(Run))
        raise LagError(f"a run is a Run or a dict with its fields ({names}): {error}") from error
    doubled = [name for name, count in Counter(run.name for run in out).items() if count > 1]
    if doubled:
        raise LagError(f"two runs are called {doubled[0]!r}; every run needs its own name")
    return out


def _usable(run: Run) -> _Usable | None:
    pair = clean(run.steps, run.alignment, run.performance, higher_is_better=run.higher_is_better)
    return None if refuse_pair(pair) else _Usable(run=run, pair=pair, parts=decompose(pair.steps, pair.values))


def _pool(
    values: Float[np.ndarray, "runs definitions"],
    known: Sequence[_Usable],
    unit: str,
    seed: int,
    *,
    less_mean: bool = False,
) -> PooledLead:
    names, groups = [k.run.name for k in known], [k.run.group for k in known]
    return pool(values, names, groups, unit=unit, seed=seed, less_mean=less_mean)


def _too_few(count: int, what: str) -> Untestable:
    reason = f"{count} of the runs have a testable {what}, at least {_FEWEST_RUNS} are needed"
    two = f"two runs with a testable {what}: both are shown, two give no test"
    return Untestable(reason=two if count == 2 else reason, kind="runs")


def _pooled_trend(known: Sequence[_Usable], seed: int) -> PooledLead | Untestable:
    if len(known) < _FEWEST_RUNS:
        return _too_few(len(known), "trend")
    return _pool(_trend_leads(known), known, "log10 steps", seed)


def _trend_leads(known: Sequence[_Usable]) -> Float[np.ndarray, "runs definitions"]:
    """Each run's lead, a column for each definition that has to agree; runs of a group share their shapes."""
    rows: dict[str, list[float]] = {}
    for group in dict.fromkeys(part.run.group for part in known):
        own = [part for part in known if part.run.group == group]
        shapes = [common_shapes([part.parts.timings[i] for part in own]) for i in (0, 1)]
        for a, p in product(*shapes):
            for part, x, y in zip(own, a, p, strict=True):
                rows.setdefault(part.run.name, []).extend(_definitions(part, x, y))
    most = max(len(row) for row in rows.values())
    return np.asarray([[row[min(k, len(row) - 1)] for k in range(most)] for row in (rows[u.run.name] for u in known)])


def _definitions(part: _Usable, a: ShapeTiming, p: ShapeTiming) -> list[float]:
    """The lead of one run by its shapes; where one of them has an extra, by the main rises and by one rise each too."""
    lead = float(p.u[1] - a.u[1])
    if {a.rise.shape, p.rise.shape} == {"one rise"}:
        return [lead] * 3
    one_a, one_p = (timed.one_rise for timed in part.parts.timings)
    return [lead, p.half[0] - a.half[0], float(one_p.u[1] - one_a.u[1])]


def _pooled_fluctuation(
    known: Sequence[_Usable], common: Float[np.ndarray, " steps"] | None, seed: int
) -> PooledLead | Untestable:
    if len(known) < _FEWEST_RUNS:
        return _too_few(len(known), "fluctuation")
    left, less_mean = _residuals(known, common)
    lags = np.asarray([[_antisymmetric(a, p)] for a, p in left])
    shifts = np.asarray([[peak_shift(pair)] for pair in left])
    test = _pool(lags, known, "correlation", seed, less_mean=less_mean)
    size = _pool(shifts, known, "checkpoints", seed, less_mean=less_mean)
    return replace(
        size,
        p_alignment_leads=test.p_alignment_leads,
        p_performance_leads=test.p_performance_leads,
        test=f"{test.test}, of the antisymmetric cross-correlation at 1 to {_REACH} checkpoints",
        verdict=test.verdict,
    )


def _common_steps(known: Sequence[_Usable]) -> Float[np.ndarray, " steps"] | None:
    """The grid of all runs, where they share one; runs on other grids are not put on it."""
    if not known or any(len(k.pair.steps) != len(known[0].pair.steps) for k in known):
        return None
    steps = known[0].pair.steps
    return steps if all((k.pair.steps == steps).all() for k in known) else None


def _residuals(
    known: Sequence[_Usable], common: Float[np.ndarray, " steps"] | None
) -> tuple[list[Float[np.ndarray, "2 steps"]], bool]:
    """Detrended pairs; less the mean over runs where at least 5 share a grid of 30 (what all runs do is not chance)."""
    left = [k.parts.residuals for k in known]
    if common is None or len(known) < _FEWEST_REPAIRED or len(common) < _FEWEST_STEPS:
        return left, False
    mean = np.stack(left).mean(axis=0)
    return [pair - mean for pair in left], True


def _antisymmetric(a: Float[np.ndarray, " steps"], p: Float[np.ndarray, " steps"]) -> float:
    """Correlation with a 1 to 3 checkpoints earlier, less that with p as much earlier; both whitened alike."""
    phi = float(np.clip((autocorrelation(a) + autocorrelation(p)) / 2, -0.9, 0.9))
    a, p = a[1:] - phi * a[:-1], p[1:] - phi * p[:-1]
    shifts = np.arange(1, _REACH + 1, dtype=np.float64)
    both = cross_correlation(a[None], p[None], np.concatenate([shifts, -shifts]))[0]
    return float(both[:_REACH].sum() - both[_REACH:].sum())


def _repaired(known: Sequence[_Usable], common: Float[np.ndarray, " steps"] | None, seed: int) -> Repairing | None:
    if common is None or len(known) < _FEWEST_REPAIRED:
        return None
    a, p = (np.stack([k.parts.residuals[i] for k in known]) for i in (0, 1))
    count = len(known)
    table = np.asarray([[_antisymmetric(a[i], p[j]) for j in range(count)] for i in range(count)])
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(count) for _ in range(2000)]
    other = np.asarray([order for order in drawn if (order != np.arange(count)).all()][:120])
    means = table[np.arange(count)[None, :], other].mean(axis=1)
    observed = float(np.diag(table).mean())
    return Repairing(
        observed=observed,
        pairings=len(other),
        share_above=float((means >= observed).mean()),
        share_below=float((means <= observed).mean()),
    )


def _warnings(own: Sequence[OneRun], common: Float[np.ndarray, " steps"] | None) -> tuple[str, ...]:
    out = []
    refused = [one for one in own if isinstance(one.leads.trend, Untestable)]
    if refused:
        names = ", ".join(one.name for one in refused[:5]) + (", ..." if len(refused) > 5 else "")
        out.append(
            f"{len(refused)} of {len(own)} runs have no testable trend and are left out of it ({names}): what is left "
            "may be a selection."
        )
    if common is None and len(own) > 1:
        out.append(
            "The runs do not share one grid of steps. None was interpolated, so what all runs share was not removed."
        )
    alike: dict[str, list[str]] = {}
    for text in (text for one in own for text in one.leads.warnings):
        alike.setdefault(re.split(r"[:(\d]", text)[0], []).append(text)
    for texts in (texts for start, texts in alike.items() if start):
        example = "" if len(set(texts)) == 1 else "for instance, "
        out.append(f"{len(texts)} time{'' if len(texts) == 1 else 's'} in {len(own)} runs: {example}{texts[0]}")
    return tuple(out)
