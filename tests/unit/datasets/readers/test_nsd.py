"""NSD, a small folder of the documented layout: 1-based ids, unequal repeats, shared images, a missing last session."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from ontogeny.datasets import load
from ontogeny.datasets.readers.nsd import nsd
from ontogeny.datasets.readers.nsd._nsd_design import read_design
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site

h5py = pytest.importorskip("h5py")
nib = pytest.importorskip("nibabel")

SHAPE = (4, 5, 3)
N_TRIALS, N_SESSIONS, N_OWN = 40, 3, 40
SHARED = range(5, 15)
BETAS = "nsddata_betas/ppdata/{}/func1pt8mm/betas_fithrf_GLMdenoise_RR"
DEAD = (1, 1, 1)


class World:
    def __init__(self, root: Path, endings: tuple[str, ...]) -> None:
        rng = np.random.default_rng(0)
        self.root = root
        own = np.array([*SHARED, *range(50, 80)])
        self.images = np.stack([rng.permutation(own + shift) for shift in (100, 0)])
        # Each image once, then half of them again and again: repeats are unequal.
        self.order = np.concatenate([rng.permutation(N_OWN), rng.integers(0, N_OWN // 2, 80)])
        self.labels = rng.integers(-1, 3, SHAPE)
        self.labels[DEAD] = 1
        self.ncsnr = rng.uniform(0.2, 2, SHAPE)
        self.tuning = rng.standard_normal((200, 3))
        tuning = self.tuning @ rng.standard_normal((3, np.prod(SHAPE)))
        self.shown = self.images[1][self.order].reshape(N_SESSIONS, N_TRIALS)
        raw = tuning[self.shown] + 0.1 * rng.standard_normal((N_SESSIONS, N_TRIALS, np.prod(SHAPE)))
        self.betas = np.rint(300 * raw).astype(np.int16).reshape(N_SESSIONS, N_TRIALS, *SHAPE)
        self.betas[1, :, *DEAD] = 0
        self.pictures = rng.integers(0, 256, (200, 6, 6, 3), dtype=np.uint8)
        self.write(endings)

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def nifti(self, name: str, values: np.ndarray) -> None:
        nib.save(nib.Nifti1Image(values, np.eye(4)), self.path(name))

    def write(self, endings: tuple[str, ...], who: str = "subj02") -> None:
        betas = BETAS.format(who)
        variables = {"masterordering": self.order[None] + 1, "subjectim": self.images + 1}
        variables["sharedix"] = np.array([SHARED]) + 1
        scipy.io.savemat(self.path("nsddata/experiments/nsd/nsd_expdesign.mat"), variables)
        self.nifti(f"nsddata/ppdata/{who}/func1pt8mm/roi/streams.nii.gz", self.labels.astype(np.int16))
        table = self.path(f"nsddata/freesurfer/{who}/label/streams.mgz.ctab")
        table.write_text("0 Unknown\n1 early\n2 ventral\n")
        self.nifti(f"{betas}/ncsnr.nii.gz", self.ncsnr)
        for number, (values, ending) in enumerate(zip(self.betas, endings, strict=False), 1):
            name = f"{betas}/betas_session{number:02d}{ending}"
            if ending == ".hdf5":
                with h5py.File(self.path(name), "w") as file:
                    file["betas"] = values.transpose(0, 3, 2, 1)
            else:
                self.nifti(name, values.transpose(1, 2, 3, 0))
        with h5py.File(self.path("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"), "w") as file:
            file["imgBrick"] = self.pictures

    def load(self, **options: object):
        given = {"subject": 2, "sessions": (1, 2, 3), "atlas": "streams"} | options
        return load("nsd2022", folder=self.root, **given)


@pytest.fixture(autouse=True)
def small_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsd, "_N_TRIALS", N_TRIALS)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, (".hdf5", ".nii.gz", ".hdf5"))


def slow(world: World, place: tuple[int, ...], image: int, sessions: tuple[int, ...]) -> tuple[float, int]:
    found = []
    for session in sessions:
        x = world.betas[session - 1, :, *place] / 300
        found += [(x[t] - x.mean()) / x.std() for t in range(N_TRIALS) if world.shown[session - 1, t] == image]
    return float(np.mean(found)), len(found)


@pytest.mark.parametrize("images", ["own", "shared", "all"])
@pytest.mark.parametrize("sessions", [(1, 2, 3), (1, 3)])
def test_values_pictures_and_ceilings(world: World, images: str, sessions: tuple[int, ...]) -> None:
    benchmark = world.load(images=images, sessions=sessions, rois=["early"])
    (assembly,) = benchmark.assemblies
    want = {"own": set(range(50, 80)), "shared": set(SHARED), "all": {*SHARED, *range(50, 80)}}[images]
    assert benchmark.stimuli.ids == tuple(f"nsd-{image:05d}" for image in sorted(want))
    places = [tuple(p) for p in np.argwhere(world.labels == 1) if 2 not in sessions or tuple(p) != DEAD]
    assert assembly.roi == ("early",) * len(places)
    for row, image in enumerate(sorted(want)):
        expected = [slow(world, place, image, sessions)[0] for place in places]
        np.testing.assert_allclose(assembly.responses[row], expected, atol=1e-5)
        assert np.array_equal(benchmark.stimuli.inputs[row], world.pictures[image])
    share = np.mean([1 / slow(world, (0, 0, 0), image, sessions)[1] for image in want])
    ncsnr = np.array([world.ncsnr[place] for place in places])
    np.testing.assert_allclose(assembly.ceiling, np.sqrt(ncsnr**2 / (ncsnr**2 + share)))
    assert f"{int(2 in sessions)} voxels dropped" in benchmark.about


def test_kinds_of_images_have_names_of_their_own(world: World) -> None:
    names = [world.load(images=images).name for images in ("own", "shared", "all")]
    assert names == ["nsd2022-subj02-own", "nsd2022-subj02-shared", "nsd2022-subj02-all"]


def beside(world: World) -> World:
    """Another subject of the same design, with other responses, ncsnr and own images, and no voxel without signal."""
    other = World(world.root, ())
    own = np.array([*SHARED, *range(110, 140)])
    other.images = np.stack([np.random.default_rng(5).permutation(own), world.images[1]])
    other.shown = other.images[0][other.order].reshape(N_SESSIONS, N_TRIALS)
    rng = np.random.default_rng(6)
    other.betas = rng.integers(-900, 900, size=(N_SESSIONS, N_TRIALS, *SHAPE)).astype(np.int16)
    other.ncsnr = rng.uniform(0.2, 2, SHAPE)
    other.write((".hdf5", ".nii.gz", ".hdf5"), "subj01")
    return other


@pytest.mark.parametrize("images", ["own", "all"])
def test_subjects_are_scored_on_the_images_that_each_saw(world: World, images: str) -> None:
    beside(world)
    both = world.load(subject=(1, 2), images=images, rois=["early"])
    alone = [world.load(subject=one, images=images, rois=["early"]) for one in (1, 2)]
    assert both.own_stimuli
    assert set(both.stimuli.ids) == set(alone[0].stimuli.ids) | set(alone[1].stimuli.ids)
    fold = dict(zip(both.stimuli.ids, both.folds.held_out, strict=True))
    for part, one, expected in zip(both.parts(), both.assemblies, alone, strict=True):
        assert one.fingerprint() == expected.assemblies[0].fingerprint()
        assert part.stimuli.ids == expected.stimuli.ids
        assert part.folds.held_out == tuple(fold[name] for name in part.stimuli.ids)
        assert np.ptp(np.bincount(part.folds.held_out)) <= 2
        assert np.array_equal(part.stimuli.inputs[3], expected.stimuli.inputs[3])


def test_subjects_share_the_images_that_all_of_them_saw(world: World) -> None:
    other = beside(world)
    benchmark = world.load(subject=(1, 2), images="shared", rois=["early"])
    assert benchmark.name == "nsd2022-subj01-subj02-shared"
    assert benchmark.stimuli.ids == tuple(f"nsd-{image:05d}" for image in SHARED)
    assert "subj01: 0 voxels dropped, subj02: 1 voxels dropped" in benchmark.about
    for one, w, who in zip(benchmark.assemblies, (other, world), ("subj01", "subj02"), strict=True):
        places = [tuple(p) for p in np.argwhere(w.labels == 1) if who == "subj01" or tuple(p) != DEAD]
        found = [[slow(w, place, image, (1, 2, 3)) for place in places] for image in SHARED]
        np.testing.assert_allclose(one.responses, [[mean for mean, _ in row] for row in found], atol=1e-5)
        noise = np.array([w.ncsnr[place] for place in places])
        share = np.mean([1 / row[0][1] for row in found])
        np.testing.assert_allclose(one.ceiling, np.sqrt(noise**2 / (noise**2 + share)))
        assert one.subject == who


def test_images_that_one_of_the_subjects_did_not_see_are_left_out(world: World) -> None:
    other = beside(world)
    seen = [set(w.shown[1:].ravel().tolist()) & set(SHARED) for w in (other, world)]
    assert seen[0] != seen[1]
    common = sorted(seen[0] & seen[1])
    rows, _ = nsd._seen(read_design(world.path("nsddata/experiments/nsd/nsd_expdesign.mat")), (1, 2), "shared", (2, 3))
    assert list(rows) == common


def test_subjects_with_other_images_are_refused(world: World) -> None:
    for subject in ((), (2, 2)):
        with pytest.raises(DataError, match="subject is one of 1 to 8 or several, each once, got"):
            world.load(subject=subject, images="shared")
    world.order[:] = world.order[0]
    scipy.io.savemat(
        world.path("nsddata/experiments/nsd/nsd_expdesign.mat"),
        {"masterordering": world.order[None] + 1, "subjectim": world.images + 1, "sharedix": np.array([[150]])},
    )
    with pytest.raises(DataError, match="no image of the kind 'shared' was shown to subject 2 in these sessions; take"):
        world.load(images="shared")


def test_both_kinds_of_file_give_the_same(tmp_path: Path) -> None:
    one = World(tmp_path / "a", (".hdf5",) * 3).load()
    other = World(tmp_path / "b", (".nii.gz",) * 3).load()
    assert one.assemblies[0].fingerprint() == other.assemblies[0].fingerprint()


def test_planted_signal_beats_random_features(world: World) -> None:
    prepared = world.load(images="all").prepare()
    ids = prepared.benchmark.stimuli.ids
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((len(ids), 3))
    (assembly,) = prepared.benchmark.assemblies
    tuning = world.tuning[[int(i.removeprefix("nsd-")) for i in assembly.align(ids).stimulus_ids]]
    sites = {Site("planted", "mean"): torch.as_tensor(tuning), Site("random", "mean"): torch.as_tensor(noise)}
    values = {site: x.float() for site, x in sites.items()}
    rows = prepared.score(Features(stimulus_ids=ids, values=values, refused={}))
    found = {(r.layer, r.roi): r.value for r in rows if r.kind == "alignment"}
    for roi in ("early", "ventral"):
        assert found["planted", roi] > 0.8
        assert found["random", roi] < 0.4


def test_regions_can_be_called_by_their_network(world: World) -> None:
    benchmark = world.load(rois={"ventral": "Visual", "early": "Visual"})
    assert set(benchmark.assemblies[0].roi) == {"Visual"}
    assert len(benchmark.assemblies[0].roi) == len(world.load().assemblies[0].roi)


def captions(world: World, *, lacking: int = -1) -> list[Path]:
    """A caption or three an image, in two files, the first one not first in its file."""
    info = world.path("nsddata/experiments/nsd/nsd_stim_info_merged.csv")
    info.write_text("nsdId,cocoId,cocoSplit\n" + "".join(f"{i},{9000 + i},train2017\n" for i in range(200)))
    made: list[list[dict[str, object]]] = [[], []]
    for i in range(200):
        if i != lacking:
            made[i % 2] += [
                {"image_id": 9000 + i, "id": 3 * i + k, "caption": f" Picture {i}, {k}. "} for k in (1, 0, 2)
            ]
    paths = [world.root / "captions_train2017.json", world.root / "captions_val2017.json"]
    for path, rows in zip(paths, made, strict=True):
        path.write_text(json.dumps({"annotations": rows}))
    return paths


def test_captions_stand_for_the_images(world: World) -> None:
    benchmark = world.load(captions=captions(world))
    assert benchmark.stimuli.modality == "text"
    assert benchmark.name == "nsd2022-subj02-own-captions"
    assert benchmark.stimuli.inputs == tuple(f"Picture {int(i[4:])}, 0." for i in benchmark.stimuli.ids)
    np.testing.assert_array_equal(benchmark.assemblies[0].responses, world.load().assemblies[0].responses)


def test_an_image_without_a_caption_is_named(world: World) -> None:
    both = captions(world, lacking=60)
    with pytest.raises(DataError, match=r"1 of 30 images have no caption, e.g. nsd-00060 \(COCO 9060\)"):
        world.load(captions=both)
    with pytest.raises(DataError, match="captions_test.json is not there"):
        world.load(captions=[world.root / "captions_test.json"])
    both[0].write_text('{"images": []}')
    with pytest.raises(DataError, match="captions_train2017.json should be COCO's captions"):
        world.load(captions=both)


def test_damaged_files_are_named(world: World) -> None:
    design = world.path("nsddata/experiments/nsd/nsd_expdesign.mat")
    whole = design.read_bytes()
    design.write_bytes(whole[:200])
    with pytest.raises(DataError, match="nsd_expdesign.mat"):
        world.load()
    scipy.io.savemat(design, {"masterordering": world.order[None] + 1})
    with pytest.raises(DataError, match=r"missing \['subjectim', 'sharedix'\]"):
        world.load()
    design.write_bytes(whole)
    table = world.path("nsddata/freesurfer/subj02/label/streams.mgz.ctab")
    table.write_text("early 1\n")
    with pytest.raises(DataError, match="line 1: expected a label and its name, got 'early 1'"):
        world.load()
    table.write_text("1 early\n2 ventral\n")
    world.nifti(f"{BETAS.format('subj02')}/ncsnr.nii.gz", world.ncsnr[:2])
    with pytest.raises(DataError, match=r"ncsnr.nii.gz: expected \(4, 5, 3\) as the ROI volume, got \(2, 5, 3\)"):
        world.load()


def test_a_missing_last_session_is_named(tmp_path: Path) -> None:
    world = World(tmp_path, (".hdf5", ".hdf5"))
    with pytest.raises(DataError, match="session 3 is missing: neither .*betas_session03.hdf5"):
        world.load()
    assert len(world.load(sessions=(1, 2)).stimuli) == 30


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rois": ["erly"]}, "no ROI is called 'erly'.*early"),
        ({"subject": 3}, "has subjects 1 to 2"),
        ({"sessions": (4,)}, "3 sessions of 40 trials, got subject 2, session 4"),
        ({"images": "mine"}, "images is 'own', 'shared' or 'all'"),
        ({"atlas": "HCP_MMP1"}, "HCP_MMP1.nii.gz is not there"),
    ],
)
def test_options_that_cannot_be(world: World, options: dict[str, object], text: str) -> None:
    with pytest.raises(DataError, match=text):
        world.load(**options)


def test_another_grid_is_refused(world: World) -> None:
    with h5py.File(world.path(f"{BETAS.format('subj02')}/betas_session01.hdf5"), "w") as file:
        file["betas"] = np.zeros((40, *SHAPE), dtype=np.int16)
    with pytest.raises(DataError, match=r"expected x, y, z of the ROI volume, \(4, 5, 3\)"):
        world.load()


def test_betas_that_cannot_be_used_are_named(world: World) -> None:
    path = world.path(f"{BETAS.format('subj02')}/betas_session03.hdf5")
    with h5py.File(path, "w") as file:
        file["betas"] = world.betas[2, :-1].transpose(0, 3, 2, 1)
    with pytest.raises(
        DataError, match="subj02: session 3 should have 40 trials, its betas have 39; get betas_session03"
    ):
        world.load()
    with h5py.File(path, "w") as file:
        file["beta"] = world.betas[2]
    with pytest.raises(DataError, match=r"betas_session03.hdf5 should hold a data set 'betas', got \['beta'\]"):
        world.load()
    path.write_text("an error page of the bucket")
    with pytest.raises(DataError, match=r"betas_session03.hdf5 cannot be read as HDF5"):
        world.load()
    nifti = path.with_name("betas_session02.nii.gz")
    nifti.write_bytes(nifti.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"betas_session02.nii.gz: its values cannot be read .*cut short, get it anew"):
        world.load()


def test_pictures_are_read_one_by_one(tmp_path: Path) -> None:
    """A file of the true size, 40 GB if it were read whole; all but one chunk are empty."""
    path = tmp_path / "nsd_stimuli.hdf5"
    with h5py.File(path, "w") as file:
        brick = file.create_dataset("imgBrick", shape=(73_000, 425, 425, 3), dtype=np.uint8, chunks=(1, 425, 425, 3))
        brick[72_999, 3, 4] = (1, 2, 3)
    pictures = nsd.ImageBrick(path, range(73_000))
    assert len(pictures) == 73_000
    assert pictures[-1][3, 4].tolist() == [1, 2, 3]
    assert [int(picture.max()) for picture in pictures[72_997:]] == [0, 0, 3]
    with h5py.File(path, "w") as file:
        file["imgBrick"] = np.zeros((4, 3, 6, 6), dtype=np.uint8)
    with pytest.raises(DataError, match=r"should be uint8, images x height x width x 3, got uint8 \(4, 3, 6, 6\)"):
        nsd.ImageBrick(path, [0])


def test_too_few_pictures(world: World) -> None:
    with h5py.File(world.path("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"), "w") as file:
        file["imgBrick"] = world.pictures[:60]
    with pytest.raises(DataError, match=r"has 60 images, but trials showed number 79"):
        world.load()


def test_a_table_of_another_atlas(world: World) -> None:
    world.path("nsddata/freesurfer/subj02/label/streams.mgz.ctab").write_text("0 Unknown\n1 early\n")
    with pytest.raises(DataError, match=r"labels \[2\] of the ROI volume have no name"):
        world.load()


def test_not_here_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    with pytest.raises(DatasetNotFoundError, match="naturalscenesdataset.org"):
        load("nsd2022")
