"""NSD, a small folder of the documented layout: 1-based ids, unequal repeats, shared images, a missing last session."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.nsd import reader
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.features import Features, Site

h5py = pytest.importorskip("h5py")
nib = pytest.importorskip("nibabel")

SHAPE = (4, 5, 3)
N_TRIALS, N_SESSIONS, N_OWN = 40, 3, 40
SHARED = range(5, 15)
BETAS = "nsddata_betas/ppdata/subj02/func1pt8mm/betas_fithrf_GLMdenoise_RR"
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

    def write(self, endings: tuple[str, ...]) -> None:
        variables = {"masterordering": self.order[None] + 1, "subjectim": self.images + 1}
        variables["sharedix"] = np.array([SHARED]) + 1
        scipy.io.savemat(self.path("nsddata/experiments/nsd/nsd_expdesign.mat"), variables)
        self.nifti("nsddata/ppdata/subj02/func1pt8mm/roi/streams.nii.gz", self.labels.astype(np.int16))
        table = self.path("nsddata/freesurfer/subj02/label/streams.mgz.ctab")
        table.write_text("0 Unknown\n1 early\n2 ventral\n")
        self.nifti(f"{BETAS}/ncsnr.nii.gz", self.ncsnr)
        for number, (values, ending) in enumerate(zip(self.betas, endings, strict=False), 1):
            name = f"{BETAS}/betas_session{number:02d}{ending}"
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
    monkeypatch.setattr(reader, "_N_TRIALS", N_TRIALS)


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
    assert benchmark.name == "nsd2022-subj02-captions"
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
    world.nifti(f"{BETAS}/ncsnr.nii.gz", world.ncsnr[:2])
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
    with h5py.File(world.path(f"{BETAS}/betas_session01.hdf5"), "w") as file:
        file["betas"] = np.zeros((40, *SHAPE), dtype=np.int16)
    with pytest.raises(DataError, match=r"expected x, y, z of the ROI volume, \(4, 5, 3\)"):
        world.load()


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


def test_get_explains_and_list_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    assert main(["data", "get", "nsd2022"]) == 0
    said = capsys.readouterr().out
    assert "nothing was downloaded" in said
    assert str(tmp_path / "nsd2022") in said
    assert "ncsnr.nii.gz" in said
    assert main(["data", "list"]) == 0
    assert "ontogeny data get nsd2022 says how" in capsys.readouterr().out
