"""When a curve rises and where it turns; which of two turns first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from typing_extensions import override

from ontogeny._plain_json import plain
from ontogeny.lag.answer import LeadVerdict

__all__ = ["Phases", "RiseTime", "TurnLead", "TurningPoint"]

Kind = Literal["peak", "trough"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiseTime:
    """When one series first reaches half of its own gain.

    Args:
        log10: log10(step + 1).
        ci_log10: its 95 % interval.
        step: the step.
        t25: step at 25 % of the gain; NaN where the curve begins above it.
        t75: step at 75 %.
        shape: which shape describes the series best.
        n: checkpoints.
    """

    testable: ClassVar[bool] = True
    reason: ClassVar[str] = ""
    log10: float
    ci_log10: tuple[float, float]
    step: float
    t25: float
    t75: float
    shape: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurningPoint:
    """Where a noise-free curve stops rising, or stops falling.

    Args:
        kind: "peak" or "trough".
        step: the step.
        ci: its 95 % interval, in steps.
        log10: log10(step + 1).
        error: its standard error.
        df: degrees of freedom of t.
    """

    kind: Kind
    step: float
    ci: tuple[float, float]
    log10: float
    error: float
    df: int

    @override
    def __str__(self) -> str:
        """With its interval."""
        step, low, high = (f"{x:,.0f}" if x < 1e15 else f"{x:.1e}" for x in (self.step, *self.ci))
        return f"{self.kind} at step {step} (95 % CI {low} to {high})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLead:
    """Which of two curves reaches the same turning point first. Positive: alignment is earlier.

    Args:
        kind: "peak" or "trough".
        log10: log10(step + 1) of performance less that of alignment.
        ci_log10: its 95 % interval, of this turning point alone.
        factor: 10 ** log10.
        p_alignment_leads: one-sided p of "alignment is not earlier", adjusted for all turning points (Holm 1979).
        p_performance_leads: one-sided p of "performance is not earlier", adjusted.
        verdict: at 5 % two-sided, for all turning points together.
    """

    kind: Kind
    log10: float
    ci_log10: tuple[float, float]
    factor: float
    p_alignment_leads: float
    p_performance_leads: float
    verdict: LeadVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Turning points of two curves.

    Args:
        alignment: in the order of steps; empty where it only rises, or only falls.
        performance: the same; higher is better.
        leads: one per turning point, where both curves turn in the same order.
        reason: why there are none, "" where there are.
        n: checkpoints.
    """

    alignment: tuple[TurningPoint, ...]
    performance: tuple[TurningPoint, ...]
    leads: tuple[TurnLead, ...]
    reason: str
    n: int

    @property
    def testable(self) -> bool:
        """Whether turning points of both curves could be compared."""
        return not self.reason

    @property
    def curves(self) -> tuple[tuple[str, tuple[TurningPoint, ...]], ...]:
        """Both, by name."""
        return ("alignment", self.alignment), ("performance", self.performance)

    @override
    def __str__(self) -> str:
        """The lines of `ontogeny lag`; where neither curve turns, that."""
        from ontogeny.lag.phase_text import phase_lines

        return "\n".join(phase_lines(self)) or f"no turning points: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        out: dict[str, Any] = plain(asdict(self))
        return out
