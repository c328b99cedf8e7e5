"""Depth and scale against scipy, and against the numbers that the study itself released."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.helpers.brains import DEPTHS, NETWORKS, over_depth, over_scales, scale_cells

from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import published_regions, scale
from ontogeny.findings.published import load_published
from ontogeny.findings.statistics._convergence import converging, order_p, slope
from ontogeny.findings.statistics._region_profiles import agreement, correlation
from ontogeny.findings.statistics.subject_agreement import over_subjects

pytestmark = pytest.mark.oracle


def test_slopes_and_correlations_are_those_of_scipy(rng):
    x, y = rng.standard_normal(9), rng.standard_normal((3, 9))
    theirs = [stats.linregress(x, row).slope for row in y]
    np.testing.assert_allclose(slope(y, x), theirs)
    a, b = rng.standard_normal((2, 3, 4, 7))
    np.testing.assert_allclose(correlation(a, b)[1, 2], stats.pearsonr(a[1, 2], b[1, 2]).statistic)
    assert np.isnan(correlation(np.ones(5), np.arange(5.0))).all()
    pairs = [stats.pearsonr(y[i], y[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert agreement(y) == pytest.approx(np.mean(pairs))


def test_shuffled_depths_have_the_p_of_scipys_exact_permutation_test(rng):
    x, y = np.linspace(0, 1, 6), rng.standard_normal(6)
    theirs = stats.permutation_test(
        (y,),
        lambda y: abs(stats.linregress(x, y).slope),
        permutation_type="pairings",
        n_resamples=np.inf,
        alternative="greater",
    )
    assert order_p(y, x) == pytest.approx(theirs.pvalue)
    many = rng.standard_normal(12)
    drawn = order_p(many, np.arange(12.0))
    assert drawn == pytest.approx(stats.pearsonr(many, np.arange(12)).pvalue, abs=0.03)


def test_the_interval_and_the_flips_over_subjects_are_those_of_scipy(rng):
    values = rng.standard_normal(7) + 0.8
    found = over_subjects(values, name="n", unit="u", how="h")
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high))
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(theirs.pvalue)


def test_the_profile_distance_corrected_for_noise_is_that_of_the_noise_free_profiles():
    """Closed form: without noise the planted profiles have a known 1 - r at each depth."""
    text, image = over_depth("clearer", 3, noise=0.0, subjects=2)
    truth = 1 - np.array([stats.pearsonr(text[0, :, d], image[0, :, d]).statistic for d in range(8)])
    np.testing.assert_allclose(truth, truth[0])
    noisy = over_depth("clearer", 3, noise=0.02, subjects=60)
    found = converging(*noisy, DEPTHS, NETWORKS, unit="u")
    raw, corrected = found.estimates[0], found.estimates[2]
    assert "corrected" in corrected.name
    assert raw.high < -0.02
    assert corrected.low < 0 < corrected.high


def test_networks_and_ranks_by_another_road():
    pandas = pytest.importorskip("pandas")
    cells, groups = scale_cells(*over_scales("shift", 4))
    finding = scale(cells, groups=groups)
    frame = pandas.DataFrame({name: getattr(cells, name) for name in ("metric", "subject", "roi", "value")})
    frame["network"] = frame.roi.map(groups)
    own = frame.groupby("metric").value
    frame["z"] = (frame.value - own.transform("mean")) / own.transform("std")
    frame["ranks"] = stats.norm.ppf(own.rank() / (own.transform("size") + 1))
    wide = frame.pivot_table(index=["subject", "network", "roi"], columns="metric", values=["z", "ranks"])
    for place, form in enumerate(("z", "ranks")):
        shift = wide[form]["cka-rbf-68-debiased-z"] - wide[form]["cka-rbf-28-debiased-z"]
        by_network = shift.groupby(["subject", "network"]).mean().unstack()
        contrast = by_network[["Default", "Frontoparietal", "Limbic"]].mean(axis=1) - by_network[
            ["Visual", "Somatomotor"]
        ].mean(axis=1)
        assert finding.estimates[place].value == pytest.approx(contrast.mean())
        assert finding.estimates[place].low == pytest.approx(stats.ttest_1samp(contrast, 0).confidence_interval().low)
        if form == "z":
            row = next(r for r in finding.details["networks"] if r["network"] == "Limbic")
            assert row["shift"] == pytest.approx(by_network["Limbic"].mean())
            assert row["p"] == pytest.approx(
                stats.permutation_test((by_network["Limbic"].to_numpy(),), np.mean, permutation_type="samples").pvalue
            )


@pytest.mark.real
@pytest.mark.parametrize("modality", ["language", "vision"])
def test_our_z_is_the_studys_normalized_score(modality):
    try:
        cells, groups = published_regions(modality)
    except DatasetNotFoundError as missing:
        pytest.skip(str(missing))
    table = load_published("shen2026").read(f"regions_{modality}")
    finding = scale(cells, groups=groups, family="cka_*", raw=True)
    for row in finding.details["regions"][::17]:
        for width, name in ((28, "z_low"), (68, "z_high")):
            theirs = (table["metric"] == f"cka_{width}") & (table["tgt_feature"].astype(str) == row["region"])
            assert theirs.sum() == 4
            assert row[name] == pytest.approx(table["normalized_score"][theirs].mean(), abs=1e-5)
