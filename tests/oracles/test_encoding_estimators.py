"""Encoding with scikit-learn's estimators, against the same steps written with scikit-learn and scipy alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from himalaya.ridge import RidgeCV as HimalayaRidge
from scipy.stats import pearsonr
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, RidgeCV
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, PredefinedSplit, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVR

from ontogeny.brain import Target
from ontogeny.metrics import Encoding, LayerGeometry, Ridge, make_folds

pytestmark = pytest.mark.oracle


class Own(BaseEstimator, RegressorMixin):
    """A user's own, one voxel at a time: least squares on the first features."""

    def __init__(self, n=3):
        self.n = n

    def fit(self, x, y):
        if np.ndim(y) != 1:
            raise ValueError("one voxel at a time")
        self.w = np.linalg.lstsq(x[:, : self.n] - x[:, : self.n].mean(0), y - y.mean(), rcond=None)[0]
        self.b = y.mean() - x[:, : self.n].mean(0) @ self.w
        return self

    def predict(self, x):
        return x[:, : self.n] @ self.w + self.b


ESTIMATORS = {
    "pls": PLSRegression(n_components=5),
    "pipeline": make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-2, 4, 7))),
    "linear": LinearRegression(),
    "projection": make_pipeline(SparseRandomProjection(n_components=9, random_state=0), SklearnRidge()),
    "forest": RandomForestRegressor(n_estimators=5, random_state=0),
    "one voxel at a time": SVR(kernel="linear"),
    "search inside": GridSearchCV(SklearnRidge(), {"alpha": [1.0, 100.0]}, cv=3),
    "himalaya": HimalayaRidge(alphas=[1.0, 10.0, 100.0]),
    "own": Own(),
}


def world(rng, n=60, d=20, voxels=4):
    x = rng.standard_normal((n, d)) * 3 + 1
    y = x[:, :3] @ rng.standard_normal((3, voxels)) + 4 * rng.standard_normal((n, voxels))
    return x, y


def by_hand(estimator, x, y, splits):
    """Predictions of each split, with nothing of ours."""
    from copy import deepcopy

    out = []
    for train, test in splits:
        try:
            predicted = np.asarray(deepcopy(estimator).fit(x[train], y[train]).predict(x[test]))
        except ValueError:
            columns = [deepcopy(estimator).fit(x[train], v).predict(x[test]) for v in y[train].T]
            predicted = np.stack(columns, axis=1)
        out.append((predicted.reshape(len(test), -1), y[test], y[train]))
    return out


def pearson_by_hand(estimator, x, y, splits):
    """r of each split and voxel."""
    predicted = by_hand(estimator, x, y, splits)
    return np.array([[pearsonr(p, t)[0] for p, t in zip(a.T, b.T, strict=True)] for a, b, _ in predicted])


def score(metric, x, y, folds, **options):
    target = Target(subject="s", roi="IT", responses=y, n_voxels=y.shape[1], **options)
    return metric.prepare([target], folds).score(LayerGeometry(torch.as_tensor(x)))[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_pearson_r_of_held_out_stimuli_equals_scikit_learn_and_scipy(name, rng):
    x, y = world(rng)
    folds = make_folds(60, n_folds=4)
    expected = np.mean(
        [
            [pearsonr(p, t)[0] for p, t in zip(a.T, b.T, strict=True)]
            for a, b, _ in by_hand(ESTIMATORS[name], x, y, folds)
        ],
        axis=0,
    )
    found = score(Encoding(ESTIMATORS[name]), x, y, folds)
    assert found.value == pytest.approx(expected.mean(), abs=1e-6)
    assert found.chance == 0
    median = score(Encoding(ESTIMATORS[name], over_voxels="median"), x, y, folds)
    assert median.value == pytest.approx(np.median(expected), abs=1e-6)


def test_a_search_has_one_choice_for_all_voxels_of_a_target_where_what_it_searches_takes_several(rng):
    """Voxels that would choose other penalties alone: the search is scikit-learn's own on all of them."""
    x, _ = world(rng)
    y = np.c_[x[:, 0] * 5, rng.standard_normal((60, 2)) * 30] + rng.standard_normal((60, 3))
    folds = make_folds(60, n_folds=4)
    search = GridSearchCV(SklearnRidge(), {"alpha": [0.1, 1e5]}, cv=3)
    expected = pearson_by_hand(search, x, y, folds).mean()
    alone = np.mean([pearson_by_hand(search, x, voxel[:, None], folds) for voxel in y.T])
    assert score(Encoding(search), x, y, folds).value == pytest.approx(expected, abs=1e-9)
    assert abs(expected - alone) > 1e-3
    assert score(Encoding(GridSearchCV(SVR(), {"C": [1.0, 9.0]}, cv=3)), x, y, folds).value != 0


def test_r2_of_one_split_equals_scikit_learn_and_pools_over_folds(rng):
    x, y = world(rng)
    one = [(np.arange(40), np.arange(40, 60))]
    (predicted, held, train), *_ = by_hand(LinearRegression(), x, y, one)
    errors = ((held - predicted) ** 2).sum(0)
    about_training = 1 - errors / ((held - train.mean(0)) ** 2).sum(0)
    found = score(Encoding(LinearRegression(), score="r2", cv=one), x, y, make_folds(60))
    assert found.value == pytest.approx(about_training.mean(), abs=1e-9)
    assert found.value > r2_score(held, predicted)  # about the mean of what is held out, which nobody could predict


def test_noise_normalised_is_r_squared_over_the_squared_ceiling_within_bounds(rng):
    x, y = world(rng)
    ceiling = np.array([0.9, 0.8, 0.5, 0.05])
    folds = make_folds(60, n_folds=4)
    each = [
        [pearsonr(p, t)[0] for p, t in zip(a.T, b.T, strict=True)]
        for a, b, _ in by_hand(LinearRegression(), x, y, folds)
    ]
    r = np.mean(each, axis=0)
    found = score(Encoding(LinearRegression(), score="noise-normalised"), x, y, folds, ceiling=ceiling)
    assert found.value == pytest.approx(np.clip(r * abs(r) / ceiling**2, 0, 1).mean(), abs=1e-9)
    assert found.ceiling == 1


@pytest.mark.parametrize("alpha", [1.0, 300.0])
def test_our_ridge_gives_the_number_of_scikit_learn_s_at_the_same_penalty(alpha, rng):
    x, y = world(rng)
    folds = make_folds(60, n_folds=4)
    powers = [np.square(x[train] - x[train].mean(0)).sum() / len(train) for train, _ in folds]
    values = [
        score(Encoding(SklearnRidge(alpha=alpha * power), cv=[split]), x, y, folds).value
        for split, power in zip(folds, powers, strict=True)
    ]
    assert score(Ridge(alphas=(alpha,)), x, y, folds).value == pytest.approx(np.mean(values), abs=1e-6)


@pytest.mark.parametrize(
    "cv",
    [
        KFold(5),
        ShuffleSplit(10, test_size=0.1, random_state=3),
        PredefinedSplit(np.arange(60) % 3),
        [(np.arange(30), np.arange(30, 60))],
        GroupKFold(4),
    ],
    ids=lambda cv: type(cv).__name__,
)
def test_splitters_of_scikit_learn_are_taken_once(cv, rng):
    x, y = world(rng)
    if isinstance(cv, GroupKFold):
        cv = list(cv.split(x, groups=np.arange(60) // 7))
    splits = cv if isinstance(cv, list) else list(cv.split(x))
    metric = Encoding(LinearRegression(), cv=cv)
    each = [
        [pearsonr(p, t)[0] for p, t in zip(a.T, b.T, strict=True)]
        for a, b, _ in by_hand(LinearRegression(), x, y, splits)
    ]
    prepared = metric.prepare([Target(subject="s", roi="IT", responses=y, n_voxels=4)], make_folds(60))
    assert len(prepared.splits) == len(splits)
    assert prepared.score(LayerGeometry(torch.as_tensor(x)))[0].value == pytest.approx(np.mean(each), abs=1e-9)
