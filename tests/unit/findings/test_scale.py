"""Scale in planted worlds: a shift, none, another shape of the distribution, another noise."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.brains import over_scales, scale_cells
from tests.helpers.worlds import worlds
from tests.unit.findings.test_depth import both, columns

from ontogeny.benchmarks.shen2026 import shen2026
from ontogeny.errors import DataError
from ontogeny.findings import Cells, scale
from ontogeny.findings.statistics._region_profiles import direction
from ontogeny.findings.statistics.metric_scales import scale_of
from ontogeny.metrics import CKA, CKNNA, CycleKNN, MutualKNN

RUNS = len(worlds(60))


def rates(kind):
    """Share of worlds in which z, ranks and the corrected form leave out 0, and in which a shift is claimed."""
    found = []
    for seed in range(RUNS):
        cells, groups = scale_cells(*over_scales(kind, seed))
        finding = scale(cells, groups=groups)
        found.append([*(direction(e) != 0 for e in finding.estimates[:3]), "moves to" in finding.answer])
    return dict(zip(("z", "ranks", "corrected", "claimed"), np.mean(found, axis=0), strict=True))


def test_a_planted_shift_is_found_where_it_was_planted():
    cells, groups = scale_cells(*over_scales("shift", 0))
    finding = scale(cells, groups=groups)
    assert finding.answer.startswith("From 28 to 68 alignment moves to associative areas (z: ")
    shifts = {row["network"]: row["shift"] for row in finding.details["networks"]}
    assert min(shifts[n] for n in ("Default", "Limbic", "Frontoparietal")) > max(
        shifts["Visual"], shifts["Somatomotor"]
    )
    assert rates("shift")["claimed"] > 0.95
    swapped = scale(cells, groups=groups, low=68, high=28)
    assert "alignment moves to sensory areas" in swapped.answer
    assert swapped.headline.value == pytest.approx(-finding.headline.value)


@pytest.mark.long
def test_no_shift_is_claimed_no_more_often_than_it_may():
    found = rates("none")
    assert found["claimed"] <= 0.08
    assert found["z"] <= 0.1


@pytest.mark.long
def test_another_shape_of_the_distribution_is_no_shift():
    found = rates("shape")
    assert found["z"] > 0.8, "z alone calls it a shift"
    assert found["claimed"] <= 0.08
    cells, groups = scale_cells(*over_scales("shape", 0))
    assert "z moves, but not in the form ranks" in scale(cells, groups=groups).answer


@pytest.mark.long
def test_less_noise_at_one_scale_is_no_shift():
    found = rates("noisier")
    assert found["z"] > 0.15, "z alone calls it a shift too often"
    assert found["claimed"] <= 0.08


def test_the_scale_is_read_from_every_name_that_has_one():
    for metric, family, number in (
        (CKA(kind="rbf", width=36.0), "cka-rbf-*-debiased", 36),
        (CKA(kind="rbf", width=0.5, debiased=False, standardise=True), "cka-rbf-*-biased-z", 0.5),
        (CKA(kind="rbf", width=1e-7, standardise=True, damping=1e-6), "cka-rbf-*-debiased-z-damped", 1e-7),
        (MutualKNN(k=20, likeness="inner"), "mutual-knn-*-inner", 20),
        (CycleKNN(k=40, likeness="inner", standardise=True), "cycle-knn-*-inner-z", 40),
        (CKNNA(k=10, likeness="cosine"), "cknna-*-cosine", 10),
    ):
        assert scale_of(metric.name) == (family, number)
    assert {scale_of(name)[0] for name in shen2026().by_name} == {
        "cka_*",
        "unbiased_cka_*",
        "cknna_*",
        "mutual_knn_*",
        "cycle_knn_*",
    }
    assert {scale_of(metric.name)[1] for metric in shen2026().metrics} >= set(range(12, 101, 8))
    for name in ("cka-rbf-debiased", "cka-linear-debiased", "cknna", "rsa-correlation-spearman", "ridge-gcv"):
        assert scale_of(name) is None
    assert scale_of(CKA(kind="rbf").name) is None


def test_the_debiased_form_is_taken_unless_asked_otherwise():
    low, high = over_scales("shift", 0)
    good, groups = scale_cells(low, high)
    none = scale_cells(low, low + 0.3 * np.random.default_rng(1).standard_normal(low.shape))[0]
    biased = Cells(**{**columns(none), "metric": np.char.replace(none.metric, "debiased", "biased")})
    cells = both(biased, good)
    assert "cka-rbf-*-debiased-z, above chance" in scale(cells, groups=groups).source
    asked = scale(cells, groups=groups, family="cka-rbf-*-biased-z")
    assert "cka-rbf-*-biased-z, above chance" in asked.source
    assert asked.headline.value != pytest.approx(scale(cells, groups=groups).headline.value)


def test_without_networks_the_change_of_the_profile_is_the_answer():
    cells, _ = scale_cells(*over_scales("shift", 0))
    finding = scale(cells)
    assert finding.answer.startswith("The profile changes by ")
    assert finding.headline.name == "change of the profile, 28 to 68"
    assert finding.details["contrast"] == ()


def test_one_subject_is_a_description():
    cells, groups = scale_cells(*over_scales("shift", 0, subjects=1))
    finding = scale(cells, groups=groups)
    assert finding.answer.endswith("one subject, no test.")
    assert finding.headline.p is None
    assert "Whether any of it is more than this one subject." in finding.cannot_tell


def test_layers_and_models_are_averaged_above_their_own_chance():
    low, high = over_scales("shift", 0)
    cells, groups = scale_cells(low, high)
    parts = []
    for layer, add in (("a", 0.2), ("b", 0.6)):
        new = {**columns(cells), "layer": np.full(len(cells), layer)}
        parts.append(Cells(**{**new, "value": cells.value + add, "chance": cells.chance + add}))
    assert scale(both(*parts), groups=groups).headline.value == pytest.approx(
        scale(cells, groups=groups).headline.value
    )


def test_what_cannot_be_compared_is_refused_in_clear_words():
    low, high = over_scales("none", 0)
    cells, _ = scale_cells(low, high)
    with pytest.raises(DataError, match=r"no metric was scored at both 20 and 68; there is \{'cka-rbf-\*-debiased-z'"):
        scale(cells, low=20)
    with pytest.raises(DataError, match=r"'cka_\*' was not scored at both 28 and 68; there is"):
        scale(cells, family="cka_*")
    knn = scale_cells(low, high, metric="mutual-knn-{}-inner")[0]
    with pytest.raises(DataError, match=r"several metrics have both scales: \[.*\]; choose with family="):
        scale(both(cells, knn))
    with pytest.raises(DataError, match="e.g. of metric 'cka_28', and of biased CKA"):
        scale(scale_cells(low, high, metric="cka_{}", chance=None)[0])
    with pytest.raises(DataError, match=r"scale takes one modality at a time, got \['text', 'image'\]"):
        scale(both(cells, Cells(**{**columns(cells), "modality": np.full(len(cells), "image")})))
    with pytest.raises(DataError, match=r"a model has several steps: \[0, 5\]; choose with cells.where\(step=...\)"):
        scale(both(cells, Cells(**{**columns(cells), "step": np.full(len(cells), 5)})))
    more = cells.where(metric="cka-rbf-28-debiased-z")
    with pytest.raises(
        DataError, match=r"the layers or models scored at 28 are not those at 68 \(448 and 224 values\)"
    ):
        scale(both(cells, Cells(**{**columns(more), "layer": np.full(len(more), "b")})))
    with pytest.raises(
        DataError, match=r"3 regions that all of .* have \(in the groups, if given\); a profile needs 4"
    ):
        scale(cells, groups={roi: "all" for roi in ("r0", "r1", "r2")})
    with pytest.raises(DataError, match="all regions and subjects have the same value at a scale"):
        scale(scale_cells(np.zeros((2, 7)), np.zeros((2, 7)))[0])


def test_profiles_that_do_not_agree_between_subjects_cannot_tell_noise_from_a_shift():
    rng = np.random.default_rng(3)
    low, high = rng.standard_normal((2, 2, 56))
    low[1] = -low[0]
    high[:, :16] -= 3
    cells, groups = scale_cells(low, high)
    finding = scale(cells, groups=groups)
    assert "z moves, but subjects' profiles do not agree at one of the scales" in finding.answer
    assert not any("corrected" in estimate.name for estimate in finding.estimates)
