"""Verdict: the answer to "alignment before the task?" in one sentence, by one rule, from one declared curve.

The page, `ontogeny report` and whoever else gives the answer take it from here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ontogeny.lag.across_runs import RunsLeads
from ontogeny.lag.results import PooledLead, TrendLead, Untestable

__all__ = ["Level", "Outcome", "Verdict", "corrected_outcome", "fewer_steps", "verdict", "verdict_of_regions", "verdict_of_runs"]

Outcome = Literal["yes", "no", "cannot be told", "not yet", "nothing to time"]
_WIDEST, _ALPHA = 2.0, 0.05
_CAUSE = "precedence, not cause"


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


def fewer_steps(log10: float) -> str:
    """A lead as a factor: "2.3x fewer", or "1.4x more"."""
    return f"{_times(10 ** abs(log10))} {'fewer' if log10 >= 0 else 'more'}"


def _times(factor: float) -> str:
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.2f}×" if factor < 1.1 else f"{factor:.1f}×"


def verdict(trend: TrendLead | Untestable, level: Level, *, task: str, n: int = 1, path: str = "RUN") -> Verdict:
    """The answer of one curve of one run.

    Args:
        trend: its lead over the task.
        level: how high it is.
        task: what alignment is compared with, "loss".
        n: checkpoints.
        path: of the record, for the command.
    """
    if not level.above_surface:
        return _nothing(level, path)
    if isinstance(trend, Untestable):
        return _untestable(trend, level, task, n)
    return replace(_told(trend, level, task), caveats=("one run, one seed", _CAUSE), **_seeds(level, path))


def _seeds(level: Level, path: str) -> dict[str, str]:
    seeds = f"{path.rpartition('/')[0] or '.'}/seed*"
    command = f'ontogeny lag {seeds} --roi "{level.roi}" --layer "{level.layer}" --metric {level.metric}'
    return {"advice": "A claim needs five seeds or more:", "command": command}


def _told(trend: TrendLead, level: Level, task: str) -> Verdict:
    low, high = trend.ci_log10
    size = {"factor": trend.factor, "ci": (_power(low), _power(high))}
    half = f"step {trend.t50.alignment[0]:,.0f} against {trend.t50.performance[0]:,.0f}"
    if trend.verdict == "alignment leads":
        sentence = (
            f"Yes, in this run: the model is half-way to its alignment with {level.roi} in {_times(trend.factor)} "
            f"fewer steps than to its {task}."
        )
        return Verdict(outcome="yes", sentence=sentence, detail=f"95 % interval {_span(low, high)}; {half}", **size)
    if trend.verdict == "performance leads":
        sentence = (
            f"No: in this run the {task} is first. The model is half-way to it in {_times(1 / trend.factor)} fewer "
            f"steps than to its alignment with {level.roi}."
        )
        return Verdict(outcome="no", sentence=sentence, detail=f"95 % interval {_span(-high, -low)}; {half}", **size)
    return _open(low, high, f"alignment with {level.roi} and {task}", different=trend.verdict == "different shapes")


def _power(log10: float) -> float:
    return float(10 ** min(max(log10, -99.0), 99.0))


def _span(low: float, high: float) -> str:
    return f"{10**low:.2f} to {10**high:.2f}×" if high < _WIDEST else f"{10**low:.2f}× or more"


def _open(low: float, high: float, what: str, *, different: bool = False) -> Verdict:
    if different:
        why = f"{what} cross: one is first early in its rise, the other late."
    elif math.isnan(low) or math.isnan(high) or high - low > _WIDEST:
        why = f"the interval of the lead between {what} covers the whole range of steps."
    else:
        why = f"no lead between {what} fits, and so does anything from {fewer_steps(low)} to {fewer_steps(high)} steps."
    return Verdict(outcome="cannot be told", sentence=f"Cannot be told: {why}")


def _nothing(level: Level, path: str) -> Verdict:
    other = f"{level.surface} alone" if level.surface else "chance"
    floor = level.baseline if level.surface else level.chance
    return Verdict(
        outcome="nothing to time",
        sentence=f"Nothing to time: alignment with {level.roi} is not above {other} "
        f"({level.peak:.2f} against {floor:.2f} {level.unit}).",
        caveats=("the highest mean of three checkpoints in a row was compared",),
        advice="See which layers and regions come highest:",
        command=f"ontogeny record best {path}",
    )


def _untestable(trend: Untestable, level: Level, task: str, n: int) -> Verdict:
    name = f"alignment with {level.roi}" if trend.series == "alignment" else f"the {task}"
    if trend.kind == "few":
        text = f"{n} checkpoints with both, 12 are needed. Train on, or probe more often."
        return Verdict(outcome="not yet", sentence=f"Not yet: {text}", advice="30 checkpoints, evenly spread in log step.")
    if trend.kind == "unfinished":
        until = "" if math.isnan(trend.until) else f" Train to about step {_round_up(trend.until):,}."
        still = "rising" if trend.series == "alignment" else "changing"
        text = f"{name} is still {still} ({100 * trend.share:.0f} % of its fitted gain at the last checkpoint, 80 % is needed)."
        return Verdict(outcome="not yet", sentence=f"Not yet: {text}{until}")
    if trend.kind in ("flat", "constant") and trend.series == "alignment":
        return Verdict(outcome="nothing to time", sentence=f"Nothing to time: {name} does not rise over training.")
    return Verdict(outcome="cannot be told", sentence=f"Cannot be told: {_because(trend, name, task)}")


def _because(trend: Untestable, name: str, task: str) -> str:
    texts = {
        "late": f"{name} had {100 * trend.share:.0f} % of its fitted gain at the first checkpoint (20 % may be). Probe earlier.",
        "flat": f"{name} does not move over training.",
        "constant": f"{name} does not move over training.",
        "missing": f"{trend.reason}.",
        "polarity": f"alignment and {task} move in opposite directions.",
        "wandering": f"{name} wanders like a random walk. Several seeds can tell.",
    }
    return texts.get(trend.kind, f"{trend.reason}.")


def _round_up(step: float) -> int:
    digit = 10 ** max(0, math.floor(math.log10(max(step, 1))) - 1)
    return int(math.ceil(step / digit) * digit)


def verdict_of_runs(found: RunsLeads, level: Level, *, task: str) -> Verdict:
    """The answer of the same curve of several runs.

    Args:
        found: their leads.
        level: of the mean over runs.
        task: see `verdict`.
    """
    runs = len(found.runs)
    if not level.above_surface:
        return _nothing(level, "RUN")
    if isinstance(found.trend, Untestable):
        return _unpooled(found, level, task)
    caveats = ("the run is the unit: further runs of this kind, not further subjects", _CAUSE)
    return replace(_pooled(found.trend, level, task, runs), caveats=caveats)


def _pooled(trend: PooledLead, level: Level, task: str, runs: int) -> Verdict:
    low, high = trend.ci
    over = f"over {len(trend.runs)} of {runs} runs" if len(trend.runs) < runs else f"over {runs} runs"
    size = {"factor": _power(trend.mean), "ci": (_power(low), _power(high))}
    if trend.verdict == "alignment leads":
        sentence = (
            f"Yes, {over}: the model is half-way to its alignment with {level.roi} in {_times(_power(trend.mean))} "
            f"fewer steps than to its {task}."
        )
        return Verdict(outcome="yes", sentence=sentence, detail=f"95 % interval {_span(low, high)}", **size)
    if trend.verdict == "performance leads":
        sentence = (
            f"No: {over} the {task} is first. The model is half-way to it in {_times(_power(-trend.mean))} fewer "
            f"steps than to its alignment with {level.roi}."
        )
        return Verdict(outcome="no", sentence=sentence, detail=f"95 % interval {_span(-high, -low)}", **size)
    return _open(low, high, f"alignment with {level.roi} and {task} {over}")


def _unpooled(found: RunsLeads, level: Level, task: str) -> Verdict:
    """Too few runs with a lead: what holds back most of them, or that two are no test."""
    refused = [run for run in found.runs if isinstance(run.leads.trend, Untestable)]
    if len(found.runs) - len(refused) >= len(refused):
        each = Counter(run.leads.trend.verdict for run in found.runs if isinstance(run.leads.trend, TrendLead))
        said = ", ".join(f"{verdict} in {count}" for verdict, count in each.items())
        text = f"Cannot be told over {len(found.runs)} runs: three with a lead are needed for a test ({said})."
        return Verdict(outcome="cannot be told", sentence=text, advice="Train more seeds.")
    first = Counter(run.leads.trend.kind for run in refused).most_common(1)[0][0]
    longest = max((r for r in refused if r.leads.trend.kind == first), key=lambda r: _known(r.leads.trend.until))
    one = _untestable(longest.leads.trend, level, task, longest.leads.n)
    return replace(one, caveats=(f"so it is in {sum(r.leads.trend.kind == first for r in refused)} of {len(found.runs)} runs",))


def _known(step: float) -> float:
    return 0.0 if math.isnan(step) else step


def verdict_of_regions(
    alone: Sequence[Verdict], p: Sequence[float], levels: Sequence[Level], *, task: str, path: str = "RUN"
) -> Verdict:
    """The answer where no curve was declared: in how many regions, corrected for looking at all of them.

    Args:
        alone: each region's own answer.
        p: two-sided, corrected for the number of regions; NaN where a region has no lead.
        levels: of the same regions.
        task: see `verdict`.
        path: see `verdict`.
    """
    if len(alone) == 1:
        return alone[0]
    outcomes = [corrected_outcome(own, one) for own, one in zip(alone, p, strict=True)]
    kinds, n = Counter(outcomes), len(alone)
    commonest = alone[outcomes.index(kinds.most_common(1)[0][0])]
    example = max(levels, key=lambda level: level.share if math.isfinite(level.share) else level.value)
    common = {
        "caveats": ("no curve was declared, so this is corrected for the number of regions", *commonest.caveats),
        "advice": "To answer for one region, declare it:",
        "command": f'ontogeny report {path} --primary "{example.roi}"',
    }
    yes, no = kinds["yes"], kinds["no"]
    if yes and no:
        text = f"Cannot be told as one: alignment is first in {yes} of {n} regions, the {task} in {no}."
        return Verdict(outcome="cannot be told", sentence=text, detail=_counted(kinds, n), **common)
    if yes or no:
        leading = [own for own, outcome in zip(alone, outcomes, strict=True) if outcome in ("yes", "no")]
        text = _in_regions(leading, n, task)
        return Verdict(outcome=leading[0].outcome, sentence=text, detail=_counted(kinds, n), **common)
    outcome = kinds.most_common(1)[0][0]
    text = commonest.sentence.partition(": ")[2]
    if outcome == "nothing to time":
        surface = f"{levels[0].surface} alone" if levels[0].surface else "chance"
        risen = "" if not any(level.above_surface for level in levels) else " and rises"
        text = f"none of {n} regions is above {surface}{risen}." if kinds[outcome] == n else f"in {kinds[outcome]} of {n} regions; {text}"
    else:
        text = f"in {kinds[outcome]} of {n} regions; {text}"
    head = f"{outcome[0].upper()}{outcome[1:]}"
    return Verdict(outcome=outcome, sentence=f"{head}: {text}", detail=_counted(kinds, n), **common)


def corrected_outcome(own: Verdict, p: float) -> Outcome:
    """A lead that does not survive the correction is none that can be told."""
    return "cannot be told" if own.outcome in ("yes", "no") and not p < _ALPHA else own.outcome


def _in_regions(leading: Sequence[Verdict], n: int, task: str) -> str:
    factors = sorted(10 ** abs(math.log10(own.factor)) for own in leading)
    times = _times(factors[0]) if len(factors) == 1 else f"{_times(factors[0])} to {_times(factors[-1])}"
    if leading[0].outcome == "yes":
        return f"Yes, in {len(leading)} of {n} regions: half-way to the alignment in {times} fewer steps than to the {task}."
    return f"No: in {len(leading)} of {n} regions the {task} is first, half-way in {times} fewer steps than the alignment."


def _counted(kinds: Counter[Outcome], n: int) -> str:
    return f"of {n} regions: {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}"
