"""Leads in words: lines for a terminal, the answer first. No picture, no HTML."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ontogeny._display import labelled, number, wrapped
from ontogeny.lag.across_runs import RunsLeads
from ontogeny.lag.answer import Verdict
from ontogeny.lag.general_text import general_lines
from ontogeny.lag.granger_results import DirectedTest, Rate
from ontogeny.lag.phase_text import phase_lines
from ontogeny.lag.placebo import Placebo
from ontogeny.lag.results import FluctuationLead, Leads, PooledLead, TrendLead, Untestable
from ontogeny.lag.roi_layer_map import LeadMap
from ontogeny.lag.verdict import fewer_steps, fewer_steps_ci
from ontogeny.record.progress import seen_text

__all__ = [
    "GLOSSARY",
    "map_lines",
    "p_text",
    "pair_lines",
    "placebo_lines",
    "runs_lines",
    "short",
    "verdict_lines",
]

_ALPHA = 0.05
_WORDS = {
    "alignment leads": "alignment first",
    "performance leads": "task first",
    "no lead detected": "no lead detected",
    "different shapes": "the curves cross",
    "not identified": "cannot be told",
}

GLOSSARY = {
    "trend lead": "which curve first reaches half of its own gain; 2× fewer steps: alignment needs half as many",
    "fluctuation lead": "whether residuals after both rises move earlier in one curve, in checkpoints",
    "p(A leads)": "one-sided p of 'alignment is not earlier'; p(P leads) the other way; a verdict needs p < .025",
    "uniform": "the direction holds at 25, 50 and 75 % of the gain",
    "Granger": "the test as people know it, on the levels; and how often it rejects in replicates of these very series "
    "in which nothing leads",
    "refused": "these series cannot answer the question, and why",
}


def short(lead: TrendLead | FluctuationLead | PooledLead | Untestable) -> str:
    """One line: the verdict, its size as a factor, its interval; or why not."""
    if isinstance(lead, Untestable):
        return lead.verdict
    if isinstance(lead, TrendLead):
        return f"{_WORDS[lead.verdict]}: {_half_way(lead.log10, lead.ci_log10)}"
    if isinstance(lead, PooledLead) and lead.unit == "log10 steps":
        return f"{_WORDS[lead.verdict]}: {_half_way(lead.mean, lead.ci)}"
    if isinstance(lead, PooledLead):
        return f"{_WORDS[lead.verdict]}: {_signed(lead.mean)} {lead.unit} (95 % CI {_interval(lead.ci)})"
    size = f"{_signed(lead.checkpoints, 1)} checkpoints (95 % CI {_interval(lead.ci_checkpoints, 1)})"
    wide = f"the interval covers the whole range searched (±{lead.searched:.0f} checkpoints)"
    return f"{_WORDS[lead.verdict]}: {size if lead.identified else wide}"


def _half_way(log10: float, ci: tuple[float, float]) -> str:
    return f"half-way in {fewer_steps(log10)} steps (95 % CI {fewer_steps_ci(log10, ci)})"


def _both(lead: TrendLead | FluctuationLead | PooledLead) -> str:
    return f"p(A leads) {p_text(lead.p_alignment_leads)}, p(P leads) {p_text(lead.p_performance_leads)}"


def verdict_lines(answer: Verdict, width: int = 0) -> list[str]:
    """The sentence, then its interval and half points.

    Args:
        answer: to be said.
        width: unused columns at the left of what follows.
    """
    detail = f"{answer.detail[:1].upper()}{answer.detail[1:]}." if answer.detail else ""
    return [*wrapped(answer.sentence, width), *(wrapped(detail, width) if detail else [])]


def _next(answer: Verdict, more: str) -> list[str]:
    """What to do, the command on a line of its own, so that it can be copied; where the statistics are."""
    lines = labelled("next", answer.advice) if answer.advice else []
    lines += [f"{'':<17}{answer.command}"] if answer.command else []
    return [*lines, *(labelled("" if lines else "next", more) if more else [])]


def pair_lines(found: Leads, *, details: bool = False) -> list[str]:
    """One pair for a terminal: the answer, what it is of, how far it carries, what to do next.

    Args:
        found: of `leads`.
        details: statistics too: half points, p, null, Granger's test, all warnings.
    """
    answer = found.answer
    decided = answer.decided
    out = [*verdict_lines(answer), ""]
    out += labelled("compared", f"{found.about.name} against {found.about.task}; {found.grid}")
    if decided and isinstance(found.trend, TrendLead):
        shares = "at 25, 50 and 75 %" if found.trend.uniform else "at 50 %, not at both 25 and 75 %,"
        out += labelled("holds", f"{shares} of the gain")
        seen = seen_text(found.about.seen, [at[0] for at in (found.trend.t50.alignment, found.trend.t50.performance)])
        out += labelled("half-way", seen) if seen else []
    if decided or _leads(found.fluctuation):
        out += labelled("fluctuations", short(found.fluctuation))
    turns = found.phases
    out += phase_lines(turns) if turns else []
    out += general_lines(found.general, details=details)
    cares = [f"{'; '.join(answer.caveats)}."] if answer.caveats else []
    cares += list(found.warnings) if decided else []
    out += labelled("read with care", *cares) if cares else []
    if details:
        return [*out, *_next(answer, ""), "", *_statistics(found)]
    return [*out, *_next(answer, "--details shows statistics, residuals and Granger's test")]


def _leads(lead: FluctuationLead | Untestable) -> bool:
    return lead.testable and lead.verdict in ("alignment leads", "performance leads")


def _statistics(found: Leads) -> list[str]:
    out = [
        *labelled("trend lead", *_trend(found.trend)),
        *labelled("fluctuation lead", _fluctuation(found.fluctuation)),
    ]
    if found.naive_granger is not None:
        both = found.naive_granger
        tests = (("A -> P", both.alignment_to_performance), ("P -> A", both.performance_to_alignment))
        out += labelled("Granger, usual", *(f"{name}: {_granger(test)}" for name, test in tests), both.null)
    return [*out, *labelled("warnings", *(found.warnings or ("none",)))]


def _fluctuation(lead: FluctuationLead | Untestable) -> str:
    return short(lead) if isinstance(lead, Untestable) else f"{short(lead)}; {_both(lead)}"


def _trend(lead: TrendLead | Untestable) -> list[str]:
    if isinstance(lead, Untestable):
        return [short(lead)]
    a, p = lead.t50.alignment, lead.t50.performance
    sides = ", ".join(f"{q.share:.0%}: {_signed(q.log10)} {_interval(q.ci_log10)}" for q in (lead.t25, lead.t75))
    size = f"{_signed(lead.log10)} log10 steps {_interval(lead.ci_log10)}, {_signed(lead.checkpoints, 1)} checkpoints"
    return [
        f"{short(lead)}; {_both(lead)}",
        size,
        f"half of its gain: alignment at step {_step(a)}, performance at step {_step(p)}",
        f"uniform: {'yes' if lead.uniform else 'no'} ({sides}); shapes: {lead.shapes[0]}, {lead.shapes[1]}",
    ]


def _granger(test: DirectedTest) -> str:
    text = f"F({test.df_num}, {test.df_denom}) = {test.f:.2f}, p {p_text(test.p)}; "
    text += f"detrended, no-lead null: p {p_text(test.p_flip)}"
    if test.placebo is not None:
        text += f"; false alarm rate of its p on series like yours {_rate(test.placebo)}"
    return text


def runs_lines(found: RunsLeads, *, details: bool = False) -> list[str]:
    """Several runs for a terminal: the pooled answer, then one row per run.

    Args:
        found: of `leads_over_runs`.
        details: tests, re-pairing, assumptions and warnings too.
    """
    answer, first = found.answer, found.runs[0].leads
    out = [*verdict_lines(answer), ""]
    out += labelled("compared", f"{first.about.name} against {first.about.task}; {len(found.runs)} runs")
    out += general_lines(found.general, details=details)
    out += labelled("read with care", f"{'; '.join(answer.caveats)}.") if answer.caveats else []
    out += ["", *_run_rows(found), ""]
    if not details:
        return [*out, *_next(answer, "--details shows tests, re-pairing, assumptions and warnings")]
    out += _next(answer, "")
    for label, lead in (("trend lead", found.trend), ("fluctuation lead", found.fluctuation)):
        if isinstance(lead, PooledLead):
            out += labelled(label, f"{short(lead)}; {_both(lead)}", lead.test)
        else:
            out += labelled(label, short(lead))
    if found.repairing is not None:
        r = found.repairing
        text = (
            f"{r.share_above:.0%} of {r.pairings} pairings lead as much as the true ones, {r.share_below:.0%} as little"
        )
        out += labelled("re-pairing", f"alignment of one run with performance of another: {text}")
    out += labelled("assumptions", *found.assumptions)
    return [*out, *labelled("warnings", *(found.warnings or ("none",)))]


def _run_rows(found: RunsLeads) -> list[str]:
    """Name, factor, interval and verdict of each run, in columns."""
    rows = [
        (_tail(one.name) + (f" [{one.group}]" if one.group else ""), *_cells(one.leads.trend)) for one in found.runs
    ]
    wide = [max(len(row[i]) for row in rows) for i in range(3)]
    heads = ["  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=False)) for row in rows]
    texts = [row[3] for row in rows]
    return [
        line for head, text in zip(heads, texts, strict=True) for line in labelled(head, text, indent=sum(wide) + 6)
    ]


def _tail(name: str) -> str:
    """A folder by its own name; "runs/seed0" is "seed0"."""
    return name.rstrip("/").rpartition("/")[2] or name


def _cells(lead: TrendLead | Untestable) -> tuple[str, str, str]:
    """Factor, interval, verdict."""
    if isinstance(lead, Untestable):
        return "", "", short(lead)
    return f"{fewer_steps(lead.log10)} steps", fewer_steps_ci(lead.log10, lead.ci_log10), _WORDS[lead.verdict]


def map_lines(found: LeadMap, *, details: bool = False) -> list[str]:
    """A map for a terminal: the answer, then the cells with a lead that is told apart, or all where there is none.

    Args:
        found: of `leads_map`.
        details: all cells with their p, and fluctuations; else those whose corrected p is below .05.
    """
    answer = found.answer
    tested = sorted((cell for cell in found.cells if cell.trend_p), key=lambda cell: cell.trend_p.bh)  # type: ignore[union-attr]
    shown = [cell for cell in tested if cell.trend_p and cell.trend_p.bh < _ALPHA and not details] or tested
    out = [*verdict_lines(answer), "", *labelled("compared", f"alignment against {found.task}; {found.grid}")]
    out += labelled("read with care", f"{'; '.join(answer.caveats)}.") if answer.caveats else []
    text = _every_p if details else _corrected_p
    rows = [(f"{cell.roi} · {cell.layer}", *_cells(cell.trend)[:2], text(cell.trend_p)) for cell in shown]
    wide = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    out += ["", *("  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip() for row in rows)]
    if details:
        out += _fluctuating(found)
    reasons = Counter(cell.trend.reason.split(":")[0] for cell in found.cells if isinstance(cell.trend, Untestable))
    out += [f"{count} of {len(found.cells)} cells refused: {kind}" for kind, count in reasons.items()]
    hidden = len(tested) - len(shown)
    more = f"--details shows {f'{hidden} more cells, ' if hidden else ''}p and fluctuations" if not details else ""
    return [*out, *wrapped(found.note), *_next(answer, more)]


def _corrected_p(p: Any) -> str:
    return f"BH p {p_text(p.bh)}"


def _every_p(p: Any) -> str:
    return f"p {p_text(p.p)}, BH {p_text(p.bh)}, BY {p_text(p.by)}"


def _fluctuating(found: LeadMap) -> list[str]:
    out = []
    for cell in found.cells:
        p = cell.fluctuation_p
        if p is not None and p.max_t is not None and p.max_t < _ALPHA:
            text = f"{_fluctuation(cell.fluctuation)}; max-T p {p_text(p.max_t)}, BH {p_text(p.bh)}"
            out += wrapped(f"{cell.roi} · {cell.layer}  fluctuations: {text}", 4)
    return out


def placebo_lines(found: Placebo) -> list[str]:
    """Error rates on one's own series for a terminal."""
    out = [f"placebo: {found.replicates} replicates of these series in which nothing leads, p < .05"]
    out += [f"  {name}: {_rate(r)}" for name, r in found.false_positives.items()]
    for lead, part in found.power.items():
        out.append(f"with alignment {lead} checkpoint{'s' if lead > 1 else ''} earlier, p < .05")
        out += [f"  {name}: {_rate(r)}" for name, r in part.items()]
    out.append("p, the larger of nominal and placebo")
    return [*out, *(f"  {name}: {p_text(p)}" for name, p in found.p.items())]


def p_text(p: float) -> str:
    """A p with three digits; "< .001" below."""
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _signed(value: float, digits: int = 2) -> str:
    return number(value, f"+.{digits}f")


def _interval(ends: tuple[float, float], digits: int = 2) -> str:
    return f"{_signed(ends[0], digits)} to {_signed(ends[1], digits)}"


def _step(at: tuple[float, float, float]) -> str:
    return f"{at[0]:,.0f} ({at[1]:,.0f} to {at[2]:,.0f})"


def _rate(found: Rate) -> str:
    return f"{100 * found.value:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f} %)"
