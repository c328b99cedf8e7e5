"""Partial least squares without passes over the features, against scikit-learn's own `PLSRegression`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from sklearn.cross_decomposition import PLSRegression
from sklearn.exceptions import ConvergenceWarning

from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics import Encoding, LayerGeometry, make_folds
from ontogeny.metrics.encoding_models._pls import fast_pls, pls_predict

pytestmark = pytest.mark.oracle

SHAPES = [(60, 20, 5), (60, 20, 30), (60, 200, 5), (60, 200, 90), (60, 8, 1)]


class Own(PLSRegression):
    """A user's own, which is fitted as it is."""

    def predict(self, X, copy=True):
        return 2 * super().predict(X)


def world(rng, n, d, v, *, signal):
    x = rng.standard_normal((n, d)) * np.linspace(3, 0.3, d) + 5
    return x, signal * x[:, :3] @ rng.standard_normal((3, v)) + rng.standard_normal((n, v)) - 2


def both(pls, x, y, held_out):
    """Predictions and warnings of scikit-learn, and of ours."""
    out = []
    for way in (lambda: pls.fit(x, y).predict(held_out), lambda: pls_predict(pls, x, y, held_out)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            predicted = way()
        out.append((predicted, [c.category for c in caught]))
    return out


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("signal", [1.0, 0.0], ids=["signal", "noise"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_predictions_and_warnings_are_those_of_scikit_learn(shape, signal, scale, rng):
    x, y = world(rng, *shape, signal=signal)
    x[:, 0] = 1.0  # a constant feature
    given = x.copy(), y.copy()
    (a, warned), (b, ours) = both(PLSRegression(6, scale=scale), x[:45], y[:45], x[45:])
    assert b == pytest.approx(a.reshape(b.shape), abs=1e-8 * np.abs(a).max())
    assert ours == warned
    assert np.array_equal(x, given[0])
    assert np.array_equal(y, given[1])


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
@pytest.mark.parametrize(("d", "v"), [(30, 4), (4, 30)])
def test_what_does_not_converge_stops_where_scikit_learn_does(limit, d, v, rng):
    x, y = world(rng, 40, d, v, signal=0.0)
    (a, warned), (b, ours) = both(PLSRegression(4, max_iter=limit), x[:30], y[:30], x[30:])
    assert b == pytest.approx(a, abs=1e-8 * np.abs(a).max())
    assert ours == warned
    assert (ConvergenceWarning in ours) == (limit < 500)


def test_where_nothing_is_left_to_explain_scikit_learn_is_asked(rng):
    x, y = world(rng, 40, 10, 4, signal=1.0)
    low = x[:, :3] @ rng.standard_normal((3, 10))
    assert pls_predict(PLSRegression(6), low, y, low) is None
    assert pls_predict(PLSRegression(11), x, y, x) is None
    with np.errstate(all="ignore"):
        assert pls_predict(PLSRegression(2), x, y * np.nan, x) is None
    with pytest.raises(MetricError, match=r"n_components.*upper bound is 10"):
        Encoding(PLSRegression(11))(x, y)
    y[:, 0] = 0
    a, b = PLSRegression(3, scale=False).fit(x, y).predict(x), pls_predict(PLSRegression(3, scale=False), x, y, x)
    assert b == pytest.approx(a, abs=1e-9)


def test_estimators_of_other_kinds_are_fitted_as_they_are(rng):
    x, y = world(rng, 50, 10, 4, signal=1.0)
    assert fast_pls(PLSRegression())
    assert not fast_pls(Own())
    assert not fast_pls(PLSRegression(algorithm="svd") if "algorithm" in PLSRegression().get_params() else Own())
    own = Encoding(Own(3), score="r2")(x, y).value
    assert own < Encoding(PLSRegression(3), score="r2")(x, y).value


def test_more_features_than_stimuli_are_turned_without_changing_a_score(rng):
    x, y = world(rng, 60, 900, 8, signal=1.0)
    folds = make_folds(60, n_folds=4)
    expected = []
    for train, test in folds:
        predicted = PLSRegression(5, scale=False).fit(x[train], y[train]).predict(x[test])
        expected.append([np.corrcoef(p, t)[0, 1] for p, t in zip(predicted.T, y[test].T, strict=True)])
    prepared = Encoding(PLSRegression(5, scale=False)).prepare(
        [Target(subject="s", roi="r", responses=y, n_voxels=8)], folds
    )
    assert prepared.per_voxel(LayerGeometry(torch.as_tensor(x))) == pytest.approx(np.mean(expected, axis=0), abs=1e-7)
