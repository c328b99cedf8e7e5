"""Conjugate flips: what they keep, what they turn round; cross-correlation between checkpoints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontogeny.errors import LagError
from ontogeny.lag import granger
from ontogeny.lag.granger import time_reversed_net
from ontogeny.lag.null.surrogates import cross_correlation, flip_signs, flipped, rate, tail
from ontogeny.simulated.planted_leads import planted_lead


@settings(deadline=None, max_examples=30)
@given(n=st.integers(12, 70), seed=st.integers(0, 99))
def test_flips_keep_amplitudes_and_the_size_of_every_cross_phase(n, seed):
    rng = np.random.default_rng(seed)
    pair = rng.standard_normal((2, n))
    signs = flip_signs(n, 5, rng)
    spectra = np.fft.rfft(pair, axis=1)
    a, p = (np.fft.rfft(x, axis=1) for x in flipped(pair, signs))
    cross, turned = np.conj(spectra[0]) * spectra[1], np.conj(a) * p
    np.testing.assert_allclose(np.abs(a), np.abs(spectra[:1]).repeat(5, axis=0), atol=1e-9)
    np.testing.assert_allclose(turned.real, cross.real[None].repeat(5, axis=0), atol=1e-8)
    inner = slice(1, (n - 1) // 2 + 1)
    np.testing.assert_allclose(turned.imag[:, inner], (signs * cross.imag)[:, inner], atol=1e-8)


def test_flipping_every_frequency_reverses_time_and_the_statistic():
    pair = np.random.default_rng(0).standard_normal((2, 40))
    a, _ = flipped(pair, -np.ones((1, 21)))
    np.testing.assert_allclose(np.roll(a[0, ::-1], 1), pair[0], atol=1e-12)
    observed = time_reversed_net(pair[:1], pair[1:])[0]
    assert time_reversed_net(pair[:1, ::-1], pair[1:, ::-1])[0] == pytest.approx(-observed)


def test_cross_correlation_is_the_sum_of_products():
    rng = np.random.default_rng(0)
    a, p = rng.standard_normal((2, 1, 25))
    a, p = a - a.mean(), p - p.mean()
    shifts = np.arange(-4.0, 5.0)
    found = cross_correlation(a, p, shifts)[0]
    size = np.sqrt((a**2).sum() * (p**2).sum())
    for shift, value in zip(shifts.astype(int), found, strict=True):
        pairs = [(a[0, i], p[0, i + shift]) for i in range(25) if 0 <= i + shift < 25]
        assert value == pytest.approx(sum(x * y for x, y in pairs) / size, abs=1e-12)


def test_a_shift_between_checkpoints_is_found_between_them():
    t = np.arange(64)
    a, p = (np.sin(2 * np.pi * (t - lag) / 16)[None] * np.hanning(64) for lag in (0.0, 1.5))
    shifts = np.arange(-4, 4.01, 0.05)
    assert shifts[cross_correlation(a, p, shifts).argmax()] == pytest.approx(1.5, abs=0.11)


def test_tails_count_the_observed_case():
    assert tail(np.asarray([0.1, 0.2, 0.3]), 0.25) == pytest.approx(2 / 4)
    assert tail(np.asarray([0.1, 0.2, 0.3]), 9.0) == pytest.approx(1 / 4)
    assert rate(0, 200).low == 0.0
    assert rate(10, 200).value == 0.05


@pytest.mark.usefixtures("unchecked")
def test_granger_refuses_what_it_cannot_test():
    world = planted_lead("null_white", 15, seed=0)
    with pytest.raises(LagError, match="15 checkpoints are too few for 5 lags"):
        granger(world.steps, world.alignment, world.performance, lags=5)
    with pytest.raises(LagError, match="that are not constant"):
        granger(world.steps, world.alignment * 0, world.performance)
    with pytest.raises(LagError, match="'aic' or 'bic', got 'hqic'"):
        granger(world.steps, world.alignment, world.performance, lags="hqic")


@pytest.mark.long
def test_flips_hold_the_level_under_one_drive_seen_with_unequal_noise():
    """Where Granger's own p is wrong in almost every case (see tests/oracles)."""
    hits = []
    for seed in range(60):
        world = planted_lead("null_common_a_smooth", 60, seed=500 + seed)
        found = granger(world.steps, world.alignment, world.performance, surrogates=199, seed=seed)
        hits.append((found.alignment_to_performance.p < 0.05, found.alignment_to_performance.p_flip < 0.05))
    usual, flip = np.mean(hits, axis=0)
    assert usual > 0.8
    assert flip < 0.15
