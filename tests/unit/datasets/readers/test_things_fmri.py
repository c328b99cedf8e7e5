"""THINGS-fMRI: a small set on the documented layout, made here: tables, and an HDF5 file as pandas lays it out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ontogeny.datasets import load
from ontogeny.errors import AlignmentIdError, DataError, DatasetNotFoundError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

SESSIONS, TESTS, CONCEPTS, EACH, VOXELS = 3, 15, 8, 6, 14
TEST_STIMULI = [f"thing{i}_12s.jpg" for i in range(TESTS)]
TRAIN_STIMULI = [f"concept{c}_{e + 1:02d}b.jpg" for c in range(CONCEPTS) for e in range(EACH)]
ROIS = {"V1": range(4), "lFFA": range(3, 6), "rFFA": range(6, 9), "lLOC": (), "glasser-V1": range(5)}


def put_table(path: Path, columns: dict[str, list[object]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def put_responses(path: Path, values: np.ndarray, *, ids: np.ndarray | None, items: np.ndarray | None = None) -> None:
    """As pandas 3.1 and PyTables write a table: a block of one type each, rows x columns, with the columns' names;
    whole numbers beside text are serialised objects, as bytes in an array of variable length."""
    with h5py.File(path, "w") as file:
        group = file.create_group("ResponseData")
        blob = np.empty(1, dtype=object)
        blob[0] = np.frombuffer(b"\x80\x04never read", dtype=np.uint8)
        group.create_dataset("axis0", data=blob, dtype=h5py.vlen_dtype(np.uint8))
        group.create_dataset("axis1", data=np.arange(len(values)))
        block = 0 if ids is None else 1
        if ids is not None:
            group.create_dataset("block0_values", data=ids[:, None])
            group.create_dataset("block0_items", data=np.array([b"voxel_id"]))
        group.create_dataset(f"block{block}_values", data=values)
        if items is None:
            group.create_dataset(f"block{block}_items", data=blob, dtype=h5py.vlen_dtype(np.uint8))
        else:
            group.create_dataset(f"block{block}_items", data=items)


def trials(rng: np.random.Generator) -> dict[str, list[object]]:
    """Each session: every test picture, and its share of the train pictures, shuffled; a catch trial."""
    rows = []
    for session in range(SESSIONS):
        shown = [("test", one) for one in TEST_STIMULI] + [("train", one) for one in TRAIN_STIMULI[session::SESSIONS]]
        shown.append(("catch", "catch_000.jpg"))
        rows += [(*shown[i], session + 1) for i in rng.permutation(len(shown))]
    return {
        "trial_type": [kind for kind, _, _ in rows],
        "session": [session for _, _, session in rows],
        "run": [1] * len(rows),
        "subject_id": [1] * len(rows),
        "trial_id": list(range(len(rows))),
        "stimulus": [name for _, name, _ in rows],
        "concept": [name.split("_")[0] for _, name, _ in rows],
    }


def voxels(nc: np.ndarray) -> dict[str, list[object]]:
    return {
        "voxel_id": list(range(VOXELS)),
        "subject_id": [1] * VOXELS,
        "voxel_x": list(range(VOXELS)),
        "nc_singletrial": list(nc / 2),
        "nc_testset": list(nc),
        **{name: [int(v in inside) for v in range(VOXELS)] for name, inside in ROIS.items()},
    }


@pytest.fixture
def made(rng, tmp_path):
    """Two latents a picture drive every voxel; each session has a gain and offset of its own."""
    root = tmp_path / "things_fmri"
    place = root / "betas_csv"
    place.mkdir(parents=True)
    latent = {name: rng.standard_normal(2) for name in (*TEST_STIMULI, *TRAIN_STIMULI, "catch_000.jpg")}
    for number, name in enumerate((*TEST_STIMULI, *TRAIN_STIMULI)):
        (root / "images" / name.rsplit("_", 1)[0]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 5, 3), number, np.uint8)).save(root / "images" / name.rsplit("_", 1)[0] / name)
    kept = {}
    for subject in ("sub-01", "sub-02"):
        shown = trials(rng)
        signal = np.stack([latent[name] for name in shown["stimulus"]]) @ rng.standard_normal((2, VOXELS))
        session = np.array(shown["session"])[:, None]
        values = (session * (signal + 0.7 * rng.standard_normal(signal.shape)) + 10 * session).T.astype(np.float32)
        nc = rng.uniform(5, 80, VOXELS)
        put_table(place / f"{subject}_StimulusMetadata.csv", shown)
        put_table(place / f"{subject}_VoxelMetadata.csv", voxels(nc))
        put_responses(place / f"{subject}_ResponseData.h5", values, ids=np.arange(VOXELS))
        kept[subject] = (shown, values, nc)
    return root, kept, latent


def test_test_images_are_averaged_within_z_scored_sessions(made):
    folder, kept, _ = made
    b = load("things_fmri", folder=folder, rois=["V1", "FFA"])
    assert (b.name, len(b.stimuli), b.stimuli.groups) == ("things_fmri-test", TESTS, None)
    assert [a.subject for a in b.assemblies] == ["sub-01", "sub-02"]
    for one in b.assemblies:
        shown, values, nc = kept[one.subject]
        kind, session, stimulus = (np.array(shown[name]) for name in ("trial_type", "session", "stimulus"))
        z = np.full(values.shape, np.nan)
        for s in range(1, SESSIONS + 1):
            some = (kind == "test") & (session == s)
            part = values[:, some].astype(float)
            z[:, some] = (part - part.mean(1, keepdims=True)) / part.std(1, keepdims=True)
        for row, name in enumerate(one.stimulus_ids):
            mean = z[:, (kind == "test") & (stimulus == name)].mean(axis=1)
            np.testing.assert_allclose(one.responses[row], mean[[0, 1, 2, 3, 3, 4, 5, 6, 7, 8]], atol=1e-5)
        assert one.roi == ("V1",) * 4 + ("FFA",) * 6
        np.testing.assert_allclose(one.ceiling, np.sqrt(nc / 100)[[0, 1, 2, 3, 3, 4, 5, 6, 7, 8]])
    numbers = {name: number for number, name in enumerate(TEST_STIMULI)}
    assert [int(np.asarray(p)[0, 0, 0]) for p in b.stimuli.inputs] == [numbers[one] for one in b.stimuli.ids]
    assert "matched by voxel_id" in b.about


def test_train_images_keep_concepts_whole(made):
    folder, kept, _ = made
    b = load("things_fmri", folder=folder, split="train", rois=["glasser-V1"], zscore=False, subjects=["sub-02"])
    assert set(b.stimuli.ids) == set(TRAIN_STIMULI)
    assert b.stimuli.groups == tuple(one.split("_")[0] for one in b.stimuli.ids)
    for train, held_out in b.folds:
        assert not {b.stimuli.groups[i] for i in train} & {b.stimuli.groups[i] for i in held_out}
    (one,) = b.assemblies
    shown, values, nc = kept["sub-02"]
    for row, name in enumerate(one.stimulus_ids):
        np.testing.assert_array_equal(one.responses[row], values[:5, shown["stimulus"].index(name)])
    np.testing.assert_allclose(one.ceiling, np.sqrt(nc[:5] / 200))
    assert "nc_singletrial" in one.ceiling_source
    best = load("things_fmri", folder=folder, rois=["glasser-V1"], subjects=["sub-02"], least=float(np.sort(nc[:5])[2]))
    np.testing.assert_allclose(best.assemblies[0].ceiling, np.sqrt(nc[:5][nc[:5] >= np.sort(nc[:5])[2]] / 100))


def test_planted_features_beat_chance(made, rng):
    folder, _, latent = made
    for split, least in (("test", 0.6), ("train", 0.5)):
        b = load("things_fmri", folder=folder, split=split, rois=["V1", "FFA"])
        planted = np.stack([latent[name] for name in b.stimuli.ids])
        sites = {
            Site("planted", "mean"): torch.as_tensor(planted, dtype=torch.float32),
            Site("noise", "mean"): torch.as_tensor(rng.standard_normal(planted.shape), dtype=torch.float32),
        }
        scores = b.score(Features(stimulus_ids=b.stimuli.ids, values=sites, refused={}))
        encoding = [s for s in scores if s.kind == "alignment" and s.metric == b.metrics[0].name]
        assert {(s.subject, s.roi) for s in encoding} == {(s, r) for s in ("sub-01", "sub-02") for r in ("V1", "FFA")}
        assert min(s.value for s in encoding if s.layer == "planted") > least
        assert max(s.value for s in encoding if s.layer == "noise") < least


def test_columns_are_matched_by_trial_number_where_the_file_says_it(made):
    folder, kept, _ = made
    options = {"folder": folder, "rois": ["V1"], "subjects": ["sub-01"]}
    whole = load("things_fmri", **options)
    path, (_, values, _) = folder / "betas_csv" / "sub-01_ResponseData.h5", kept["sub-01"]
    order = np.random.default_rng(1).permutation(values.shape[1])
    for items in (order, np.array([str(i).encode() for i in order])):
        put_responses(path, values[:, order], ids=np.arange(VOXELS), items=items)
        assert load("things_fmri", **options).fingerprint() == whole.fingerprint()
    put_responses(path, values, ids=None)
    b = load("things_fmri", **options)
    assert b.fingerprint() == whole.fingerprint()
    assert "says no voxel_id in numbers: voxels are taken in the order of VoxelMetadata" in b.about


def test_voxels_with_nan_are_dropped_and_counted(made):
    folder, kept, _ = made
    shown, values, nc = kept["sub-01"]
    place = folder / "betas_csv"
    values = values.copy()
    values[3, shown["trial_type"].index("test")] = np.nan
    values[1, np.array(shown["session"]) == 2] = 4.0
    nc[7] = np.nan
    put_responses(place / "sub-01_ResponseData.h5", values, ids=np.arange(VOXELS))
    put_table(place / "sub-01_VoxelMetadata.csv", {**voxels(nc), "nc_testset": ["" if n != n else n for n in nc]})
    b = load("things_fmri", folder=folder, rois=["V1", "FFA"])
    assert "; 3 voxels with NaN or without variance left out" in b.about
    assert [a.roi for a in b.assemblies] == [("V1",) * 2 + ("FFA",) * 4, ("V1",) * 4 + ("FFA",) * 6]
    np.testing.assert_allclose(b.assemblies[0].ceiling, np.sqrt(nc[[0, 2, 4, 5, 6, 8]] / 100))
    values[:4] = np.nan
    put_responses(place / "sub-01_ResponseData.h5", values, ids=np.arange(VOXELS))
    with pytest.raises(DataError, match="sub-01: every voxel of ROI 'V1' holds NaN or is constant; leave it out"):
        load("things_fmri", folder=folder, rois=["FFA", "V1"])


def test_options_that_cannot_be_are_refused(made, monkeypatch, tmp_path):
    folder, _, _ = made
    for options, text in [
        ({"split": "both"}, "split is 'train' or 'test', got 'both'"),
        ({"subjects": ["sub-1"]}, "there is no sub-1_ResponseData.h5. Did you mean 'sub-01'"),
        ({"rois": ["FAA"]}, "there is no ROI 'FAA'. Did you mean 'FFA'"),
        ({"rois": []}, "rois should be a list of regions, got \\[\\]"),
        ({"rois": ["lLOC"]}, "no voxel with a noise ceiling of 0 % or more lies in \\['lLOC'\\]; leave them out"),
        ({"least": 90.0}, "no voxel with a noise ceiling of 90 % or more lies in \\['V1'\\]"),
        ({"images": tmp_path}, "15 of 15 pictures are not there, e.g. .*_12s.jpg"),
    ]:
        with pytest.raises(DataError, match=text):
            load("things_fmri", folder=folder, **{"rois": ["V1"], **options})
    with pytest.raises(DataError, match="there is no sub-01_ResponseData.h5; give the folder that holds betas_csv"):
        load("things_fmri", folder=tmp_path)
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DatasetNotFoundError, match="things_fmri is not on this machine.*figshare"):
        load("things_fmri")
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    assert len(load("things_fmri", rois=["V1"]).stimuli) == TESTS
    (folder / "images").rename(folder / "object_images")
    assert len(load("things_fmri", rois=["V1"]).stimuli) == TESTS
    (folder / "object_images" / "thing3" / "thing3_12s.jpg").unlink()
    with pytest.raises(DataError, match="1 of 15 pictures are not there, e.g. .*thing3_12s.jpg"):
        load("things_fmri", rois=["V1"])


def test_files_that_do_not_fit_each_other_are_refused(made):
    folder, kept, _ = made
    place = folder / "betas_csv"
    shown, values, nc = kept["sub-01"]
    path, n = place / "sub-01_ResponseData.h5", kept["sub-01"][1].shape[1]

    def refused(text: str, error: type[DataError] = DataError) -> None:
        with pytest.raises(error, match=text):
            load("things_fmri", folder=folder, rois=["V1"])

    put_responses(path, values[:, 1:], ids=None)
    refused(f"one block of floats, voxels x trials = 14 x {n} .*got \\[\\(14, {n - 1}\\)\\]")
    put_responses(path, values, ids=np.arange(VOXELS)[::-1])
    refused("its voxel_id are not those of VoxelMetadata in their order")
    put_responses(path, values, ids=None, items=np.arange(n) + 1)
    refused(f"trials should be numbered 0 to {n - 1}, got")
    with h5py.File(path, "w") as file:
        file.create_group("responses")
    refused("there is no 'ResponseData', got \\['responses'\\]")
    table = place / "sub-01_VoxelMetadata.csv"
    put_responses(path, values, ids=None)
    put_table(table, voxels(nc + 60))
    refused("nc_testset should be percent, 0 to 100, got 1")
    put_table(table, {**voxels(nc), "V1": ["x"] * VOXELS})
    refused("column 'V1' should hold numbers")
    put_table(table, {name: cells for name, cells in voxels(nc).items() if name != "nc_testset"})
    refused("VoxelMetadata.csv: there is no column 'nc_testset'. Did you mean")
    put_table(table, voxels(nc))
    table.write_text(table.read_text() + "1,2\n")
    refused(f"VoxelMetadata.csv, line {VOXELS + 2}: 10 columns but 2 cells")
    table.unlink()
    refused("sub-01_VoxelMetadata.csv is not there; it comes with betas_csv.zip")
    trials_of = place / "sub-01_StimulusMetadata.csv"
    put_table(trials_of, {**shown, "trial_type": ["train"] * n})
    refused("no trial is of trial_type 'test', got \\['train'\\]")
    trials_of.write_text("trial_type,session,stimulus,concept\ntest,1,a.jpg\n")
    refused("StimulusMetadata.csv, line 2: 4 columns but 3 cells")
    trials_of.write_bytes(b"trial_type,session,stimulus,concept\n\xff,1,a,a\n")
    refused("StimulusMetadata.csv cannot be read as a CSV table")


def test_subjects_who_saw_other_pictures_are_refused(made):
    folder, kept, _ = made
    shown = kept["sub-02"][0]
    other = [name.replace("thing3", "thing99") for name in shown["stimulus"]]
    put_table(folder / "betas_csv" / "sub-02_StimulusMetadata.csv", {**shown, "stimulus": other})
    with pytest.raises(AlignmentIdError, match="subject 'sub-02' has no response to 1 of 15 stimuli.*thing3_12s"):
        load("things_fmri", folder=folder, rois=["V1"])
