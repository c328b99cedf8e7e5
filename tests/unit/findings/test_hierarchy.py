"""Hierarchy: layer l drives ROI l, and worlds in which depth has nothing to do with a region's place."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.brains import brains
from tests.helpers.worlds import worlds

from ontogeny.errors import DataError
from ontogeny.findings import hierarchy
from ontogeny.findings.data.region_orders import places

ORDER = ["V1", "V2", "V3", "V4", "LO", "IT"]


def driven(peaks, *, noise=0.05, seed=0, subjects=6, height=None, floor=0.1, layers=8, **columns):
    """ROI r resembles the layers around depth peaks[r]."""
    depth = np.linspace(0, 1, layers)
    bump = floor + 0.3 * np.exp(-np.square((depth - np.asarray(peaks)[:, None]) / 0.25))
    bump *= 1 if height is None else np.asarray(height)[:, None]
    return brains(bump, noise=noise, seed=seed, subjects=subjects, rois=ORDER[: len(peaks)], **columns)


@pytest.mark.parametrize("best", ["centre", "others"])
def test_a_planted_hierarchy_is_found(best):
    found = hierarchy(driven(np.linspace(0, 1, 6), noise=0.02), "ventral", best=best)
    assert found.headline.value > 0.8
    assert found.headline.low > 0.6
    assert found.headline.p < 0.01
    assert found.answer.startswith("Higher regions resemble deeper layers: ")
    depths = [row["depth"] for row in found.details["depths"]]
    assert depths == sorted(depths)


def test_a_reversed_hierarchy_has_the_other_sign():
    found = hierarchy(driven(np.linspace(1, 0, 6)), ORDER)
    assert found.headline.value < -0.8
    assert "resemble shallower layers" in found.answer


def test_noise_free_centres_are_those_of_the_formula():
    cells = driven([0.0, 0.5, 1.0], noise=0.0, chance=0.2)
    found = hierarchy(cells, ORDER[:3])
    depth = np.linspace(0, 1, 8)
    for row, roi in zip(found.details["depths"], ORDER, strict=False):
        own = cells.where(roi=roi, subject="S0")
        assert row["depth"] == pytest.approx(np.sum(own.levels()[0] * depth) / np.sum(own.levels()[0]))
    assert found.headline.value == pytest.approx(1.0)
    assert found.headline.p == pytest.approx(2 / 6)


def test_the_same_layer_for_all_regions_is_no_hierarchy_though_noise_grows_along_it():
    """Regions higher up are weaker and so noisier; a best layer of noise drifts to the middle, a centre must not."""
    claims = []
    for seed in worlds(60):
        cells = driven(np.zeros(6), height=np.linspace(1, 0.35, 6), noise=0.04, seed=seed, floor=0.1)
        claims.append(hierarchy(cells, ORDER, draws=99).answer.startswith("Higher"))
    assert np.mean(claims) < 0.12


def test_where_depth_is_anywhere_an_order_is_rarely_claimed():
    """200 worlds, each with its own random peaks shared by its subjects: the t interval is fooled, p is not."""
    rng = np.random.default_rng(0)
    p, interval, claimed = [], 0, 0
    for seed in worlds(200):
        found = hierarchy(driven(rng.uniform(0, 1, 6), noise=0.03, seed=seed), ORDER)
        p.append(found.headline.p)
        interval += found.headline.low * found.headline.high > 0
        claimed += found.answer.startswith("Higher")
    assert np.mean(np.asarray(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))
    assert claimed / len(p) < 0.1
    assert interval / len(p) > 0.3


def test_regions_without_alignment_have_no_centre_and_are_named():
    cells = driven(np.linspace(0, 1, 6), height=[1, 1, 1, 1, 1, 0], noise=0.03, seed=1)
    found = hierarchy(cells, "ventral")
    assert [row["roi"] for row in found.details["depths"]] == ORDER[:5]
    assert "IT: not above chance in the mean over layers, so no centre of mass." in found.cannot_tell


def test_one_best_layer_for_all_is_said():
    found = hierarchy(driven(np.full(6, 0.5), noise=0.0), ORDER, best="others")
    assert found.answer.startswith("No order of depth: in the mean over subjects all regions resemble the same depth")
    assert found.headline.value == 0.0
    assert found.headline.p == 1.0


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (driven([0, 0.5, 1], subjects=1), {}, "one subject .S0. gives no interval over subjects"),
        (driven([0, 0.5, 1], layers=2), {}, "depth needs three layers or more"),
        (driven([0, 0.5, 1], depth=False), {}, "the depth of some layers is not known; give cells a column depth"),
        (driven([0, 0.5, 1], height=[-1, -1, -1]), {}, "no region is aligned above chance in the mean over layers"),
        (driven([0, 0.5, 1]), {"order": "dorsal"}, "there is no order 'dorsal'. .*Or list the ROIs, lowest first"),
        (driven([0, 0.5, 1]), {"order": ["V1", "V2", "V9"]}, "the order names ROI 'V9', which has no scores"),
        (driven([0, 0.5, 1]), {"order": ["V1", "V2", "V1"]}, "the order names ROI 'V1' twice"),
        (driven([0, 0.5, 1]), {"order": ["V1", "V2=V3"]}, "an order needs ROIs at three places or more"),
    ],
)
def test_what_cannot_be_asked_is_refused(cells, options, words):
    with pytest.raises(DataError, match=words):
        hierarchy(cells, **options)


def test_places_are_shared_where_said():
    assert places(["V1", "V2=V3", "IT"], ["IT", "V3", "V2", "V1"]) == {"V1": 0, "V2": 1, "V3": 1, "IT": 2}
    assert places("ventral", ["IT", "V4", "V1", "A1"]) == {"V1": 0, "V4": 3, "IT": 5}
    networks = places("networks", ["Default", "Visual", "Limbic", "Somatomotor"])
    assert networks == {"Visual": 0, "Somatomotor": 0, "Limbic": 3, "Default": 5}
