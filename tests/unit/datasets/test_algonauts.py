"""Algonauts 2023, on a small folder of the documented layout; labels' tables that are pickles are never opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ontogeny.datasets import load
from ontogeny.errors import DataError
from ontogeny.features import Features, Site

Image = pytest.importorskip("PIL.Image")
IDS = [13, 7, 62, 40, 41, 42, 3, 99, 12, 80]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    base = tmp_path / "subj03"
    for name in ("training_split/training_images", "training_split/training_fmri", "roi_masks"):
        (base / name).mkdir(parents=True)
    for row, image in enumerate(IDS):
        pixels = np.full((4, 4, 3), row, dtype=np.uint8)
        Image.fromarray(pixels).save(base / f"training_split/training_images/train-{row + 1:04d}_nsd-{image:05d}.png")
    for side, labels in (("lh", [0, 5, 1, 5]), ("rh", [5, 0, 7])):
        values = rng.standard_normal((10, len(labels))).astype(np.float32)
        if side == "lh":
            values[2, 3] = np.nan
        np.save(base / f"training_split/training_fmri/{side}_training_fmri.npy", values)
        np.save(base / f"roi_masks/{side}.streams_challenge_space.npy", np.array(labels))
    (base / "roi_masks/mapping_streams.npy").write_bytes(b"a pickle that must not be opened")
    return tmp_path


def test_rows_are_paired_by_the_first_number(root: Path) -> None:
    benchmark = load("algonauts2023", folder=root, subject=3, rois=["ventral"])
    (assembly,) = benchmark.assemblies
    fmri = root / "subj03/training_split/training_fmri"
    left, right = (np.load(fmri / f"{side}_training_fmri.npy") for side in ("lh", "rh"))
    np.testing.assert_array_equal(assembly.responses, np.stack([left[:, 1], right[:, 0]], axis=1))
    assert assembly.roi == ("ventral", "ventral")
    assert benchmark.stimuli.ids == tuple(f"nsd-{image:05d}" for image in IDS)
    assert [int(picture[0, 0, 0]) for picture in benchmark.stimuli.inputs] == list(range(10))
    assert "1 vertices dropped" in benchmark.about


def test_what_cannot_be(root: Path) -> None:
    with pytest.raises(DataError, match="no atlas is called 'stream'.*streams"):
        load("algonauts2023", folder=root, subject=3, atlas="stream")
    with pytest.raises(DataError, match="streams has no ROI 'V1v'"):
        load("algonauts2023", folder=root, subject=3, rois=["V1v"])
    (root / "subj03/training_split/training_images/train-0002_nsd-00007.png").unlink()
    with pytest.raises(DataError, match="image train-0002_nsd-"):
        load("algonauts2023", folder=root, subject=3)


def test_a_pickle_is_refused(root: Path) -> None:
    np.save(root / "subj03/roi_masks/lh.streams_challenge_space.npy", np.array({"a": 1}, dtype=object))
    with pytest.raises(DataError, match="cannot be read as an array of numbers"):
        load("algonauts2023", folder=root, subject=3)


def test_another_number_of_images(root: Path) -> None:
    np.save(root / "subj03/training_split/training_fmri/rh_training_fmri.npy", np.zeros((9, 3), dtype=np.float32))
    with pytest.raises(DataError, match=r"expected images x vertices = 10 x 3 .*got \(9, 3\)"):
        load("algonauts2023", folder=root, subject=3)


def test_planted_features_are_found(root: Path) -> None:
    folder = root / "subj03"
    rng = np.random.default_rng(1)
    planted = rng.standard_normal((60, 2)).astype(np.float32)
    for row in range(60):
        name = f"training_split/training_images/train-{row + 1:04d}_nsd-{row + 100:05d}.png"
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(folder / name)
    for row, image in enumerate(IDS):
        (folder / f"training_split/training_images/train-{row + 1:04d}_nsd-{image:05d}.png").unlink()
    for side in ("lh", "rh"):
        values = planted @ rng.standard_normal((2, 5)) + 0.3 * rng.standard_normal((60, 5))
        np.save(folder / f"training_split/training_fmri/{side}_training_fmri.npy", values.astype(np.float32))
        np.save(folder / f"roi_masks/{side}.floc-places_challenge_space.npy", np.array([1, 1, 2, 2, 3]))
    benchmark = load("algonauts2023", folder=root, subject=3, atlas="floc-places")
    ids = benchmark.stimuli.ids
    noise = rng.standard_normal((60, 2)).astype(np.float32)
    values = {Site("planted", "x"): torch.as_tensor(planted), Site("noise", "x"): torch.as_tensor(noise)}
    rows = benchmark.score(Features(stimulus_ids=ids, values=values, refused={}))
    found = {(r.layer, r.roi): r.value for r in rows if r.kind == "alignment"}
    for roi in ("OPA", "PPA", "RSC"):
        assert found["planted", roi] > 0.8
        assert found["noise", roi] < 0.4
