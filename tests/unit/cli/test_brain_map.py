"""`ontogeny map`, and brain pictures in the report: every number of a record is where its voxel was."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from tests.helpers import images
from tests.unit.datasets.own_data.test_build_benchmark import table

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.lag import rise_time
from ontogeny.record import Score
from ontogeny.report import write_report

N = 12
IDS = [f"s{i:02d}" for i in range(N)]
ABOUT = ["--citation", "Us", "--licence", "CC0-1.0", "--about", "Made for tests.", "--simulated"]
STEPS = [int(step) for step in np.unique(np.logspace(0, 4, 40).round())]
HALF = {"V1": 30.0, "IT": 600.0}
LABEL = {"V1": 1, "IT": 2, "FFA": 7}
METRIC = "ridge-gcv"


def curve(roi: str, layer: str, step: int, rng: np.random.Generator) -> float:
    name = roi.removeprefix("L ").removeprefix("R ")
    noise = float(rng.standard_normal())
    if name not in HALF:
        return 0.01 * noise
    height = (0.5 if layer == "late" else 0.2) * (0.5 if roi.startswith("R ") else 1.0)
    rise = 1 / (1 + np.exp(-6 * (np.log10(step + 1) - np.log10(HALF[name] + 1))))
    return float(height * rise + 0.002 * noise)


def scored(folder: str, record: str, rng: np.random.Generator) -> Record:
    """A record of a folder's subjects and ROIs that rise when planted."""
    benchmark = load(folder)
    out = Record(record, create=True, run="r")
    out.describe(benchmark.name, benchmark.describe(benchmark.fingerprint()))
    key = {"run": "r", "kind": "alignment", "benchmark": benchmark.name, "fingerprint": benchmark.fingerprint()}
    key |= {"metric": METRIC, "pooling": "mean", "unit": "Pearson r"}
    out.append(
        [
            Score(**key, step=step, subject=a.subject, roi=roi, layer=layer, value=curve(roi, layer, step, rng))
            for step in STEPS
            for a in benchmark.assemblies
            for roi in dict.fromkeys(a.roi)
            for layer in ("early", "late")
        ]
    )
    return out


@pytest.fixture
def lab(tmp_path, monkeypatch, rng) -> Path:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "stimuli.csv", {"stimulus_id": IDS, "text": [f"A sentence, {i}." for i in IDS]})
    images.table(tmp_path / "events.tsv", [(i, "1") for i in IDS])
    images.atlas(tmp_path)
    for subject in ("01", "02"):
        images.nifti(tmp_path / f"sub-{subject}_betas.nii.gz", rng.standard_normal((*images.SHAPE, N)).astype("f4"))
    return tmp_path


def build(*betas: str, out: str = "b", atlas: tuple[str, ...] = ("atlas_dseg.nii.gz",)) -> None:
    given = ["--betas", *betas, "--table", "events.tsv", "--atlas", *atlas]
    assert main(["data", "build", out, "--stimuli", "stimuli.csv", *ABOUT, *given]) == 0


@pytest.fixture
def record(lab, rng, capsys) -> Record:
    build("sub-01_betas.nii.gz")
    out = scored("b", "run", rng)
    capsys.readouterr()
    return out


def written(capsys, *more: str, record: str = "run", space: str = "b") -> list[Path]:
    assert main(["map", record, "--space", space, *more]) == 0
    return [Path(line.removeprefix("Wrote ")) for line in capsys.readouterr().out.splitlines()]


def refused(capsys, *more: str, record: str = "run", space: str = "b") -> str:
    assert main(["map", record, "--space", space, *more]) == 2
    said = capsys.readouterr().err
    assert said.startswith("ontogeny map: ")
    assert said.count("\n") == 1
    return said


def value(record: Record, **which: object) -> float:
    (row,) = record.select(kind="alignment", **which)
    assert row.value is not None
    return row.value


def test_one_step_is_an_image_on_the_grid_of_the_betas(record, capsys):
    (path,) = written(capsys, "--step", str(STEPS[20]), "--layer", "early", "--out", "maps/one.nii.gz")
    image = nib.load(path)
    np.testing.assert_array_equal(image.affine, images.AFFINE)
    data = image.get_fdata()
    for roi, number in LABEL.items():
        expected = value(record, step=STEPS[20], layer="early", roi=roi)
        np.testing.assert_allclose(data[images.labels() == number], expected, rtol=1e-6)
    assert np.isnan(data[images.labels() == 0]).all()


def test_without_a_step_it_is_the_last_one_in_the_records_own_folder(record, capsys):
    (path,) = written(capsys)
    assert path == Path("run/maps/b-01-ridge-gcv-best-last-step.nii.gz")
    best = max(value(record, step=STEPS[-1], layer=layer, roi="IT") for layer in ("early", "late"))
    np.testing.assert_allclose(nib.load(path).get_fdata()[images.labels() == 2], best, rtol=1e-6)


def test_a_series_has_a_volume_a_step_and_a_table_of_them(record, capsys):
    path, beside = written(capsys, "--series", "--layer", "late", "--out", "film.nii.gz")
    data = nib.load(path).get_fdata()
    rows = [line.split("\t") for line in beside.read_text().splitlines()]
    assert rows[0] == ["map", "step"]
    assert [int(step) for _, step in rows[1:]] == STEPS
    expected = [value(record, step=step, layer="late", roi="V1") for step in STEPS]
    np.testing.assert_allclose(data[images.labels() == 1], [expected] * 20, rtol=1e-6)


def test_a_rise_map_has_the_planted_times_and_says_where_there_is_none(record, capsys):
    path, beside = written(capsys, "--rise", "--out", "t50.nii.gz")
    rows = {line.split("\t")[0]: line.split("\t") for line in beside.read_text().splitlines()}
    assert rows["roi"] == ["roi", "layer", "t50", "low", "high", "why_not"]
    data = nib.load(path).get_fdata()
    for roi, half in HALF.items():
        t50, low, high = map(float, rows[roi][2:5])
        assert low < half < high
        np.testing.assert_allclose(data[images.labels() == LABEL[roi]], [[t50, low, high]] * 20, rtol=1e-6)
        series = record.series(roi=roi, layer="late", metric=METRIC)
        assert t50 == rise_time(series.steps, series.values).step
    assert rows["FFA"][2:5] == ["n/a"] * 3
    assert rows["FFA"][5]


def test_pictures_lie_beside_the_maps(record, capsys):
    for mode in (["--series"], ["--rise"], ["--step", "1"]):
        *_, png = written(capsys, *mode, "--figure", "--out", "map.nii.gz")
        assert png == Path("map.png")
        assert png.read_bytes().startswith(b"\x89PNG")
        png.unlink()


@pytest.mark.filterwarnings("ignore")
def test_a_glass_brain_is_of_one_map(record, capsys):
    pytest.importorskip("nilearn.plotting")
    *_, png = written(capsys, "--glass", "--out", "map.nii.gz")
    assert png == Path("map_glass.png")
    assert "--glass draws one map; give --step" in refused(capsys, "--glass", "--series")


def test_an_atlas_alone_will_do(record, capsys):
    by_folder, by_atlas = (written(capsys, "--out", f"{s}.nii.gz", space=s)[0] for s in ("b", "atlas_dseg.nii.gz"))
    np.testing.assert_array_equal(nib.load(by_folder).get_fdata(), nib.load(by_atlas).get_fdata())


def test_two_subjects_are_asked_for_one(lab, rng, capsys):
    build("sub-01_betas.nii.gz", "sub-02_betas.nii.gz", out="two")
    made = scored("two", "runs2", rng)
    capsys.readouterr()
    said = refused(capsys, record="runs2", space="two")
    assert "the record has 2 of them: choose --subject from '01', '02'" in said
    (path,) = written(capsys, "--subject", "02", "--layer", "late", record="runs2", space="two")
    expected = value(made, step=STEPS[-1], layer="late", roi="V1", subject="02")
    np.testing.assert_allclose(nib.load(path).get_fdata()[images.labels() == 1], expected, rtol=1e-6)
    each = written(capsys, "--subject", "01", "02", "--layer", "late", "--roi", "IT", record="runs2", space="two")
    for subject, image in zip(("01", "02"), each, strict=True):
        expected = value(made, step=STEPS[-1], layer="late", roi="IT", subject=subject)
        np.testing.assert_allclose(nib.load(image).get_fdata()[images.labels() == 2], expected, rtol=1e-6)
        assert np.isnan(nib.load(image).get_fdata()[images.labels() == 1]).all()
    said = refused(capsys, "--subject", "01", "02", "--out", "map.nii.gz", record="runs2", space="two")
    assert "--out names one image, and 2 maps are asked for" in said
    said = refused(capsys, "--subject", "03", record="runs2", space="two")
    assert "--subject '03' is not in this record. Did you mean '02' or '01'" in said


def test_what_cannot_be_mapped_is_refused_in_one_line(record, lab, capsys):
    assert "step: the nearest are" in refused(capsys, "--step", "77777")
    assert "layer: Did you mean 'late'" in refused(capsys, "--layer", "lat")
    assert "--metric 'ridge' is not in this record. Did you mean 'ridge-gcv'" in refused(capsys, "--metric", "ridge")
    assert "--out takes a .nii.gz or .nii file for this space, got map.png" in refused(capsys, "--out", "map.png")
    assert "there is no record at nowhere" in refused(capsys, record="nowhere")
    assert "there is no file none.nii.gz" in refused(capsys, space="none.nii.gz")
    Record("empty", create=True, run="r")
    assert "empty has no alignment yet" in refused(capsys, record="empty", space="atlas_dseg.nii.gz")
    (lab / "other").mkdir()
    assert "other has no benchmark.json" in refused(capsys, space="other")
    build("sub-02_betas.nii.gz", out="another")
    capsys.readouterr()
    said = refused(capsys, space="another")
    assert re.search(r"benchmark 'another' \(fingerprint \w+\) is not what run was scored with: b \(fingerprint", said)
    np.save(lab / "plain.npy", np.random.default_rng(0).standard_normal((N, 3)))
    plain = ["--stimuli", "stimuli.csv", "--responses", "s=plain.npy", *ABOUT]
    assert main(["data", "build", "plain", *plain]) == 0
    assert "plain/benchmark.json: no subject has a space" in refused(capsys, space="plain")


def patches() -> np.ndarray:
    """The back of fsaverage5's inflated left hemisphere, and the middle of its underside; numbered 1 and 2."""
    there = pytest.importorskip("nilearn.datasets").fetch_surf_fsaverage("fsaverage5")
    _, y, z = pytest.importorskip("nilearn.surface").load_surf_mesh(there["infl_left"]).coordinates.T
    return np.where(y < -60, 1, np.where((z < -10) & (y < 0), 2, 0))[None]


@pytest.fixture
def surface(lab, rng, capsys) -> Record:
    """Both hemispheres of fsaverage5, a patch of each."""
    labels = patches()
    for side, full in (("L", "CortexLeft"), ("R", "CortexRight")):
        images.gifti(lab / f"sub-01_hemi-{side}_betas.func.gii", rng.standard_normal((N, 10242)), full)
        images.gifti(lab / f"hemi-{side}_dseg.func.gii", labels, full)
        (lab / f"hemi-{side}_dseg.tsv").write_text("index\tname\n1\tV1\n2\tIT\n")
    build(*(f"sub-01_hemi-{s}_betas.func.gii" for s in "LR"), atlas=tuple(f"hemi-{s}_dseg.func.gii" for s in "LR"))
    out = scored("b", "run", rng)
    capsys.readouterr()
    return out


def test_surfaces_are_a_file_a_hemisphere(surface, capsys):
    left, right = written(capsys, "--layer", "late", "--out", "map.func.gii")
    assert (left.name, right.name) == ("map_CortexLeft.func.gii", "map_CortexRight.func.gii")
    for path, side in ((left, "L"), (right, "R")):
        image = nib.load(path)
        assert image.meta["AnatomicalStructurePrimary"] == path.name.removeprefix("map_").removesuffix(".func.gii")
        expected = value(surface, step=STEPS[-1], layer="late", roi=f"{side} V1")
        np.testing.assert_allclose(image.agg_data()[patches()[0] == 1], expected, rtol=1e-6)
        assert np.isnan(image.agg_data()[patches()[0] == 0]).all()


def test_surfaces_are_drawn_on_the_mesh_that_nilearn_brings_along(surface, capsys):
    pytest.importorskip("nilearn.plotting")
    files = written(capsys, "--rise", "--figure", "--out", "t50.func.gii")
    assert [p.name for p in files if p.suffix == ".png"] == ["t50.png"]
    pixels = np.asarray(Image.open("t50.png").convert("RGB")).astype(int)
    brains = pixels[52:, :1160]  # without title and colour scale
    for number in range(4):  # both hemispheres, lateral and medial, each with a patch that has a colour
        row, column = divmod(number, 2)
        height, width = brains.shape[0] // 2, brains.shape[1] // 2
        one = brains[row * height : (row + 1) * height, column * width : (column + 1) * width]
        assert (np.ptp(one, axis=2) > 40).mean() > 0.02


def embedded(text: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', text)]


def test_the_report_shows_the_brain_inside_the_page(record, tmp_path):
    files = write_report("run", spaces=["b"])
    text = files.html.read_text(encoding="utf-8")
    drawn = {path.name: path.read_bytes() for path in files.pngs}
    assert embedded(text) == [drawn["r-ridge-gcv-brain.png"], drawn["r-ridge-gcv-rise.png"]]
    assert "When each region rises" in text
    assert "No clear rise: FFA." in text
    assert embedded(write_report("run", tmp_path / "plain").html.read_text(encoding="utf-8")) == []


def test_the_report_of_surfaces_says_what_to_install(surface, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = write_report("run", spaces=["b"]).html.read_text(encoding="utf-8")
    assert embedded(text) == []
    assert "pip install &#x27;.[nilearn]&#x27;" in text


def test_a_report_refuses_a_folder_that_is_not_the_records(record, lab, capsys):
    build("sub-02_betas.nii.gz", out="another")
    assert main(["report", "run", "--space", "another"]) == 2
    assert "is not what run was scored with: b (fingerprint" in capsys.readouterr().err
