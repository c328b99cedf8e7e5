"""A general lead in words: lines for a terminal."""

from __future__ import annotations

from ontogeny._display import labelled, number
from ontogeny.lag.general_results import GeneralLead
from ontogeny.lag.results import Untestable
from ontogeny.lag.verdict import fewer_steps, fewer_steps_ci

__all__ = ["general_lines"]

_WORDS = {"alignment leads": "alignment first", "performance leads": "task first"}


def general_lines(found: GeneralLead | Untestable | None, *, details: bool = False) -> list[str]:
    """What is drawn anew, the lead with its interval; in detail where the uncertainty comes from.

    Args:
        found: of `general_lead`; None where it was not asked for.
        details: p, sources and choices too.
    """
    if found is None:
        return []
    if isinstance(found, Untestable):
        return labelled("generalises", found.verdict)
    word = _WORDS.get(found.verdict, found.verdict)
    size = f"half-way in {fewer_steps(found.log10)} steps (95 % CI {fewer_steps_ci(found.log10, found.ci_log10)})"
    out = [f"over {_listed(found.over)}: {word}: {size}", *found.notes]
    return labelled("generalises", *out, *(_statistics(found) if details else ()))


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _statistics(found: GeneralLead) -> list[str]:
    parts = "; ".join(f"{s.name} {number(s.error)} ({s.units})" for s in found.sources)
    taken = "; ".join(f"{name} {share:.0%}" for name, share in found.choices[:4])
    p_a, p_p = (number(p, ".3f") for p in (found.p_alignment_leads, found.p_performance_leads))
    drawn = "" if found.over == ("seeds",) else f"; {found.draws} draws"
    return [
        f"p(A leads) {p_a}, p(P leads) {p_p}{drawn}",
        f"standard error {number(found.error)} log10 steps; from {parts}",
        *([f"curve taken: {taken}"] if len(found.choices) > 1 else []),
    ]
