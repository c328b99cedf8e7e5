"""THINGS-fMRI, a small folder of the documented layout, as pandas writes: rows are voxels, columns trials."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ontogeny.datasets import load
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.features import Features, Site

h5py = pytest.importorskip("h5py")

CONCEPTS, EACH, TEST, REPEATS, VOXELS = 15, 4, 12, 6, 40


def names(kind: str) -> list[str]:
    if kind == "train":
        return [f"thing{c}_{i:02d}b" for c in range(CONCEPTS) for i in range(EACH)]
    return [f"probe_thing{i}_14n" for i in range(TEST)]


class World:
    """Three sessions; each shows a third of the train images once, and all test images twice, in a random order."""

    def __init__(self, root: Path) -> None:
        rng = np.random.default_rng(0)
        self.root = root
        self.trials: list[tuple[str, int, str]] = []
        train = rng.permutation(names("train"))
        for session in range(3):
            shown = [("train", session + 1, str(n)) for n in train[session::3]]
            shown += [("test", session + 1, n) for n in names("test") for _ in range(REPEATS // 3)]
            shown += [("catch", session + 1, "noise_1")]
            self.trials += [shown[i] for i in rng.permutation(len(shown))]
        every = dict.fromkeys(n for _, _, n in self.trials)
        self.signal = {n: rng.standard_normal(3) for n in every}
        mixing = rng.standard_normal((3, VOXELS))
        rows = [self.signal[n] @ mixing + 0.3 * rng.standard_normal(VOXELS) + 2 * s for _, s, n in self.trials]
        self.betas = np.array(rows).T
        self.roi = np.array(["V1"] * 10 + ["hV4"] * 10 + ["lFFA"] * 10 + [""] * 10)
        self.ceilings = rng.uniform(0, 90, VOXELS)
        self.write()

    def write(self) -> None:
        tables = self.root / "betas_csv"
        tables.mkdir(exist_ok=True)
        with h5py.File(tables / "sub-01_ResponseData.h5", "w") as file:
            group = file.create_group("ResponseData")
            group["block0_values"] = self.betas
            group["block1_values"] = np.arange(VOXELS)[:, None]
        with (tables / "sub-01_StimulusMetadata.csv").open("w", newline="") as stream:
            out = csv.writer(stream)
            out.writerow(["trial_type", "session", "run", "subject_id", "trial_id", "stimulus", "concept"])
            for i, (kind, session, name) in enumerate(self.trials):
                out.writerow([kind, session, 1, 1, i, f"{name}.jpg", name.rpartition("_")[0]])
        with (tables / "sub-01_VoxelMetadata.csv").open("w", newline="") as stream:
            out = csv.writer(stream)
            out.writerow(["voxel_id", "nc_testset", "V1", "V2", "V3", "hV4", "lFFA"])
            for v in range(VOXELS):
                out.writerow([v, self.ceilings[v], *(int(self.roi[v] == r) for r in ("V1", "V2", "V3", "hV4", "lFFA"))])
        for name in dict.fromkeys(n for _, _, n in self.trials):
            folder = self.root / "images" / name.rpartition("_")[0]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (len(name), 0, 0)).save(folder / f"{name}.jpg")

    def load(self, **options: object):
        return load("things2023", folder=self.root, **options)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def slow(world: World, voxel: int, name: str, kind: str) -> float:
    found = []
    for session in (1, 2, 3):
        rows = [i for i, (k, s, _) in enumerate(world.trials) if (k, s) == (kind, session)]
        x = world.betas[voxel, rows]
        found += [(world.betas[voxel, i] - x.mean()) / x.std() for i in rows if world.trials[i][2] == name]
    return float(np.mean(found))


@pytest.mark.parametrize("kind", ["test", "train"])
def test_values_rois_and_ceilings(world: World, kind: str) -> None:
    benchmark = world.load(images=kind, rois=["hV4", "V1"])
    (assembly,) = benchmark.assemblies
    assert benchmark.stimuli.ids == tuple(sorted(names(kind)))
    assert assembly.roi == ("V1",) * 10 + ("hV4",) * 10
    for row, name in enumerate(benchmark.stimuli.ids[:5]):
        expected = [slow(world, voxel, name, kind) for voxel in range(20)]
        np.testing.assert_allclose(assembly.responses[row], expected, atol=1e-5)
    if kind == "test":
        np.testing.assert_allclose(assembly.ceiling, np.sqrt(world.ceilings[:20] / 100))
        assert benchmark.stimuli.groups is None
    else:
        assert assembly.ceiling is None
        assert set(benchmark.stimuli.groups) == {f"thing{c}" for c in range(CONCEPTS)}
        held = dict(zip(benchmark.stimuli.groups, benchmark.folds.held_out, strict=True))
        pairs = zip(benchmark.stimuli.groups, benchmark.folds.held_out, strict=True)
        assert all(held[g] == f for g, f in pairs)


def test_planted_features_are_found_and_others_are_not(world: World) -> None:
    benchmark = world.load(images="train")
    planted = np.stack([world.signal[n] for n in benchmark.stimuli.ids])
    noise = np.random.default_rng(5).standard_normal(planted.shape)
    values = {Site(n, "x"): torch.as_tensor(x, dtype=torch.float32) for n, x in (("a", planted), ("b", noise))}
    rows = benchmark.score(Features(stimulus_ids=benchmark.stimuli.ids, values=values, refused={}))
    found = {r.layer: [s.value for s in rows if s.kind == "alignment" and s.layer == r.layer] for r in rows if r.value}
    assert min(found["a"]) > 0.8
    assert max(found["b"]) < 0.4


def test_bad_voxels_are_dropped_and_counted(world: World) -> None:
    world.betas[3] = np.nan
    world.betas[4] = 1.0
    world.write()
    benchmark = world.load(images="train", rois=["V1"])
    assert len(benchmark.assemblies[0].roi) == 8
    assert "2 voxels dropped" in benchmark.about


def test_what_cannot_be_used_is_named(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(DataError, match="'test' or 'train', got 'all'"):
        world.load(images="all")
    with pytest.raises(DataError, match="has no ROI 'hV5'. Did you mean 'hV4'"):
        world.load(rois=["hV5"])
    with pytest.raises(DataError, match=r"no voxel is in \['V2'\]"):
        world.load(rois=["V2"])
    with pytest.raises(DataError, match="sub-02_StimulusMetadata.csv is not there"):
        world.load(subject=2)
    with pytest.raises(DatasetNotFoundError, match="figshare"):
        load("things2023", folder=tmp_path_factory.mktemp("empty") / "none")
    (world.root / "images" / "probe_thing3" / "probe_thing3_14n.jpg").unlink()
    with pytest.raises(DataError, match="1 of 12 pictures are missing, e.g. .*probe_thing3_14n.jpg"):
        world.load()
    world.betas = world.betas[:, :-30]
    with h5py.File(world.root / "betas_csv" / "sub-01_ResponseData.h5", "w") as file:
        file.create_group("ResponseData")["block0_values"] = world.betas
    with pytest.raises(DataError, match="are the files of one participant"):
        world.load()
    with h5py.File(world.root / "betas_csv" / "sub-01_ResponseData.h5", "w") as file:
        file["other"] = 1
    with pytest.raises(DataError, match="should hold ResponseData/block0_values"):
        world.load()
    (world.root / "betas_csv" / "sub-01_ResponseData.h5").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        world.load()
