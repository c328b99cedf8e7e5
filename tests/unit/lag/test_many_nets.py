"""Net Granger of many pairs at once: that of each alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ontogeny.lag.false_discovery import false_discovery_control
from ontogeny.lag.granger import time_reversed_net
from ontogeny.lag.null._many_nets import time_reversed_nets
from ontogeny.lag.null.surrogates import flip_signs, flipped


@pytest.mark.parametrize("n", [12, 44, 61])
@pytest.mark.parametrize("lags", [1, 2, 3])
def test_many_are_each_alone(n, lags):
    rng = np.random.default_rng(n)
    pair = np.cumsum(rng.standard_normal((2, n)), axis=1)
    a, p = flipped(pair, flip_signs(n, 50, rng))
    np.testing.assert_allclose(time_reversed_nets(a, p, lags), time_reversed_net(a, p, lags), atol=1e-9)


def test_columns_that_are_nearly_one_are_made_the_exact_way():
    t = np.linspace(0, 1, 40)
    smooth = np.stack([np.sin(t + shift) for shift in np.linspace(0, 3, 8)])
    others = smooth + 1e-7 * np.random.default_rng(0).standard_normal(smooth.shape)
    np.testing.assert_array_equal(time_reversed_nets(smooth, others), time_reversed_net(smooth, others))


@pytest.mark.parametrize("n", [1, 2, 30])
def test_false_discovery_is_scipys(n):
    p = np.random.default_rng(n).uniform(size=n) ** 3
    np.testing.assert_array_equal(false_discovery_control(p), stats.false_discovery_control(p))
    by = stats.false_discovery_control(p, method="by")
    np.testing.assert_array_equal(false_discovery_control(p, any_dependence=True), by)
