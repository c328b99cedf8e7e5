"""Ceilings from repeats, on simulated responses whose share of signal is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ontogeny.brain import Target
from ontogeny.brain.noise_ceiling import (
    METHODS,
    ceiling_from_repeats,
    leave_one_subject_out,
    ncsnr,
    noise_ceiling,
    share_of_ceiling,
    split_half,
)
from ontogeny.errors import DataError
from ontogeny.metrics import RSA, LayerGeometry, make_folds

SNR = (0.0, 0.3, 0.6, 1.0, 2.0)


def simulated(counts, snr=SNR, *, per=40, seed=0):
    """Stimuli x repeats x voxels with an offset, `per` voxels an SNR; and the signal."""
    rng = np.random.default_rng(seed)
    scale = np.repeat(snr, per)
    signal = rng.standard_normal((len(counts), scale.size)) * scale
    out = signal[:, None] + rng.standard_normal((len(counts), max(counts), scale.size)) + 5.0
    for stimulus, count in enumerate(counts):
        out[stimulus, count:] = np.nan
    return out, signal


MIXED = [*[3] * 300, *[2] * 200, *[1] * 100]


@pytest.mark.parametrize("counts", [[2] * 400, [3] * 400, MIXED], ids=["two", "three", "mixed"])
def test_ncsnr_comes_back(counts):
    repeats, _ = simulated(counts)
    found = ncsnr(repeats).reshape(len(SNR), -1)
    assert found.mean(axis=1)[1:] == pytest.approx(SNR[1:], rel=0.08)
    assert np.square(found[0]).mean() < 0.05


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", [[2] * 500, [3] * 500, MIXED], ids=["two", "three", "mixed"])
def test_the_ceiling_is_what_a_perfect_model_reaches(method, counts):
    repeats, signal = simulated(counts, seed=1)
    means = np.nanmean(repeats, axis=1)
    perfect = [np.corrcoef(signal[:, v], means[:, v])[0, 1] for v in range(40, means.shape[1])]
    found, how = ceiling_from_repeats(repeats, method)
    by_level = np.reshape(found[40:], (4, -1)).mean(axis=1)
    assert by_level == pytest.approx(np.reshape(perfect, (4, -1)).mean(axis=1), abs=0.02)
    assert f"{len(counts)} stimuli" in how
    assert np.square(found[:40]).mean() < 0.05  # no signal: some 4 % of the variance by chance, half of the voxels 0
    assert 0.2 < np.mean(found[:40] == 0) < 0.8


def test_halves_of_equal_numbers_are_spearman_brown():
    repeats, _ = simulated([2] * 200, per=5)
    r = np.array([np.corrcoef(repeats[:, 0, v], repeats[:, 1, v])[0, 1] for v in range(repeats.shape[2])])
    found = split_half(repeats, splits=1)
    swapped = split_half(repeats, splits=200)
    keep = r > 0.3
    assert swapped[keep] == pytest.approx((2 * r / (1 + r))[keep], abs=0.03)
    assert found.shape == r.shape


def test_ncsnr_is_nsd_s_where_repeats_are_equal_and_responses_z_scored():
    """Their recipe: noise variance from repeats, total variance 1 of z-scored responses, the rest is signal."""
    repeats, _ = simulated([3] * 2000, per=10)
    flat = repeats.reshape(-1, repeats.shape[2])
    z = (repeats - flat.mean(axis=0)) / flat.std(axis=0)
    noise = z.var(axis=1, ddof=1).mean(axis=0)
    theirs = np.sqrt(np.maximum(1 - noise, 0) / noise)
    assert ncsnr(z) == pytest.approx(theirs, abs=0.03)


def test_noise_ceiling_is_the_formula_of_the_data_manual():
    counts = np.array([3] * 5 + [2] * 3 + [1] * 2)
    share = 0.5**2 / (0.5**2 + (5 / 3 + 3 / 2 + 2 / 1) / 10)
    assert noise_ceiling(np.array([0.5, 0.0, np.inf]), counts) == pytest.approx([np.sqrt(share), 0.0, 1.0])


def test_leaving_one_subject_out_finds_what_subjects_share():
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((3000, 4))
    subjects = [shared + rng.standard_normal(shared.shape) for _ in range(5)]
    expected = 1 / np.sqrt((1 + 1) * (1 + 1 / 4))
    for found in leave_one_subject_out(subjects):
        assert found == pytest.approx(np.full(4, expected), abs=0.04)


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_the_true_geometry_lies_between_the_bounds_of_rdms(noise):
    rng = np.random.default_rng(4)
    signal = rng.standard_normal((60, 30))
    subjects = [signal + noise * rng.standard_normal(signal.shape) for _ in range(8)]
    targets = [Target(subject=str(i), roi="r", responses=y, n_voxels=30) for i, y in enumerate(subjects)]
    values = RSA(comparison="pearson").prepare(targets, make_folds(60)).score(LayerGeometry(torch.as_tensor(signal)))
    lower, true, upper = (
        float(np.mean([getattr(v, n) for v in values])) for n in ("ceiling_lower", "value", "ceiling")
    )
    assert lower < true < upper


def test_what_cannot_be_had_is_refused():
    repeats, _ = simulated([2] * 20, per=1)
    with pytest.raises(DataError, match="made by ncsnr or split-half, got 'magic'"):
        ceiling_from_repeats(repeats, "magic")
    with pytest.raises(DataError, match=r"9 of 20 stimuli were shown twice or more; .* needs 10"):
        ceiling_from_repeats(simulated([2] * 9 + [1] * 11, per=1)[0])
    empty = repeats.copy()
    empty[3] = np.nan
    with pytest.raises(DataError, match="1 of 20 stimuli have no repeat at all"):
        ncsnr(empty)
    holed = repeats.copy()
    holed[0, 0, 1] = np.nan
    with pytest.raises(DataError, match="some voxels lack a repeat that others have"):
        ncsnr(holed)
    with pytest.raises(DataError, match="each stimulus has one repeat or more"):
        noise_ceiling(np.array([-1.0]), np.array([1]))
    with pytest.raises(DataError, match="two subjects or more"):
        leave_one_subject_out([np.ones((3, 2))])


def test_nothing_is_divided_by_a_ceiling_of_about_0():
    assert share_of_ceiling(0.2, 0.4) == 0.5
    assert share_of_ceiling(0.5, 0.4) == 1.25
    assert share_of_ceiling(0.05, 0.02) is None
    assert share_of_ceiling(0.05, None) is None
    assert share_of_ceiling(0.05, float("nan")) is None
