"""The variance of a lead of two curves that share their noise, against the delta method with the planted noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg
from tests.helpers.worlds import worlds

from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.fit._joint_noise import _covariance, lead_variance
from ontogeny.lag.fit._trend_lead import trend_lead
from ontogeny.lag.fit.timing import timing
from ontogeny.simulated.planted_leads import planted_lead, pythia_steps

pytestmark = pytest.mark.oracle

N = 40
HALF = 1


def ar(phi, sd):
    """Covariance of AR(1) noise."""
    return sd**2 * linalg.toeplitz(phi ** np.arange(N))


# shared noise and its sign in performance, and noise of each curve alone
NOISE = {
    "nothing shared": (ar(0.0, 0.0), 1, ar(0.0, 0.03)),
    "one slow drive": (ar(0.7, 0.04), 1, ar(0.0, 0.02)),
    "one drive, opposite signs": (ar(0.5, 0.03), -1, ar(0.0, 0.02)),
    "fast noise shared, slow noise of each": (ar(0.0, 0.04), 1, ar(0.7, 0.02)),
}


def noise_free():
    u = log_steps(pythia_steps(N))
    return u, np.stack([1 / (1 + np.exp(-(u - at) / 0.22)) for at in (3.2, 3.3)])


def fitted(values):
    u, _ = noise_free()
    return [timing(fits).one_rise for fits in fit_rises(u, values)]


@pytest.fixture(scope="module", params=NOISE)
def case(request):
    """Planted covariances (a, p, across), and fits of pairs with that noise."""
    shared, sign, own = NOISE[request.param]
    covariance = np.block([[shared + own, sign * shared], [sign * shared, shared + own]])
    rng = np.random.default_rng(3)
    _, curves = noise_free()
    count = len(worlds(40))
    drawn = rng.multivariate_normal(np.zeros(2 * N), covariance, size=count, method="eigh").reshape(count, 2, N)
    fits = fitted((curves + drawn).reshape(-1, N))
    true = [found.weights[HALF] for found in fitted(curves)]
    across = float(true[0] @ (sign * shared) @ true[1])
    alone = [float(w @ (shared + own) @ w) for w in true]
    return request.param, alone, across, list(zip(fits[::2], fits[1::2], strict=True))


def test_weights_are_the_derivatives_of_the_half_point():
    """By finite differences of whole fits."""
    _, curves = noise_free()
    clean = fitted(curves)[0]
    for place in (10, 20, 25):
        bumped = curves[:1].copy()
        bumped[0, place] += 1e-3
        moved = (fitted(bumped)[0].u[HALF] - clean.u[HALF]) / 1e-3
        assert moved == pytest.approx(clean.weights[HALF, place], abs=0.02 * np.abs(clean.weights[HALF]).max())


def test_the_covariance_of_two_half_points_is_that_of_the_delta_method(case):
    name, alone, across, pairs = case
    found = np.asarray([_covariance(a, p, HALF) for a, p in pairs])
    assert found.mean() == pytest.approx(across, abs=0.3 * np.sqrt(alone[0] * alone[1])), name
    assert np.sign(found.mean()) == np.sign(across) or across == 0


def test_leads_scatter_as_much_as_their_variance_says_and_no_more(case):
    name, alone, across, pairs = case
    true = sum(alone) - 2 * across
    leads = np.asarray([p.u[HALF] - a.u[HALF] for a, p in pairs])
    variances = np.asarray([lead_variance(a, p, HALF, df=N - 5) for a, p in pairs])
    assert np.median(variances) > 0.7 * true, name
    assert leads.var() < 2 * np.median(variances)
    if across > 0:  # the test before: as if nothing were shared
        assert np.median(variances) < 0.9 * np.median([a.variance[HALF] + p.variance[HALF] for a, p in pairs])


def test_it_is_one_variance_whichever_curve_comes_first_and_in_whatever_unit(case):
    a, p = case[3][0]
    for which in range(4):
        assert lead_variance(a, p, which, df=35) == pytest.approx(lead_variance(p, a, which, df=35), rel=1e-6)
    shown = fitted(np.stack([1000 * a.rise.values, p.rise.values - 7]))
    assert lead_variance(*shown, HALF, df=35) == pytest.approx(lead_variance(a, p, HALF, df=35), rel=1e-3)


def test_a_curve_and_its_shifted_copy_are_told_apart():
    """All noise shared: the interval is far narrower than of two curves of their own, and never nothing."""
    u, curves = noise_free()
    noise = 0.05 * np.random.default_rng(1).standard_normal(N)
    a, p = (timing(fits) for fits in fit_rises(u, curves + noise))
    low, high = trend_lead(a, p).ci_log10
    sds = [np.sqrt(t.one_rise.variance[HALF]) for t in (a, p)]
    assert 0 < high - low < 2 * 2.03 * np.hypot(*sds) / 2
    assert low < 0.1 < high


@pytest.mark.slow
def test_more_leads_are_found_where_noise_is_shared(monkeypatch):
    """The reduced form of analysis/14_shared_noise.py."""
    found = []
    for seed in worlds(40):
        world = planted_lead("lead_trend_shared", 30, seed=9000 + seed)
        fits = fit_rises(log_steps(world.steps), np.stack([world.alignment, world.performance]))
        pair = [timing(f) for f in fits]
        joint = trend_lead(*pair)
        with monkeypatch.context() as patch:
            patch.setattr(
                "ontogeny.lag.fit._trend_lead.lead_variance",
                lambda a, p, which, **_: a.crossing(which)[1] + p.crossing(which)[1],
            )
            apart = trend_lead(*pair)
        found.append((joint.p_alignment_leads < 0.05, apart.p_alignment_leads < 0.05, joint.p_performance_leads < 0.05))
    joint, apart, wrong = np.sum(found, axis=0)
    assert joint > apart
    assert wrong <= 1 + len(found) // 20
