"""Leads in words: lines for a terminal, cells for a table. No picture, no HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ontogeny._display import Table
from ontogeny.lag.across_runs import RunsLeads
from ontogeny.lag.granger_results import DirectedTest, Rate
from ontogeny.lag.placebo import Placebo
from ontogeny.lag.results import FluctuationLead, Leads, PooledLead, TrendLead, Untestable
from ontogeny.lag.roi_layer_map import LeadMap

__all__ = [
    "GLOSSARY",
    "leads_table",
    "map_lines",
    "map_table",
    "pair_lines",
    "placebo_lines",
    "runs_lines",
    "short",
]

_DECADES = 99.0  # an interval that reaches further is not pinned down; a float could not hold it

GLOSSARY = {
    "trend lead": "which curve first reaches half of its own gain, in log10 steps and checkpoints; +: alignment",
    "fluctuation lead": "whether residuals after both rises move earlier in one curve, in checkpoints",
    "p(A leads)": "one-sided p of 'alignment is not earlier'; p(P leads) the other way; a verdict needs p < .025",
    "uniform": "the direction holds at 25, 50 and 75 % of the gain",
    "Granger": "the test as people know it, on the levels; and how often it rejects in replicates of these very series "
    "in which nothing leads",
    "refused": "these series cannot answer the question, and why",
}
_LABEL = 18


def short(lead: TrendLead | FluctuationLead | PooledLead | Untestable) -> str:
    """One line: the verdict, its size, its interval, p both ways."""
    if isinstance(lead, Untestable):
        return lead.verdict
    p = f"p(A leads) {_p(lead.p_alignment_leads)}, p(P leads) {_p(lead.p_performance_leads)}"
    if isinstance(lead, TrendLead):
        size = f"{lead.log10:+.2f} log10 steps {_interval(lead.ci_log10, '+.2f')}"
        return f"{lead.verdict}: {size}, {lead.checkpoints:+.1f} checkpoints; {p}"
    if isinstance(lead, FluctuationLead):
        size = f"{lead.checkpoints:+.1f} checkpoints {_interval(lead.ci_checkpoints, '+.1f')}"
        return f"{lead.verdict}: {size}{'' if lead.identified else ', size not pinned down'}; {p}"
    return f"{lead.verdict}: {lead.mean:+.2f} {lead.unit} {_interval(lead.ci, '+.2f')}; {p}"


def leads_table(title: str, found: Mapping[str, Leads]) -> Table:
    """Several pairs, one row each.

    Args:
        title: of the table.
        found: name -> leads.
    """
    rows = [(name, str(one.n), one.trend.verdict, one.fluctuation.verdict) for name, one in found.items()]
    first = next(iter(found.values()), None)
    sizes = [f"{name} {label}: {short(lead)}" for name, one in found.items() for label, lead in _both(one)]
    return Table(
        title=title,
        columns=("run", "checkpoints", "trend lead", "fluctuation lead"),
        rows=rows,
        notes=(*(sizes if len(found) == 1 else []), *([] if first is None else [first.grid])),
    )


def _both(one: Leads) -> list[tuple[str, TrendLead | FluctuationLead | Untestable]]:
    return [("trend lead", one.trend), ("fluctuation lead", one.fluctuation)]


def map_table(found: LeadMap) -> Table:
    """A map, the cells with the smallest corrected p first; what cannot be tested last."""
    cells = sorted(found.cells, key=lambda cell: cell.trend_p.bh if cell.trend_p else 2.0)
    rows = []
    for cell in cells:
        p = cell.trend_p
        size = f"{cell.trend.log10:+.2f}" if isinstance(cell.trend, TrendLead) else ""
        numbers = ("", "", "") if p is None else (_p(p.p), _p(p.bh), _p(p.by))
        rows.append((cell.roi, cell.layer, cell.trend.verdict, size, *numbers))
    return Table(
        title=f"alignment against held-out {found.task}: {len(found.cells)} cells, {found.n} checkpoints",
        columns=("ROI", "layer", "trend lead", "log10 steps", "p", "p (BH)", "p (BY)"),
        rows=rows,
        notes=(found.grid, found.note),
    )


def pair_lines(title: str, found: Leads) -> list[str]:
    """One pair for a terminal."""
    out = [title, found.grid, "", *_labelled("trend lead", _trend(found.trend))]
    out += _labelled("fluctuation lead", [short(found.fluctuation)])
    if found.naive_granger is not None:
        tests = (
            ("A -> P", found.naive_granger.alignment_to_performance),
            ("P -> A", found.naive_granger.performance_to_alignment),
        )
        lines = [f"{name}: {_granger(test)}" for name, test in tests]
        out += _labelled("Granger, usual", [*lines, found.naive_granger.null])
    out += _labelled("warnings", list(found.warnings) or ["none"])
    return out


def _trend(lead: TrendLead | Untestable) -> list[str]:
    if isinstance(lead, Untestable):
        return [short(lead)]
    a, p = lead.t50.alignment, lead.t50.performance
    faster = f"{lead.factor:.2f} times fewer" if lead.log10 >= 0 else f"{1 / lead.factor:.2f} times more"
    low, high = (10 ** min(edge, _DECADES) for edge in lead.ci_log10)
    factors = _interval((low, high), ".2f" if high < 1e6 else ".3g")
    sides = ", ".join(f"{q.share:.0%}: {q.log10:+.2f} {_interval(q.ci_log10, '+.2f')}" for q in (lead.t25, lead.t75))
    return [
        short(lead),
        f"alignment needs {faster} steps to half of its gain (factor {factors})",
        f"half of its gain: alignment at step {_step(a)}, performance at step {_step(p)}",
        f"uniform: {'yes' if lead.uniform else 'no'} ({sides}); shapes: {lead.shapes[0]}, {lead.shapes[1]}",
    ]


def _granger(test: DirectedTest) -> str:
    text = f"F({test.df_num}, {test.df_denom}) = {test.f:.2f}, p {_p(test.p)}; "
    text += f"detrended, no-lead null: p {_p(test.p_flip)}"
    if test.placebo is not None:
        text += f"; its p rejects in {_rate(test.placebo)} of replicates without a lead"
    return text


def runs_lines(title: str, found: RunsLeads) -> list[str]:
    """Several runs for a terminal."""
    out = [title, f"{len(found.runs)} runs", ""]
    for label, lead in (("trend lead", found.trend), ("fluctuation lead", found.fluctuation)):
        out += _labelled(label, [short(lead), *([lead.test] if isinstance(lead, PooledLead) else [])])
    if found.repairing is not None:
        r = found.repairing
        out += _labelled(
            "re-pairing",
            [
                f"alignment of one run with performance of another: {r.share_above:.0%} of {r.pairings} pairings lead "
                f"as much as the true ones, {r.share_below:.0%} as little"
            ],
        )
    for one in found.runs:
        group = f" [{one.group}]" if one.group else ""
        out += _labelled(f"{one.name}{group}"[:_LABEL], [short(one.leads.trend)])
    out += _labelled("assumptions", list(found.assumptions))
    return [*out, *_labelled("warnings", list(found.warnings) or ["none"])]


def map_lines(title: str, found: LeadMap) -> list[str]:
    """A map for a terminal: cells with a trend lead by their corrected p, then how many were refused and why."""
    out = [title, found.grid, ""]
    tested = [cell for cell in found.cells if cell.trend_p is not None]
    wide = max((len(f"{cell.roi} · {cell.layer}") for cell in found.cells), default=0)
    for cell in sorted(tested, key=lambda cell: cell.trend_p.bh if cell.trend_p else 1.0):
        assert cell.trend_p is not None  # noqa: S101 - chosen above
        p = f"p {_p(cell.trend_p.p)}, BH {_p(cell.trend_p.bh)}, BY {_p(cell.trend_p.by)}"
        out.append(f"{f'{cell.roi} · {cell.layer}':{wide}}  {short(cell.trend)}; {p}")
    for cell in found.cells:
        if cell.fluctuation_p is not None and cell.fluctuation_p.max_t is not None and cell.fluctuation_p.max_t < 0.05:
            p = f"max-T {_p(cell.fluctuation_p.max_t)}, BH {_p(cell.fluctuation_p.bh)}"
            out.append(f"{f'{cell.roi} · {cell.layer}':{wide}}  fluctuations: {short(cell.fluctuation)}; {p}")
    reasons: dict[str, int] = {}
    for cell in found.cells:
        if isinstance(cell.trend, Untestable):
            kind = cell.trend.reason.split(":")[0]
            reasons[kind] = reasons.get(kind, 0) + 1
    out += [f"{count} of {len(found.cells)} cells refused: {kind}" for kind, count in reasons.items()]
    return [*out, found.note]


def placebo_lines(found: Placebo) -> list[str]:
    """Error rates on one's own series for a terminal."""
    out = [f"placebo: {found.replicates} replicates of these series in which nothing leads, p < .05"]
    out += [f"  {name}: {_rate(r)}" for name, r in found.false_positives.items()]
    for lead, part in found.power.items():
        out.append(f"with alignment {lead} checkpoint{'s' if lead > 1 else ''} earlier, p < .05")
        out += [f"  {name}: {_rate(r)}" for name, r in part.items()]
    out.append("p, the larger of nominal and placebo")
    return [*out, *(f"  {name}: {_p(p)}" for name, p in found.p.items())]


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{label if i == 0 else '':{_LABEL}} {line}" for i, line in enumerate(lines)]


def _p(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _interval(ends: tuple[float, float], form: str) -> str:
    return f"[{ends[0]:{form}}, {ends[1]:{form}}]"


def _step(at: tuple[float, float, float]) -> str:
    return f"{at[0]:,.0f} [{at[1]:,.0f}, {at[2]:,.0f}]"


def _rate(found: Rate) -> str:
    return f"{found.value:.0%} [{found.low:.0%}, {found.high:.0%}]"
