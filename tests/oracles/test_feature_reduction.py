"""Feature reduction in a pipeline: fitted on training stimuli alone, or before and named; random, but frozen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection

from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import Encoding, LayerGeometry, make_folds

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("unchecked")]

N, FITTED = 60, []
PROJECTIONS = [SparseRandomProjection, GaussianRandomProjection]


class Remembers(TransformerMixin, BaseEstimator):
    """Passes features on, and remembers which rows it was fitted to: the first feature is the row's number."""

    def fit(self, x, y=None):
        FITTED.append(np.round(x[:, 0]).astype(int).tolist())
        return self

    def transform(self, x):
        return x


def world(rng, d=80, voxels=4):
    x = rng.standard_normal((N, d)) * np.linspace(4, 0.5, d)
    return x, x[:, :3] @ rng.standard_normal((3, voxels)) + 6 * rng.standard_normal((N, voxels))


def score(estimator, x, y, folds=None, **options):
    target = Target(subject="s", roi="IT", responses=y, n_voxels=y.shape[1])
    prepared = Encoding(estimator, **options).prepare([target], folds or make_folds(N))
    FITTED.clear()
    return prepared.score(LayerGeometry(torch.as_tensor(x)))[0].value


def by_hand(x, y, fit):
    """Mean r over folds and voxels, features of each fold by `fit(train)`, a transformer."""
    out = []
    for train, test in make_folds(N):
        reduced = fit(train)
        predicted = LinearRegression().fit(reduced.transform(x[train]), y[train]).predict(reduced.transform(x[test]))
        out.append([pearsonr(p, t)[0] for p, t in zip(predicted.T, y[test].T, strict=True)])
    return float(np.mean(out))


@pytest.mark.parametrize("cv", [None, ShuffleSplit(7, train_size=0.9, random_state=1)], ids=["folds", "repeated"])
def test_a_reduction_is_never_fitted_to_what_is_held_out(cv, rng):
    x, y = world(rng)
    x[:, 0] = np.arange(N)
    score(make_pipeline(Remembers(), Ridge()), x, y, cv=cv)
    splits = list(make_folds(N) if cv is None else make_folds(N, cv=cv))
    assert sorted(FITTED) == sorted(train.tolist() for train, _ in splits)


def test_principal_components_are_those_of_the_training_stimuli(rng):
    x, y = world(rng)
    found = score(make_pipeline(PCA(5, random_state=0), LinearRegression()), x, y)
    assert found == pytest.approx(by_hand(x, y, lambda train: PCA(5, random_state=0).fit(x[train])), abs=1e-9)
    leaky = by_hand(x, y, lambda _: PCA(5, random_state=0).fit(x))
    assert abs(found - leaky) > 1e-3


def test_components_of_other_stimuli_are_taken_as_they_were_fitted_and_their_name_says_so(rng):
    x, y = world(rng)
    others = [rng.standard_normal((200, 80)) * np.linspace(1, 3, 80) for _ in range(2)]
    fitted = [PCA(5, random_state=0).fit(other) for other in others]
    metrics = [Encoding(make_pipeline(FrozenEstimator(one), LinearRegression())) for one in fitted]
    assert metrics[0].name.startswith("encoding-PCA(n_components=5, random_state=0) fitted before ")
    assert metrics[0].name != metrics[1].name
    assert metrics[0].name == Encoding(make_pipeline(FrozenEstimator(fitted[0]), LinearRegression())).name
    for metric, one in zip(metrics, fitted, strict=True):
        assert score(metric.estimator, x, y) == pytest.approx(by_hand(x, y, lambda _, one=one: one), abs=1e-9)
    with pytest.raises(MetricError, match="PCA.* fitted before .* failed in fold 0 .*80 features"):
        score(metrics[0].estimator, x[:, :70], y)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.__name__)
def test_a_random_projection_is_one_and_the_same_in_all_folds_and_probes(projection, rng):
    x, y = world(rng)
    one = projection(9, random_state=3).fit(x)
    found = [score(make_pipeline(projection(9, random_state=3), LinearRegression()), x, y) for _ in range(2)]
    assert found == pytest.approx([by_hand(x, y, lambda _: one)] * 2, abs=1e-9)
    other = make_pipeline(projection(9, random_state=4), LinearRegression())
    assert score(other, x, y) != pytest.approx(found[0], abs=1e-6)
    assert "random_state=4" in Encoding(other).name
    unseeded = [score(make_pipeline(projection(9), LinearRegression()), x, y) for _ in range(2)]
    assert unseeded[0] == unseeded[1]


def test_a_projection_of_johnson_and_lindenstrauss_size_keeps_what_ridge_finds(rng):
    x = rng.standard_normal((N, 20_000))
    x[:, 0] *= 100
    y = x[:, :1] * np.array([[0.02, -0.01]]) + rng.standard_normal((N, 2))
    whole = score(Ridge(), x, y)
    reduced = score(make_pipeline(SparseRandomProjection(eps=0.3, random_state=0), Ridge()), x, y)
    assert whole > 0.5
    assert reduced == pytest.approx(whole, abs=0.05)
