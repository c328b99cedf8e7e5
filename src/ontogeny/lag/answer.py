"""What an answer is made of: how high a curve is, what was compared, and the verdict. No wording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["CAUSE", "UNNAMED", "Compared", "Direction", "LeadVerdict", "Level", "Outcome", "Verdict", "direction_of"]

Outcome = Literal["yes", "no", "cannot be told", "not yet", "nothing to time"]
LeadVerdict = Literal["alignment leads", "performance leads", "no lead detected", "different shapes", "not identified"]
Direction = Literal["alignment leads", "performance leads", "no lead detected"]
_ALPHA = 0.05
CAUSE = "precedence, not cause"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How high one curve is, and what it is read against; all in one unit, NaN where not known.

    Args:
        roi: region.
        layer: whose curve.
        metric: with its options.
        unit: of the values.
        value: at the last step.
        error: one standard error over subjects.
        n_subjects: in the mean.
        peak: the highest mean of three checkpoints in a row.
        chance: expected for unrelated data.
        baseline: what the stimuli's own surface reaches.
        surface: its name, "pixels"; "" where it was not scored.
        ceiling: the highest that the noise allows.
        ceiling_lower: what other subjects reach.
    """

    roi: str
    layer: str
    metric: str
    unit: str
    value: float
    error: float
    n_subjects: int
    peak: float
    chance: float = math.nan
    baseline: float = math.nan
    surface: str = ""
    ceiling: float = math.nan
    ceiling_lower: float = math.nan

    @property
    def share(self) -> float:
        """Of the way from chance to the ceiling."""
        chance = 0.0 if math.isnan(self.chance) else self.chance
        room = self.ceiling - chance
        return (self.value - chance) / room if room > 0 else math.nan

    @property
    def above_surface(self) -> bool:
        """Whether it ever got above the stimuli's own surface, or above chance where that was not scored."""
        floor = self.chance if math.isnan(self.baseline) else self.baseline
        return math.isnan(floor) or self.peak > floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer.

    Args:
        outcome: one of five.
        sentence: the answer with its number.
        detail: its interval and the two half points; "" where there is none.
        caveats: how far it carries, half sentences.
        advice: what to do next, a sentence.
        command: that does it, "" where there is none.
        factor: how many times fewer steps alignment needs; NaN where it cannot be said.
        ci: its 95 % interval.
    """

    outcome: Outcome
    sentence: str
    detail: str = ""
    caveats: tuple[str, ...] = ()
    advice: str = ""
    command: str = ""
    factor: float = math.nan
    ci: tuple[float, float] = (math.nan, math.nan)

    @property
    def decided(self) -> bool:
        """Whether one of the two is first."""
        return self.outcome in ("yes", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What two series are of, for whoever words their answer.

    Args:
        name: of the alignment, "IT · rsa · h.8".
        task: what it is compared with.
        level: how high the alignment is; None where its source does not say.
        path: of the record, for commands; "" where there is none.
        seen: "tokens" or "epochs" -> step -> how many by then, where the record knows.
    """

    name: str = "alignment"
    task: str = "performance"
    level: Level | None = None
    path: str = ""
    seen: Mapping[str, Mapping[int, float]] = field(default_factory=dict)


UNNAMED = Compared()


def direction_of(p_alignment_leads: float, p_performance_leads: float) -> Direction:
    """At 5 % two-sided, by both one-sided p."""
    if p_alignment_leads < _ALPHA / 2:
        return "alignment leads"
    return "performance leads" if p_performance_leads < _ALPHA / 2 else "no lead detected"
