"""Whatever two series are, the answer is a result or a reason, plain JSON, and no numerical warning."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ontogeny.lag import Run, Untestable, leads, leads_over_runs, rise_time
from ontogeny.lag.lead_text import pair_lines, runs_lines

LONG = "ONTOGENY_LONG" in os.environ
SHAPES = {
    "noise": lambda rng, u: rng.standard_normal(len(u)),
    "walk": lambda rng, u: np.cumsum(rng.standard_normal(len(u))),
    "few values": lambda rng, u: np.round(rng.random(len(u)) * 6),
    "wild": lambda rng, u: np.exp(8 * rng.standard_normal(len(u))),
    "cliff": lambda rng, u: (u > 3) + 1e-9 * rng.standard_normal(len(u)),
    "exact": lambda rng, u: 1 / (1 + np.exp(-(u - 3) * 20)),
    "slow": lambda rng, u: u**2,
    "tiny": lambda rng, u: 5 + 1e-12 * rng.standard_normal(len(u)),
    "holes": lambda rng, u: np.where(rng.random(len(u)) < 0.2, np.nan, np.sin(3 * u)),
    "flat": lambda rng, u: np.zeros(len(u)),
}
shapes = st.sampled_from(list(SHAPES))


def make(seed, n, *names):
    rng = np.random.default_rng(seed)
    steps = np.sort(rng.choice(150_000, n, replace=False))
    return [steps, *(SHAPES[name](rng, np.log10(steps + 1.0)) for name in names)]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 70), a=shapes, p=shapes, higher=st.booleans())
def test_every_pair_has_an_answer_or_a_reason(seed, n, a, p, higher):
    steps, alignment, performance = make(seed, n, a, p)
    found = leads(steps, alignment, performance, higher_is_better=higher, surrogates=19)
    json.dumps(found.to_dict(), allow_nan=False)
    assert pair_lines(found, details=True)
    for lead in (found.trend, found.fluctuation, rise_time(steps, alignment)):
        if isinstance(lead, Untestable):
            assert lead.reason
    if not isinstance(found.trend, Untestable):
        assert found.trend.ci_log10[0] <= found.trend.log10 <= found.trend.ci_log10[1]


@settings(deadline=None, max_examples=30 if LONG else 4)  # ten seconds each
@given(seed=st.integers(0, 10_000), a=shapes, p=shapes, count=st.integers(1, 7), n=st.integers(10, 40))
def test_every_set_of_runs_has_an_answer_or_a_reason(seed, a, p, count, n):
    runs = []
    for i in range(count):
        steps, alignment, performance = make(seed + (i if seed % 2 else 0), n, a, p)
        runs.append(Run(name=str(i), group=str(i % 2), steps=steps, alignment=alignment, performance=performance))
    found = leads_over_runs(runs, surrogates=9)
    json.dumps(found.to_dict(), allow_nan=False)
    assert runs_lines(found, details=True)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-6, 1e6), shift=st.floats(-100, 100))
@example(seed=7685, scale=0.001, shift=0.0)  # a flat valley, where 1e-12 beside squares of small numbers was felt
@example(seed=7685, scale=1e-9, shift=0.0)
def test_units_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    steps = np.unique(np.round(np.logspace(0, 5, 40)).astype(int))
    u = np.log10(steps + 1)
    a, p = (1 / (1 + np.exp(-(u - at) / 0.25)) + 0.02 * rng.standard_normal(len(u)) for at in (2.8, 3.0))
    one, other = leads(steps, a, p, surrogates=19), leads(steps, shift + scale * a, p, surrogates=19)
    if not isinstance(one.trend, Untestable) and not isinstance(other.trend, Untestable):
        assert other.trend.log10 == pytest.approx(one.trend.log10, abs=1e-3 if shift and scale < 1e-2 else 1e-5)
        assert other.trend.ci_log10 == pytest.approx(one.trend.ci_log10, rel=1e-3)
