"""A lead that is in these stimuli only is not claimed over stimuli; one that is in all is found."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rsatoolbox.util.inference_util import _dual_bootstrap
from scipy import stats

from ontogeny.brain import Target
from ontogeny.errors import LagError
from ontogeny.lag import DrawnRun, draw_stimuli, general_lead
from ontogeny.lag._variance import critical_t, crossed_variance, p_above
from ontogeny.lag.fit._growth_curve import fit_rises, half_points_like, log_steps
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.general_text import general_lines
from ontogeny.metrics import CKA, LayerGeometry, make_folds
from ontogeny.metrics.resampled import resampled
from ontogeny.simulated.drawn_leads import drawn_world

SUBJECTS, STIMULI = frozenset(["subjects"]), frozenset(["stimuli"])


def test_two_factors_are_the_corrected_bootstrap_of_rsatoolbox():
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.standard_normal((3, 400)) * rng.uniform(0.5, 1.5, (3, 1))
        drawn = {SUBJECTS: noise[:1], STIMULI: noise[1:2], SUBJECTS | STIMULI: (noise[:2].sum(axis=0) + noise[2])[None]}
        variances = np.array([leads.var() for leads in (drawn[SUBJECTS | STIMULI], drawn[SUBJECTS], drawn[STIMULI])])
        total, parts = crossed_variance(np.zeros(1), drawn, {"subjects": 5, "stimuli": 12})
        theirs = float(_dual_bootstrap(variances, n_rdm=5, n_pattern=12))
        assert total == pytest.approx(theirs) or theirs == pytest.approx(variances[0])  # their other upper bound
        assert parts["subjects"] == pytest.approx(5 / 4 * variances[1])


def test_three_crossed_factors_give_the_variance_of_the_mean():
    """Of a table of seeds x subjects x stimuli with known components, against its closed form."""
    rng, sizes = np.random.default_rng(1), (4, 5, 12)
    totals = []
    for _ in range(150):
        table = 1.0 * rng.standard_normal(sizes)
        for axis, sd in ((0, 0.4), (1, 0.5), (2, 0.8)):
            shape = [1, 1, 1]
            shape[axis] = sizes[axis]
            table = table + sd * rng.standard_normal(shape)
        s, t = (rng.multinomial(n, np.full(n, 1 / n), size=150) / n for n in sizes[1:])
        drawn = {
            SUBJECTS: np.einsum("rst,bs->rb", table, s) / sizes[2],
            STIMULI: np.einsum("rst,bt->rb", table, t) / sizes[1],
            SUBJECTS | STIMULI: np.einsum("rst,bs,bt->rb", table, s, t),
        }
        units = dict(zip(("seeds", "subjects", "stimuli"), sizes, strict=True))
        totals.append(crossed_variance(table.mean(axis=(1, 2)), drawn, units)[0])
    known = 0.16 / 4 + 0.25 / 5 + 0.64 / 12 + 1 / np.prod(sizes)
    assert np.mean(totals) == pytest.approx(known, rel=0.1)


def test_seeds_alone_are_the_usual_standard_error():
    values = np.array([0.1, 0.4, 0.2, 0.6])
    total, parts = crossed_variance(values, {}, {"seeds": 4})
    assert total == pytest.approx(values.var(ddof=1) / 4)
    assert critical_t(0.025, parts, {"seeds": 3.0}) == pytest.approx(stats.t.isf(0.025, 3))
    assert p_above(2.5, parts, {"seeds": 3.0}) == pytest.approx(stats.t.sf(2.5, 3))
    assert p_above(-2.5, parts, {"seeds": 3.0}) == pytest.approx(stats.t.sf(-2.5, 3))
    both = {"seeds": 3e-3, "stimuli": 1e-3}, {"seeds": 3.0, "stimuli": 11.0}
    assert p_above(critical_t(0.025, *both), *both) == pytest.approx(0.025)
    with pytest.raises(ValueError, match="a factor has 1 unit"):
        crossed_variance(values[:1], {}, {"seeds": 1})


def test_groups_are_drawn_whole():
    weights = draw_stimuli(["a", "a", "b", "c"], 200, seed=3)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("shape", [0, 2])
def test_half_points_of_further_series_are_those_of_a_fit_of_their_own(shape):
    u = np.linspace(0.3, 4, 24)
    rng = np.random.default_rng(2)
    rises = np.stack([1 / (1 + np.exp(-(u - at) / 0.2)) for at in (2.0, 1.8, 2.3)])
    rises += (0.4 / (1 + np.exp(-(u - 3.3) / 0.1)) if shape else 0) + 0.005 * rng.standard_normal((3, 24))
    own = [fits[shape] for fits in fit_rises(u, 5 * rises)]
    found = half_points_like(own[0], 5 * rises)
    f = np.stack([fit.at(np.linspace(0, 4, 4000)) for fit in own])
    half = np.array([fit.theta[0] + fit.gain / 2 for fit in own])
    expected = np.linspace(0, 4, 4000)[(f >= half[:, None]).argmax(axis=1)]
    assert found == pytest.approx(expected, abs=0.02)
    assert np.isnan(half_points_like(own[0], np.ones((1, 24)))).all()


def scores(world, weights):
    folds = make_folds(len(world.groups), n_folds=4, groups=world.groups)
    whose = [Target(subject=str(i), roi="R", responses=y, n_voxels=24) for i, y in enumerate(world.responses)]
    score = resampled(CKA(), whose, folds, weights)
    return [np.stack([score(LayerGeometry(torch.as_tensor(x))) for x in run], axis=1) for run in world.features]


def runs_of(world, half, *, draws=50):
    drawn = draw_stimuli(world.groups, draws)
    found = scores(world, np.concatenate([np.ones((1, len(world.groups))), drawn]))
    return [
        DrawnRun(
            name="",
            steps=world.steps,
            performance=world.performance(k, half),
            cells=("R",),
            scores=each[0][:, None],
            drawn=each[1:][:, :, None],
        )
        for k, each in enumerate(found)
    ]


@cache
def true_half():
    """Of the mean curve of many worlds."""
    worlds = [drawn_world(stimuli=0.3, n_steps=13, seed=9000 + seed) for seed in range(150)]
    mean = np.mean([scores(w, np.ones((1, 60)))[0][0].mean(axis=1) for w in worlds], axis=0)
    return float(fit_rises(log_steps(worlds[0].steps), mean[None])[0][0].theta[2])


@pytest.mark.slow
def test_a_lead_in_these_stimuli_only_is_not_claimed_over_stimuli_and_one_in_all_is_found():
    claimed, found, covered, fixed = [], [], [], []
    for seed in range(40):
        for lead in (0.0, 0.5):
            world = drawn_world(stimuli=0.3, n_steps=13, seed=seed)
            (run,) = runs_of(world, true_half() + lead)
            over = general_lead([run], over=("subjects", "stimuli"), n_stimuli=12)
            if lead:
                found.append(over.p_alignment_leads < 0.05)
                continue
            claimed.append(over.verdict != "no lead detected")
            covered.append(over.ci_log10[0] <= 0 <= over.ci_log10[1])
            alone = decompose(run.steps, np.stack([run.scores[:, 0].mean(axis=1), run.performance])).timings
            fixed.append(trend_lead(*alone).verdict in ("alignment leads", "performance leads"))
    assert sum(fixed) >= 8  # of 40: true of these stimuli
    assert sum(claimed) <= 5
    assert sum(covered) >= 35
    assert sum(found) >= 30


@pytest.mark.parametrize("draws", [-3, 0, 1, 49])
def test_so_few_draws_that_they_have_no_spread_are_refused(draws):
    (run,) = runs_of(drawn_world(n_steps=13, seed=3), 1.0)
    with pytest.raises(LagError, match=f"draws is {draws}; at least 50"):
        general_lead([run], over=("subjects",), draws=draws)
    with pytest.raises(LagError, match="draws is 0; at least 50"):
        general_lead([replace(run, drawn=run.drawn[:0])], over=("stimuli",), n_stimuli=12)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (lambda run: {"steps": run.steps[::-1]}, "have to rise"),
        (lambda run: {"steps": np.r_[run.steps[:1], run.steps[:-1]]}, "have to rise"),
        (lambda run: {"performance": run.performance[1:]}, "performance has shape"),
        (lambda run: {"cells": ("R", "S")}, "x 2 cells.*scores has shape"),
        (lambda run: {"drawn": run.drawn[:, 1:]}, "drawn has shape"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(wrong, reason):
    (run,) = runs_of(drawn_world(n_steps=13, seed=3), 1.0)
    fields = {name: getattr(run, name) for name in ("steps", "performance", "cells", "scores", "drawn")}
    with pytest.raises(LagError, match=reason):  # as without the tests' type checks, which see most of these before
        DrawnRun.__post_init__(SimpleNamespace(**fields | wrong(run)))
    with pytest.raises(LagError, match="one run or more"):
        general_lead([], over=("subjects",))
    with pytest.raises(LagError, match="same subjects"):
        general_lead([run, replace(run, scores=run.scores[..., 1:], drawn=None)], over=("subjects",))


def test_subjects_alone_are_a_t_test_over_their_influences():
    world = drawn_world(subjects=0.2, n_steps=13, size=(1, 8, 12, 5), seed=3)
    (run,) = runs_of(world, 2.2)
    few = general_lead([run], over=("subjects",), draws=2000)
    u, mean = log_steps(run.steps), run.scores[:, 0].mean(axis=1)
    fit = fit_rises(u, mean[None])[0][0]
    weights = np.linalg.pinv(fit.jacobian)[2]
    influence = weights @ (run.scores[:, 0] - mean[:, None])
    expected = influence.std(ddof=1) / np.sqrt(8)
    assert few.sources[0].error == pytest.approx(expected, rel=0.15)


def test_the_curve_that_ends_highest_is_taken_anew_in_every_draw():
    world = drawn_world(n_steps=13, seed=3)
    (run,) = runs_of(world, 2.6)
    rng = np.random.default_rng(0)
    level = 0.05 * rng.standard_normal((2, 6))
    level -= level.mean(axis=1, keepdims=True)
    two = DrawnRun(
        name="",
        steps=run.steps,
        performance=run.performance,
        cells=("R, a", "R, b"),
        scores=np.concatenate([run.scores, run.scores], axis=1) * (1 + level),
    )
    found = general_lead([two], over=("subjects",), draws=200)
    assert {name for name, _ in found.choices} == {"R, a", "R, b"}
    assert min(share for _, share in found.choices) > 0.1
    assert "curve taken: " in "\n".join(general_lines(found, details=True))


def test_what_is_too_few_is_refused_and_what_is_few_is_said():
    (run,) = runs_of(drawn_world(n_steps=13, size=(1, 4, 12, 5)), 2.6)
    found = general_lead([run], over=("subjects", "stimuli"), n_stimuli=12)
    assert [source.df for source in found.sources[:2]] == [3, 11]
    assert found.notes[0] == "4 subjects, fewer than 6: their share of the interval has 3 df."
    refused = general_lead([run], over=("stimuli",), n_stimuli=5)
    assert refused.verdict == "refused: 5 stimulus groups; at least 6 are needed to speak of further stimuli"
    assert np.isnan(refused.log10)
    assert general_lines(refused) == [f"{'generalises':<17}{refused.verdict}"]
    flat = DrawnRun(
        name="seed0", steps=run.steps, performance=run.performance, cells=("R",), scores=0 * run.scores + np.arange(4)
    )
    assert general_lead([flat], over=("subjects",)).verdict.startswith("refused: seed0: constant series")
    with pytest.raises(LagError, match="give DrawnRun"):
        general_lead([flat], over=("stimuli",), n_stimuli=12)
    with pytest.raises(LagError, match="over= names what is drawn anew"):
        general_lead([flat], over=())
