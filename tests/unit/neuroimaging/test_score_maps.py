"""Scores of a record back in the brain: each value is where its voxel was, and rises are timed as planted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from tests.helpers import images

from ontogeny import Assembly, Benchmark, Record, StimulusSet
from ontogeny.errors import ConfigError, DataError, MissingExtraError, RecordError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.lag import rise_time
from ontogeny.metrics import Ridge, make_folds
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.neuroimaging import Presentations, Space, read_betas, read_space, score_map, score_values, voxelwise
from ontogeny.record import Score
from ontogeny.report import write_figures
from ontogeny.report.brain_figures import map_figure, rise_map, write_glass_brain

STEPS = np.unique(np.logspace(0, 4, 40).round().astype(int))
HALF = {"V1": 30.0, "IT": 600.0}


def curve(roi: str, layer: str, step: int, rng: np.random.Generator) -> float:
    height = 0.5 if layer == "late" else 0.2
    rise = 1 / (1 + np.exp(-6 * (np.log10(step + 1) - np.log10(HALF[roi] + 1))))
    return float(height * rise + 0.004 * rng.standard_normal())


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return read_space(images.atlas(tmp_path))


@pytest.fixture
def record(tmp_path: Path, rng) -> Record:
    """Two ROIs that rise at known steps, one that never does, of two subjects."""
    out = Record(tmp_path / "record", create=True)
    for subject in ("01", "02"):
        for step in STEPS:
            blank = {"run": "r", "step": int(step), "kind": "alignment", "subject": subject, "metric": "ridge-gcv"}
            rows = [
                Score(**blank, roi=roi, layer=layer, value=curve(roi, layer, int(step), rng))
                for roi in HALF
                for layer in ("early", "late")
            ]
            flat = [Score(**blank, roi="FFA", layer="late", value=0.01 * float(rng.standard_normal()))]
            out.append([*rows, *flat])
    return out


def one(record: Record, roi: str, layer: str, step: int) -> float:
    value = record.select(subject="01", roi=roi, layer=layer, step=step)[0].value
    assert value is not None
    return value


def test_each_roi_is_painted_with_its_score(record, space, tmp_path):
    step = int(STEPS[-1])
    image = score_map(record, space, step=step, metric="ridge-gcv", layer="early", subject="01")
    image.to_filename(tmp_path / "map.nii.gz")
    back = nib.load(tmp_path / "map.nii.gz")
    np.testing.assert_array_equal(back.affine, images.AFFINE)
    data = back.get_fdata()
    for number, roi in ((1, "V1"), (2, "IT")):
        np.testing.assert_allclose(data[images.labels() == number], one(record, roi, "early", step), rtol=1e-6)
    assert np.isnan(data[(images.labels() == 0) | (images.labels() == 7)]).all()


def test_the_best_layer_is_chosen_for_each_roi_at_this_step(record, space):
    step = int(STEPS[20])
    values = score_values(record, space, step=step, metric="ridge-gcv", subject="01")
    for roi in HALF:
        best = max(one(record, roi, layer, step) for layer in ("early", "late"))
        assert set(values[np.asarray(space.roi) == roi]) == {best}


def test_surprisal_is_no_layer_that_could_be_best(record, space):
    blank = {"run": "r", "step": 10_000, "kind": "alignment", "subject": "01", "metric": "ridge-gcv", "roi": "V1"}
    record.append([Score(**blank, layer="surprisal", value=0.99)])
    ask = {"step": 10_000, "metric": "ridge-gcv", "subject": "01"}
    assert np.nanmax(score_values(record, space, **ask)) < 0.6
    assert np.nanmax(score_values(record, space, layer="surprisal", **ask)) == 0.99


def test_voxels_that_are_rois_of_their_own_get_their_own_value(space, tmp_path, rng):
    values = rng.standard_normal(len(space))
    record = Record(tmp_path / "voxels", create=True)
    order = rng.permutation(len(space))[:-1]
    blank = {"run": "r", "step": 3, "kind": "alignment", "metric": "ridge-gcv", "layer": "a"}
    record.append([Score(**blank, roi=space.names[v], value=float(values[v])) for v in order])
    got = score_values(record, space, step=3, metric="ridge-gcv")
    np.testing.assert_array_equal(got[order], values[order])
    assert np.isnan(got).sum() == 1


def lab(ids: tuple[str, ...], *assemblies: Assembly) -> Benchmark:
    return Benchmark(
        name="lab",
        version="1",
        citation="",
        licence="",
        about="",
        simulated=True,
        stimuli=StimulusSet(name="lab", modality="text", ids=ids, inputs=[f"sentence {i}" for i in ids]),
        assemblies=assemblies,
        metrics=(Ridge(),),
        folds=make_folds(len(ids)),
    )


def test_two_hemispheres_are_two_assemblies_of_one_subject(tmp_path, rng):
    """Surfaces from files to maps: each hemisphere's map holds its own score."""
    x, ids = rng.standard_normal((40, 3)), tuple(f"s{i}" for i in range(40))
    images.table(tmp_path / "stimuli.tsv", [(i, "1") for i in ids])
    spaces, assemblies, expected = [], [], []
    for side, noise in (("Left", 0.5), ("Right", 3.0)):
        y = x @ rng.standard_normal((3, 6)) + noise * rng.standard_normal((40, 6))
        betas = images.gifti(tmp_path / f"{side}.func.gii", y, f"Cortex{side}")
        mask = images.gifti(tmp_path / f"{side}_mask.func.gii", np.array([[0, 1, 1, 1, 0, 1]]), f"Cortex{side}")
        space = read_space({"V1": mask}, like=betas, prefix=f"{side[0]} ")
        shown = read_betas(betas, table=tmp_path / "stimuli.tsv", space=space, subject="01")
        spaces.append(space)
        assemblies.append(shown.assembly("lab"))
        expected.append(ridge_cv(x, y[:, [1, 2, 3, 5]].astype(np.float32), folds=make_folds(40)).mean())
    benchmark = lab(ids, *assemblies)
    features = Features(stimulus_ids=ids, values={Site("a", "mean"): torch.as_tensor(x)}, refused={})
    record = Record(tmp_path / "sides", create=True, run="r")
    record.append(benchmark.score(features, run="r", step=0))
    for space, value in zip(spaces, expected, strict=True):
        assert set(space.roi) == {f"{space.grid.structure[6]} V1"}
        data = score_map(record, space, step=0, metric="ridge-gcv").agg_data()
        np.testing.assert_allclose(data, [np.nan, value, value, value, np.nan, value], atol=1e-5)
    assert expected[0] > expected[1] + 0.1


def test_a_voxelwise_benchmark_paints_what_ridge_gives_each_voxel(space, tmp_path, rng):
    """The whole way round: presentations, assembly, benchmark, record, image; against the metric on bare arrays."""
    x = rng.standard_normal((60, 5))
    y = (x @ rng.standard_normal((5, len(space))) + 2 * rng.standard_normal((60, len(space)))).astype(np.float32)
    ids = tuple(f"s{i}" for i in range(60))
    order = rng.permutation(60)
    shown = Presentations(
        subject="01", stimulus_ids=tuple(ids[i] for i in order), runs=("1",) * 60, responses=y[order], space=space
    )
    benchmark = lab(ids, voxelwise(shown.assembly("lab"), space))
    features = Features(stimulus_ids=ids, values={Site("a", "mean"): torch.as_tensor(x)}, refused={})
    record = Record(tmp_path / "voxelwise", create=True, run="r")
    record.append(benchmark.score(features, run="r", step=7))
    image = score_map(record, space, step=7, metric="ridge-gcv")
    expected = ridge_cv(x, y, folds=benchmark.folds)
    np.testing.assert_allclose(np.asarray(image.dataobj)[images.labels() > 0], expected, atol=1e-5)


def test_what_is_not_one_map_is_refused(record, space):
    ask = {"metric": "ridge-gcv", "step": int(STEPS[-1])}
    with pytest.raises(RecordError, match=r"these scores are 2 maps, not one: choose subject from '01', '02'"):
        score_map(record, space, **ask)
    with pytest.raises(RecordError, match="no score with .* step: the nearest are \\[.*8.*10000\\]"):
        score_map(record, space, metric="ridge-gcv", step=9999, subject="01")
    with pytest.raises(RecordError, match="metric: Did you mean 'ridge-gcv'"):
        score_map(record, space, metric="ridge-loo", step=1, subject="01")
    with pytest.raises(RecordError, match="layer: Did you mean 'late'"):
        score_map(record, space, **ask, subject="01", layer="lat")
    other = Space(grid=space.grid, index=space.index, roi=("LO",) * len(space))
    with pytest.raises(
        RecordError, match=r"scores of \['FFA', 'IT', 'V1'\], the space has the ROIs \['LO'\]; take the"
    ):
        score_map(record, other, **ask, subject="01")


def test_planted_rises_come_back_as_table_and_image(record, space):
    risen = rise_map(record, space, metric="ridge-gcv", subject="01")
    assert [r.roi for r in risen.regions] == ["V1", "IT", "FFA"]
    data = np.asarray(risen.image.dataobj)
    assert data.shape == (*images.SHAPE, 3)
    for region, number in zip(risen.regions[:2], (1, 2), strict=True):
        t50, low, high = region.step
        assert low < HALF[region.roi] < high
        assert abs(np.log10(t50) - np.log10(HALF[region.roi])) < 0.03
        assert region.layer == "late"
        np.testing.assert_allclose(data[images.labels() == number], [[t50, low, high]] * 20, rtol=1e-6)
    never = risen.regions[2]
    assert never.why_not
    assert np.isnan(data[images.labels() == 7]).all()
    rows = json.loads(json.dumps([r.to_dict() for r in risen.regions], allow_nan=False))
    assert rows[2]["t50"] is None
    assert rows[2]["why_not"] == never.why_not


def test_a_rise_is_that_of_the_series(record, space):
    series = record.series(subject="01", roi="IT", layer="early", metric="ridge-gcv")
    region = rise_map(record, space, metric="ridge-gcv", layer="early", subject="01").regions[1]
    assert region.step[0] == rise_time(series.steps, series.values).step


def test_small_multiples_draw_every_scored_voxel_of_the_slices(record, space, tmp_path):
    figure = map_figure(record, space, metric="ridge-gcv", subject="01", steps=[1, 10_000], slices=2)
    spec = figure.chart.to_dict()
    rows = spec["vconcat"]
    assert [[cell["title"] for cell in row["hconcat"]] for row in rows] == [
        ["step 1, slice 0", "step 10000, slice 0"],
        ["step 1, slice 1", "step 10000, slice 1"],
    ]
    labels = images.labels()[:, :, 0]
    drawn = {(c["x"], c["y"]): c["value"] for c in rows[0]["hconcat"][1]["data"]["values"]}
    assert set(drawn) == {(int(x), int(y)) for x, y in np.argwhere(labels > 0)}
    assert drawn[1, 3] == max(one(record, "IT", layer, 10_000) for layer in ("early", "late"))
    domains = {str(c["encoding"]["color"]["scale"]["domain"]) for row in rows for c in row["hconcat"]}
    assert len(domains) == 1
    assert rows[0]["hconcat"][0]["encoding"]["x"]["scale"]["reverse"] is True  # the first axis runs to the left
    (path,) = write_figures([figure], tmp_path)
    assert path.stat().st_size > 2000


def test_six_steps_are_chosen_where_none_is_named(record, space):
    rows = map_figure(record, space, metric="ridge-gcv", subject="01").chart.to_dict()["vconcat"]
    assert [len(row["hconcat"]) for row in rows] == [6, 6, 6]
    assert rows[0]["hconcat"][0]["title"].startswith("step 1,")
    assert rows[0]["hconcat"][-1]["title"].startswith("step 10000,")


def test_what_cannot_be_drawn_is_refused(record, space, tmp_path):
    with pytest.raises(ConfigError, match="expected at least one slice, got 0"):
        map_figure(record, space, metric="ridge-gcv", subject="01", slices=0)
    surface = read_space({"V1": images.gifti(tmp_path / "m.func.gii", np.ones((1, 4)))})
    with pytest.raises(DataError, match="needs a mesh to be drawn on; see .* or write score_map"):
        map_figure(record, surface, metric="ridge-gcv", subject="01")
    image = score_map(record, surface, metric="ridge-gcv", step=10_000, subject="01")
    np.testing.assert_allclose(
        image.agg_data(), max(one(record, "V1", d, 10_000) for d in ("early", "late")), rtol=1e-6
    )


def test_a_glass_brain_without_nilearn_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nilearn", None)
    monkeypatch.delitem(sys.modules, "nilearn.plotting", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[nilearn\]'"):
        write_glass_brain(None, tmp_path / "glass.png")


@pytest.mark.filterwarnings("ignore")
def test_a_glass_brain_is_drawn(record, space, tmp_path):
    pytest.importorskip("nilearn.plotting")
    image = score_map(record, space, step=10_000, metric="ridge-gcv", subject="01")
    path = write_glass_brain(image, tmp_path / "glass.png", title="ridge")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_nothing_outside_is_imported_before_it_is_needed():
    code = (
        "import sys, ontogeny.neuroimaging, ontogeny.report.brain_figures; print([m for m in sys.modules if m in %r])"
    )
    heavy = ("nibabel", "nilearn", "altair", "matplotlib", "pandas", "PIL")
    done = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
