"""GLMsingle's outputs in all their forms, by the command line, against numpy; and never unpickled."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from tests.helpers import images
from tests.unit.datasets.own_data.test_build_benchmark import ABOUT, table

from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras, read_spaces
from ontogeny.errors import DataError
from ontogeny.neuroimaging._npy_objects import Unread, read_objects
from ontogeny.neuroimaging.glmsingle import design_sheet, read_betasmd

CONDITIONS = [f"c{i:02d}" for i in range(12)]
RUNS = (14, 16)
N = sum(RUNS)


@pytest.fixture
def order(rng):
    """Each condition twice and more, over two runs."""
    return np.concatenate([rng.permutation([*range(12), 0, 1]), rng.permutation([*range(12), 2, 3, 4, 5])])


@pytest.fixture
def betas(rng):
    return (rng.standard_normal((*images.SHAPE, N)) + 5).astype(np.float32)


def design(order) -> dict:
    """As GLMsingle's code writes it (`resultsdesign`), parameters of any kind beside."""
    return {
        "design": [np.zeros((40, 12)), np.zeros((50, 12))],
        "stimdur": 2,
        "tr": 1.5,
        "params": {"wantlss": 0, "hrflibrary": np.ones((5, 20)), "extra_regressors": [False], "path": Path("x")},
        "stimorder": [np.int64(i) for i in order],
        "numtrialrun": list(RUNS),
        "condcounts": [np.int64(n) for n in np.bincount(order)],
        "condinruns": [2] * 12,
        "endbuffers": [9.0, 10.5],
    }


def write_python(folder: Path, betas, order) -> list[str]:
    results = {"HRFindex": np.ones(images.SHAPE), "betasmd": betas, "R2": None, "FRACvalue": np.float32(0.5)}
    np.save(folder / "TYPED_FITHRF_GLMDENOISE_RR.npy", results, allow_pickle=True)
    np.save(folder / "DESIGNINFO.npy", design(order), allow_pickle=True)
    return ["TYPED_FITHRF_GLMDENOISE_RR.npy", "DESIGNINFO.npy"]


def write_hdf5(folder: Path, betas, order) -> list[str]:
    write_python(folder, betas, order)
    with h5py.File(folder / "TYPED_FITHRF_GLMDENOISE_RR.hdf5", "w") as file:
        file["betasmd"], file["HRFindex"] = betas, np.ones(images.SHAPE)
    return ["TYPED_FITHRF_GLMDENOISE_RR.hdf5", "DESIGNINFO.npy"]


def write_matlab(folder: Path, betas, order) -> list[str]:
    """Version 7.3: HDF5 with axes in the other order; conditions from 1."""
    with h5py.File(folder / "TYPED.mat", "w", userblock_size=512) as file:
        file["modelmd"] = betas.transpose()
    with h5py.File(folder / "DESIGNINFO.mat", "w", userblock_size=512) as file:
        file["stimorder"], file["numtrialrun"] = (order + 1.0)[:, None], np.array(RUNS, float)[:, None]
        file["condcounts"] = np.bincount(order).astype(float)[:, None]
    return ["TYPED.mat", "DESIGNINFO.mat"]


def write_old_matlab(folder: Path, betas, order) -> list[str]:
    scipy.io.savemat(folder / "TYPED.mat", {"modelmd": betas})
    known = {"stimorder": order + 1.0, "numtrialrun": np.array(RUNS), "condcounts": np.bincount(order)}
    scipy.io.savemat(folder / "DESIGNINFO.mat", known)
    return ["TYPED.mat", "DESIGNINFO.mat"]


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "stimuli.csv", {"stimulus_id": CONDITIONS, "text": [f"Sentence {i}." for i in CONDITIONS]})
    images.atlas(tmp_path)
    (tmp_path / "conditions.tsv").write_text("stimulus_id\n" + "".join(f"{c}\n" for c in CONDITIONS))
    return tmp_path


def build(betas: str, design: str, *more: str) -> int:
    given = ["--betas", f"01={betas}", "--table", f"01={design}", "--atlas", "atlas_dseg.nii.gz", *more]
    return main(["data", "build", "out", "--stimuli", "stimuli.csv", *ABOUT, *given])


@pytest.mark.parametrize("write", [write_python, write_hdf5, write_matlab, write_old_matlab])
def test_trials_of_every_form_are_z_scored_within_run_and_averaged(lab, betas, order, write):
    assert build(*write(lab, betas, order)) == 0
    values = betas[images.labels() > 0].T.astype(np.float64)
    runs = np.repeat([0, 1], RUNS)
    z = np.concatenate([(v - v.mean(axis=0)) / v.std(axis=0) for v in (values[runs == run] for run in (0, 1))])
    made = load("./out").assemblies[0]
    expected = [z[order == CONDITIONS.index(name)].mean(axis=0) for name in made.stimulus_ids]
    np.testing.assert_allclose(made.responses, expected, atol=1e-5)
    extras = read_extras("out")["01"]
    assert extras.repeats.shape[0] == np.bincount(order).max()
    assert "no affine, their voxels are taken to be those of the atlas" in extras.made_by
    (space,) = read_spaces("out")["01"]
    assert np.array_equal(space.index, np.flatnonzero(images.labels()))


def test_nothing_in_a_pickle_is_called(tmp_path, betas, order):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    for protocol in (2, 3, 4, 5):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        held = {"betasmd": np.asfortranarray(betas), "params": {"evil": Evil()}, "big": np.arange(3, dtype=">i4")}
        pickle.dump(np.array(held, dtype=object), stream, protocol=protocol)
        (tmp_path / "x.npy").write_bytes(stream.getvalue())
        found = read_objects(tmp_path / "x.npy")
        assert np.array_equal(found["betasmd"], betas)
        assert found["params"]["evil"] == Unread("posix.system")
        assert found["big"].tolist() == [0, 1, 2]
    assert not (tmp_path / "ran").exists()


def test_what_does_not_fit_is_refused(lab, betas, order, capsys):
    files = write_python(lab, betas, order)
    whole = (lab / files[0]).read_bytes()
    (lab / files[0]).write_bytes(whole[: len(whole) // 2])
    assert build(*files) == 2
    assert "it may be cut short" in capsys.readouterr().err
    np.save(lab / "TYPED_FITHRF_GLMDENOISE_RR.npy", {"betasmd": betas[:, :-1]}, allow_pickle=True)
    assert build(*files) == 2
    assert "are not on one grid: shapes" in capsys.readouterr().err
    np.save(lab / "other.npy", {"a": 1}, allow_pickle=True)
    with pytest.raises(DataError, match=r"expected GLMsingle's betas, betasmd or modelmd, got \['a'\]"):
        read_betasmd(lab / "other.npy")
    np.save(lab / "plain.npy", betas)
    with pytest.raises(DataError, match="expected one dictionary of arrays, got float32"):
        read_betasmd(lab / "plain.npy")
    np.save(lab / "DESIGNINFO.npy", {**design(order), "numtrialrun": [14, 15]}, allow_pickle=True)
    with pytest.raises(DataError, match="stimorder, numtrialrun and condcounts contradict each other"):
        design_sheet(lab / "DESIGNINFO.npy")
    np.save(lab / "DESIGNINFO.npy", design(order), allow_pickle=True)
    numbered = [f"{11 - k}\t{c}\n" for k, c in enumerate(CONDITIONS)]
    (lab / "conditions.tsv").write_text("condition\tstimulus_id\n" + "".join(numbered))
    with pytest.raises(
        DataError, match=r"conditions.tsv: column 'condition' does not rise, but rows are in the order of"
    ):
        design_sheet(lab / "DESIGNINFO.npy")
    (lab / "conditions.tsv").write_text("stimulus_id\nc00\n")
    with pytest.raises(DataError, match="the design has 12 conditions, the table 1 rows"):
        design_sheet(lab / "DESIGNINFO.npy")
    (lab / "conditions.tsv").unlink()
    with pytest.raises(DataError, match="put conditions.tsv beside it"):
        design_sheet(lab / "DESIGNINFO.npy")
