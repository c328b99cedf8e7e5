"""Algonauts 2023: a small subject on the documented layout, made here."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ontogeny.datasets import load
from ontogeny.datasets.readers.algonauts import REGIONS
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site

IMAGES, VERTICES = 60, {"lh": 20, "rh": 14}
NUMBERS = {"lh": np.repeat([0, 1, 2, 7, 3], 4), "rh": np.repeat([2, 1, 0, 7, 4, 5, 6], 2)}


@pytest.fixture
def made(rng, tmp_path):
    """Two latents drive every vertex; pictures are flat squares, saved in shuffled order."""
    root = tmp_path / "algonauts2023"
    subject = root / "subj01"
    fmri, pictures = subject / "training_split" / "training_fmri", subject / "training_split" / "training_images"
    for folder in (fmri, pictures, subject / "roi_masks"):
        folder.mkdir(parents=True)
    latent = rng.standard_normal((IMAGES, 2))
    for number in rng.permutation(IMAGES):
        pixels = np.full((9, 8, 3), number, dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"train-{number + 1:04d}_nsd-{7 * number + 13:05d}.png")
    responses = {}
    for side, n in VERTICES.items():
        noise = 0.5 * rng.standard_normal((IMAGES, n))
        responses[side] = (latent @ rng.standard_normal((2, n)) + noise).astype(np.float32)
        np.save(fmri / f"{side}_training_fmri.npy", responses[side])
        for kind in REGIONS:
            numbers = NUMBERS[side] if kind == "prf-visualrois" else np.zeros(n, dtype=int)
            np.save(subject / "roi_masks" / f"{side}.{kind}_challenge_space.npy", numbers)
        np.save(subject / "roi_masks" / "mapping_streams.npy", np.array({1: "early"}, dtype=object))
    return root, latent, responses


def test_regions_pictures_and_ids(made):
    folder, _, responses = made
    b = load("algonauts2023", folder=folder, rois=["V1", "V1d", "hV4"], images=None)
    (one,) = b.assemblies
    assert (b.name, one.subject, len(b.stimuli)) == ("algonauts2023-subj01", "subj01", IMAGES)
    assert b.stimuli.ids[:2] == ("nsd-00013", "nsd-00020")
    assert [int(np.asarray(p)[0, 0, 0]) for p in b.stimuli.inputs] == list(range(IMAGES))
    assert b.stimuli.inputs[0].shape == (9, 8, 3)
    assert [int(p[0, 0, 0]) for p in b.stimuli.inputs[3:5]] == [3, 4]
    roi = np.array(one.roi)
    lh, rh = responses["lh"], responses["rh"]
    np.testing.assert_array_equal(one.responses[:, roi == "V1"], np.concatenate([lh[:, 4:12], rh[:, :4]], axis=1))
    np.testing.assert_array_equal(one.responses[:, roi == "V1d"], np.concatenate([lh[:, 8:12], rh[:, :2]], axis=1))
    np.testing.assert_array_equal(one.responses[:, roi == "hV4"], np.concatenate([lh[:, 12:16], rh[:, 6:8]], axis=1))
    assert one.ceiling is None
    assert "not known" in b.about
    apart = load("algonauts2023", folder=folder, rois=["V1", "hV4"], images=None, apart=True)
    assert set(apart.assemblies[0].roi) == {"lh V1", "rh V1", "lh hV4", "rh hV4"}
    np.testing.assert_array_equal(
        apart.assemblies[0].responses[:, np.array(apart.assemblies[0].roi) == "rh V1"], rh[:, :4]
    )


def test_some_images_are_drawn_alike_each_time(made):
    folder, _, responses = made
    first = load("algonauts2023", folder=folder, rois=["hV4"], images=30)
    again = load("algonauts2023", folder=folder, rois=["hV4"], images=30)
    assert first.fingerprint() == again.fingerprint()
    rows = [(int(one.removeprefix("nsd-")) - 13) // 7 for one in first.stimuli.ids]
    assert len(set(rows)) == 30
    assert rows == sorted(rows)
    np.testing.assert_array_equal(first.assemblies[0].responses[:, :4], responses["lh"][rows, 12:16])
    assert [int(np.asarray(p)[0, 0, 0]) for p in first.stimuli.inputs] == rows


def test_planted_features_beat_chance(made, rng):
    folder, latent, _ = made
    b = load("algonauts2023", folder=folder, rois=["V1", "hV4"], images=None)
    sites = {
        Site("planted", "mean"): torch.as_tensor(latent, dtype=torch.float32),
        Site("noise", "mean"): torch.as_tensor(rng.standard_normal(latent.shape), dtype=torch.float32),
    }
    scores = b.score(Features(stimulus_ids=b.stimuli.ids, values=sites, refused={}))
    found = {(s.layer, s.roi): s.value for s in scores if s.kind == "alignment"}
    for roi in ("V1", "hV4"):
        assert found["planted", roi] > 0.7
        assert abs(found["noise", roi]) < 0.3


def test_vertices_with_nan_are_dropped_and_counted_and_ceilings_follow(made, tmp_path):
    folder, _, responses = made
    responses["lh"][3, 5] = np.nan
    responses["rh"][:, 1] = 2.0
    for side, values in responses.items():
        np.save(folder / "subj01" / "training_split" / "training_fmri" / f"{side}_training_fmri.npy", values)
        np.save(tmp_path / f"{side}_noise_ceiling.npy", np.linspace(0.1, 0.9, values.shape[1]))
    b = load("algonauts2023", folder=folder, rois=["V1", "V1v", "V1d"], images=None, ceilings=tmp_path)
    assert "2 vertices with NaN or without variance" in b.about
    one, roi = b.assemblies[0], np.array(b.assemblies[0].roi)
    assert one.ceiling_source == "given by the user, one a vertex"
    expected = [*np.linspace(0.1, 0.9, 20)[[4, 6, 7, 8, 9, 10, 11]], *np.linspace(0.1, 0.9, 14)[[0, 2, 3]]]
    np.testing.assert_allclose(one.ceiling[roi == "V1"], expected)
    np.save(tmp_path / "rh_noise_ceiling.npy", np.full(14, 40.0))
    with pytest.raises(DataError, match="rh_noise_ceiling.npy: expected 14 Pearson r of 0 to 1.*got 14 from 40 to 40"):
        load("algonauts2023", folder=folder, rois=["V1"], ceilings=tmp_path, images=None)
    responses["lh"][0, 12:16] = np.nan
    responses["rh"][0, 6:8] = np.nan
    for side, values in responses.items():
        np.save(folder / "subj01" / "training_split" / "training_fmri" / f"{side}_training_fmri.npy", values)
    with pytest.raises(DataError, match="subj01, ROI 'hV4': every vertex of it holds NaN or is constant"):
        load("algonauts2023", folder=folder, rois=["hV4"], images=None)


def test_fingerprints_are_those_of_pictures_in_memory(made):
    folder, _, _ = made
    stimuli = load("algonauts2023", folder=folder, rois=["V1"], images=None).stimuli
    assert replace(stimuli, inputs=[np.asarray(p) for p in stimuli.inputs]).fingerprint() == stimuli.fingerprint()
    (folder / "subj01" / "training_split" / "training_images" / "train-0002_nsd-00020.png").write_bytes(b"GIF")
    with pytest.raises(DataError, match="train-0002_nsd-00020.png cannot be decoded as a picture"):
        stimuli.fingerprint()


def test_options_that_cannot_be_are_refused(made, monkeypatch, tmp_path):
    folder, _, _ = made
    for options, text in [
        ({"subject": "subj1"}, "there is no subject 'subj1'. Did you mean 'subj01'"),
        ({"rois": ["V1x"]}, "algonauts2023 has no ROI 'V1x'. Did you mean 'V1"),
        ({"rois": []}, "rois should be a list of regions, got \\[\\]"),
        ({"rois": ["RSC"]}, "ROI 'RSC': no vertex lies in it; leave it out"),
        ({"images": 0, "rois": ["V1"]}, "images should be 1 to 60, or None for all, got 0"),
    ]:
        with pytest.raises(DataError, match=text):
            load("algonauts2023", folder=folder, **{"images": None, **options})
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DatasetNotFoundError, match="algonauts2023 is not on this machine.*algonauts.csail.mit.edu"):
        load("algonauts2023")
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    assert len(load("algonauts2023", images=None, rois=["V1"]).stimuli) == IMAGES


def test_files_that_cannot_be_used_are_refused(made):
    folder, _, _ = made
    subject = folder / "subj01"
    mask, fmri = subject / "roi_masks" / "lh.prf-visualrois_challenge_space.npy", subject / "training_split"

    def refused(text: str) -> None:
        with pytest.raises(DataError, match=text):
            load("algonauts2023", folder=folder, rois=["V1"], images=None)

    np.save(mask, NUMBERS["lh"] + 1)
    refused("regions are numbered 0 to 7, got 1 to 8")
    np.save(mask, NUMBERS["rh"])
    refused("lh.prf-visualrois_challenge_space.npy: 14 vertices, but the responses have 20")
    np.save(mask, np.array({1: "V1v"}, dtype=object))
    refused(f"{re.escape(mask.name)} cannot be read as an array of numbers")
    np.save(mask, NUMBERS["lh"][:, None])
    refused("expected 1 dimension\\(s\\) of numbers, got \\(20, 1\\)")
    mask.unlink()
    refused("lh.prf-visualrois_challenge_space.npy is not there; unpack the whole folder of the subject")
    pictures = fmri / "training_images"
    shutil.copy(pictures / "train-0060_nsd-00426.png", pictures / "train-0060_nsd-00427.png")
    refused("61 pictures have 60 numbers; unpack the folder anew")
    (pictures / "train-0060_nsd-00427.png").unlink()
    (pictures / "train-0060_nsd-00426.png").unlink()
    refused("lh_training_fmri.npy: 60 rows but 59 pictures")
    (pictures / "train-0003_nsd-00027.png").unlink()
    refused("numbered from 1 without gaps, but train-0003 is missing")
    for path in pictures.iterdir():
        path.unlink()
    refused("there are no pictures train-0001_nsd-00013.png")
