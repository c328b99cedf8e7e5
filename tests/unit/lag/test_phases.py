"""Turning points against planted ones, and which of two curves turns first."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

from ontogeny.errors import LagError
from ontogeny.lag import leads, phases, turning_points
from ontogeny.lag.fit._transitions import fit_transitions
from ontogeny.lag.phases import _holm
from ontogeny.lag.preconditions import _numbers
from ontogeny.simulated.planted_phases import planted_phases

STEPS = np.unique(np.round(np.logspace(0, 4, 48)).astype(int))[:40]
U = np.log10(STEPS + 1.0)


def rise(at, width=0.12):
    return 1 / (1 + np.exp(-(U - at) / width))


def noisy(curve, seed, sd=0.02):
    return curve + sd * np.random.default_rng(seed).standard_normal(len(curve))


def test_derivatives_are_those_of_finite_differences():
    fit = fit_transitions(U, noisy(rise(1) - 0.5 * rise(2) + 0.8 * rise(3), 0))
    at, step = np.asarray([0.7, 1.5, 2.9]), 1e-5
    expected = optimize.approx_fprime(fit.theta, lambda theta: replace(fit, theta=theta).at(at), 1e-7)
    np.testing.assert_allclose(fit.gradient(at), expected, atol=1e-5)
    np.testing.assert_allclose(fit.slope(at), (fit.at(at + step) - fit.at(at - step)) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(fit.bend(at), (fit.slope(at + step) - fit.slope(at - step)) / (2 * step), atol=1e-4)


def test_how_an_extremum_moves_is_that_of_curves_with_other_parameters():
    fit = fit_transitions(U, noisy(rise(1) - 0.5 * rise(2.2), 0, sd=0.001))

    def peak(theta):
        moved = replace(fit, theta=theta)
        return float(optimize.brentq(lambda u: moved.slope(np.asarray([u]))[0], 1.2, 2.0, xtol=1e-13))

    expected = optimize.approx_fprime(fit.theta, peak, 1e-6)
    np.testing.assert_allclose(fit.extremum_gradient(np.asarray([peak(fit.theta)]))[0], expected, rtol=1e-3, atol=1e-4)


def test_p_are_adjusted_as_statsmodels_does():
    p = [0.2, 0.001, 0.04, 0.04, 0.9]
    np.testing.assert_allclose(_holm(p), multipletests(p, method="holm")[1])


@pytest.mark.parametrize("shape", ["logistic", "cosine"])
def test_planted_turning_points_are_found_within_their_intervals(shape):
    inside, right = [], 0
    for seed in range(8):
        world = planted_phases(40, seed=500 + seed, shape=shape)
        found = turning_points(world.steps, world.alignment)
        if [point.kind for point in found] != ["peak", "trough"]:
            continue
        right += 1
        for point, truth in zip(found, world.turns, strict=True):
            inside.append(abs(point.log10 - truth) < stats.t.isf(0.025, point.df) * point.error)
            assert point.ci[0] < point.step < point.ci[1]
    assert right >= 6
    assert np.mean(inside) > 0.85


@pytest.mark.parametrize("noise", [{}, {"autocorrelation": 0.6}])
def test_one_rise_has_no_turning_point(noise):
    worlds = [planted_phases(40, seed=900 + seed, shape="one rise", **noise) for seed in range(8)]
    turns = [turning_points(world.steps, series) for world in worlds for series in (world.alignment, world.performance)]
    assert sum(map(bool, turns)) <= 1


def test_a_lead_is_found_at_each_turn_and_none_where_there_is_none():
    def claims(checkpoints):
        worlds = [planted_phases(40, seed=700 + seed, checkpoints=checkpoints) for seed in range(4)]
        found = [phases(world.steps, world.alignment, world.performance) for world in worlds]
        return [lead.verdict for one in found for lead in one.leads]

    ahead, level, behind = claims(3.0), claims(0.0), claims(-3.0)
    assert ahead.count("alignment leads") > 0.6 * len(ahead) > 3
    assert behind.count("performance leads") > 0.6 * len(behind) > 3
    assert "performance leads" not in ahead
    assert "alignment leads" not in behind
    assert level.count("no lead detected") >= len(level) - 1 > 3


def test_a_loss_turns_as_what_it_is_the_negative_of():
    world = planted_phases(40, seed=1, checkpoints=3.0)
    up = phases(world.steps, world.alignment, world.performance)
    down = phases(world.steps, world.alignment, -world.performance, higher_is_better=False)
    assert down == up
    assert [point.kind for point in turning_points(world.steps, -world.alignment)] == ["trough", "peak"]
    assert turning_points(world.steps, -world.alignment, higher_is_better=False) == up.alignment


def test_units_do_not_matter():
    world = planted_phases(40, seed=1)
    plain, scaled = (turning_points(world.steps, 1e-6 * scale * world.alignment + scale) for scale in (1e6, 3.0))
    assert [point.kind for point in plain] == [point.kind for point in scaled] == ["peak", "trough"]
    np.testing.assert_allclose([p.log10 for p in plain], [p.log10 for p in scaled], atol=1e-4)


@pytest.mark.parametrize(
    ("curves", "reason"),
    [
        ((rise(1), rise(2)), "neither curve turns"),
        ((rise(1) - 0.5 * rise(2.2), rise(2)), "a peak.*no turning point"),
        ((np.ones(40), rise(2)), "constant"),
    ],
)
def test_what_cannot_be_compared_says_why(curves, reason):
    found = phases(STEPS, *(noisy(one, i, sd=0.02 if np.ptp(one) else 0) for i, one in enumerate(curves)))
    assert not found.testable
    assert found.leads == ()

    assert re.search(reason, found.reason), found.reason


def test_a_curve_that_rises_and_falls_back_is_not_said_to_have_nothing_to_time():
    found = leads(STEPS, noisy(rise(1) - rise(2.2), 0), noisy(rise(1.3) - rise(2.5), 1), surrogates=99)
    assert found.trend.kind == "flat"
    (peak,) = found.phases.alignment
    sentence = f"alignment is not one rise, it turns (peak at step {peak.step:,.0f})."
    assert found.answer.sentence == f"Cannot be told by half-way points: {sentence}"
    assert found.answer.outcome == found.to_dict()["answer"]["outcome"] == "cannot be told"
    late = leads(STEPS, noisy(rise(1), 0), noisy(rise(1.3) - rise(2.5), 1), surrogates=99)
    assert "performance is not one rise, it turns (peak at step" in late.answer.sentence


def test_steps_above_a_million_millions_lie_within_their_intervals():
    world = planted_phases(40, seed=1, checkpoints=3.0)
    for point in turning_points(1e10 * np.asarray(world.steps), world.alignment):
        assert point.ci[0] < point.step < point.ci[1]


def test_print_says_that_nothing_turns():
    assert str(phases(STEPS, noisy(rise(1), 0), noisy(rise(2), 1))) == "no turning points: neither curve turns"
    assert str(phases(STEPS[:5], U[:5], U[:5])) == "no turning points: 5 checkpoints, turning points need 16"


def test_few_checkpoints_and_rubbish():
    with pytest.raises(LagError, match="alignment has to be one number per checkpoint.*'a'"):
        _numbers(["a"] * 40, "alignment")
    assert "15 checkpoints, turning points need 16" in phases(STEPS[:15], U[:15], U[:15]).reason
    assert turning_points(STEPS[:15], U[:15]) == ()
    with pytest.raises(LagError, match="doubles"):
        phases([1] * 20, range(20), range(20))


def test_leads_print_them_where_a_curve_is_more_than_one_rise():
    world = planted_phases(40, seed=1, checkpoints=3.0)
    found = leads(world.steps, world.alignment, world.performance, surrogates=99)
    text = str(found)
    assert "alignment: peak at step 59 " in text
    assert text.count("alignment first: in 2.") == 2
    kept = json.loads(json.dumps(found.to_dict()))
    assert [one["kind"] for one in kept["phases"]["alignment"]] == ["peak", "trough"]
    assert "series" not in kept
    plain = leads(STEPS, noisy(rise(1), 0), noisy(rise(1.5), 1), surrogates=99)
    assert plain.phases is None
    assert "turning points" not in str(plain)


def test_planted_curves_turn_where_they_say():
    for shape, seed in itertools.product(("logistic", "cosine"), range(20)):
        world = planted_phases(600, seed=seed, shape=shape, noise=0.0)
        u = np.log10(world.steps + 1.0)
        peak, trough = world.turns
        between = (u > 0.5) & (u < 3.2)
        assert abs(u[between][world.alignment[between & (u < trough)].argmax()] - peak) < 0.03
        after = (u > peak) & (u < 3.2)
        assert abs(u[after][world.alignment[after].argmin()] - trough) < 0.03
