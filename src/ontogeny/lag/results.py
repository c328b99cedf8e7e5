"""What a lag analysis says: estimates with their interval, p in both directions, the null, the grid; or why not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

from typing_extensions import override

from ontogeny._display import Table, table_html
from ontogeny._plain_json import plain
from ontogeny.lag.answer import UNNAMED, Compared, LeadVerdict, Verdict
from ontogeny.lag.general_results import GeneralLead
from ontogeny.lag.granger_results import Granger
from ontogeny.lag.timing_results import Phases, RiseTime

__all__ = [
    "FluctuationLead",
    "Leads",
    "PooledLead",
    "Quantile",
    "TrendLead",
    "Untestable",
    "Why",
]

_NAN = float("nan")
_UNKNOWN = {
    "float": _NAN,
    "bool": False,
    "int": 0,
    "tuple[float, float]": (_NAN, _NAN),
    "tuple[str, str]": ("", ""),
    "str": "",
    "tuple[float, ...]": (),
    "tuple[str, ...]": (),
}

Why = Literal["", "few", "constant", "missing", "flat", "polarity", "late", "unfinished", "wandering", "runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Untestable:
    """A question that these series cannot answer.

    It has every number that a result would have, as NaN, so that many pairs go into one table without a case apart.

    Args:
        reason: one sentence.
        kind: what it is about, for whoever words an answer.
        series: which of the two, "" where both.
        share: of its fitted gain that was seen, where a plateau is missing; NaN otherwise.
        until: the step at which enough of it would be seen, by the fitted curve; NaN where more steps do not help.

    Example:
        >>> Untestable(reason="11 checkpoints, at least 20 are needed").factor
        nan
    """

    reason: str
    kind: Why = ""
    series: Literal["", "alignment", "performance"] = ""
    share: float = _NAN
    until: float = _NAN

    @property
    def testable(self) -> bool:
        """No."""
        return False

    @property
    def verdict(self) -> str:
        """The reason, after "refused: "."""
        return f"refused: {self.reason}"

    def __getattr__(self, name: str) -> Any:
        """NaN, or a pair of NaN for an interval, where a result has a number."""
        for kind in (TrendLead, FluctuationLead, PooledLead, RiseTime):
            if name in (found := kind.__annotations__):
                return _UNKNOWN.get(str(found[name]))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """When each curve first reaches a share of its own gain.

    Args:
        share: .25, .5 or .75.
        alignment: step, with its 95 % interval.
        performance: step, with its 95 % interval.
        log10: log10(step + 1) of performance less that of alignment; positive: alignment is earlier.
        ci_log10: its 95 % interval.
        p_alignment_leads: one-sided.
        p_performance_leads: one-sided.
    """

    share: float
    alignment: tuple[float, float, float]
    performance: tuple[float, float, float]
    log10: float
    ci_log10: tuple[float, float]
    p_alignment_leads: float
    p_performance_leads: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendLead:
    """Which curve reaches half of its own gain first. Positive: alignment is earlier.

    Null: both noise-free curves reach half of their own gain at the same step. A statement about two curves as
    measured: any monotone transformation of a metric moves it (Schaeffer et al. 2023, arXiv:2304.15004).

    Args:
        log10: log10(t50 of performance + 1) - log10(t50 of alignment + 1).
        ci_log10: 95 % interval, which counts noise that both curves share; where a curve is not one rise, the hull
            over the shapes that may describe it.
        factor: 10 ** log10; at 1.9 alignment needs 1.9 times fewer steps.
        checkpoints: the lead in checkpoints, at the spacing of the grid where performance is half-way.
        ci_checkpoints: its 95 % interval.
        p_alignment_leads: one-sided p of "alignment is not earlier"; the largest over the shapes.
        p_performance_leads: one-sided p of "performance is not earlier".
        uniform: whether the direction holds at 25, 50 and 75 % of the gain, each at 5 %.
        t25: crossings at 25 % of the gain.
        t50: crossings at 50 %.
        t75: crossings at 75 %.
        shapes: which shape describes alignment and performance best.
        df: degrees of freedom of t.
        verdict: at 5 % two-sided.
    """

    testable: ClassVar[bool] = True
    reason: ClassVar[str] = ""
    log10: float
    ci_log10: tuple[float, float]
    factor: float
    checkpoints: float
    ci_checkpoints: tuple[float, float]
    p_alignment_leads: float
    p_performance_leads: float
    uniform: bool
    t25: Quantile
    t50: Quantile
    t75: Quantile
    shapes: tuple[str, str]
    df: int
    verdict: LeadVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class FluctuationLead:
    """Whether checkpoint-to-checkpoint fluctuations of alignment come before those of performance.

    Null: no lead, that is c(k) = c(-k) for the cross-covariance of the detrended series at every lag k; any drive that
    both share at once is allowed, with any and unequal measurement noise.

    Args:
        checkpoints: shift that maximises the cross-correlation; positive: alignment is earlier. It describes the
            cross-correlation, not a mechanism.
        ci_checkpoints: 95 % interval, circular block bootstrap of residual pairs, within the range that was searched.
        identified: whether the interval is narrower than half of the range that was searched.
        p_alignment_leads: one-sided, from conjugate-flip surrogates.
        p_performance_leads: one-sided.
        statistic: net Granger log ratio less that of the reversed series (Haufe et al. 2013); lag 2.
        searched: largest shift that was looked at, in checkpoints.
        surrogates: how many.
        verdict: at 5 % two-sided; decided by the test, not by the interval.
    """

    testable: ClassVar[bool] = True
    reason: ClassVar[str] = ""
    checkpoints: float
    ci_checkpoints: tuple[float, float]
    identified: bool
    p_alignment_leads: float
    p_performance_leads: float
    statistic: float
    searched: float
    surrogates: int
    verdict: LeadVerdict


@lru_cache(maxsize=4)
def _phases_of(series: tuple[tuple[float, ...], ...]) -> Phases:
    """The answer, the lines and the JSON of one pair ask for them: they are fitted once."""
    from ontogeny.lag.phases import phases

    return phases(*series)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """Everything that one pair of series says about which moves first.

    Args:
        trend: lead of the rise, or why it cannot be tested.
        fluctuation: lead of the fluctuations, or why it cannot be tested.
        naive_granger: Granger's test on the levels with its placebo rate; None where it cannot be computed.
        warnings: sentences.
        n: checkpoints that were used.
        grid: which.
        about: what the two series are of.
        general: the trend lead over seeds, subjects or stimuli drawn anew; None where that was not asked for.
        series: steps, alignment and performance, higher is better; for `phases`.
    """

    trend: TrendLead | Untestable
    fluctuation: FluctuationLead | Untestable
    naive_granger: Granger | None
    warnings: tuple[str, ...]
    n: int
    grid: str
    about: Compared = UNNAMED
    general: GeneralLead | Untestable | None = None
    series: tuple[tuple[float, ...], ...] = ()

    @property
    def phases(self) -> Phases | None:
        """Turning points, computed when asked for; None where each curve is one rise, or cannot be tested at all."""
        one_rise = isinstance(self.trend, TrendLead) and set(self.trend.shapes) == {"one rise"}
        return None if one_rise or not self.series else _phases_of(self.series)

    @property
    def answer(self) -> Verdict:
        """In one sentence."""
        from ontogeny.lag.verdict import answer_of

        return answer_of(self.trend, self.about, n=self.n, turns=lambda: self.phases)

    @override
    def __repr__(self) -> str:
        return f"Leads(n={self.n}, trend {self.trend.verdict!r}, fluctuation {self.fluctuation.verdict!r})"

    @override
    def __str__(self) -> str:
        """What `ontogeny lag` prints."""
        from ontogeny.lag.lead_text import pair_lines

        return "\n".join(pair_lines(self))

    _repr_html_ = table_html

    def _table(self) -> Table:
        from ontogeny.lag.lead_tables import leads_table

        return leads_table(f"{self.about.name} against {self.about.task}", {"": self})

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON: numbers that are not finite become None."""
        out: dict[str, Any] = plain(asdict(replace(self, series=())))
        del out["series"]
        turns = self.phases
        out["phases"] = turns and turns.to_dict()
        out["answer"] = plain(asdict(self.answer))
        for name in ("trend", "fluctuation"):
            out[name]["verdict"] = getattr(self, name).verdict
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledLead:
    """A lead over runs.

    Args:
        mean: in `unit`; over groups, each the mean of its runs. Positive: alignment is earlier.
        ci: 95 % t interval.
        unit: "log10 steps" or "checkpoints".
        values: one per run, in the order of `runs`.
        runs: names.
        p_alignment_leads: one-sided.
        p_performance_leads: one-sided.
        test: which test, and what it assumes.
        verdict: at 5 % two-sided.
    """

    testable: ClassVar[bool] = True
    reason: ClassVar[str] = ""
    mean: float
    ci: tuple[float, float]
    unit: str
    values: tuple[float, ...]
    runs: tuple[str, ...]
    p_alignment_leads: float
    p_performance_leads: float
    test: str
    verdict: LeadVerdict
