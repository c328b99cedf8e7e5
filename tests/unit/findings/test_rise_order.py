"""When: planted half points by region and layer are found in their order, and none is claimed where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.brains import rising

from ontogeny.errors import DataError
from ontogeny.findings import Cells, when
from ontogeny.findings.statistics._half_rises import half_points
from ontogeny.findings.statistics._rank_tests import placed_p, true_values

ORDER = ["V1", "V2", "V4", "IT"]


def stat(found, of):
    return next(e for e in found.estimates if e.unit == "Spearman rho" and e.of == of)


def test_planted_half_points_are_found():
    truth = 2.2 + 0.35 * np.arange(4)[:, None] + 0.15 * np.arange(4)
    found = when(rising(truth, rois=ORDER), ORDER)
    rows = found.details["half_points"]
    assert len(rows) == 16
    assert [row["log10"] for row in rows] == pytest.approx(truth.ravel().tolist(), abs=0.12)
    inside = [row["low"] < t < row["high"] for row, t in zip(rows, truth.ravel(), strict=True)]
    assert np.mean(inside) > 0.8
    regions = {row["name"]: row["log10"] for row in found.details["rois"]}
    assert [regions[roi] for roi in ORDER] == pytest.approx(truth.mean(axis=1).tolist(), abs=0.06)
    assert stat(found, "regions").value == pytest.approx(1.0)
    assert stat(found, "regions").p == pytest.approx(2 / 24)
    assert stat(found, "layers").value == pytest.approx(1.0)
    assert found.answer.startswith("First of the regions: V1 (100% of draws). First of the layers: layer00")


def test_an_order_of_eight_layers_is_claimed_and_the_first_is_named():
    found = when(rising([2 + 0.15 * np.arange(8)]))
    assert found.headline.name == "half points over depth"
    assert found.headline.p < 0.01
    assert found.headline.low > 0.7
    assert "from earlier to later" in found.answer
    assert "layer00" in next(e.name for e in found.estimates if e.name.startswith("first"))


def test_a_region_whose_late_layers_are_refused_is_not_early_for_that():
    """Two regions with the same half points; of one, the late layers never reach their plateau."""
    truth = np.tile(2.0 + 0.3 * np.arange(5), (2, 1))
    truth[1, 3:] = 5.2
    found = when(rising(truth, rois=["A", "B"], noise=0.02))
    assert sum(bool(row["why_not"]) for row in found.details["half_points"]) == 2
    a, b = found.details["rois"]
    assert a["log10"] - b["log10"] == pytest.approx(0.0, abs=0.1)
    assert any("plateaus not both observed" in line for line in found.cannot_tell)


@pytest.mark.long
def test_where_all_rise_together_an_order_is_rarely_claimed():
    """20 worlds at nominal 5 %: more than 3 claims would have a probability of .016."""
    found = [when(rising(np.full((1, 7), 2.5), seed=seed, noise=0.05), draws=199) for seed in range(20)]
    assert sum("from earlier" in one.answer or "from later" in one.answer for one in found) <= 3
    assert sum(one.headline.p < 0.05 for one in found) <= 3


def test_first_is_told_apart_only_from_what_is_later():
    found = when(rising([[2.0], [2.0], [3.4]], rois=["A", "B", "C"], noise=0.06))
    first = next(e for e in found.estimates if e.name.startswith("first of the regions"))
    other = {"A": "B", "B": "A"}[first.name[-1]]
    assert first.how.endswith(f"(Bonferroni): {other}.")
    assert 0.4 < first.value < 1.0


def test_subjects_are_averaged_and_steps_that_lack_one_are_left_out():
    one, two = rising([[2.5]], noise=0.0), rising([[2.5]], noise=0.0)
    columns = {
        name: np.concatenate([getattr(one, name), getattr(two, name)]) for name in ("roi", "layer", "step", "depth")
    }
    values = np.concatenate([one.value, two.value + 0.5])
    cells = Cells.of_table(columns | {"value": values, "chance": 0.0, "subject": ["S1"] * len(one) + ["S2"] * len(two)})
    cells = cells.only(~((cells.subject == "S2") & (cells.step == cells.step.max())))
    (found,) = half_points(cells)
    assert found.why_not == ""
    assert found.log10 == pytest.approx(2.5, abs=0.02)


def test_too_few_checkpoints_stay_refused_and_the_finding_says_so():
    found = when(rising(np.full((2, 2), 2.0), steps=8))
    assert found.headline.name == "curves with a half point"
    assert found.headline.value == 0
    assert found.answer == "0% of 4 curves have a half point."
    assert "4 of 4 curves: too few checkpoints." in found.cannot_tell
    assert set(found.details) == {"half_points"}


def test_half_points_known_to_no_better_than_a_decade_each_way_have_no_place():
    truth = [[2.2, 2.4, 2.6, 2.8]]
    cells = rising(truth)
    found = when(cells)
    widths = [row["high"] - row["low"] for row in found.details["half_points"]]
    assert max(widths) < 2
    assert len(found.details["layers"]) == 4
    assert not any("factor of ten" in line for line in found.cannot_tell)


def test_an_order_of_regions_that_are_not_there_is_refused():
    with pytest.raises(DataError, match="the order names ROI 'V9'"):
        when(rising([[2.0], [2.2], [2.4]], rois=["V1", "V2", "V4"]), ["V1", "V2", "V9"])
    cells = rising([[2.0], [2.2]])
    columns = {name: getattr(cells, name) for name in ("value", "step", "roi", "chance")}
    two = Cells.of_table(columns | {"model": ["a", "b"] * (len(cells) // 2)})
    with pytest.raises(DataError, match=r"choose model with where\(...\)"):
        when(two)


def test_intervals_of_true_rank_correlations_cover():
    """100 worlds with large errors: percentiles of re-noised estimates would cover about half of them."""
    from ontogeny.findings.statistics._rank_tests import rank_correlations

    rng = np.random.default_rng(0)
    place, covered = np.arange(12.0), 0
    for seed in range(100):
        true = 0.1 * place + 0.3 * rng.standard_normal(12)
        error = 0.3 * rng.uniform(0.5, 1.5, 12)
        drawn = true_values(true + error * rng.standard_normal(12), error, place, draws=500, seed=seed)
        low, high = np.quantile(rank_correlations(drawn, place), (0.025, 0.975))
        covered += low - 1e-9 <= rank_correlations(true[None], place)[0] <= high + 1e-9
    assert covered >= 88


def test_p_of_places_holds_its_level_with_unequal_errors():
    rng = np.random.default_rng(1)
    rejected = 0
    for seed in range(300):
        error = rng.uniform(0.05, 1.0, 9)
        rejected += placed_p(error * rng.standard_normal(9), error, np.arange(9.0), draws=199, seed=seed) < 0.05
    assert rejected / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert placed_p(np.arange(9.0), np.full(9, 0.1), np.arange(9.0)) < 0.001
