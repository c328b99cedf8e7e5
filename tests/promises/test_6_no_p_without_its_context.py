"""Promise 6: no p-value without null, grid, n and direction. What cannot be tested says why."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest

from ontogeny.lag import Leads, Run, Untestable, across_runs, leads, leads_over_runs, results
from ontogeny.lag.lead_text import pair_lines, runs_lines
from ontogeny.simulated.planted_leads import KINDS, planted_lead


def classes_with_a_p():
    found = [c for module in (results, across_runs) for _, c in inspect.getmembers(module, dataclasses.is_dataclass)]
    return {c for c in found if any(f.name.startswith("p_") for f in dataclasses.fields(c))}


def test_every_result_with_a_p_has_both_directions_or_says_which_it_is():
    for result in classes_with_a_p():
        names = {f.name for f in dataclasses.fields(result)}
        if result.__name__ == "DirectedTest":
            assert {"df_num", "df_denom", "placebo", "p_flip"} <= names
        else:
            assert {"p_alignment_leads", "p_performance_leads"} <= names, result
            assert {"verdict", "share"} & names, result


def test_the_null_of_every_test_is_in_its_docstring():
    for result in (results.TrendLead, results.FluctuationLead):
        assert "Null:" in inspect.getdoc(result)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [8, 15, 30])
def test_every_answer_has_its_grid_and_every_refusal_its_reason(kind, n):
    world = planted_lead(kind, 30, seed=1)
    found = leads(world.steps[:n], world.alignment[:n], world.performance[:n], surrogates=19)
    assert isinstance(found, Leads)
    assert found.n == n
    assert f"{n} checkpoints, steps 0 to {world.steps[n - 1]:,}" == found.grid
    for lead in (found.trend, found.fluctuation):
        if isinstance(lead, Untestable):
            assert len(lead.reason) > 20
        else:
            assert 0 < lead.p_alignment_leads <= 1
            assert lead.verdict in (
                "alignment leads",
                "performance leads",
                "no lead detected",
                "different shapes",
                "not identified",
            )
    if found.naive_granger is not None:
        assert "not 'no lead'" in found.naive_granger.null
        assert found.naive_granger.alignment_to_performance.placebo is not None
    text = " ".join(" ".join(pair_lines(found)).split())
    assert found.grid in text
    assert " p " not in text.partition("read with care")[0]  # a p stands beside its null, in the details


def test_no_lead_is_only_said_with_its_interval():
    world = planted_lead("null_common_equal", 60, seed=1)
    found = leads(world.steps, world.alignment, world.performance, surrogates=99)
    for lead in (found.trend, found.fluctuation):
        if not isinstance(lead, Untestable) and lead.verdict == "no lead detected":
            low, high = lead.ci_log10 if isinstance(lead, results.TrendLead) else lead.ci_checkpoints
            assert low <= 0 <= high
            assert np.isfinite([low, high]).all()


def test_pooled_answers_name_their_test_and_assumptions():
    worlds = [planted_lead("lead_trend", 30, seed=2, run=i) for i in range(3)]
    found = leads_over_runs(
        [
            Run(name=str(i), steps=w.steps, alignment=w.alignment, performance=w.performance)
            for i, w in enumerate(worlds)
        ],
        surrogates=19,
    )
    assert "over 3 runs" in found.trend.test
    assert found.assumptions
    assert found.trend.test in "\n".join(runs_lines(found, details=True))
