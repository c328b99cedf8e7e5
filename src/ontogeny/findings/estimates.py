"""Estimate and Finding: a number with its interval, its null and what else would explain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ontogeny._display import number

__all__ = ["Estimate", "Finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One number of a finding.

    Args:
        name: what is estimated, "Pearson r, IFEval".
        value: the estimate, in `unit`.
        unit: e.g. "Pearson r", "share of neighbours above chance".
        low: lower end of the 95 % interval; None where there is none, `how` says why.
        high: upper end.
        p: two-sided p-value; None where nothing was tested.
        q: p adjusted for the false discovery rate over the estimates of this finding; None where not adjusted.
        n: what it rests on, counted in `of`.
        of: "models", "subjects", "regions".
        how: estimator, interval and null in one sentence.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    p: float | None = None
    q: float | None = None
    n: int
    of: str
    how: str

    def text(self) -> str:
        """One phrase: estimate, interval, p, n."""
        out = f"{number(self.value, '.3g')} {self.unit}"
        if self.low is not None and self.high is not None:
            out += f" [{number(self.low, '.3g')}, {number(self.high, '.3g')}]"
        for name, p in (("p", self.p), ("q", self.q)):
            if p is not None:
                out += f", {name} < .001" if p < 0.001 else f", {name} = {p:.3f}".replace("0.", ".")
        return f"{out}, n = {self.n} {self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Answer to one question about a model, a record or a table.

    Args:
        question: "Do better models align better?"
        answer: one sentence that says what holds, with the headline's numbers.
        headline: the estimate that answers it.
        estimates: all estimates, in the order of reading; the headline is one of them.
        else_explains: what else would explain it, a sentence each; never empty.
        cannot_tell: what these data cannot tell, a sentence each.
        details: name -> rows, for tables and figures.
        source: of which data.
    """

    question: str
    answer: str
    headline: Estimate
    estimates: tuple[Estimate, ...]
    else_explains: tuple[str, ...]
    cannot_tell: tuple[str, ...] = ()
    details: Mapping[str, tuple[Mapping[str, Any], ...]]
    source: str
