"""Pereira 2018: a file with Brain-Score's documented coordinates, made here; the concepts' real file where it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from ontogeny.datasets import data_folders, load
from ontogeny.datasets.readers.pereira import read_concepts
from ontogeny.errors import DataError, DatasetNotFoundError

xarray = pytest.importorskip("xarray", reason="xarray is not installed")
PER_PASSAGE = 4


def assembly(rng: np.random.Generator):
    """Two experiments of 6 passages; subject 018 took part in both, 407 in one; a voxel is in several atlases."""
    columns = [
        (subject, voxel, atlas, contrast, lower, roi)
        for subject in ("018", "407")
        for voxel in range(4)
        for atlas, contrast, lower, roi in [
            ("language", "None", 90, ["LIFG", "LPostTemp"][voxel % 2]),
            ("language", "NminusS", 90, "LIFG"),
            ("language", "HminusE", 80, "LIFG"),
            ("auditory", "None", 90, "LHG"),
        ]
    ]
    rows = [(e, p, s) for e in ("243sentences", "384sentences") for p in range(1, 7) for s in range(PER_PASSAGE)]
    values = rng.standard_normal((len(rows), len(columns))).astype(np.float32)
    first = np.array([row[0] == "243sentences" for row in rows])
    values[np.ix_(first, [c[0] == "407" for c in columns])] = np.nan
    values[:, 12] = 1.0
    numbers = [p * PER_PASSAGE + s for _, p, s in rows]
    presentation = {
        "experiment": [row[0] for row in rows],
        "stimulus_num": numbers,
        "stimulus_id": [f"{e}.{n}" for (e, _, _), n in zip(rows, numbers, strict=True)],
        "sentence": [f"{e} has passage {p}, sentence {s}." for e, p, s in rows],
        "passage_index": [float(row[1]) for row in rows],
        "passage_category": [f"topic {row[1] // 2}" for row in rows],
    }
    neuroid = dict(
        zip(
            ("subject", "voxel_num", "atlas", "filter_strategy", "atlas_selection_lower", "roi"),
            map(list, zip(*columns, strict=True)),
            strict=True,
        )
    )
    neuroid["neuroid_id"] = [f"{c[0]}.{c[1]}" for c in columns]
    return xarray.DataArray(
        values,
        dims=("presentation", "neuroid"),
        coords={
            **{name: ("presentation", v) for name, v in presentation.items()},
            **{name: ("neuroid", v) for name, v in neuroid.items()},
        },
        name="data",
    )


@pytest.fixture
def written(rng, tmp_path):
    array = assembly(rng)
    path = tmp_path / "assy_Pereira2018_language.nc"
    array.to_netcdf(path, engine="scipy")
    return array, path


def test_an_experiment_is_read_with_its_voxels_and_passages(written):
    array, path = written
    b = load("pereira2018", folder=path)
    assert (b.name, len(b.stimuli), b.simulated) == ("pereira2018-384sentences", 24, False)
    assert [a.subject for a in b.assemblies] == ["018", "407"]
    rows = array.experiment.values == "384sentences"
    for one in b.assemblies:
        wanted = (array.subject.values == one.subject) & (array.atlas.values == "language")
        wanted &= (array.atlas_selection_lower.values == 90) & (array.filter_strategy.values == "None")
        wanted &= np.ptp(array.values[rows], axis=0) > 0
        np.testing.assert_array_equal(one.responses, array.values[np.ix_(rows, wanted)])
        assert set(one.roi) == {"language network"}
        assert one.stimulus_ids == tuple(array.stimulus_id.values[rows])
    assert b.stimuli.inputs[0] == "384sentences has passage 1, sentence 0."
    assert b.stimuli.groups[:5] == ("384sentences 1",) * 4 + ("384sentences 2",)
    for train, held_out in b.folds:
        assert not {b.stimuli.groups[i] for i in train} & {b.stimuli.groups[i] for i in held_out}


def test_who_did_not_take_part_is_left_out(written):
    _, path = written
    b = load("pereira2018", folder=path.parent, experiment="243sentences", region="roi", atlas="auditory")
    assert [a.subject for a in b.assemblies] == ["018"]
    assert set(b.assemblies[0].roi) == {"LHG"}
    assert "16 neuroids with NaN" not in b.about
    assert "4 neuroids with NaN" in b.about
    topics = load("pereira2018", folder=path, groups="passage_category", region="roi")
    assert set(topics.stimuli.groups) == {f"384sentences topic {i}" for i in range(4)}
    assert set(topics.assemblies[0].roi) == {"LIFG", "LPostTemp"}


def test_it_is_found_in_the_data_folder_and_netcdf_4_is_read(written, monkeypatch, tmp_path, rng):
    pytest.importorskip("h5netcdf", reason="h5netcdf is not installed")
    array, _ = written
    (tmp_path / "data" / "pereira2018").mkdir(parents=True)
    array.to_netcdf(tmp_path / "data" / "pereira2018" / "Pereira2018.nc", engine="h5netcdf")
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "data"))
    assert load("pereira2018").fingerprint() == load("pereira2018", folder=written[1]).fingerprint()


def test_files_and_options_that_cannot_be_used_are_refused(written, tmp_path, monkeypatch):
    array, path = written
    for options, text in [
        ({"experiment": "384sentence"}, "no experiment '384sentence'. Did you mean '384sentences'"),
        ({"atlas": "langage"}, "no atlas 'langage'. Did you mean 'language'"),
        ({"groups": "passage_idx"}, "the presentations have no coordinate 'passage_idx'. Did you mean 'passage_index'"),
        ({"region": "rois"}, "the neuroids have no coordinate 'rois'. Did you mean 'roi'"),
        ({"regoin": "roi"}, "has no option 'regoin'. Did you mean 'region'"),
    ]:
        with pytest.raises(DataError, match=text):
            load("pereira2018", folder=path, **options)

    def saved(changed, name: str):
        changed.to_netcdf(tmp_path / name, engine="scipy")
        return tmp_path / name

    with pytest.raises(DataError, match="no coordinate 'sentence' or 'stimulus', so there is no text"):
        load("pereira2018", folder=saved(array.drop_vars("sentence"), "a.nc"))
    with pytest.raises(DataError, match="expected one array with the dimensions presentation and neuroid, got 0"):
        load("pereira2018", folder=saved(array.rename(presentation="stimuli"), "b.nc"))
    with pytest.raises(DataError, match="no neuroid of experiment '384sentences' and atlas 'language' has finite"):
        load("pereira2018", folder=saved(array * np.nan, "c.nc"))
    (tmp_path / "d.nc").write_bytes(b"not NetCDF at all, by no means")
    with pytest.raises(DataError, match="d.nc cannot be read as NetCDF .* need h5netcdf: pip install"):
        load("pereira2018", folder=tmp_path / "d.nc")
    (tmp_path / "sub").mkdir()
    saved(array, "sub/other_Pereira2018.nc")
    with pytest.raises(
        DataError, match="expected one file \\*ereira2018\\*.nc, got assy_Pereira2018_language.nc, other"
    ):
        load("pereira2018", folder=tmp_path)
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DatasetNotFoundError, match="You get it yourself .*brainscore_language.load_dataset"):
        load("pereira2018")
    with pytest.raises(DatasetNotFoundError, match="looked at .*missing.nc"):
        load("pereira2018", folder=tmp_path / "missing.nc")


def concepts(tmp_path, rng, **changes):
    parts = {
        "pcs": rng.standard_normal((3, 12, 7)).astype(np.float32),
        "concepts": np.array([f"concept{i}" for i in range(12)]),
        "sentences": np.array([[f"This is {i} in sentence {s}. " for s in range(6)] for i in range(12)]),
        "subjects": np.array(["M01", "M02", "M03"]),
        **changes,
    }
    np.savez(tmp_path / "pereira180_pca.npz", **{k: v for k, v in parts.items() if v is not None})
    return parts


def test_concepts_are_means_over_sentences_and_geometries(rng, tmp_path):
    parts = concepts(tmp_path, rng)
    b = load("pereira2018_concepts", folder=tmp_path)
    assert len(b.read) == 72
    assert b.read.inputs[7] == "This is 1 in sentence 1."
    assert [a.subject for a in b.assemblies] == ["M01", "M02", "M03"]
    expected = cosine(parts["pcs"][1, 3].astype(float), parts["pcs"][1, 8].astype(float))
    assert b.assemblies[1].rdm[3, 8] == pytest.approx(expected, abs=1e-10)
    row = b.pieces.weights.toarray()[2]
    np.testing.assert_allclose(row[12:18], 1 / 6)
    assert row.sum() == pytest.approx(1)


def test_concepts_that_cannot_be_used_are_refused(rng, tmp_path):
    with pytest.raises(DataError, match="pereira180_pca.npz is not there"):
        load("pereira2018_concepts", folder=tmp_path)
    concepts(tmp_path, rng, subjects=None)
    with pytest.raises(DataError, match="\\['subjects'\\] are missing"):
        load("pereira2018_concepts", folder=tmp_path)
    concepts(tmp_path, rng, subjects=np.array(["M01"]))
    with pytest.raises(DataError, match="pcs should be participants x concepts x components = 1 x 12 x any"):
        load("pereira2018_concepts", folder=tmp_path)
    path = tmp_path / "pereira180_pca.npz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="cannot be read as arrays of numpy"):
        read_concepts(path)


@pytest.mark.skipif(
    not any((folder / "pereira2018_concepts").is_dir() for folder in data_folders()), reason="the data are not here"
)
def test_the_real_concepts_agree_between_participants_as_little_as_is_known():
    b = load("pereira2018_concepts")
    assert (len(b.stimuli), len(b.read), len(b.assemblies)) == (180, 1080, 15)
    rows = [r for r in b.prepare().constants(run="", n_features=384) if r.metric == "rsa-correlation-spearman"]
    lower = np.mean([r.ceiling_lower for r in rows])
    assert 0.02 < lower < 0.05
    assert abs(np.mean([r.value for r in rows if r.kind == "control"])) < 0.01
