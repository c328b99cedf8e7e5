"""A BOLD run through the whole path: planted blocks come back, and a real subject's categories can be told apart."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import images

from ontogeny.errors import DataError, MissingExtraError
from ontogeny.metrics import make_folds
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.neuroimaging import (
    Presentations,
    Space,
    block_average,
    detrend_runs,
    find_blocks,
    glm_betas,
    read_rows,
    read_space,
    read_values,
    volume_labels,
    zscore_runs,
)

HAXBY = Path(os.environ.get("ONTOGENY_DATA", "nowhere")) / "haxby2001_nifti"
CATEGORIES = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
SHIFT = 2


def layout(rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Labels and runs of 4 runs x 121 volumes: 8 blocks of 9 between rests, in another order each run."""
    labels: list[str] = []
    for _ in range(4):
        run = ["rest"] * 6
        for category in rng.permutation(CATEGORIES):
            run += [str(category)] * 9 + ["rest"] * 5
        labels += run + ["rest"] * (121 - len(run))
    return labels, [str(r) for r in range(4) for _ in range(121)]


@pytest.fixture
def world(tmp_path: Path, rng: np.random.Generator):
    """A half slice of the public layout: a pattern a category, seen two volumes late, on a drift, in noise."""
    labels, runs = layout(rng)
    patterns = dict(zip(CATEGORIES, rng.standard_normal((8, 300)), strict=True)) | {"rest": np.zeros(300)}
    late = ["rest"] * SHIFT + labels[:-SHIFT]
    drift = np.tile(np.linspace(-20, 20, 121), 4)[:, None]
    series = 1000 + drift + 5 * np.stack([patterns[label] for label in late]) + rng.standard_normal((len(labels), 300))
    mask = np.zeros((20, 20, 1), dtype=np.uint8)
    mask.ravel()[rng.choice(400, 300, replace=False)] = 1
    volume = np.zeros((20, 20, 1, len(labels)), dtype=np.int16)
    volume[mask > 0] = series.T.round()
    images.nifti(tmp_path / "bold.nii.gz", volume)
    images.nifti(tmp_path / "mask.nii.gz", mask)
    return tmp_path, labels, runs, patterns


def whole_path(folder: Path, labels: list[str], runs: list[str], *, shift: int) -> Presentations:
    space = read_space({"brain": folder / "mask.nii.gz"}, like=folder / "bold.nii.gz")
    series, _ = read_values(folder / "bold.nii.gz", space=space)
    clean = zscore_runs(detrend_runs(series, runs), runs)
    return block_average(clean, labels=labels, runs=runs, space=space, subject="1", shift=shift)


def half_correlations(shown: Presentations) -> np.ndarray:
    """Correlations of category patterns of even with odd runs, the mean over categories taken out (Haxby 2001)."""
    odd, names = np.asarray([int(run) % 2 for run in shown.runs]), np.asarray(shown.stimulus_ids)
    halves = []
    for half in (0, 1):
        patterns = np.stack([shown.responses[(odd == half) & (names == c)].mean(axis=0) for c in CATEGORIES])
        halves.append(patterns - patterns.mean(axis=0))
    return np.corrcoef(*halves)[:8, 8:]


def told_apart(correlations: np.ndarray) -> float:
    """Share of pairs in which a category is more like itself than like the other."""
    within = np.diag(correlations)
    return float(np.mean([within[i] > correlations[i, j] for i in range(8) for j in range(8) if i != j]))


def test_planted_patterns_come_back_block_by_block(world):
    folder, labels, runs, patterns = world
    shown = whole_path(folder, labels, runs, shift=SHIFT)
    assert len(shown.runs) == 32
    for category, row in zip(shown.stimulus_ids, shown.responses, strict=True):
        # Each voxel is divided by its own spread within the run, so that patterns are alike, not equal.
        assert np.corrcoef(row, patterns[category])[0, 1] > 0.9
    assert told_apart(half_correlations(shown)) == 1
    assembly = shown.assembly("planted")
    assert set(assembly.stimulus_ids) == set(CATEGORIES)
    assert shown.by_repeat()[1].shape == (8, 4, 300)


def test_a_wrong_shift_mixes_blocks_with_rest(world):
    folder, labels, runs, _ = world
    right, wrong = (np.diag(half_correlations(whole_path(folder, labels, runs, shift=s))).mean() for s in (2, 8))
    assert right > wrong + 0.05


def test_a_block_is_the_mean_over_its_volumes_as_a_loop_has_it(rng):
    labels, runs = layout(rng)
    series = rng.standard_normal((len(labels), 4))
    blocks = find_blocks(labels, runs)
    assert len(blocks) == 32
    assert {b.stop - b.start for b in blocks} == {9}
    assert all(set(labels[b.start : b.stop]) == {b.label} for b in blocks)
    got = block_average(series, labels=labels, runs=runs, space=space_of(4), subject="1", shift=3)
    for block, row in zip(blocks, got.responses, strict=True):
        own = [t for t in range(len(labels)) if block.start + 3 <= t < block.stop + 3 and runs[t] == block.run]
        np.testing.assert_allclose(row, series[own].mean(axis=0), atol=1e-12)


def test_blocks_end_with_their_run(rng):
    series = np.arange(8.0)[:, None] * np.ones((1, 2))
    got = block_average(series, labels=["a"] * 8, runs=["1"] * 4 + ["2"] * 4, space=space_of(2), subject="1", shift=1)
    np.testing.assert_array_equal(got.responses[:, 0], [2.0, 6.0])
    assert got.runs == ("1", "2")
    with pytest.raises(DataError, match="a shift of 4 volumes moves block 'a' of run '1' out of the run, which ends 4"):
        block_average(series, labels=["a"] * 8, runs=["1"] * 4 + ["2"] * 4, space=space_of(2), subject="1", shift=4)


def test_what_does_not_fit_is_refused(rng):
    series = rng.standard_normal((4, 2))
    with pytest.raises(DataError, match="the series has 4 volumes but there are 3 labels"):
        block_average(series, labels=["a"] * 3, runs=["1"] * 3, space=space_of(2), subject="1", shift=0)
    with pytest.raises(DataError, match="all 4 volumes are labelled 'rest'; there is no block"):
        block_average(series, labels=["rest"] * 4, runs=["1"] * 4, space=space_of(2), subject="1", shift=0)
    with pytest.raises(DataError, match="a label and a run a volume, got 4 labels and 3 runs"):
        find_blocks(["a"] * 4, ["1"] * 3)


def test_events_become_labels_of_volumes(tmp_path):
    head = "onset\tduration\ttrial_type"
    path = images.table(tmp_path / "events.tsv", [("5", "5", "face"), ("12.4", "2.5", "house")], head)
    assert volume_labels(read_rows([path]), n_volumes=6, tr=2.5) == ("rest", "rest", "face", "face", "rest", "house")
    images.table(path, [("40", "5", "face")], head)
    with pytest.raises(DataError, match="begins at 40 s, after the 6 volumes of 15 s; is it of another run"):
        volume_labels(read_rows([path]), n_volumes=6, tr=2.5)
    images.table(path, [("5", "n/a", "face")], head)
    with pytest.raises(DataError, match="event 'face' has no onset or duration"):
        volume_labels(read_rows([path]), n_volumes=6, tr=2.5)


def space_of(n: int) -> Space:
    from ontogeny.neuroimaging.image_grids import Volume

    return Space(grid=Volume(shape=(n, 1, 1), affine=np.eye(4)), index=np.arange(n), roi=("brain",) * n)


def test_a_glm_without_nilearn_says_what_to_install(rng, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith("nilearn.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(MissingExtraError, match="needs 'nilearn'.*'.\\[nilearn\\]'"):
        glm_betas(rng.standard_normal((4, 2)), labels=["a"] * 4, runs=["1"] * 4, space=space_of(2), subject="1", tr=2.0)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_glm_finds_planted_betas(rng):
    first_level = pytest.importorskip("nilearn.glm.first_level")
    labels, runs = layout(rng)
    planted = rng.standard_normal((32, 3))
    series = np.empty((len(labels), 3))
    for number, block in enumerate(find_blocks(labels, runs)):
        start = runs.index(block.run)
        hrf, _ = first_level.compute_regressor(
            ([[(block.start - start) * 2.5], [22.5], [1.0]]), "glover", np.arange(121) * 2.5
        )
        rows = slice(start, start + 121)
        if number % 8 == 0:
            series[rows] = 100
        series[rows] += hrf * planted[number]
    got = glm_betas(series, labels=labels, runs=runs, space=space_of(3), subject="1", tr=2.5)
    np.testing.assert_allclose(got.responses, planted, atol=1e-8)


@pytest.mark.real
@pytest.mark.skipif(not HAXBY.is_dir(), reason="haxby2001_nifti is not on this machine")
def test_a_real_subjects_categories_can_be_told_apart(tmp_path):
    """Haxby et al. 2001: within-category correlations are higher than those between; faces and houses most of all.

    The published labels are moved by the haemodynamic delay already: the response begins one volume before them.
    """
    rows = [line.split() for line in (HAXBY / "attributes_literal.txt").read_text().splitlines()]
    labels, runs = [row[0] for row in rows], [row[1] for row in rows]
    shown = whole_path(HAXBY, labels, runs, shift=0)
    assert len(labels) == 12 * 121
    assert shown.responses.shape == (96, 530)
    np.testing.assert_array_equal(np.asarray(shown.space.grid.shape), (40, 20, 1))
    correlations = half_correlations(shown)
    assert told_apart(correlations) > 0.9
    assert np.argsort(np.diag(correlations))[-2:].tolist() == [CATEGORIES.index("face"), CATEGORIES.index("house")]
    rng = np.random.default_rng(0)
    null = [told_apart(correlations[rng.permutation(8)]) for _ in range(200)]
    assert told_apart(correlations) > max(null)
    told = np.asarray([[c == k for k in CATEGORIES] for c in shown.stimulus_ids], dtype=np.float64)
    r = ridge_cv(told, shown.zscored().responses, folds=make_folds(96, n_folds=6, groups=shown.runs))
    assert 0.18 < r.mean() < 0.25
    assert r.max() > 0.85
    shuffled = ridge_cv(told[rng.permutation(96)], shown.responses, folds=make_folds(96, n_folds=6, groups=shown.runs))
    assert abs(shuffled.mean()) < 0.05
    shown.space.image(r).to_filename(tmp_path / "r.nii.gz")
    again, original = nib.load(tmp_path / "r.nii.gz"), nib.load(HAXBY / "mask.nii.gz")
    np.testing.assert_allclose(again.affine, original.affine)
    np.testing.assert_array_equal(np.isfinite(again.get_fdata()), original.get_fdata() > 0)
    late = half_correlations(whole_path(HAXBY, labels, runs, shift=4))
    assert np.diag(late).mean() < 0.5 * np.diag(correlations).mean()


@pytest.mark.real
@pytest.mark.skipif(not HAXBY.is_dir(), reason="haxby2001_nifti is not on this machine")
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_glm_tells_a_real_subjects_categories_apart_too():
    """Onsets two volumes before the published labels, which were moved by the haemodynamic delay."""
    pytest.importorskip("nilearn.glm.first_level")
    rows = [line.split() for line in (HAXBY / "attributes_literal.txt").read_text().splitlines()]
    labels, runs = [row[0] for row in rows], [row[1] for row in rows]
    space = read_space({"brain": HAXBY / "mask.nii.gz"}, like=HAXBY / "bold.nii.gz")
    series, _ = read_values(HAXBY / "bold.nii.gz", space=space)
    betas = glm_betas(series, labels=[*labels[2:], "rest", "rest"], runs=runs, space=space, subject="1", tr=2.5)
    assert told_apart(half_correlations(betas.zscored())) > 0.9
