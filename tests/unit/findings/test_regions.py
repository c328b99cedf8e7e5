"""Regions: planted profiles are found, and where there is none nothing is claimed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from tests.helpers.brains import brains
from tests.helpers.worlds import worlds

from ontogeny.errors import DataError
from ontogeny.findings import HCP_MMP1, Cells, contrast, gradient, grouped, read_groups, regions

PROFILE = np.asarray([0.3, 0.1, 0.5, 0.2])


def profile(noise=0.02, seed=0, subjects=6, **columns):
    """Alignment 0.3, 0.1, 0.5, 0.2 of four ROIs in the best of three layers, half of it in the others."""
    return brains(PROFILE[:, None] * [0.5, 1.0, 0.5], noise=noise, seed=seed, subjects=subjects, **columns)


def test_a_planted_profile_is_found_in_its_order():
    found = regions(profile())
    rows = found.details["profile"]
    assert [row["roi"] for row in rows] == ["R02", "R00", "R03", "R01"]
    assert [row["alignment"] for row in rows] == pytest.approx([0.5, 0.3, 0.2, 0.1], abs=0.03)
    assert [(row["rank_low"], row["rank_high"]) for row in rows] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert found.headline.value == pytest.approx(1.0)
    assert found.headline.p < 0.001
    assert found.answer.startswith("Highest in R02 (0.4") or found.answer.startswith("Highest in R02 (0.5")
    assert "3 of 3 neighbouring pairs differ" in found.answer


def test_chance_is_taken_away_unless_raw_is_said():
    cells = profile(noise=0.0, chance=0.25)
    assert regions(cells).estimates[1].value == pytest.approx(0.5)
    assert regions(cells).estimates[1].unit == "ridge-gcv above chance"
    assert regions(cells, raw=True) == regions(cells)
    raw = regions(profile(noise=0.0, chance=np.nan), raw=True)
    assert raw.estimates[1].value == pytest.approx(0.5)
    assert raw.estimates[1].unit == "ridge-gcv (chance not known, left in)"
    assert raw.source.endswith("chance not known, left in")
    assert any("chance level of ridge-gcv is not in these data" in line for line in raw.cannot_tell)


def test_raw_biased_cka_carries_its_warning():
    cells = profile(metric="cka_36", chance=np.nan)
    with pytest.raises(DataError, match="chance is not known of 72 of 72 cells, e.g. of metric 'cka_36'"):
        regions(cells)
    cells = Cells.of_table(
        {name: getattr(profile(), name) for name in ("subject", "roi", "layer", "value")} | {"metric": "cka_36"}
    )
    assert "Biased CKA rises with the effective dimension" in regions(cells, raw=True).else_explains[0]


def test_one_layer_can_be_named():
    assert regions(profile(noise=0.0), layer="layer00").estimates[1].value == pytest.approx(0.25)
    with pytest.raises(DataError, match="no cell has layer = 'layer09'"):
        regions(profile(), layer="layer09")


def test_a_layer_is_never_chosen_on_the_subjects_own_noise():
    """Pure noise, 12 layers: the best of one's own would be at 1.6 standard deviations, the best of others at 0."""
    means = [regions(brains(np.zeros((6, 12)), noise=1.0, seed=s), draws=9).details["profile"] for s in range(30)]
    assert np.mean([row["alignment"] for rows in means for row in rows]) == pytest.approx(0.0, abs=0.06)
    own = [brains(np.zeros((6, 12)), noise=1.0, seed=s).value.reshape(6, 6, 12).max(axis=2).mean() for s in range(30)]
    assert np.mean(own) > 1.5


def test_where_no_region_differs_the_order_is_rarely_claimed():
    """200 null worlds: W's p, and first and last of the ranks told apart, at their nominal 5 %."""
    p, apart, covered = [], 0, 0
    for seed in worlds(200):
        found = regions(brains(np.zeros((6, 1)), noise=1.0, seed=seed, subjects=5), draws=199, seed=seed)
        rows = found.details["profile"]
        p.append(found.headline.p)
        apart += any(row["rank_low"] > 1 or row["rank_high"] < 6 for row in rows)
        covered += sum(row["low"] < 0 < row["high"] for row in rows)
    assert np.mean(np.asarray(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))
    assert apart / len(p) < 0.25
    assert covered / (6 * len(p)) == pytest.approx(0.95, abs=0.025)


def test_choosing_layers_makes_no_agreement_and_no_short_intervals():
    """100 null worlds of 4 subjects and 8 layers. Without choosing anew, W's p was below .05 in a third of such worlds,
    and t intervals of the chosen values covered 87 %."""
    p, covered = [], []
    for seed in worlds(100):
        found = regions(brains(np.zeros((5, 8)), noise=1.0, seed=seed, subjects=4), draws=99, seed=seed)
        p.append(found.headline.p)
        covered += [row["low"] < 0 < row["high"] for row in found.details["profile"]]
    assert np.mean(np.asarray(p) < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(p))
    assert np.mean(covered) > 0.94


def test_a_layer_that_is_best_in_all_subjects_costs_no_width():
    one, many = (regions(cells, draws=9).estimates[1:] for cells in (profile(), profile().where(layer="layer01")))
    assert [e.low for e in many] == pytest.approx([e.low for e in one])
    assert [e.high for e in many] == pytest.approx([e.high for e in one])


def test_two_subjects_need_a_named_layer():
    with pytest.raises(DataError, match="three subjects or more are needed. With fewer, name a layer"):
        regions(profile(subjects=2))
    assert regions(profile(subjects=2), layer="layer01").headline.n == 2


def test_rank_intervals_hold_the_true_rank():
    """100 worlds of five regions 0.1 apart, noise 0.1: each rank interval holds its region's rank in 95 % or more."""
    truth = {f"R{i:02d}": 5 - i for i in range(5)}
    held = []
    for seed in range(100):
        rows = regions(brains(np.arange(5)[:, None] / 10.0, noise=0.1, seed=seed), draws=9).details["profile"]
        held += [row["rank_low"] <= truth[row["roi"]] <= row["rank_high"] for row in rows]
    assert np.mean(held) > 0.95


def test_a_contrast_of_regions():
    found = contrast(profile(noise=0.001), ["R02", "R00"], ["R01", "R03"])
    assert found.value == pytest.approx(0.25, abs=0.005)
    assert found.low < 0.25 < found.high
    assert found.p == pytest.approx(2 / 2**6)
    assert found.name == "R02, R00 less R01, R03"
    with pytest.raises(DataError, match="there is no ROI 'R9' to contrast. Choices: 'R00', 'R01'"):
        contrast(profile(), ["R9"], ["R01"])


def test_a_gradient_along_a_hierarchy_stays_within_tau():
    cells = brains(np.asarray([[0.4], [0.3], [0.2], [0.1]]), noise=0.08, rois=["V1", "V2", "V3", "V4"], seed=2)
    found = gradient(cells, ["V1", "V2", "V3", "V4"])
    assert -1 == found.low < found.value < -0.5
    assert gradient(cells, ["V4", "V3", "V2", "V1"]).value == pytest.approx(-found.value)


def test_regions_that_some_subject_lacks_stay_out_and_are_named():
    cells = profile()
    found = regions(cells.only(~((cells.roi == "R01") & (cells.subject == "S3"))))
    assert [row["roi"] for row in found.details["profile"]] == ["R02", "R00", "R03"]
    assert "R01: not there for every subject and layer." in found.cannot_tell


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (profile(subjects=1), "one subject .S0. says nothing on how regions differ over subjects"),
        (profile().where(roi="R01"), r"an order needs two ROIs or more that all subjects have, got \['R01'\]"),
        (profile(metric=["a", "b"] * 36), r"choose metric with where\(...\) from \['a', 'b'\]"),
        (profile(step=[0, 5] * 36), r"choose step with where\(...\) from \[0, 5\]"),
        (profile(subject=["S1", "S2"] * 36), "a subject has two values of one ROI and layer"),
    ],
)
def test_what_makes_no_profile_is_refused(cells, words):
    with pytest.raises(DataError, match=words):
        regions(cells)


def test_no_region_is_complete():
    cells = profile(subjects=2)
    with pytest.raises(DataError, match="no ROI is there for all 2 subjects and 3 layers"):
        regions(cells.only(~((cells.subject == "S0") & (cells.layer == "layer01"))))


def test_networks_are_means_over_their_regions():
    groups = {"R00": "A", "R01": "A", "R02": "B", "R03": "B"}
    cells = grouped(profile(noise=0.0, chance=0.1), groups)
    assert cells.names("roi") == ["A", "B"]
    assert len(cells) == 6 * 3 * 2
    assert cells.where(roi="A", layer="layer01", subject="S0").value == pytest.approx([0.3])
    assert cells.where(roi="B", layer="layer01", subject="S0").levels()[0] == pytest.approx([0.35])
    assert set(cells.where(layer="layer02").depth) == {1.0}
    with pytest.raises(DataError, match=r"2 ROIs have no group, e.g. \['R02', 'R03'\]"):
        grouped(profile(), {"R00": "A", "R01": "A"})
    holed = profile()
    with pytest.raises(DataError, match="group 'A' is made of 1 to 2 ROIs; its means do not compare"):
        grouped(holed.only(~((holed.roi == "R01") & (holed.subject == "S3"))), groups)


def test_groups_are_read_from_a_file(tmp_path):
    path = tmp_path / "yeo.csv"
    path.write_text("roi,network\nV1,Visual\n4,Somatomotor\nV1,Visual\n")
    assert read_groups(path) == {"V1": "Visual", "4": "Somatomotor"}
    path.write_text("roi,network\nV1,Visual\nV1,Default\n")
    with pytest.raises(DataError, match="puts ROI 'V1' into 'Visual' and 'Default'"):
        read_groups(path)
    path.write_text("area,network\nV1,Visual\n")
    with pytest.raises(DataError, match=r"needs the columns roi,network; it has area, network"):
        read_groups(path)
    path.write_text("roi,network\nV1,Visual\nV2,\n")
    with pytest.raises(DataError, match="row 2: a ROI and its network are expected, got 'V2' and None"):
        read_groups(path)
    path.write_text("roi,network\n")
    with pytest.raises(DataError, match="has no rows; expected the columns roi,network and a row per ROI"):
        read_groups(path)
    with pytest.raises(DataError, match="there is no file .*none.csv; expected a CSV with the columns roi,network"):
        read_groups(tmp_path / "none.csv")


def test_the_areas_of_the_atlas():
    """Numbers that papers and label files give: V1 is 1, MT 23, A1 24, area 4 is 8, TE1m 177, p24 180."""
    assert len(set(HCP_MMP1)) == len(HCP_MMP1) == 180
    numbers = {"V1": 1, "MST": 2, "4": 8, "FFC": 18, "MT": 23, "A1": 24, "44": 74, "H": 120, "TE1m": 177, "p24": 180}
    assert {area: HCP_MMP1.index(area) + 1 for area in numbers} == numbers


def test_published_areas_are_those_of_the_atlas():
    from ontogeny import load_published
    from ontogeny.errors import DatasetNotFoundError

    try:
        table = load_published("shen2026").read("regions_language")
    except DatasetNotFoundError:
        pytest.skip("the published tables of regions are not on this machine")
    assert set(table["tgt_feature"].tolist()) == set(HCP_MMP1)


def test_details_are_rows_of_one_table(tmp_path):
    rows = regions(profile()).details["profile"]
    with (tmp_path / "p.csv").open("w", newline="") as handle:
        csv.DictWriter(handle, list(rows[0])).writerows(rows)
    assert all(list(row) == list(rows[0]) for row in rows)
