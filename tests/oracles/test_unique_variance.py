"""Unique variance against himalaya and an explicit hat matrix, and worlds whose share is planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from himalaya.ridge import GroupRidgeCV
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit

from ontogeny import Features
from ontogeny.brain import Target
from ontogeny.extraction.features import Site
from ontogeny.metrics import UniqueVariance, make_folds
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.metrics.ridge.ridge import ALPHAS
from ontogeny.metrics.ridge.unique_variance import RATIOS, unique_variance
from ontogeny.stimuli import nuisance_features

pytestmark = pytest.mark.oracle


def nuisance_of(values):
    return Nuisance(name="n", stimulus_ids=tuple(f"s{i}" for i in range(len(values))), values=values)


def world(rng, n, *, v=30, width=40, shares=(0.3, 0.4)):
    """Nuisance, a layer's own signal, and voxels that take these shares of their variance from them, the rest noise."""
    parts = [rng.standard_normal((n, 9)), rng.standard_normal((n, width))]
    signal = [part @ rng.standard_normal((part.shape[1], v)) for part in parts]
    noise = rng.standard_normal((n, v))
    y = sum(np.sqrt(share) * s / s.std(axis=0) for share, s in zip(shares, signal, strict=True))
    return *parts, y + np.sqrt(1 - sum(shares)) * noise


def bands(x, nuisance):
    """Both bands with a mean sum of squares of 1 a stimulus."""
    z = (nuisance - nuisance.mean(axis=0)) / nuisance.std(axis=0) / np.sqrt(nuisance.shape[1])
    x = x - x.mean(axis=0)
    return x / np.sqrt((x**2).sum() / len(x)), z


def r2(missed, about_mean):
    return 1 - sum((m**2).sum(axis=0) for m in missed) / sum((t**2).sum(axis=0) for t in about_mean)


@pytest.mark.parametrize("width", [20, 300])
def test_gains_equal_a_search_with_explicit_hat_matrices(rng, width):
    nuisance, x, y = world(rng, 60, v=6, width=width)
    folds = make_folds(60)
    layer, known = bands(x, nuisance)
    candidates = [known, *(np.c_[known * (1 / (1 + r)) ** 0.5, layer * (r / (1 + r)) ** 0.5] for r in RATIOS)]
    missed, total = {True: [], False: []}, []
    for train, test in folds:
        yc, held = y[train] - y[train].mean(axis=0), y[test] - y[train].mean(axis=0)
        total.append(held)
        for alone in (True, False):
            errors, predicted = [], []
            for joined in candidates[:1] if alone else candidates:
                xc, xt = joined[train] - joined[train].mean(axis=0), joined[test] - joined[train].mean(axis=0)
                for alpha in np.array(ALPHAS) * (xc**2).sum() / len(train):
                    dual = np.linalg.inv(xc @ xc.T + alpha * np.eye(len(train)))
                    errors.append(((alpha * dual @ yc) ** 2).sum(axis=0) / (alpha * np.trace(dual) - 1) ** 2)
                    predicted.append(xt @ xc.T @ dual @ yc)
            best = np.argmin(errors, axis=0)
            missed[alone].append(held - np.stack([predicted[b][:, i] for i, b in enumerate(best)], axis=1))
    expected = r2(missed[False], total) - r2(missed[True], total)
    found = unique_variance(x, nuisance_of(nuisance), y, folds=folds)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_ratio_and_penalty_is_himalayas_banded_ridge(rng):
    nuisance, x, y = world(rng, 200, shares=(0.1, 0.8))
    folds, ratio, alpha = make_folds(200), 4.0, 0.01
    layer, known = bands(x, nuisance)
    missed, alone, total = [], [], []
    for train, test in folds:
        joined = np.c_[known / 5**0.5, layer * 0.8**0.5]
        penalty = alpha * ((joined[train] - joined[train].mean(axis=0)) ** 2).sum() / len(train)
        model = GroupRidgeCV(
            groups=[0] * known.shape[1] + [1] * layer.shape[1],
            fit_intercept=True,
            solver_params={"n_iter": np.array([[0.2, 0.8]]), "alphas": np.array([penalty]), "progress_bar": False},
        ).fit(np.c_[known, layer][train], y[train])
        missed.append(y[test] - model.predict(np.c_[known, layer][test]))
        penalty = alpha * ((known[train] - known[train].mean(axis=0)) ** 2).sum() / len(train)
        alone.append(y[test] - SklearnRidge(alpha=penalty).fit(known[train], y[train]).predict(known[test]))
        total.append(y[test] - y[train].mean(axis=0))
    found = unique_variance(x, nuisance_of(nuisance), y, folds=folds, ratios=(ratio,), alphas=(alpha,))
    np.testing.assert_allclose(found, r2(missed, total) - r2(alone, total), atol=1e-5)


def test_himalaya_with_its_own_selection_rule_lands_close(rng):
    nuisance, x, y = world(rng, 300)
    folds = make_folds(300)
    layer, known = bands(x, nuisance)
    gammas = np.array([[1 / (1 + r), r / (1 + r)] for r in RATIOS])
    missed, alone, total = [], [], []
    for train, test in folds:
        inner = PredefinedSplit(np.unique(np.array(folds.held_out)[train], return_inverse=True)[1])
        both = np.c_[known, layer]
        for store, x_all, groups, some in (
            (missed, both, [0] * 9 + [1] * 40, gammas),
            (alone, known, [0] * 9, np.ones((1, 1))),
        ):
            params = {"n_iter": some, "alphas": np.array(ALPHAS), "progress_bar": False}
            model = GroupRidgeCV(groups=groups, fit_intercept=True, cv=inner, solver_params=params)
            store.append(y[test] - model.fit(x_all[train], y[train]).predict(x_all[test]))
        total.append(y[test] - y[train].mean(axis=0))
    expected = r2(missed, total) - r2(alone, total)
    found = unique_variance(x, nuisance_of(nuisance), y, folds=folds)
    assert abs(found.mean() - expected.mean()) < 0.01
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_a_layer_gets_its_planted_share_and_a_copy_of_the_nuisance_gets_nothing(rng):
    nuisance, own, y = world(rng, 900, v=200, width=15)
    folds, known = make_folds(900), nuisance_of(nuisance)

    def share(x):
        return unique_variance(x, known, y, folds=folds).mean()

    assert share(own) == pytest.approx(0.4, abs=0.02)
    both = np.c_[own, nuisance]
    assert share(both @ rng.standard_normal((24, 60))) == pytest.approx(0.4, abs=0.02)
    assert abs(share(nuisance @ rng.standard_normal((9, 60)))) < 0.002
    assert -0.005 < share(np.c_[nuisance, rng.standard_normal((900, 50))]) < 0.002
    assert -0.005 < share(rng.standard_normal((900, 60))) < 0.002


def test_with_one_penalty_for_both_a_layer_of_noise_would_cost_the_nuisance_its_share(rng):
    nuisance, _, y = world(rng, 200, shares=(0.6, 0.0), width=1)
    noise = rng.standard_normal((200, 400))
    folds, joined = make_folds(200), np.c_[nuisance, noise]
    missed, alone, total = [], [], []
    for train, test in folds:
        for store, x in ((missed, joined), (alone, nuisance)):
            model = RidgeCV(alphas=np.logspace(-2, 5, 15), alpha_per_target=True).fit(x[train], y[train])
            store.append(y[test] - model.predict(x[test]))
        total.append(y[test] - y[train].mean(axis=0))
    assert (r2(missed, total) - r2(alone, total)).mean() < -0.2
    assert -0.01 < unique_variance(noise, nuisance_of(nuisance), y, folds=folds).mean() < 0.002


def test_a_benchmark_finds_the_nuisance_by_id_and_states_a_ceiling(text_benchmark):
    stimuli = text_benchmark.stimuli
    values = nuisance_features(stimuli)
    order = np.random.default_rng(0).permutation(len(stimuli))
    shuffled = Nuisance(name="mine", stimulus_ids=tuple(stimuli.ids[i] for i in order), values=values[order])
    benchmark = replace(text_benchmark, metrics=(UniqueVariance(), UniqueVariance(nuisance=shuffled)))
    x = torch.as_tensor(np.random.default_rng(1).standard_normal((40, 5)) + values[:, :1])
    features = Features(stimulus_ids=stimuli.ids, values={Site("layer", "mean"): x}, refused={})
    scores = [s for s in benchmark.score(features) if s.kind == "alignment"]
    by_name = {(s.metric, s.roi): s for s in scores}
    for roi in ("left", "right"):
        own, given = by_name["unique-r2-surface", roi], by_name["unique-r2-mine", roi]
        assert own.value == pytest.approx(given.value, abs=1e-7)
        assert (own.unit, own.chance) == ("R^2", 0.0)
        assert own.value < 0.05
        assert own.ceiling < 0.8**2 + 0.1


def test_the_ceiling_is_what_noise_allows_less_what_the_nuisance_takes(rng):
    nuisance, _, y = world(rng, 900, v=100, shares=(0.3, 0.5), width=15)
    target = Target(subject="s", roi="r", responses=y, ceiling=np.full(100, np.sqrt(0.8)), n_voxels=100)
    prepared = UniqueVariance(nuisance=nuisance_of(nuisance)).prepare([target], make_folds(900))
    assert prepared.ceilings[0] == pytest.approx(0.5, abs=0.02)
