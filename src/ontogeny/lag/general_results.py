"""GeneralLead: a trend lead whose interval speaks of further seeds, subjects or stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ontogeny.lag.answer import Direction

__all__ = ["FACTORS", "Factor", "GeneralLead", "Source"]

Factor = Literal["seeds", "subjects", "stimuli"]
FACTORS: tuple[Factor, ...] = ("seeds", "subjects", "stimuli")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the uncertainty of a lead comes from.

    Args:
        name: "seeds", "subjects", "stimuli"; or "checkpoints", the noise about each run's two curves.
        units: that were drawn: runs, subjects, groups of stimuli (stimuli where there are no groups), checkpoints.
        error: standard error from this source alone, log10 steps.
        df: its degrees of freedom.
    """

    name: str
    units: int
    error: float
    df: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralLead:
    """Trend lead with seeds, subjects or stimuli drawn anew. Positive: alignment is earlier.

    Null: over the population of what was drawn, both curves reach half of their own gain at the same step. The layer
    and region are chosen anew in every draw where several were given.

    Args:
        over: what was drawn anew; the rest is taken as it is.
        log10: the lead, mean over runs.
        ci_log10: 95 % interval, t with the degrees of freedom of each source by its share; where a curve is not one
            rise, the hull over the shapes that may describe it.
        factor: 10 ** log10.
        p_alignment_leads: one-sided p of "alignment is not earlier"; the largest over the shapes.
        p_performance_leads: one-sided p of "performance is not earlier".
        error: standard error, log10 steps.
        sources: of the uncertainty. Their squared errors add up to more than that of the lead where what they do to it
            depends on each other.
        draws: of the bootstrap.
        choices: "region, layer" -> share of the draws in which it was chosen; one where it was given.
        notes: sentences.
        verdict: at 5 % two-sided.
    """

    testable: ClassVar[bool] = True
    reason: ClassVar[str] = ""
    over: tuple[Factor, ...]
    log10: float
    ci_log10: tuple[float, float]
    factor: float
    p_alignment_leads: float
    p_performance_leads: float
    error: float
    sources: tuple[Source, ...]
    draws: int
    choices: tuple[tuple[str, float], ...]
    notes: tuple[str, ...]
    verdict: Direction
