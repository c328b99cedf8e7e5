"""Ridge encoding against scikit-learn and himalaya: the same rule gives the same numbers."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV

from ontogeny.metrics import make_folds
from ontogeny.metrics.ridge.ridge import ALPHAS, ridge_cv

pytestmark = pytest.mark.oracle


def world(rng, n, d, v, noise=2.0):
    x = rng.standard_normal((n, d)) * np.linspace(2, 0.1, d)
    return x, x[:, :3] @ rng.standard_normal((min(3, d), v)) + noise * rng.standard_normal((n, v))


@pytest.mark.parametrize(("n", "d", "v"), [(100, 40, 5), (100, 300, 5), (200, 160, 40), (60, 1, 3)])
def test_loo_ridge_equals_scikit_learn_with_a_penalty_a_voxel(rng, n, d, v):
    x, y = world(rng, n, d, v)
    folds = make_folds(n)
    expected = []
    for train, test in folds:
        power = ((x[train] - x[train].mean(axis=0)) ** 2).sum()
        model = RidgeCV(alphas=np.array(ALPHAS) * power / len(train), alpha_per_target=True).fit(x[train], y[train])
        predicted = model.predict(x[test]).reshape(len(test), v)
        expected.append([np.corrcoef(predicted[:, i], y[test][:, i])[0, 1] for i in range(v)])
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, rule="loo"), np.mean(expected, axis=0), atol=1e-5)


def gcv_by_hand(x, y, alphas):
    """Ridge at the penalty with the smallest GCV error, through an explicit hat matrix (Golub et al. 1979)."""
    n = len(x)
    xc, yc = x - x.mean(axis=0), y - y.mean()
    scores = []
    for alpha in alphas:
        hat = xc @ np.linalg.solve(xc.T @ xc + alpha * np.eye(x.shape[1]), xc.T) + 1 / n
        scores.append(n * ((yc - (hat - 1 / n) @ yc) ** 2).sum() / (n - np.trace(hat)) ** 2)
    return alphas[int(np.argmin(scores))]


def test_gcv_ridge_equals_the_explicit_hat_matrix(rng):
    x, y = world(rng, 60, 12, 4)
    folds = make_folds(60)
    expected = []
    for train, test in folds:
        alphas = np.array(ALPHAS) * ((x[train] - x[train].mean(axis=0)) ** 2).sum() / len(train)
        row = []
        for v in range(4):
            alpha = gcv_by_hand(x[train], y[train, v], alphas)
            xc = x[train] - x[train].mean(axis=0)
            beta = np.linalg.solve(xc.T @ xc + alpha * np.eye(12), xc.T @ (y[train, v] - y[train, v].mean()))
            row.append(np.corrcoef(x[test] @ beta, y[test, v])[0, 1])
        expected.append(row)
    np.testing.assert_allclose(ridge_cv(x, y, folds=folds, rule="gcv"), np.mean(expected, axis=0), atol=1e-5)


def test_himalaya_with_its_own_selection_rule_lands_close(rng):
    from himalaya.ridge import RidgeCV as HimalayaRidgeCV

    x, y = world(rng, 300, 40, 20)
    folds = make_folds(300)
    expected = []
    for train, test in folds:
        mean_x, mean_y = x[train].mean(axis=0), y[train].mean(axis=0)
        power = ((x[train] - mean_x) ** 2).sum() / len(train)
        model = HimalayaRidgeCV(alphas=np.array(ALPHAS) * power, cv=5).fit(x[train] - mean_x, y[train] - mean_y)
        predicted = model.predict(x[test] - mean_x)
        expected.append([np.corrcoef(predicted[:, i], y[test][:, i])[0, 1] for i in range(20)])
    for rule in ("gcv", "loo"):
        assert abs(ridge_cv(x, y, folds=folds, rule=rule).mean() - np.mean(expected)) < 0.005
