"""Curves: their derivatives, what is recovered from them, and when they are said to be half-way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from ontogeny.lag.fit._curve_shapes import SHAPES, curve
from ontogeny.lag.fit._growth_curve import fit_rises, log_steps
from ontogeny.lag.fit.decompose import decompose
from ontogeny.lag.fit.timing import timing
from ontogeny.simulated.planted_leads import planted_lead, pythia_steps

THETA = {
    "one rise": [0.1, 0.5, 3.2, np.log(0.25), np.log(1.3)],
    "one rise and a bump": [0.1, 0.5, 3.0, np.log(0.25), np.log(1.3), 0.2, 3.9, np.log(0.2)],
    "two rises": [0.1, 0.5, 2.8, np.log(0.2), np.log(1.3), 0.2, 4.4, np.log(0.08)],
}
U = log_steps(pythia_steps(60))


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_are_those_of_the_curve(shape):
    theta = np.asarray(THETA[shape])[None]
    _, exact = curve(U, theta, shape)
    for i in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, i] = 1e-6
        numeric = (curve(U, theta + step, shape)[0] - curve(U, theta - step, shape)[0]) / 2e-6
        np.testing.assert_allclose(exact[..., i], numeric, atol=2e-7)


@pytest.mark.parametrize("nu", [0.2, 1.0, 3.0])
def test_the_half_point_is_a_parameter(nu):
    at = np.asarray([3.2])
    value = curve(at, np.asarray([[0.0, 1.0, 3.2, np.log(0.3), np.log(nu)]]), "one rise")[0]
    assert value[0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_noise_free_curve_is_recovered(shape):
    values = curve(U, np.asarray(THETA[shape])[None], shape)[0]
    fit = next(f for f in fit_rises(U, values)[0] if f.shape == shape)
    assert fit.rss < 1e-5 * np.ptp(values) ** 2
    assert fit.gain == pytest.approx(0.5 + (0.2 if shape == "two rises" else 0.0), abs=0.02)


@pytest.mark.oracle
def test_least_squares_of_scipy_finds_no_better_rise():
    for seed in range(6):
        world = planted_lead("null_white", 30, seed=seed)
        u = log_steps(world.steps)
        ours = fit_rises(u, world.alignment[None])[0][0]

        def left(theta, u=u, y=world.alignment):
            return y - curve(u, theta[None], "one rise")[0][0]

        span = np.ptp(world.alignment)
        low = [world.alignment.min() - span, -3 * span, u[0], np.log(0.04), np.log(0.08)]
        high = [world.alignment.max() + span, 3 * span, u[-1], np.log(1.5), np.log(6.0)]
        best = min(
            2 * least_squares(left, np.clip(start, low, high), bounds=(low, high)).cost
            for start in (ours.theta * 1.02, [0, span, 3.0, np.log(0.2), 0.0], [0, span, 3.5, np.log(0.4), 1.0])
        )
        assert ours.rss <= best * (1 + 1e-3)


def test_a_batch_gives_what_each_series_gives_alone():
    worlds = [planted_lead(kind, 30, seed=3) for kind in ("null_white", "null_dip", "lead_trend")]
    values = np.stack([w.alignment for w in worlds])
    together = fit_rises(log_steps(worlds[0].steps), values)
    for row, fits in zip(values, together, strict=True):
        alone = fit_rises(log_steps(worlds[0].steps), row[None])[0]
        for a, b in zip(fits, alone, strict=True):
            assert a.rss == pytest.approx(b.rss, rel=1e-6)


def test_crossings_are_those_of_the_noise_free_curve():
    theta = np.asarray(THETA["one rise"])
    timed = timing(fit_rises(U, curve(U, theta[None], "one rise")[0])[0])
    fine = np.linspace(0, 6, 600001)
    share = (curve(fine, theta[None], "one rise")[0][0] - theta[0]) / theta[1]
    for i, q in enumerate((0.25, 0.5, 0.75)):
        assert timed.best.u[i] == pytest.approx(fine[np.argmax(share >= q)], abs=2e-3)
    assert timed.shape == "one rise"
    assert len(timed.shapes) == 1


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_the_stated_error_of_a_half_point_is_its_spread_over_replicates(phi):
    """A known-answer world: many noises about one curve; white noise and AR(.6)."""
    rng = np.random.default_rng(1)
    truth = curve(U, np.asarray(THETA["one rise"])[None], "one rise")[0][0]
    noise = np.zeros((150, 60))
    shocks = rng.standard_normal((150, 60))
    noise[:, 0] = shocks[:, 0]
    for i in range(1, 60):
        noise[:, i] = phi * noise[:, i - 1] + np.sqrt(1 - phi**2) * shocks[:, i]
    found = [timing(fits[:1]).best for fits in fit_rises(U, truth + 0.02 * noise)]
    at = np.asarray([t.u[1] for t in found])
    stated = np.sqrt(np.mean([t.variance[1] for t in found]))
    assert at.mean() == pytest.approx(3.2, abs=3 * at.std() / np.sqrt(150) + 0.01)
    assert 0.8 < stated / at.std() < 1.35


def test_a_dip_is_seen_and_every_shape_is_heard():
    values = curve(U, np.asarray([*THETA["one rise and a bump"][:5], -0.2, 3.9, np.log(0.2)])[None], SHAPES[1])[0]
    timed = timing(fit_rises(U, values + 0.01 * np.random.default_rng(0).standard_normal(60))[0])
    assert timed.shape == "one rise and a bump"
    assert timed.one_rise.rise.shape == "one rise"
    assert len(timed.shapes) >= 2


def test_residuals_hold_no_slow_part():
    world = planted_lead("null_white", 60, seed=0)
    parts = decompose(world.steps.astype(float), np.stack([world.alignment, world.performance]))
    for row in parts.residuals:
        assert abs(np.polyfit(parts.u, row, 1)).max() < 1e-9


def test_half_points_of_planted_curves_agree_with_the_fits():
    for kind, tolerance in (("lead_trend", 0.12), ("null_overshoot", 0.2)):
        gaps = []
        for seed in range(12):
            world = planted_lead(kind, 60, seed=seed, lead=2)
            parts = decompose(world.steps.astype(float), np.stack([world.alignment, world.performance]))
            gaps.append(parts.timings[1].best.u[1] - parts.timings[0].best.u[1] - world.lead_log10)
        assert abs(np.median(gaps)) < tolerance / 3
        assert np.median(np.abs(gaps)) < tolerance
