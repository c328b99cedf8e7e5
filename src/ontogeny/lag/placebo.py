"""Placebo: how often would each test have claimed a lead on these very series if there were none?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ontogeny._arrays import Numbers
from ontogeny._plain_json import plain
from ontogeny.errors import LagError
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.granger_results import Rate
from ontogeny.lag.null._null_replicates import naive_placebo, replicas
from ontogeny.lag.null.fluctuation_lead import flip_test
from ontogeny.lag.null.surrogates import flip_signs, rate, tail
from ontogeny.lag.preconditions import clean, refuse_fluctuation, refuse_pair, refuse_trend

__all__ = ["Placebo", "placebo"]

_ALPHA = 0.05
_TREND = ("trend: alignment leads", "trend: performance leads")
_FLUCTUATION = ("fluctuation: alignment leads", "fluctuation: performance leads")
_NAIVE = ("Granger on levels: alignment leads", "Granger on levels: performance leads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placebo:
    """Error rates on a user's own pair.

    Args:
        false_positives: test -> share of replicates without a lead in which its p is under .05.
        power: checkpoints of lead -> test -> the same, with alignment made that much earlier.
        p: test -> the larger of its nominal p and of its rank among the replicates. A placebo can make an answer
            stricter, never laxer: it does not see slow noise that the trends have absorbed.
        replicates: how many.
        note: what the replicates are.
    """

    false_positives: Mapping[str, Rate]
    power: Mapping[int, Mapping[str, Rate]]
    p: Mapping[str, float]
    replicates: int
    note: str = (
        "Replicates keep each series' own gain, width and asymmetry, put both trends at one half point, and flip the "
        "cross-phases of what is left at random."
    )

    def to_dict(self) -> dict[str, object]:
        """Plain types, for JSON."""

        def rates(part: Mapping[str, Rate]) -> dict[str, object]:
            return {name: [r.value, r.low, r.high] for name, r in part.items()}

        out: dict[str, object] = plain(
            {
                "false_positives": rates(self.false_positives),
                "power": {lead: rates(part) for lead, part in self.power.items()},
                "p": dict(self.p),
                "replicates": self.replicates,
                "note": self.note,
            }
        )
        return out


def placebo(
    steps: Numbers,
    alignment: Numbers,
    performance: Numbers,
    *,
    higher_is_better: bool = True,
    replicates: int = 200,
    surrogates: int = 199,
    seed: int = 0,
    progress: bool = False,
) -> Placebo:
    """Run the whole analysis on replicates of one pair without a lead, and with leads of 1 and 2 checkpoints.

    Args:
        steps: optimizer updates.
        alignment: one value per checkpoint.
        performance: one value per checkpoint.
        higher_is_better: of performance.
        replicates: of each kind; 200 give a rate of 5 % a standard error of 1.5 points.
        surrogates: flips for each fluctuation test.
        seed: of everything.
        progress: show a bar.

    Raises:
        LagError: the pair itself cannot be analysed.
    """
    pair = clean(steps, alignment, performance, higher_is_better=higher_is_better)
    refused = refuse_pair(pair)
    if refused is not None:
        raise LagError(f"no placebo without a pair to replicate: {refused.reason}")
    rng = np.random.default_rng(seed)
    parts = decompose(pair.steps, pair.values)
    flips = surrogates if refuse_fluctuation(pair) is None else 0
    own = _analysed(pair.steps, pair.values[:1], pair.values[1:], flips, rng)
    bar = tqdm(total=3 * replicates, desc="placebo", unit="pair", disable=not progress)
    null = replicas(parts, count=replicates, rng=rng)
    found = _analysed(pair.steps, null.alignment, null.performance, flips, rng, bar)
    rates = _rates(found) | dict(zip(_NAIVE, naive_placebo(null, 2), strict=True))
    power = {}
    for lead in (1, 2):
        led = replicas(parts, count=replicates, rng=rng, lead=lead)
        rows = _rates(_analysed(pair.steps, led.alignment, led.performance, flips, rng, bar))
        power[lead] = {name: r for name, r in rows.items() if name.endswith("alignment leads")}
    bar.close()
    return Placebo(
        false_positives=rates,
        power=power,
        p={name: max(float(own[name][0]), tail(-found[name], -float(own[name][0]))) for name in found},
        replicates=replicates,
    )


def _rates(found: Mapping[str, Float[np.ndarray, " pairs"]]) -> dict[str, Rate]:
    return {name: rate(int((p < _ALPHA).sum()), len(p)) for name, p in found.items()}


def _analysed(
    steps: Float[np.ndarray, " steps"],
    alignment: Float[np.ndarray, "pairs steps"],
    performance: Float[np.ndarray, "pairs steps"],
    surrogates: int,
    rng: np.random.Generator,
    bar: tqdm[NoReturn] | None = None,
) -> dict[str, Float[np.ndarray, " pairs"]]:
    """The p of every headline test for every pair: 1 where the trend is refused; no flips, no fluctuation test."""
    names, count = (*_TREND, *_FLUCTUATION) if surrogates else _TREND, len(alignment)
    parts = decompose(steps, np.concatenate([alignment, performance]))
    rows = []
    for i in range(count):
        times = parts.timings[i], parts.timings[count + i]
        row = [1.0, 1.0]
        if refuse_trend(*times) is None:
            lead = trend_lead(*times)
            row = [lead.p_alignment_leads, lead.p_performance_leads]
        if surrogates:
            signs = flip_signs(len(steps), surrogates, rng)
            observed, null = flip_test(parts.residuals[[i, count + i]], signs)
            row += [tail(null, observed), tail(-null, -observed)]
        rows.append(row)
        if bar is not None:
            bar.update()
    return dict(zip(names, np.asarray(rows).T, strict=True))
