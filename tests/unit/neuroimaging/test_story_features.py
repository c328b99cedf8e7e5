"""Words to volumes, against slow loops; and a world whose lag and signal share are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ontogeny.errors import DataError
from ontogeny.metrics import make_folds
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.neuroimaging import convolve_glover, fir_delays, glover_hrf, to_volumes, trimmed

TR = 2.0
STORIES = [f"story {s}" for s in range(8) for _ in range(120)]


def lanczos_loop(times, values, volume_times, window):
    out = np.zeros((len(volume_times), values.shape[1]))
    cutoff = 1 / np.mean(np.diff(volume_times))
    for i, new in enumerate(volume_times):
        for old, row in zip(times, values, strict=True):
            t = (new - old) * cutoff
            if t == 0:
                weight = 1.0
            elif abs(t) > window:
                weight = 0.0
            else:
                weight = window * math.sin(math.pi * t) * math.sin(math.pi * t / window) / (math.pi**2 * t**2)
            out[i] += weight * row
    return out


@pytest.fixture
def words(rng):
    times = np.sort(rng.uniform(0, 40, 100))
    times[7] = 5.0  # exactly at a volume
    return np.sort(times), rng.standard_normal((100, 3))


def test_lanczos_is_the_published_sum(words):
    times, values = words
    volumes = np.arange(20) * TR + 1
    for window in (2, 3):
        got = to_volumes(times, values, volumes, window=window)
        np.testing.assert_allclose(got, lanczos_loop(times, values, volumes, window), atol=1e-12)


def test_a_slow_signal_keeps_its_shape():
    times = np.arange(0, 200, 0.1)
    slow = np.sin(2 * np.pi * times / 40)[:, None]
    volumes = np.arange(100) * TR
    inner = slice(5, -5)
    got = to_volumes(times, slow, volumes)[inner, 0] / (TR / 0.1)
    np.testing.assert_allclose(got, np.sin(2 * np.pi * volumes[inner] / 40), atol=0.02)
    fast = to_volumes(times, np.sin(2 * np.pi * times / 1.3)[:, None], volumes)[inner, 0] / (TR / 0.1)
    assert np.abs(fast).max() < 0.05


def test_means_are_over_the_words_of_a_volume(words):
    times, values = words
    volumes = np.arange(25) * TR + 1
    got = to_volumes(times, values, volumes, how="mean")
    for middle, row in zip(volumes, got, strict=True):
        own = [v for t, v in zip(times, values, strict=True) if middle - 1 <= t < middle + 1]
        np.testing.assert_allclose(row, np.mean(own, axis=0) if own else 0, atol=1e-12)
    assert (got[-3:] == 0).all()


def test_delays_stay_within_their_story(rng):
    x = rng.standard_normal((7, 2))
    stories = ["a"] * 4 + ["b"] * 3
    got = fir_delays(x, stories=stories, delays=(0, 2, -1))
    expected = np.zeros((7, 6))
    for place, delay in enumerate((0, 2, -1)):
        for t in range(7):
            if 0 <= t - delay < 7 and stories[t - delay] == stories[t]:
                expected[t, 2 * place : 2 * place + 2] = x[t - delay]
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(DataError, match="a delay of 3 volumes is longer than story 'b', which has 3"):
        fir_delays(x, stories=stories, delays=(3,))


def test_the_response_is_glovers_as_another_package_parametrises_it():
    """fMRIstat: peaks 5.4 and 10.8 s, full widths at half maximum 5.2 and 7.35 s, dip .35 (rounded there)."""
    times, expected = np.arange(0, 32, 0.01), np.zeros(3200)
    for peak, fwhm, sign in ((5.4, 5.2, 1.0), (10.8, 7.35, -0.35)):
        alpha, beta = peak**2 / fwhm**2 * 8 * math.log(2), fwhm**2 / peak / 8 / math.log(2)
        expected += sign * (times / peak) ** alpha * np.exp(-(times - peak) / beta)
    fine = glover_hrf(0.01)
    np.testing.assert_allclose(fine / fine.max(), expected / expected.max(), atol=0.005)
    assert glover_hrf(2.0).sum() == pytest.approx(1)
    with pytest.raises(DataError, match="tr should be seconds, above 0 and at most 8, got 2000.*milliseconds"):
        glover_hrf(2000.0)


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_response_is_like_nilearns():
    """Its gammas peak .3 s earlier (it takes 6 for the mean where Glover has the exponent)."""
    models = pytest.importorskip("nilearn.glm.first_level.hemodynamic_models")
    theirs = models.glover_hrf(2.0, oversampling=200)[:3200]
    assert np.corrcoef(glover_hrf(0.01)[30:], theirs[:-30])[0, 1] > 0.995


def test_convolution_stays_within_its_story():
    x = np.zeros((40, 1))
    x[3] = x[12] = 1.0
    got = convolve_glover(x, stories=["a"] * 20 + ["b"] * 20, tr=TR)
    kernel = glover_hrf(TR)
    np.testing.assert_allclose(got[3:12, 0], kernel[:9], atol=1e-12)
    np.testing.assert_allclose(got[12:19, 0], kernel[9:] + kernel[:7], atol=1e-12)
    assert (got[20:] == 0).all()


def test_both_ends_of_every_story_are_cut():
    keep = trimmed(["a"] * 6 + ["b"] * 4, start=2, end=1)
    assert np.flatnonzero(keep).tolist() == [2, 3, 4, 8]
    with pytest.raises(DataError, match="cutting 2 and 2 volumes leaves nothing of story 'b', which has 4"):
        trimmed(["a"] * 6 + ["b"] * 4, start=2, end=2)


def heard(rng) -> np.ndarray:
    """Four word features of eight stories, at volumes of 2 s."""
    parts = []
    for _ in range(8):
        times = np.sort(rng.uniform(0, 240, 700))
        parts.append(to_volumes(times, rng.standard_normal((700, 4)), np.arange(120) * TR + 1))
    x = np.concatenate(parts)
    return (x - x.mean(0)) / x.std(0)


def scored(x, y, keep):
    stories = [s for s, kept in zip(STORIES, keep, strict=True) if kept]
    return float(ridge_cv(x[keep], y[keep], folds=make_folds(len(stories), n_folds=4, groups=stories)).mean())


@pytest.mark.parametrize("lag", [1, 3])
def test_a_planted_lag_and_signal_come_back(rng, lag):
    """30 voxels follow the features `lag` volumes ago, with half of their variance: r goes to sqrt(.5)."""
    x = heard(rng)
    signal = fir_delays(x, stories=STORIES, delays=(lag,)) @ rng.standard_normal((4, 30))
    y = signal / signal.std(0) + rng.standard_normal(signal.shape)
    keep = trimmed(STORIES, start=5, end=5)
    single = [scored(fir_delays(x, stories=STORIES, delays=(d,)), y, keep) for d in range(5)]
    assert int(np.argmax(single)) == lag
    assert single[lag] == pytest.approx(math.sqrt(0.5), abs=0.04)
    assert max(s for d, s in enumerate(single) if abs(d - lag) > 1) < 0.15
    fir = scored(fir_delays(x, stories=STORIES), y, keep)
    assert fir == pytest.approx(math.sqrt(0.5), abs=0.05)
    wrong_words = scored(fir_delays(heard(rng), stories=STORIES), y, keep)
    assert abs(wrong_words) < 0.1


def test_a_planted_haemodynamic_response_is_found_by_both_ways(rng):
    x = heard(rng)
    signal = convolve_glover(x, stories=STORIES, tr=TR) @ rng.standard_normal((4, 30))
    y = signal / signal.std(0) + rng.standard_normal(signal.shape)
    keep = trimmed(STORIES, start=5, end=5)
    glover = scored(convolve_glover(x, stories=STORIES, tr=TR), y, keep)
    fir = scored(fir_delays(x, stories=STORIES, delays=(1, 2, 3, 4, 5)), y, keep)
    undelayed = scored(x, y, keep)
    assert glover == pytest.approx(math.sqrt(0.5), abs=0.04)
    assert glover > fir > undelayed + 0.3


def test_what_does_not_fit_is_refused(rng, unchecked):
    x, volumes = rng.standard_normal((4, 2)), np.arange(5) * TR
    with pytest.raises(DataError, match="expected one time a word, 4 words, got 3 times"):
        to_volumes(np.arange(3.0), x, volumes)
    with pytest.raises(DataError, match="should rise evenly, two volumes or more; give one story at a time"):
        to_volumes(np.arange(4.0), x, np.array([0.0, 2, 4, 0, 2]))
    with pytest.raises(DataError, match="should be finite; leave words without a vector out"):
        to_volumes(np.arange(4.0), x * np.nan, volumes)
    with pytest.raises(DataError, match="how is 'lanczos' or 'mean', got 'sinc'"):
        to_volumes(np.arange(4.0), x, volumes, how="sinc")
    with pytest.raises(DataError, match="expected one story a volume, 4, got 1"):
        convolve_glover(x, stories=["a"], tr=TR)
