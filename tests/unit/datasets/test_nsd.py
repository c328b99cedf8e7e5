"""NSD: a small set on the documented layout, made here; what was planted comes back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests import nsd_files
from tests.nsd_files import BETAS, GRID, LABELS, TRIALS, put_hdf5, volume, write

from ontogeny.datasets import load
from ontogeny.datasets.nsd.responses import noise_ceiling
from ontogeny.datasets.nsd.stimuli import Photographs
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.features import Features, Site

h5py = pytest.importorskip("h5py", reason="h5py is not installed")

NAMES = {1: "early", 2: "midventral", 5: "ventral"}
# In the order of places in a volume: x slowest.
PLACES = sorted(place for place, label in LABELS.items() if label > 0)


@pytest.fixture
def small(tmp_path):
    """Subject 1 has the sessions 1-3 of 4, subject 2 the first two."""
    return nsd_files.make(tmp_path / "set", {"subj01": (1, 2, 3), "subj02": (1, 2)})


def by_hand(small, subject: str, sessions, images: list[int], *, zscore: bool = True) -> np.ndarray:
    """Images x voxels: each trial on its own, in float64."""
    found: dict[int, list[np.ndarray]] = {image: [] for image in images}
    for session in sessions:
        psc = np.stack([small.betas[subject, session][place] for place in PLACES], axis=1) / 300.0
        values = (psc - psc.mean(axis=0)) / psc.std(axis=0) if zscore else psc
        for trial, image in enumerate(small.images(subject, session)):
            if image in found:
                found[image].append(values[trial])
    return np.stack([np.mean(found[image], axis=0) for image in images])


def seen(small, subject: str, sessions) -> list[int]:
    return [image for session in sessions for image in small.images(subject, session)]


def number(stimulus: str) -> int:
    return int(stimulus.removeprefix("nsd-"))


@pytest.mark.parametrize("images", ["shared", "unique", "all"])
def test_planted_values_come_back(small, images):
    b = load("nsd", folder=small.folder, images=images)
    common = {int(one) - 1 for one in small.shared}
    shown = {i for i in seen(small, "subj01", (1, 2, 3))}
    wanted = {"all": shown, "shared": shown & common, "unique": shown - common}[images]
    assert [number(one) for one in b.stimuli.ids] == sorted(wanted)
    (one,) = b.assemblies
    assert (one.subject, one.roi) == ("subj01", tuple(NAMES[LABELS[place]] for place in PLACES))
    assert one.responses.dtype == np.float32
    np.testing.assert_allclose(one.responses, by_hand(small, "subj01", (1, 2, 3), sorted(wanted)), atol=1e-5)
    counts = [seen(small, "subj01", (1, 2, 3)).count(i) for i in sorted(wanted)]
    a, two, c = (counts.count(n) for n in (3, 2, 1))
    assert min(a, two, c) > 0
    snr = np.array([small.ncsnr["subj01"][place] for place in PLACES], dtype=float)
    expected = snr**2 / (snr**2 + (a / 3 + two / 2 + c / 1) / (a + two + c))
    np.testing.assert_allclose(one.ceiling**2, expected, rtol=1e-6)
    assert "noise ceiling of the NSD data manual" in one.ceiling_source
    assert f"subj01 3 sessions, {c} seen 1 x, {two} seen 2 x, {a} seen 3 x; 7 voxels, left out: none" in b.about
    for stimulus, picture in zip(b.stimuli.ids[:5], b.stimuli.inputs[:5], strict=True):
        np.testing.assert_array_equal(picture, nsd_files.picture(number(stimulus)))
        np.testing.assert_array_equal(b.stimuli.inputs[b.stimuli.ids.index(stimulus)], picture)


def test_hdf5_and_nifti_hold_the_same(small):
    first = load("nsd", folder=small.folder, sessions="1-2", zscore=False)
    for session in (1, 2, 3):
        write(small, "subj01", session, "nii.gz")
    small.path("subj01", 1, "hdf5").unlink()
    small.path("subj01", 2, "hdf5").unlink()
    second = load("nsd", folder=small.folder, sessions="1-2", zscore=False)
    np.testing.assert_array_equal(first.assemblies[0].responses, second.assemblies[0].responses)
    assert first.fingerprint() == second.fingerprint()
    assert "percent signal change" in first.about


def test_percent_signal_change_is_betas_by_300(small):
    b = load("nsd", folder=small.folder, sessions="2", zscore=False, images="all")
    ids = [number(one) for one in b.stimuli.ids]
    np.testing.assert_allclose(b.assemblies[0].responses, by_hand(small, "subj01", (2,), ids, zscore=False), atol=1e-5)
    assert np.abs(b.assemblies[0].responses).max() < 3.01
    assert "1 sessions" in b.about


def test_sessions_are_all_that_are_there_or_those_named(small):
    whole = load("nsd", folder=small.folder, images="all")
    for text, sessions in [("1-3", (1, 2, 3)), ("3, 1", (1, 3)), ("1,2-3", (1, 2, 3))]:
        b = load("nsd", folder=small.folder, images="all", sessions=text)
        assert [number(one) for one in b.stimuli.ids] == sorted(set(seen(small, "subj01", sessions)))
        assert (b.fingerprint() == whole.fingerprint()) == (len(sessions) == 3)


def test_subjects_go_together_on_the_shared_images_that_all_saw(small):
    b = load("nsd", folder=small.folder, subjects=["subj01", "subj02"])
    common = {int(one) - 1 for one in small.shared}
    ids = sorted(common & set(seen(small, "subj01", (1, 2, 3))) & set(seen(small, "subj02", (1, 2))))
    assert len(ids) < len(common & set(seen(small, "subj01", (1, 2, 3))))
    assert (b.name, [number(one) for one in b.stimuli.ids]) == ("nsd-shared", ids)
    for one, sessions in zip(b.assemblies, [(1, 2, 3), (1, 2)], strict=True):
        np.testing.assert_allclose(one.responses, by_hand(small, one.subject, sessions, ids), atol=1e-5)
    assert not np.allclose(b.assemblies[0].ceiling, b.assemblies[1].ceiling)
    with pytest.raises(DataError, match="saw different images.*images='shared', or load each subject.*'unique'"):
        load("nsd", folder=small.folder, subjects=["subj01", "subj02"], images="unique")
    assert load("nsd", folder=small.folder, images="unique").name == "nsd-subj01-unique"


def test_rois_are_chosen_or_joined_to_the_users_networks(small, tmp_path):
    some = load("nsd", folder=small.folder, rois=["ventral"])
    assert some.assemblies[0].roi == ("ventral",) * 3
    table = tmp_path / "networks.csv"
    table.write_text("roi,network\nearly,Visual\nmidventral,Visual\n")
    for networks in (table, str(table), {"early": "Visual", "midventral": "Visual"}):
        b = load("nsd", folder=small.folder, rois=networks)
        assert b.assemblies[0].roi == ("Visual",) * 4
        assert "streams, joined by a table of the user" in b.about
    whole = load("nsd", folder=small.folder).assemblies[0]
    mine = [i for i, roi in enumerate(whole.roi) if roi != "ventral"]
    np.testing.assert_array_equal(b.assemblies[0].responses, whole.responses[:, mine])
    np.testing.assert_array_equal(b.assemblies[0].ceiling, whole.ceiling[mine])


def test_names_of_labels_may_lie_with_fsaverage(small):
    own = small.folder / "nsddata/freesurfer/subj01/label/streams.mgz.ctab"
    other = small.folder / "nsddata/freesurfer/fsaverage/label/streams.mgz.ctab"
    other.parent.mkdir(parents=True)
    own.rename(other)
    assert set(load("nsd", folder=small.folder).assemblies[0].roi) == set(NAMES.values())
    other.unlink()
    with pytest.raises(DataError, match="names of its labels are not there; get .*subj01/label/streams.mgz.ctab"):
        load("nsd", folder=small.folder)


def test_unusable_voxels_are_dropped_and_counted(small):
    small.betas["subj01", 2][PLACES[1]] = 7
    write(small, "subj01", 2, "hdf5")
    snr = small.ncsnr["subj01"].copy()
    snr[PLACES[4]] = np.nan
    volume(small.folder / BETAS.format("subj01") / "ncsnr.nii.gz", snr)
    b = load("nsd", folder=small.folder)
    assert "5 voxels, left out: 1 constant within a session, 1 without ncsnr" in b.about
    ids = [number(one) for one in b.stimuli.ids]
    with np.errstate(invalid="ignore"):  # the voxel that is constant
        expected = by_hand(small, "subj01", (1, 2, 3), ids)[:, [0, 2, 3, 5, 6]]
    np.testing.assert_allclose(b.assemblies[0].responses, expected, atol=1e-5)
    values = small.betas["subj01", 1].astype(np.float32)
    values[PLACES[0]][3] = np.nan
    small.path("subj01", 1, "hdf5").unlink()
    volume(small.path("subj01", 1, "nii.gz"), values)
    assert "4 voxels, left out: 1 NaN or infinite, 1 constant" in load("nsd", folder=small.folder).about


def test_ceiling_is_what_the_noise_allows_in_a_simulation():
    rng = np.random.default_rng(3)
    n, snr = 60_000, np.array([0.25, 0.6, 1.5])
    repeats = rng.choice([1, 2, 3], size=n, p=[0.3, 0.2, 0.5])
    signal = rng.standard_normal((n, 3))
    means = signal + rng.standard_normal((n, 3)) / snr / np.sqrt(repeats)[:, None]
    reached = [np.corrcoef(signal[:, v], means[:, v])[0, 1] for v in range(3)]
    np.testing.assert_allclose(noise_ceiling(snr, repeats), reached, atol=0.01)
    wrong = np.sqrt(snr**2 / (snr**2 + 1 / repeats.mean()))
    assert np.abs(wrong - reached)[0] > 0.02
    np.testing.assert_allclose(noise_ceiling(snr, np.full(9, 3)), np.sqrt(snr**2 / (snr**2 + 1 / 3)))


def test_planted_features_beat_chance(small, rng):
    latent = {image: rng.standard_normal(4) for image in sorted(set(seen(small, "subj01", (1, 2, 3))))}
    weights = rng.standard_normal((4, *GRID))
    for session in (1, 2, 3):
        of = np.stack([latent[image] for image in small.images("subj01", session)])
        noisy = np.einsum("tk,kxyz->xyzt", of, weights) + rng.standard_normal((*GRID, TRIALS))
        small.betas["subj01", session] = np.rint(300 * noisy).clip(-32000, 32000).astype(np.int16)
        write(small, "subj01", session, "hdf5")
    b = load("nsd", folder=small.folder, images="all")
    x = np.stack([latent[number(one)] for one in b.stimuli.ids])
    values = {
        Site("planted", "mean"): torch.as_tensor(x, dtype=torch.float32),
        Site("one late", "mean"): torch.as_tensor(np.roll(x, 1, axis=0).copy(), dtype=torch.float32),
    }
    rows = b.prepare().score(Features(stimulus_ids=b.stimuli.ids, values=values, refused={}))
    found = {(r.layer, r.roi): r.value for r in rows if r.kind == "alignment"}
    for roi in NAMES.values():
        assert found["planted", roi] > 0.8
        assert abs(found["one late", roi]) < 0.15


def captions(small, images, *, name: str = "captions_train2017.json") -> None:
    """Two captions of each image, the later one first; COCO's number is 5 times the row."""
    said = [
        {"id": 10_000_000 - 2 * i + k, "image_id": 5 * i, "caption": f" {'later' if k else 'A dog'} \n {i} "}
        for i in images
        for k in (1, 0)
    ]
    (small.folder / "annotations").mkdir(exist_ok=True)
    (small.folder / "annotations" / name).write_text(json.dumps({"annotations": said}))


def stim_info(small, images) -> None:
    rows = [f'{i},{5 * i},{"val2017" if i % 2 else "train2017"},"(0, 0, 0.1, 0.1)",{i}\n' for i in images]
    table = small.folder / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
    table.write_text(",cocoId,cocoSplit,cropBox,nsdId\n" + "".join(rows))


def test_captions_are_read_in_place_of_photographs(small):
    images = sorted(set(seen(small, "subj01", (1, 2, 3))))
    stim_info(small, images)
    captions(small, [i for i in images if i % 2 == 0])
    captions(small, [i for i in images if i % 2], name="captions_val2017.json")
    b = load("nsd", folder=small.folder, modality="text")
    assert (b.name, b.stimuli.modality) == ("nsd-shared-captions", "text")
    assert list(b.stimuli.inputs) == [f"A dog {number(one)}" for one in b.stimuli.ids]
    assert "captions, of each image that with COCO's lowest annotation id" in b.about
    absent = number(b.stimuli.ids[0])
    split = "val2017" if absent % 2 else "train2017"
    captions(small, [i for i in images if i != absent], name=f"captions_{split}.json")
    with pytest.raises(DataError, match=f"captions_{split}.json has no caption of COCO image {5 * absent} \\(nsd-"):
        load("nsd", folder=small.folder, modality="text")
    path = small.folder / "annotations" / f"captions_{split}.json"
    path.write_text('{"info": 3}')
    with pytest.raises(DataError, match="cannot be read as COCO's captions.*KeyError"):
        load("nsd", folder=small.folder, modality="text")
    path.unlink()
    with pytest.raises(DataError, match=f"no captions_{split}.json, nor annotations/.*cocodataset.org"):
        load("nsd", folder=small.folder, modality="text")
    stim_info(small, images[:3])
    with pytest.raises(DataError, match="images have no row, e.g. nsd-.* \\(nsdId"):
        load("nsd", folder=small.folder, modality="text")
    table = small.folder / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
    table.write_text("cocoId,cocoSplit,nsdId\nx,train2017,3\n")
    with pytest.raises(DataError, match="nsdId and cocoId should be whole numbers"):
        load("nsd", folder=small.folder, modality="text")
    table.write_text("cocoId,nsdId\n1,3\n")
    with pytest.raises(DataError, match="column 'cocoSplit' is missing"):
        load("nsd", folder=small.folder, modality="text")
    table.unlink()
    with pytest.raises(DataError, match="nsd_stim_info_merged.csv is not there"):
        load("nsd", folder=small.folder, modality="text")


def test_photographs_are_read_one_by_one(tmp_path):
    """A file of the true size, 40 GB if it were read whole; all but one chunk are empty."""
    path = tmp_path / "nsd_stimuli.hdf5"
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", shape=(73_000, 425, 425, 3), dtype=np.uint8, chunks=(1, 425, 425, 3))
        brick[72_999, 3, 4] = (1, 2, 3)
    photos = Photographs(path, range(73_000))
    assert len(photos) == 73_000
    assert photos[-1][3, 4].tolist() == [1, 2, 3]
    assert [int(photo.max()) for photo in photos[72_997:]] == [0, 0, 3]
    for rows, text in [
        ((3, 73_000), "has 73000 images, but 1 that were shown are not among them, e.g. nsd-73000, row")
    ]:
        with pytest.raises(DataError, match=text):
            Photographs(path, rows)
    put_hdf5(path, "imgBrick", np.zeros((4, 3, 5, 5), dtype=np.uint8))
    with pytest.raises(
        DataError, match="imgBrick should be uint8, images x height x width x 3, got uint8 \\(4, 3, 5, 5"
    ):
        Photographs(path, [0])
    put_hdf5(path, "other", np.zeros(3))
    with pytest.raises(DataError, match="there is no 'imgBrick', got \\['other'\\]"):
        Photographs(path, [0])


def test_options_that_cannot_be_used_are_refused(small, tmp_path, monkeypatch, unchecked):
    (tmp_path / "twice.csv").write_text("roi,network\nearly,Visual\nearly,Limbic\n")
    (tmp_path / "other.csv").write_text("area,network\nearly,Visual\n")
    for options, text in [
        ({"subjects": ["subj1"]}, "there is no subject 'subj1'. Did you mean 'subj01'"),
        ({"subjects": "subj01"}, "subjects should be a list, e.g. \\['subj01'\\]"),
        ({"subjects": []}, "subjects should be one or several of \\['subj01', 'subj02'\\], each once, got \\[\\]"),
        ({"subjects": ["subj02", "subj02"]}, "each once"),
        (
            {"sessions": "1-4"},
            "session 4 of subj01 is missing \\(betas_session04.hdf5 or .nii.gz\\); there are 1-3: get",
        ),
        ({"sessions": "3-1"}, "sessions should be 'all' or numbers and ranges from 1, e.g. '1-37'.*got '3-1'"),
        ({"sessions": "one"}, "got 'one'"),
        ({"images": "every"}, "images should be 'all', 'shared' or 'unique', got 'every'"),
        ({"modality": "sound"}, "modality should be 'image' or 'text' \\(captions\\), got 'sound'"),
        ({"atlas": "stream"}, "there is no stream.nii.gz. Did you mean 'streams'"),
        ({"rois": ["ventrl"]}, "no ROI is called 'ventrl'. Did you mean .*'ventral'"),
        ({"rois": "ventral"}, "rois: there is no file ventral; give ROIs as a list, or a table"),
        ({"rois": {"ventrl": "Visual"}}, "no ROI is called 'ventrl'"),
        (
            {"rois": tmp_path / "twice.csv"},
            "twice.csv: each ROI has one network, got 'early': 'Limbic' beside 'Visual'",
        ),
        ({"rois": {"early": ""}}, "rois: each ROI has one network, got 'early': ''"),
        ({"rois": tmp_path / "other.csv"}, "other.csv: column 'roi' is missing"),
        ({"repeats": 3}, "benchmark 'nsd' has no option 'repeats'"),
    ]:
        with pytest.raises(DataError, match=text):
            load("nsd", folder=small.folder, **options)
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(
        DatasetNotFoundError, match="nsd is not on this machine.*natural-scenes-dataset.*Files: nsddata/"
    ):
        load("nsd")


def test_sets_that_are_not_whole_are_refused(small):
    betas = small.folder / BETAS.format("subj01")
    good = small.betas["subj01", 2].transpose(3, 2, 1, 0)
    first = betas / "betas_session02.hdf5"
    for values, text in [
        (good[:749], "betas_session02.hdf5: expected 750 trials a session, got 749"),
        (good.transpose(0, 3, 2, 1), "expected trials x z x y x x = \\(750, 3, 4, 5\\).*got \\(750, 5, 4, 3\\)"),
    ]:
        put_hdf5(first, "betas", values)
        with pytest.raises(DataError, match=text):
            load("nsd", folder=small.folder)
    put_hdf5(first, "beta", good)
    with pytest.raises(DataError, match="betas_session02.hdf5: there is no 'betas', got \\['beta'\\]"):
        load("nsd", folder=small.folder)
    first.write_text("version https://git-lfs")
    with pytest.raises(DataError, match="betas_session02.hdf5 cannot be read as HDF5"):
        load("nsd", folder=small.folder)
    first.unlink()
    with pytest.raises(DataError, match="session 2 of subj01 is missing.*there are 1,3: .*sessions='1,3'"):
        load("nsd", folder=small.folder)
    volume(betas / "betas_session02.nii.gz", small.betas["subj01", 2][..., :10])
    with pytest.raises(DataError, match="betas_session02.nii.gz: expected 750 trials a session, got 10"):
        load("nsd", folder=small.folder)
    volume(betas / "betas_session02.nii.gz", small.betas["subj01", 2][:4])
    with pytest.raises(
        DataError, match="betas_session02.nii.gz .*not on one grid: shapes \\(4, 4, 3\\) and \\(5, 4, 3\\)"
    ):
        load("nsd", folder=small.folder)
    small.betas["subj01", 2][:] = 0
    volume(betas / "betas_session02.nii.gz", small.betas["subj01", 2])
    with pytest.raises(DataError, match="nsd, subj01: no voxel of 7 is finite and varies in every session"):
        load("nsd", folder=small.folder)
    for path in betas.glob("betas_session*"):
        path.unlink()
    with pytest.raises(DataError, match="there are no betas_session01.hdf5 or betas_session01.nii.gz and so on"):
        load("nsd", folder=small.folder)


def test_signal_to_noise_ratios_that_cannot_be_used_are_refused(small):
    path = small.folder / BETAS.format("subj01") / "ncsnr.nii.gz"
    volume(path, small.ncsnr["subj01"][:, :3])
    with pytest.raises(DataError, match="ncsnr.nii.gz and the ROIs are not on one grid: shapes \\(5, 3, 3\\)"):
        load("nsd", folder=small.folder)
    volume(path, np.full(GRID, np.nan, dtype=np.float32))
    with pytest.raises(DataError, match="ncsnr.nii.gz has no number for any of 7 voxels; is it of another subject"):
        load("nsd", folder=small.folder)
    path.unlink()
    with pytest.raises(DataError, match="ncsnr.nii.gz is not there; it gives the ceilings"):
        load("nsd", folder=small.folder)


def test_designs_that_cannot_be_used_are_refused(small):
    from scipy.io import savemat

    path = small.folder / "nsddata/experiments/nsd/nsd_expdesign.mat"
    whole = {"masterordering": small.order[None], "subjectim": small.shown, "sharedix": small.shared[None]}
    for change, text in [
        ({"masterordering": small.order[None] - 1}, "masterordering should be 1 to 10000.*got 0 to 1939"),
        ({"masterordering": small.order[None] * 10}, "got 10 to 19400"),
        ({"subjectim": small.shown - 1}, "subjectim and sharedix from 1, got 1 to 1940, from 0 and from"),
        ({"masterordering": small.order[None, :700]}, "expected masterordering 1 x \\(sessions x 750\\)"),
    ]:
        savemat(path, whole | change)
        with pytest.raises(DataError, match=text):
            load("nsd", folder=small.folder)
    savemat(path, {"subjectim": small.shown})
    with pytest.raises(DataError, match="nsd_expdesign.mat: \\['masterordering', 'sharedix'\\] are missing"):
        load("nsd", folder=small.folder)
    savemat(path, whole | {"sharedix": small.shared[None, -5:]})
    with pytest.raises(DataError, match="have 0 shared images in common in these sessions, fewer than 10"):
        load("nsd", folder=small.folder)
    path.write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 40)
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        load("nsd", folder=small.folder)
    path.unlink()
    with pytest.raises(DataError, match="nsd_expdesign.mat is not there; it says which image each trial shows"):
        load("nsd", folder=small.folder)


def test_label_images_may_have_a_second_background(tmp_path):
    from ontogeny.imaging import read_space

    values = np.zeros(GRID)
    values[0, 0, 0], values[1, 1, 1] = 1, -1
    volume(tmp_path / "a.nii.gz", values)
    (tmp_path / "a.tsv").write_text("index\tname\n1\tV1\n")
    assert read_space(tmp_path / "a.nii.gz", outside=-1).names == ("V1 0-0-0",)
    with pytest.raises(DataError, match="labels should be whole numbers from 0, got e.g. -1"):
        read_space(tmp_path / "a.nii.gz")
