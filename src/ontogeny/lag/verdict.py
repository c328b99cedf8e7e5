"""The answer to "alignment before the task?" in one sentence, by one rule, from one declared curve.

The page, `ontogeny lag`, `ontogeny report` and whoever else gives the answer take it from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ontogeny._display import number
from ontogeny.lag.answer import CAUSE, Compared, Level, Outcome, Verdict
from ontogeny.lag.results import TrendLead, Untestable
from ontogeny.lag.timing_results import Phases

__all__ = [
    "CAUSE",
    "Level",
    "Outcome",
    "Verdict",
    "answer_of",
    "claimed",
    "fewer_steps",
    "fewer_steps_ci",
    "nothing_to_time",
    "power",
    "so_far",
    "span",
    "times",
    "undecided",
    "untestable",
    "verdict",
    "with_region",
]

_WIDEST = 2.0
_SAYS_NOTHING = 4.0  # decades: a wider interval says nothing


def fewer_steps(log10: float) -> str:
    """A lead as a factor: "2.3x fewer", or "1.4x more"."""
    return f"{times(10 ** abs(log10))} {'fewer' if log10 >= 0 else 'more'}"


def fewer_steps_ci(log10: float, ci: tuple[float, float]) -> str:
    """The interval of `fewer_steps`, as factors in the same direction: of "1.4x more", how many times more."""
    low, high = ci if log10 >= 0 else (-ci[1], -ci[0])
    if math.isnan(high - low) or high - low > _SAYS_NOTHING:
        return "the whole range of steps"
    return f"{power(low):,.2f} to {power(high):,.2f}×"


def times(factor: float) -> str:
    """A factor with as many digits as it needs."""
    return f"{factor:,.0f}×" if factor >= 10 else f"{factor:.2f}×" if factor < 1.1 else f"{factor:.1f}×"


def verdict(trend: TrendLead | Untestable, level: Level | None, *, task: str, n: int = 1, path: str = "RUN") -> Verdict:
    """The answer of one curve of one run.

    Args:
        trend: its lead over the task.
        level: how high it is; None where its source does not say.
        task: what alignment is compared with, "loss".
        n: checkpoints.
        path: of the record, for the command.
    """
    if level is not None and not level.above_surface:
        return nothing_to_time(level, path)
    if isinstance(trend, Untestable):
        return untestable(trend, level, task, n)
    return replace(_told(trend, level, task), caveats=("one run, one seed", CAUSE), **_seeds(level, path))


def _seeds(level: Level | None, path: str) -> dict[str, Any]:
    if level is None:
        return {"advice": "A claim needs five seeds or more."}
    seeds = f"{path.rpartition('/')[0] or '.'}/seed*"
    command = f'ontogeny lag {seeds} --roi "{level.roi}" --layer "{level.layer}" --metric {level.metric}'
    return {"advice": "A claim needs five seeds or more:", "command": command}


def _told(trend: TrendLead, level: Level | None, task: str) -> Verdict:
    half = f"; step {trend.t50.alignment[0]:,.0f} against {trend.t50.performance[0]:,.0f}"
    one = claimed(trend.verdict, trend.factor, trend.ci_log10, level, task=task, where="in this run")
    if one is not None:
        return replace(one, detail=one.detail + half)
    what = f"alignment{with_region(level)} and {task}"
    return undecided(*trend.ci_log10, what, different=trend.verdict == "different shapes")


def with_region(level: Level | None) -> str:
    """What the alignment is with; nothing where the level is not known."""
    return "" if level is None else f" with {level.roi}"


def claimed(
    lead: str, factor: float, ci: tuple[float, float], level: Level | None, *, task: str, where: str
) -> Verdict | None:
    """Which is first, where a lead says so.

    Args:
        lead: "alignment leads", "performance leads", or none of these.
        factor: how many times fewer steps alignment needs.
        ci: 95 % interval of its log10.
        level: of the curve.
        task: see `verdict`.
        where: the lead is, "in this run" or "over 5 runs".
    """
    (low, high), of = ci, with_region(level)
    size: dict[str, Any] = {"factor": factor, "ci": (power(low), power(high))}
    if lead == "alignment leads":
        sentence = (
            f"Yes, {where}: the model is half-way to its alignment{of} in {times(factor)} fewer steps than to its "
            f"{task}."
        )
        return Verdict(outcome="yes", sentence=sentence, detail=f"95 % interval {span(low, high)}", **size)
    if lead == "performance leads":
        sentence = (
            f"No: {where} the {task} is first. The model is half-way to it in {times(1 / factor)} fewer steps than to "
            f"its alignment{of}."
        )
        return Verdict(outcome="no", sentence=sentence, detail=f"95 % interval {span(-high, -low)}", **size)
    return None


def so_far(verdict: Verdict) -> Verdict:
    """The answer while training runs: of what is there by now, and no reason to stop.

    Args:
        verdict: of the record as it is.
    """
    caveat = "looked at while training runs, so it is no stopping rule and no test"
    return replace(verdict, sentence=f"So far: {verdict.sentence}", caveats=(*verdict.caveats, caveat))


def power(log10: float) -> float:
    """Of ten, as far as a float holds it."""
    return float(10 ** min(max(log10, -99.0), 99.0))


def span(low: float, high: float) -> str:
    """An interval of factors."""
    return f"{10**low:.2f} to {10**high:.2f}×" if high < _WIDEST else f"{10**low:.2f}× or more"


def undecided(low: float, high: float, what: str, *, different: bool = False) -> Verdict:
    """No lead that can be told, with what fits."""
    if different:
        why = f"{what} cross: one is first early in its rise, the other late."
    elif math.isnan(low) or math.isnan(high) or high - low > _WIDEST:
        why = f"the interval of the lead between {what} covers the whole range of steps."
    else:
        why = f"no lead between {what} fits, and so does anything from {fewer_steps(low)} to {fewer_steps(high)} steps."
    return Verdict(outcome="cannot be told", sentence=f"Cannot be told: {why}")


def nothing_to_time(level: Level, path: str) -> Verdict:
    """Not above the stimuli's own surface."""
    other = f"{level.surface} alone" if level.surface else "chance"
    floor = level.baseline if level.surface else level.chance
    return Verdict(
        outcome="nothing to time",
        sentence=f"Nothing to time: alignment with {level.roi} is not above {other} "
        f"({number(level.peak)} against {number(floor)} {level.unit}).",
        caveats=("the highest mean of three checkpoints in a row was compared",),
        advice="See which layers and regions come highest:",
        command=f"ontogeny record best {path}",
    )


def untestable(trend: Untestable, level: Level | None, task: str, n: int) -> Verdict:
    """What holds a test back, and what would help."""
    name = f"alignment{with_region(level)}" if trend.series == "alignment" else f"the {task}"
    if trend.kind == "few":
        text = f"{n} checkpoints with both, 12 are needed. Train on, or probe more often."
        return Verdict(
            outcome="not yet", sentence=f"Not yet: {text}", advice="30 checkpoints, evenly spread in log step."
        )
    if trend.kind == "unfinished":
        until = "" if math.isnan(trend.until) else f" Train to about step {_round_up(trend.until):,}."
        still = "rising" if trend.series == "alignment" else "changing"
        text = (
            f"{name} is still {still} ({min(100 * trend.share, 79):.0f} % of its fitted gain at the last "
            "checkpoint, 80 % is needed)."
        )
        return Verdict(outcome="not yet", sentence=f"Not yet: {text}{until}")
    if trend.kind in ("flat", "constant") and trend.series == "alignment":
        return Verdict(outcome="nothing to time", sentence=f"Nothing to time: {name} has no clear rise over training.")
    return Verdict(outcome="cannot be told", sentence=f"Cannot be told: {_because(trend, name, task)}")


def answer_of(trend: TrendLead | Untestable, about: Compared, *, n: int, turns: Callable[[], Phases | None]) -> Verdict:
    """The answer by half points; where these cannot be told because the curve turns, it says where.

    Args:
        trend: its lead over the task.
        about: what was compared.
        n: checkpoints.
        turns: turning points of both curves; asked for where the half points cannot be told.
    """
    level, task = about.level, about.task
    found = verdict(trend, level, task=task, n=n, path=about.path or "RUN")
    if isinstance(trend, TrendLead) or (level is not None and not level.above_surface):
        return found
    phases = turns() if trend.kind in ("flat", "wandering") else None
    points = {} if phases is None else dict(phases.curves)
    if not (turned := points.get(trend.series, ())):
        return found
    name = f"alignment{with_region(level)}" if trend.series == "alignment" else f"the {task}"
    where = ", ".join(f"{one.kind} at step {one.step:,.0f}" for one in turned)
    sentence = f"Cannot be told by half-way points: {name} is not one rise, it turns ({where})."
    return Verdict(outcome="cannot be told", sentence=sentence)


def _because(trend: Untestable, name: str, task: str) -> str:
    texts = {
        "late": (
            f"{name} had {max(100 * trend.share, 21):.0f} % of its fitted gain at the first checkpoint (20 % "
            "may be). Probe earlier."
        ),
        "flat": f"{name} does not move over training.",
        "constant": f"{name} does not move over training.",
        "missing": f"{trend.reason}.",
        "polarity": f"alignment and {task} move in opposite directions.",
        "wandering": f"{name} wanders like a random walk, which has no half-way point.",
    }
    return texts.get(trend.kind, f"{trend.reason}.")


def _round_up(step: float) -> int:
    digit = 10 ** max(0, math.floor(math.log10(max(step, 1))) - 1)
    return int(math.ceil(step / digit) * digit)
