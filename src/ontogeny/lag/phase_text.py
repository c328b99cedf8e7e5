"""Turning points in words."""

from __future__ import annotations

from ontogeny._display import labelled
from ontogeny.lag.timing_results import Phases, TurningPoint, TurnLead
from ontogeny.lag.verdict import fewer_steps, fewer_steps_ci

__all__ = ["phase_lines"]

_FIRST = {"alignment leads": "alignment first", "performance leads": "performance first"}


def phase_lines(found: Phases) -> list[str]:
    """Where each curve turns, and which turns first; nothing where neither does.

    Args:
        found: of `phases`.
    """
    if not (found.alignment or found.performance):
        return []
    lines = labelled("turning points", *(_curve(*each) for each in found.curves))
    return lines + labelled("turns first", *([_lead(lead) for lead in found.leads] or [f"not tested: {found.reason}"]))


def _curve(name: str, points: tuple[TurningPoint, ...]) -> str:
    return f"{name}: {', '.join(map(str, points)) or 'none'}"


def _lead(lead: TurnLead) -> str:
    first = _FIRST.get(lead.verdict, lead.verdict)
    interval = fewer_steps_ci(lead.log10, lead.ci_log10)
    return f"{lead.kind}: {first}: in {fewer_steps(lead.log10)} steps (95 % CI {interval})"
