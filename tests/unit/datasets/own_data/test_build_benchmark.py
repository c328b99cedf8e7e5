"""Plain tables and arrays -> a benchmark folder, by the command line; the order of rows does not matter."""

from __future__ import annotations

import csv
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps
from safetensors.numpy import save_file
from scipy.spatial.distance import squareform
from scipy.stats import spearmanr

from ontogeny.brain.noise_ceiling import ceiling_from_repeats
from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras, read_stimulus_columns, verify_folder
from ontogeny.datasets.folder.benchmark_json import read_manifest
from ontogeny.datasets.own_data._array_files import read_stimulus_table
from ontogeny.stimuli import as_rgb

N, VOXELS = 24, 5
IDS = [f"{i:03d}" for i in range(N)]
ABOUT = ["--name", "mine", "--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests."]


def table(path: Path, columns: dict[str, list[object]], order: list[int] | None = None, delimiter: str = ",") -> Path:
    rows = list(zip(*columns.values(), strict=True))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(rows if order is None else [rows[i] for i in order])
    return path


@pytest.fixture
def responses(rng) -> np.ndarray:
    return rng.standard_normal((N, VOXELS))


@pytest.fixture
def lab(tmp_path, monkeypatch, responses) -> Path:
    """A lab's files: a stimulus table, responses of one subject, a voxel table."""
    monkeypatch.chdir(tmp_path)
    texts = [f"A sentence, number {i}." for i in range(N)]
    stories = [f"story {i // 4}" for i in range(N)]
    table(tmp_path / "stimuli.csv", {"stimulus_id": IDS, "text": texts, "story": stories, "words": [*range(N)]})
    np.save(tmp_path / "s1.npy", responses)
    rois = ["IFG", "IFG", "MTG", "MTG", "IFG"]
    table(tmp_path / "rois.csv", {"roi": rois, "ceiling": [0.5] * 5, "x": [1.5, 2, 3, 4, 5], "hemi": list("LLLLR")})
    return tmp_path


def build(out: str, *more: str) -> int:
    return main(["data", "build", out, "--stimuli", "stimuli.csv", *ABOUT, *more])


def contents(folder: str) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def failed(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """The one clear line; nothing is left on disk."""
    capsys.readouterr()
    assert build("out", *more) == 2
    assert not Path("out").exists()
    return capsys.readouterr().err


def test_tables_become_a_verified_benchmark(lab, responses, capsys):
    assert build("out", "--responses", "s1=s1.npy", "--rois", "s1=rois.csv", "--ceiling-source", "split half") == 0
    out = capsys.readouterr().out
    for part in (
        "mine 1 (real data)",
        "s1       IFG  3       0.500 (0.500-0.500)",
        "24 texts",
        "5 shuffled folds, seed 0",
        "ridge-gcv",
        "split half",
        "Us (2026)",
        "CC0-1.0",
        "right    out",
    ):
        assert part in out
    benchmark = load("out")
    assert benchmark.stimuli.ids == tuple(IDS)
    assembly = benchmark.assemblies[0]
    assert assembly.roi == ("IFG", "IFG", "MTG", "MTG", "IFG")
    np.testing.assert_array_equal(assembly.responses, responses.astype(np.float32))
    np.testing.assert_array_equal(read_extras("out")["s1"].columns["x"], [1.5, 2, 3, 4, 5])
    assert read_extras("out")["s1"].columns["hemi"].tolist() == list("LLLLR")
    assert read_stimulus_columns("out")["words"].tolist() == list(range(N))
    assert read_stimulus_columns("out")["story"][5] == "story 1"


def test_the_same_inputs_give_the_same_bytes_in_whatever_order(lab, responses, rng):
    order = rng.permutation(N).tolist()
    columns = {"stimulus_id": IDS, **{f"v{v}": responses[:, v].tolist() for v in range(VOXELS)}}
    table(lab / "s1.csv", columns)
    table(lab / "mixed.csv", columns, order)
    np.save(lab / "brain.npy", responses)
    assert build("one", "--responses", "s1=s1.csv", "s2=brain.npy") == 0
    assert build("two", "--responses", "s2=brain.npy", "s1=mixed.csv") == 0
    text = (lab / "stimuli.csv").read_text().splitlines()
    (lab / "stimuli.csv").write_text("\n".join([text[0], *(text[1:][i] for i in order)]))
    np.save(lab / "brain.npy", responses[order])
    assert build("three", "--responses", "s1=mixed.csv", "s2=brain.npy") == 0
    assert contents("one") == contents("two") == contents("three")
    assert build("one", "--responses", "s1=s1.csv", "s2=brain.npy", "--overwrite") == 0
    assert contents("one") == contents("two")


def test_columns_of_your_own_keep_their_kind(lab):
    own = {"n": [*range(N)], "x": ["", *[0.5] * (N - 1)], "note": ["", *["a"] * (N - 1)], "odd": ["1", "b"] * (N // 2)}
    table(lab / "stimuli.csv", {"stimulus_id": IDS, "text": IDS, **own})
    assert build("out", "--responses", "s1=s1.npy") == 0
    back = read_stimulus_columns("out")
    assert [back[name].dtype.kind for name in own] == ["i", "f", "O", "O"]
    np.testing.assert_array_equal(back["x"], [np.nan, *[0.5] * (N - 1)])
    assert [back[name].tolist() for name in ("n", "note", "odd")] == [own["n"], own["note"], own["odd"]]


def test_contiguous_folds_keep_the_order_of_the_table(lab, responses):
    text = (lab / "stimuli.csv").read_text().splitlines()
    (lab / "stimuli.csv").write_text("\n".join([text[0], *reversed(text[1:])]))
    assert build("out", "--responses", "s1=s1.npy", "--folds", "contiguous", "--n-folds", "4") == 0
    benchmark = load("out")
    assert benchmark.stimuli.ids == tuple(reversed(IDS))
    assert benchmark.stimuli.contiguous
    assert benchmark.folds.held_out == tuple(np.repeat(range(4), 6))
    np.testing.assert_array_equal(benchmark.assemblies[0].responses, responses.astype(np.float32))


def test_groups_are_never_split_and_given_folds_are_kept(lab):
    assert build("groups", "--responses", "s1=s1.npy", "--groups", "story") == 0
    benchmark = load("groups")
    assert benchmark.folds.how == "5 folds by group, seed 0"
    pairs = set(zip(benchmark.stimuli.groups, benchmark.folds.held_out, strict=True))
    assert len(pairs) == len(set(benchmark.stimuli.groups)) == 6
    columns = {"stimulus_id": IDS, "text": IDS, "fold": [["a", "b", "b"][i % 3] for i in range(N)]}
    table(lab / "stimuli.csv", columns)
    assert build("own", "--responses", "s1=s1.npy", "--folds", "column") == 0
    assert load("own").folds.held_out == tuple([0, 1, 1] * 8)


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npy", "safetensors"])
def test_every_kind_of_file_gives_the_same_responses(lab, responses, kind):
    columns = {"stimulus_id": IDS, **{f"v{v}": responses[:, v].tolist() for v in range(VOXELS)}}
    if kind in ("csv", "tsv"):
        table(lab / f"a.{kind}", columns, delimiter="," if kind == "csv" else "\t")
    elif kind == "parquet":
        pq.write_table(pa.table(columns), lab / "a.parquet")
    elif kind == "npy":
        np.save(lab / "a.npy", responses)
    else:
        save_file({"responses": responses}, lab / "a.safetensors")
    assert build("out", "--responses", f"s1=a.{kind}") == 0
    np.testing.assert_array_equal(load("out").assemblies[0].responses, responses.astype(np.float32))


def test_repeats_are_averaged_and_kept(lab, rng):
    repeats = rng.standard_normal((3, N, VOXELS)).astype(np.float32)
    repeats[2, 7] = np.nan
    np.save(lab / "s1.npy", repeats)
    assert build("out", "--responses", "s1=s1.npy") == 0
    np.testing.assert_array_equal(read_extras("out")["s1"].repeats, repeats)
    mean = load("out").assemblies[0].responses
    np.testing.assert_allclose(mean, np.nanmean(repeats.astype(np.float64), axis=0), rtol=1e-6)


def test_ceilings_come_from_repeats(lab, rng, capsys):
    signal = rng.standard_normal((1, N, VOXELS))
    repeats = (signal + 0.5 * rng.standard_normal((4, N, VOXELS))).astype(np.float32)
    np.save(lab / "s1.npy", repeats)
    for name, *more in (("one",), ("two", "--ceiling", "ncsnr"), ("three", "--ceiling", "split-half")):
        assert build(name, "--responses", "s1=s1.npy", *more) == 0
    one, two, three = (load(name).assemblies[0] for name in ("one", "two", "three"))
    expected, how = ceiling_from_repeats(repeats.transpose(1, 0, 2))
    np.testing.assert_allclose(one.ceiling, expected)
    np.testing.assert_array_equal(one.ceiling, two.ceiling)
    assert one.ceiling_source == how == "ncsnr from 4 repeats of 24 stimuli, as Pearson r (Allen et al. 2022)"
    assert three.ceiling_source.startswith("split half of 4 repeats of 24 stimuli")
    assert np.abs(three.ceiling - expected).max() < 0.03
    np.save(lab / "s1.npy", repeats[0])
    assert "a ceiling by ncsnr needs repeats" in failed(capsys, "--responses", "s1=s1.npy", "--ceiling", "ncsnr")


def test_the_doctor_reads_the_repeats_hashes_and_left_out_voxels_of_a_folder(lab, rng, capsys):
    repeats = (rng.standard_normal((1, N, VOXELS)) + 0.5 * rng.standard_normal((2, N, VOXELS))).astype(np.float32)
    np.save(lab / "s1.npy", repeats)
    assert build("right", "--responses", "s1=s1.npy") == 0
    assert main(["doctor", "right", "--details"]) == 0
    said = capsys.readouterr().out
    assert "have the sha256 that benchmark.json lists" in said
    assert re.search(r"repeats    subject s1: odd and even agree \(r = 0\.\d{3}, mean over voxels, p = 0\.001\)", said)
    assert "1 subject, 5 voxels, ceiling r = 0.9" in said
    assert "(ncsnr from 2 repeats of 24 stimuli, as Pearson r (Allen et al. 2022))" in said
    assert re.search(r"ridge-gcv: ceiling 0\.\d{3}, ", said)
    assert "left out   no voxel" in said
    repeats[1] = repeats[1, rng.permutation(N)]
    repeats[:, :, 2] = 1
    np.save(lab / "s1.npy", repeats)
    assert build("mixed", "--responses", "s1=s1.npy", "--drop-bad-voxels") == 0
    capsys.readouterr()
    assert main(["doctor", "mixed"]) == 0
    said = capsys.readouterr().out
    assert "odd and even DO NOT AGREE: is one in another order, or all noise?" in said
    assert "left out   subject s1: 1 voxels, constant over stimuli" in said
    (array,) = Path("mixed/responses").iterdir()
    array.write_bytes(array.read_bytes()[:-1] + b"x")
    assert main(["doctor", "mixed"]) == 2
    assert "sha256" in capsys.readouterr().err


def test_too_few_repeats_for_a_ceiling_leave_it_unknown_and_say_why(lab, rng, capsys):
    repeats = rng.standard_normal((2, N, VOXELS)).astype(np.float32)
    repeats[1, 5:] = np.nan
    np.save(lab / "s1.npy", repeats)
    assert build("out", "--responses", "s1=s1.npy") == 0
    found = load("out").assemblies[0]
    assert found.ceiling is None
    assert "not known: 5 of 24 stimuli were shown twice or more" in found.ceiling_source
    assert main(["doctor", "out"]) == 0
    assert "ceiling not known: 5 of 24 stimuli were shown twice or more" in capsys.readouterr().out
    shutil.rmtree("out")
    assert "needs 10" in failed(capsys, "--responses", "s1=s1.npy", "--ceiling", "split-half")


def test_voxel_tables_are_matched_by_name_where_there_are_names(lab, responses):
    table(lab / "s1.csv", {"stimulus_id": IDS, **{f"v{v}": responses[:, v].tolist() for v in range(VOXELS)}})
    table(lab / "rois.csv", {"voxel": ["v4", "v3", "v2", "v1", "v0"], "roi": ["e", "d", "c", "b", "a"]})
    assert build("out", "--responses", "s1=s1.csv", "--rois", "s1=rois.csv") == 0
    assert load("out").assemblies[0].roi == ("a", "b", "c", "d", "e")
    assert read_extras("out")["s1"].columns["voxel"].tolist() == ["v0", "v1", "v2", "v3", "v4"]


def test_a_folder_of_pictures_and_a_table_of_them_are_the_same(lab, rng):
    (lab / "pictures").mkdir()
    for i, name in enumerate(IDS):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(lab / "pictures" / f"{name}.{'png' if i % 2 else 'bmp'}")
        np.save(lab / f"{name}.npy", pixels)
    names = sorted(p.name for p in (lab / "pictures").iterdir())
    table(lab / "pictures.csv", {"stimulus_id": IDS, "image": [f"pictures/{name}" for name in names]})
    for out, stimuli in (("one", "pictures"), ("two", "pictures.csv")):
        argv = [
            "data",
            "build",
            out,
            "--stimuli",
            stimuli,
            *ABOUT,
            "--responses",
            "s1=s1.npy",
            "--metrics",
            "rsa",
            "cka",
        ]
        assert main(argv) == 0
    assert contents("one") == contents("two")
    np.testing.assert_array_equal(load("one").stimuli.inputs[3], np.load("003.npy"))
    assert [m.name for m in load("one").metrics] == ["rsa-correlation-spearman", "cka-linear-debiased"]


@pytest.fixture
def numbered(lab) -> Path:
    """1.png to 12.png, none of them padded, and responses and an RDM with row k of picture k."""
    (lab / "pictures").mkdir()
    for k in range(1, 13):
        Image.new("RGB", (8, 8), (k * 10,) * 3).save(lab / "pictures" / f"{k}.png")
    (lab / "pictures" / "._1.png").write_bytes(b"of another system")
    rows = np.arange(1, 13, dtype=float)
    np.save(lab / "rows.npy", rows[:, None] + np.random.default_rng(0).uniform(0, 0.1, (12, 4)))
    np.save(lab / "rdm.npy", abs(rows[:, None] - rows) ** 1.5)
    return lab


@pytest.mark.parametrize("folds", ["shuffled", "contiguous"])
def test_rows_without_ids_meet_the_pictures_by_the_numbers_in_their_names(numbered, capsys, folds):
    argv = ["data", "build", "out", "--stimuli", "pictures", *ABOUT, "--folds", folds]
    assert main([*argv, "--responses", "s1=rows.npy"]) == 0
    said = "rows of rows.npy in the order of the pictures: 12 files, 1.png to 12.png, numbers in their names by value"
    assert f"order        {said}" in capsys.readouterr().out
    built = load("out")
    assert built.stimuli.ids == tuple(str(k) for k in range(1, 13))
    one = built.assemblies[0]
    assert one.stimulus_ids == built.stimuli.ids
    assert [round(row.mean()) for row in one.responses] == [int(k) for k in one.stimulus_ids]
    assert [int(picture[0, 0, 0]) // 10 for picture in built.stimuli.inputs] == [int(k) for k in built.stimuli.ids]


def test_an_rdm_without_ids_says_its_order_and_a_table_with_ids_does_not(numbered, capsys):
    argv = ["data", "build", "--stimuli", "pictures", *ABOUT]
    assert main([*argv, "one", "--geometry", "s1:IT=rdm.npy"]) == 0
    assert "rows of rdm.npy in the order of the pictures: 12 files, 1.png to 12.png" in capsys.readouterr().out
    rdm = load("one").assemblies[0].rdm
    assert rdm[1, 9] == pytest.approx(8**1.5)
    ids = [str(k) for k in range(12, 0, -1)]
    table(numbered / "s1.csv", {"stimulus_id": ids, "v0": ids, "v1": [k * 2 % 5 for k in range(12)]})
    assert main([*argv, "two", "--responses", "s1=s1.csv"]) == 0
    assert "in the order of the pictures" not in capsys.readouterr().out
    assert load("two").assemblies[0].responses[:, 0].tolist() == list(range(1, 13))


def test_a_picture_is_found_in_either_form_of_unicode(numbered):
    table(numbered / "t.csv", {"stimulus_id": ["a", "b"], "image": ["pictures/é.png", "pictures/2.png"]})
    shutil.copy(numbered / "pictures" / "7.png", numbered / "pictures" / unicodedata.normalize("NFD", "é.png"))
    assert [int(picture[0, 0, 0]) // 10 for picture in read_stimulus_table(numbered / "t.csv").inputs] == [7, 2]


def test_a_photograph_is_kept_as_its_exif_turns_it(lab):
    (lab / "pictures").mkdir()
    exif = Image.Exif()
    exif[274] = 6
    for i, name in enumerate(IDS):
        stored = np.zeros((8, 16, 3), dtype=np.uint8)
        stored[:4], stored[0, 0] = 200, i
        Image.fromarray(stored).save(lab / "pictures" / f"{name}.png", exif=exif)
    assert main(["data", "build", "out", "--stimuli", "pictures", *ABOUT, "--responses", "s1=s1.npy"]) == 0
    kept = load("out").stimuli.inputs[5]
    assert kept.shape == (16, 8, 3)
    assert kept[0, 7].tolist() == [5, 5, 5]
    assert kept[1:, 4:].min() == 200
    assert kept[:, :4].max() == 0


def test_pictures_of_all_kinds_are_read_back_picture_by_picture(lab, rng):
    """Against pillow's own reading of the same files; a folder as a lab has it, with what other systems leave there."""
    folder, truth = lab / "seen", {}
    folder.mkdir()
    colour, grey = rng.integers(0, 255, (2, 20, 30, 3), dtype=np.uint8), rng.integers(0, 255, (20, 30), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    opaque = np.dstack([colour[1], np.full((20, 30), 255, np.uint8)])
    palette = Image.fromarray(colour[0]).quantize(16)
    made = {
        "1.png": (Image.fromarray(colour[0]), {}),
        "2.PNG": (Image.fromarray(grey), {}),
        "10.jpg": (Image.fromarray(colour[1]), {"exif": turned}),
        "11.tif": (Image.fromarray(colour[0]).convert("CMYK"), {}),
        "12.jpeg": (Image.fromarray(colour[0]).convert("CMYK"), {}),
        "13.png": (Image.fromarray(opaque), {}),
        "14.png": (palette, {}),
        "15.bmp": (Image.fromarray(colour[1]), {}),
        "16.webp": (Image.fromarray(colour[0]), {"lossless": True}),
        "17.png": (Image.fromarray(np.zeros((2000, 3000, 3), np.uint8)), {}),
        unicodedata.normalize("NFD", "é.png"): (Image.fromarray(colour[1]), {}),
    }
    for name, (picture, options) in made.items():
        picture.save(folder / name, **options)
        with Image.open(folder / name) as again:
            key = unicodedata.normalize("NFC", Path(name).stem)
            truth[key] = np.asarray(ImageOps.exif_transpose(again).convert("RGB"))
    for name in (".DS_Store", "._1.png", "Thumbs.db"):
        (folder / name).write_bytes(b"no picture")
    np.save("s1.npy", np.arange(22.0).reshape(11, 2) ** 2)
    assert main(["data", "build", "out", "--stimuli", "seen", *ABOUT, "--responses", "s1=s1.npy"]) == 0
    back = load("./out")
    assert back.stimuli.ids == ("1", "2", "10", "11", "12", "13", "14", "15", "16", "17", "é")
    assert truth["10"].shape == (30, 20, 3)
    for name, picture in zip(back.stimuli.ids, back.stimuli.inputs, strict=True):
        np.testing.assert_array_equal(as_rgb(picture, name), truth[name])
    np.testing.assert_array_equal(back.assemblies[0].responses, np.load("s1.npy"))


def test_a_file_of_several_pictures_is_refused(lab, rng, capsys):
    (lab / "seen").mkdir()
    pages = [Image.fromarray(one) for one in rng.integers(0, 255, (12, 8, 8, 3), dtype=np.uint8)]
    for k, page in enumerate(pages[:11]):
        page.save(lab / f"seen/{k}.png")
    pages[0].save(lab / "seen/11.png", save_all=True, append_images=pages[11:])
    np.save("s1.npy", rng.standard_normal((12, 2)))
    assert main(["data", "build", "out", "--stimuli", "seen", *ABOUT, "--responses", "s1=s1.npy"]) == 2
    assert "11.png has 2 pictures (frames, pages); save the one that was shown" in capsys.readouterr().err


def test_geometries_come_from_arrays_and_tables(lab, rng):
    x = rng.standard_normal((N, 6))
    rdm = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.save(lab / "one.npy", rdm)
    order = rng.permutation(N)
    mixed = {IDS[j]: rdm[order, j].tolist() for j in order}
    table(lab / "two.csv", {"stimulus_id": [IDS[i] for i in order], **mixed})
    assert build("out", "--geometry", "s1:IT=one.npy", "s2:IT=two.csv") == 0
    one, two = load("out").assemblies
    np.testing.assert_array_equal(one.rdm, two.rdm)
    np.testing.assert_array_equal(one.rdm, rdm.astype(np.float32))
    assert [m.name for m in load("out").metrics] == ["rsa-correlation-spearman", "cka-linear-debiased"]


@pytest.fixture
def distances(rng) -> np.ndarray:
    x = rng.standard_normal((N, 6))
    return ((x[:, None] - x[None]) ** 2).sum(axis=2)


def test_pairs_sessions_and_crossnobis_are_geometries(lab, rng, distances, capsys):
    np.save(lab / "pairs.npy", squareform(distances, checks=False))
    noise = rng.standard_normal((3, N, N)) / 10
    sessions = distances + noise + noise.transpose(0, 2, 1)
    np.save(lab / "sessions.npy", sessions)
    given = ["s1:IT=pairs.npy", "s2:IT=sessions.npy"]
    assert build("out", "--geometry", *given) == 0
    said = capsys.readouterr().out
    assert "s1       IT   RDM     a geometry: bounds over subjects" in said
    pairs = [squareform(one, checks=False) for one in sessions]
    agree = np.mean([spearmanr(pairs[i], pairs[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))])
    assert f"sessions     mean of 3 in sessions.npy; two of them agree with Spearman r = {agree:.3f} on average" in said
    assert said.count("diagonal     that of sessions.npy is -0.") == 3
    assert "geometries 2 RDMs, of 2 subjects" in " ".join(said.split())
    one, two = load("out").assemblies
    np.testing.assert_array_equal(one.rdm, distances.astype(np.float32))
    expected = sessions.mean(axis=0)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(two.rdm, expected, rtol=1e-5)
    np.fill_diagonal(distances, np.nan)
    np.save(lab / "nan.npy", distances)
    assert build("nan", "--geometry", "s1:IT=nan.npy") == 0
    assert "that of nan.npy is not finite; set to 0" in capsys.readouterr().out


def test_sessions_of_one_subject_give_a_split_half_ceiling(lab, rng, distances, capsys):
    """Near what the true RDM reaches; by Spearman and Brown's formula; where other subjects give none."""
    noise = 3 * rng.standard_normal((2, N, N))
    sessions = distances + (noise + noise.transpose(0, 2, 1)) / 2
    sessions[:, range(N), range(N)] = 0
    np.save(lab / "sessions.npy", sessions)
    assert build("out", "--geometry", "s1:IT=sessions.npy") == 0
    assert "ceiling split half: 2 sessions, Spearman r of two" in " ".join(capsys.readouterr().out.split())
    made = load("out")
    (one,) = made.assemblies
    pairs = [one[np.triu_indices(N, 1)] for one in sessions]
    r = spearmanr(*pairs).statistic
    assert one.ceiling == pytest.approx(np.sqrt(2 * r / (1 + r)))
    best = spearmanr(np.mean(pairs, axis=0), distances[np.triu_indices(N, 1)]).statistic
    assert one.ceiling == pytest.approx(best, abs=0.03)
    x = rng.standard_normal((N, 8))
    rows = {row.metric: row for row in made.prepare().known({"x": x})}
    assert rows["rsa-correlation-spearman"].ceiling == pytest.approx(one.ceiling)
    assert [row.ceiling for name, row in rows.items() if name.startswith("cka")] == [None]
    assert made.fingerprint() == load("out").fingerprint()


def test_what_is_no_rdm_is_refused(lab, responses, distances, capsys):
    np.save(lab / "rdm.npy", np.corrcoef(responses))
    geometry = ("--geometry", "s1:IT=rdm.npy")
    assert "the diagonal (1 or more) is the highest of all, so that these are similarities" in failed(capsys, *geometry)
    np.save(lab / "rdm.npy", distances + np.diag(np.linspace(5, 90, N)))
    assert "the diagonal is as large as the rest of the matrix; is this an RDM?" in failed(capsys, *geometry)
    np.save(lab / "rdm.npy", np.ones(N * (N + 1) // 2))
    assert "a vector of the pairs of 24 stimuli has 276 numbers, got 300" in failed(capsys, *geometry)
    np.save(lab / "rdm.npy", np.ones((2, N, 3)))
    assert "an RDM is stimuli x stimuli, got (2, 24, 3)" in failed(capsys, *geometry)


def test_bad_voxels_are_refused_or_dropped_with_reason(lab, responses, capsys):
    responses[3, 0] = np.nan
    responses[:, 2] = 7.0
    np.save(lab / "s1.npy", responses)
    table(lab / "rois.csv", {"roi": ["a", "a", "a", "b", "0"]})
    rois = ("--responses", "s1=s1.npy", "--rois", "s1=rois.csv")
    assert (
        "s1.npy: of 5 voxels, 1 no ROI label (e.g. voxel 4), 1 NaN or infinite (e.g. voxel 0), 1 constant over stimuli "
        "(e.g. voxel 2); mend or drop them (--drop-bad-voxels)"
    ) in failed(capsys, *rois)
    assert build("out", *rois, "--drop-bad-voxels") == 0
    assert "dropped subject s1: 1 voxels, NaN or infinite" in " ".join(capsys.readouterr().out.split())
    assert read_manifest(Path("out")).facts["dropped"] == [
        {"subject": "s1", "why": "no ROI label", "voxels": [4]},
        {"subject": "s1", "why": "NaN or infinite", "voxels": [0]},
        {"subject": "s1", "why": "constant over stimuli", "voxels": [2]},
    ]
    kept = load("out").assemblies[0]
    np.testing.assert_array_equal(kept.responses, responses[:, [1, 3]].astype(np.float32))
    assert kept.roi == ("a", "b")
    np.save(lab / "s1.npy", np.ones((N, VOXELS)))
    assert build("none", *rois, "--drop-bad-voxels") == 2
    assert "s1.npy: no voxel is left; 1 no ROI label (e.g. voxel 4), 4 constant" in capsys.readouterr().err


def test_columns_that_became_voxels_are_listed(lab, responses, capsys):
    columns = {"": [*range(N)], "stimulus_id": IDS, **{f"v{v}": responses[:, v].tolist() for v in range(VOXELS)}}
    table(lab / "s1.csv", columns | {"run": ["1"] * N, "onset": [*range(N)], "subject": ["s1"] * N})
    assert build("out", "--responses", "s1=s1.csv") == 0
    said = "subject s1: 5 voxels of s1.csv: v0, v1, v2, v3, v4; no voxels: '', 'run', 'onset', 'subject'"
    assert f"columns      {said}" in capsys.readouterr().out
    np.testing.assert_array_equal(load("out").assemblies[0].responses, responses.astype(np.float32))
    table(lab / "rois.csv", {"voxel": [f"v{v}" for v in range(9)], "roi": ["a"] * 9})
    assert build("two", "--responses", "s1=s1.csv", "--rois", "s1=rois.csv") == 0
    assert "; 4 voxels of its table of ROIs have no column" in capsys.readouterr().out
    table(lab / "s1.csv", columns | {"subject": ["s1"] * (N - 1) + ["s2"]})
    shutil.rmtree("out")
    assert "s1.csv is given for subject 's1', but its column 'subject' says ['s1', 's2']" in failed(
        capsys, "--responses", "s1=s1.csv"
    )


def test_what_names_and_numbers_say_of_plain_files_is_held_against_them(lab, responses, capsys):
    np.save(lab / "sub-02_betas.npy", responses)
    assert "sub-02_betas.npy is given for subject '01', but its name says another one" in failed(
        capsys, "--responses", "01=sub-02_betas.npy"
    )
    assert "subjects '1' and '01' are one number" in failed(capsys, "--responses", "1=s1.npy", "01=s1.npy")
    table(lab / "rois.csv", {"voxel": [0, 2, 1, 3, 4], "roi": ["a"] * 5})
    assert "rois.csv, row 3: column 'voxel' does not rise, but the voxels of s1.npy have no names" in failed(
        capsys, "--responses", "s1=s1.npy", "--rois", "s1=rois.csv"
    )
    table(lab / "rois.csv", {"roi": ["a", "a", "n/a", "NA", "b"]})
    assert "2 no ROI label (e.g. voxel 2)" in failed(capsys, "--responses", "s1=s1.npy", "--rois", "s1=rois.csv")
    assert build("out", "--responses", "s1=s1.npy", "--rois", "s1=rois.csv", "--drop-bad-voxels") == 0
    shutil.rmtree("out")
    table(lab / "s1.csv", {"stimulus_id": [str(int(k)) for k in IDS], "v": responses[:, 0].tolist()})
    assert "they differ only in zeros in front: make the two lists" in failed(capsys, "--responses", "s1=s1.csv")
    stimuli(lab, stimulus_id=IDS, text=IDS, onset=[*range(N - 1), 0])
    assert "rows 23 and 24: column 'onset' falls, but contiguous folds are blocks in the order of the rows" in failed(
        capsys, "--responses", "s1=s1.npy", "--folds", "contiguous"
    )


def test_files_that_are_called_after_another_subject_are_refused(lab, responses, distances, capsys):
    """Also where only a word of the name says it; a file that both are given is said, not refused."""
    np.save(lab / "s2.npy", responses)
    assert "s2.npy is given for subject 's1', but its name says subject 's2'; which is right?" in failed(
        capsys, "--responses", "s1=s2.npy", "s2=s1.npy"
    )
    (lab / "betas_s2.final.npy").write_bytes((lab / "s2.npy").read_bytes())
    assert "betas_s2.final.npy is given for subject 's1'" in failed(
        capsys, "--responses", "s1=betas_s2.final.npy", "s2=s2.npy"
    )
    assert build("out", "--responses", "s1=s1.npy", "s2=s1.npy") == 0
    assert "subjects s1, s2 have the same responses to the last digit; is one file a copy?" in capsys.readouterr().out
    shutil.rmtree("out")
    table(lab / "rois.csv", {"roi": ["a"] * 5, "Participant ID": ["s2"] * 5})
    assert "rois.csv is given for subject 's1', but its column 'Participant ID' says ['s2']; which?" in failed(
        capsys, "--responses", "s1=s1.npy", "--rois", "s1=rois.csv"
    )
    np.save(lab / "sub-02_rdm.npy", distances)
    assert "sub-02_rdm.npy is given for subject '01', but its name says another one" in failed(
        capsys, "--geometry", "01:IT=sub-02_rdm.npy"
    )
    np.save(lab / "rdm.npy", distances)
    assert "subjects '1' and '01' are one number" in failed(capsys, "--geometry", "1:IT=rdm.npy", "01:V1=rdm.npy")


def test_voxels_that_their_table_numbers_otherwise_are_refused(lab, capsys):
    table(lab / "rois.csv", {"voxel": ["v1", "v2", "v5", "v4", "v3"], "roi": ["a"] * 5})
    assert "rois.csv, row 4: column 'voxel' does not rise" in failed(
        capsys, "--responses", "s1=s1.npy", "--rois", "s1=rois.csv"
    )
    table(lab / "rois.csv", {"voxel": ["L1", "L2", "R1", "R2", "R10"], "roi": ["a"] * 5})
    assert build("out", "--responses", "s1=s1.npy", "--rois", "s1=rois.csv") == 0


def test_columns_that_say_folds_and_are_not_used_are_named_and_codes_keep_their_zeros(lab, capsys):
    codes = [f"{k:03d}" for k in range(N)]
    stimuli(lab, stimulus_id=IDS, text=IDS, fold=[k % 3 for k in range(N)], group=["x", "y"] * (N // 2), code=codes)
    assert build("out", "--responses", "s1=s1.npy") == 0
    said = capsys.readouterr().out
    assert "column 'fold' of the stimuli, which the folder leaves out; to fold by it say --folds column" in said
    assert "column 'group' of the stimuli, which the folder leaves out; to fold by it say --groups group" in said
    assert read_stimulus_columns("out")["code"].tolist() == codes
    assert build("out", "--responses", "s1=s1.npy", "--folds", "column", "--groups", "group", "--overwrite") == 0
    assert "not used" not in capsys.readouterr().out


def test_names_of_voxels_and_columns_are_one_form_of_unicode(lab, responses):
    voxels = [unicodedata.normalize("NFD", f"é{k}") for k in range(5)]
    columns = {"stimulus_id": IDS, **{name: responses[:, k].tolist() for k, name in enumerate(voxels)}}
    table(lab / "s1.csv", columns)
    table(lab / "rois.csv", {"voxel": [f"é{k}" for k in range(5)][::-1], "roi": [*"edcba"]})
    pq.write_table(
        pa.table(
            {name: [str(c) for c in cells] if name == "stimulus_id" else cells for name, cells in columns.items()}
        ),
        lab / "s1.parquet",
    )
    for file in ("s1.csv", "s1.parquet"):
        assert build("out", "--responses", f"s1={file}", "--rois", "s1=rois.csv", "--overwrite") == 0
        made = load("./out").assemblies[0]
        assert made.roi == tuple("abcde")
        np.testing.assert_allclose(made.responses, responses, atol=1e-6)


def test_copies_among_repeats_and_sessions_are_refused(lab, responses, distances, capsys):
    np.save(lab / "s1.npy", np.stack([responses, responses + 1, responses]))
    assert "repeats 1 and 3 are the same to the last digit" in failed(capsys, "--responses", "s1=s1.npy")
    np.save(lab / "rdm.npy", np.stack([distances, distances]))
    assert "two sessions are the same to the last digit" in failed(capsys, "--geometry", "s1:IT=rdm.npy")


def test_pictures_of_one_number_have_no_order_for_rows_without_ids(numbered, capsys):
    shutil.copy(numbered / "pictures/2.png", numbered / "pictures/02.png")
    np.save(numbered / "more.npy", np.random.default_rng(0).standard_normal((13, 3)))
    assert main(["data", "build", "o", "--stimuli", "pictures", *ABOUT, "--responses", "s1=more.npy"]) == 2
    assert "pictures 02.png and 2.png are one number, so that their order is not known" in capsys.readouterr().err


UNUSED = "is for images of the brain (--betas, --table, --bids)"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--roi", "IFG"), f"--roi {UNUSED}"),
        (("--order", "onset"), f"--order {UNUSED}"),
        (("--no-zscore",), f"--no-zscore {UNUSED}"),
        (("--atlas", "rois.csv"), f"--atlas {UNUSED}"),
        (("--tr", "2"), "--tr is for stories (--words)"),
        (("--bold", "s1.npy"), "--bold is for stories (--words)"),
        (("--betas", "01=s1.npy", "--select", "space=T1w"), "--select is for BIDS derivatives (--bids)"),
        (("--betas", "s1=s1.npy"), "subject 's1' has --responses and images; give one of them"),
    ],
)
def test_options_that_the_data_do_not_use_are_refused(lab, capsys, more, said):
    assert said in failed(capsys, "--responses", "s1=s1.npy", *more)


def test_a_ceiling_of_rdms_is_not_taken(lab, distances, capsys):
    np.save(lab / "rdm.npy", distances)
    assert "a ceiling is given, but there are no responses" in failed(
        capsys, "--geometry", "s1:IT=rdm.npy", "--ceiling", "0.8"
    )


def test_a_region_that_vanishes_is_named(lab, responses, capsys):
    responses[3, 4] = np.nan
    np.save(lab / "s1.npy", responses)
    table(lab / "rois.csv", {"roi": ["a", "a", "a", "b", "c"]})
    assert build("out", "--responses", "s1=s1.npy", "--rois", "s1=rois.csv", "--drop-bad-voxels") == 0
    assert "1 voxels, NaN or infinite; no voxel is left of 'c'" in capsys.readouterr().out


def stimuli(lab: Path, **columns: list[object]) -> None:
    table(lab / "stimuli.csv", columns)


@pytest.mark.parametrize(
    ("spoil", "more", "text"),
    [
        (
            lambda lab: np.save("s1.npy", np.ones((N - 1, 5))),
            (),
            "s1.npy has 23 rows and no ids, the stimulus table has",
        ),
        (
            lambda lab: np.save("s1.npy", np.ones(5)),
            (),
            "stimuli x voxels or repeats x stimuli x voxels, got float64 (5,)",
        ),
        (lambda lab: np.save("s1.npy", np.array([{}] * N)), (), "s1.npy cannot be read as .npy"),
        (
            lambda lab: Path("s1.npy").write_bytes(Path("s1.npy").read_bytes()[:200]),
            (),
            "s1.npy cannot be read as .npy",
        ),
        (lambda lab: Path("s1.npy").unlink(), (), "s1.npy is not there; expected a file of kind .npy"),
        (lambda lab: stimuli(lab, stimulus_id=["a"] * N, text=IDS), (), "stimulus ids must be unique, but 1 appear"),
        (
            lambda lab: stimuli(lab, stimulus=IDS, text=IDS),
            (),
            "column 'stimulus_id' is missing, got ['stimulus', 'text']",
        ),
        (
            lambda lab: stimuli(lab, stimulus_id=IDS, sound=IDS),
            (),
            "expected one of the columns 'text' and 'image', got",
        ),
        (
            lambda lab: stimuli(lab, stimulus_id=IDS, text=[*IDS[1:], ""]),
            (),
            "stimuli.csv, row 24: column 'text' is empty",
        ),
        (
            lambda lab: stimuli(lab, stimulus_id=IDS, image=["../../x.png"] * N),
            (),
            "'../../x.png' leads out of the table's",
        ),
        (
            lambda lab: stimuli(lab, stimulus_id=IDS, image=["x.png"] * N),
            (),
            "24 of 24 pictures are not there, e.g. x.png",
        ),
        (lambda lab: Path("stimuli.csv").write_text("stimulus_id,text\n1,a,b\n"), (), "line 2: expected 2 cells"),
        (lambda lab: Path("stimuli.csv").write_text("stimulus_id,text\n"), (), "stimuli.csv has no rows"),
        (lambda lab: Path("stimuli.csv").write_text("text,text\n1,2\n"), (), "2 columns called 'text'"),
        (lambda lab: Path("stimuli.csv").write_bytes(b"stimulus_id,text\n\xff,a\n"), (), "as CSV of UTF-8 text"),
        (lambda lab: None, ("--groups", "stroy"), "column 'stroy' is missing"),
        (
            lambda lab: None,
            ("--groups", "story", "--folds", "shuffled"),
            "shuffled folds would split them; fold by groups",
        ),
        (lambda lab: None, ("--folds", "groups"), "folds by groups need the name of the stimulus table's column"),
        (lambda lab: None, ("--folds", "column"), "column 'fold' is missing"),
        (
            lambda lab: stimuli(lab, stimulus_id=IDS, text=IDS, fold=[1] * N),
            ("--folds", "column"),
            "at least two folds",
        ),
        (
            lambda lab: None,
            ("--rois", "s2=rois.csv"),
            "ROIs are given for 's2', which has no responses. Did you mean 's1'",
        ),
        (
            lambda lab: table(lab / "rois.csv", {"roi": ["a"]}),
            ("--rois", "s1=rois.csv"),
            "rois.csv has 1 rows, but s1.npy has 5",
        ),
        (lambda lab: table(lab / "rois.csv", {"ro": ["a"] * 5}), ("--rois", "s1=rois.csv"), "column 'roi' is missing"),
        (
            lambda lab: table(lab / "rois.csv", {"roi": ["a"] * 5, "ceiling": [2] * 5}),
            ("--rois", "s1=rois.csv"),
            "a ceiling is a Pearson r from 0 to 1, got [2.0, 2.0, 2.0]",
        ),
        (
            lambda lab: table(lab / "rois.csv", {"roi": ["a"] * 5, "ceiling": ["high"] * 5}),
            ("--rois", "s1=rois.csv"),
            "row 1: column 'ceiling' should be a number, got 'high'",
        ),
        (lambda lab: None, ("--rois", "s1=rois.csv", "--ceiling", ".5"), "and a ceiling is given for all voxels too"),
        (lambda lab: None, ("--citation", " "), "citation is empty; a benchmark says what it is"),
        (lambda lab: None, ("--metrics", "rigde"), "no metric is called 'rigde'. Did you mean 'ridge'"),
        (lambda lab: None, ("--n-folds", "20"), "20 folds need at least 20 stimuli"),
        (lambda lab: None, ("--geometry", "s1=s1.npy"), "--geometry: expected SUBJECT:ROI=FILE"),
        (lambda lab: None, ("--geometry", "s1:IT=s1.npy"), "s1.npy: an RDM is stimuli x stimuli, got (24, 5)"),
    ],
)
def test_bad_input_is_refused_by_name(lab, capsys, spoil, more, text):
    spoil(lab)
    assert text in failed(capsys, "--responses", "s1=s1.npy", *more)


def test_ids_that_do_not_match_are_named(lab, responses, capsys):
    ids = [*IDS[:-1], "new"]
    table(lab / "s1.csv", {"stimulus_id": ids, "v": responses[:, 0].tolist()})
    said = failed(capsys, "--responses", "s1=s1.csv")
    assert "s1.csv lacks 1 of 24 stimuli, e.g. ['023'], and has 1 that the stimulus table lacks, e.g. ['new']" in said
    table(lab / "s1.csv", {"stimulus_id": [*IDS[:-1], "000"], "v": responses[:, 0].tolist()})
    assert "s1.csv: stimulus ids must be unique" in failed(capsys, "--responses", "s1=s1.csv")
    table(lab / "s1.csv", {"stimulus_id": IDS})
    assert "has no column but 'stimulus_id'" in failed(capsys, "--responses", "s1=s1.csv")
    table(lab / "s1.csv", {"stimulus_id": IDS, "v": responses[:, 0].tolist(), "w": responses[:, 1].tolist()})
    table(lab / "rois.csv", {"voxel": ["v", "v"], "roi": ["a", "b"]})
    said = failed(capsys, "--responses", "s1=s1.csv", "--rois", "s1=rois.csv")
    assert "1 are missing, e.g. ['w'], and 1 are doubled" in said
    save_file({"betas": responses}, lab / "a.safetensors")
    assert "tensor 'responses' is missing" in failed(capsys, "--responses", "s1=a.safetensors")
    assert "--responses: 's1' is given twice" in failed(capsys, "--responses", "s1=s1.csv", "s1=s1.npy")
    assert "--responses: expected SUBJECT=FILE, got 's1.csv'" in failed(capsys, "--responses", "s1.csv")
    assert "needs at least one assembly" in failed(capsys)
    table(lab / "rois.csv", {"roi": ["a"] * VOXELS})
    two = ("--responses", "s1=s1.npy", "s2=s1.npy", "--rois", "s1=rois.csv")
    assert "ROIs are given for ['s1'], not for ['s2']" in failed(capsys, *two)


def test_a_stimulus_without_any_repeat_is_named(lab, capsys):
    repeats = np.ones((2, N, VOXELS))
    repeats[:, 4] = np.nan
    np.save(lab / "s1.npy", repeats)
    assert "s1.npy: 1 stimuli have no repeat at all, e.g. ['004']" in failed(capsys, "--responses", "s1=s1.npy")


def test_pictures_that_are_not_8_bit_colour_are_refused(lab, capsys):
    (lab / "pictures").mkdir()
    assert main(["data", "build", "out", "--stimuli", "pictures", *ABOUT]) == 2
    assert "pictures has no pictures" in capsys.readouterr().err
    for number in range(N):
        Image.new("RGB", (9, 9), (number, 2, 3)).save(lab / "pictures" / f"{number}.png")
    path, given = lab / "pictures" / "7.png", ["--stimuli", "pictures", *ABOUT, "--responses", "s1=s1.npy"]
    for image, text in (
        (Image.new("RGBA", (9, 9), (1, 2, 3, 100)), "7.png has transparent parts; save it as 8-bit RGB"),
        (Image.new("I;16", (9, 9), 1000), "7.png has mode {}; save it as 8-bit RGB"),
    ):
        image.save(path)
        with Image.open(path) as read:  # before pillow 11, 16 bits of a PNG are read as "I"
            mode = read.mode
        assert main(["data", "build", "out", *given]) == 2
        assert text.format(mode) in capsys.readouterr().err
    path.write_bytes(path.read_bytes()[:40])
    assert main(["data", "build", "out", *given]) == 2
    assert "7.png cannot be decoded as a picture" in capsys.readouterr().err
    path.unlink()
    path.with_suffix(".gif").touch()
    assert main(["data", "build", "out", *given]) == 2
    assert "s1.npy has 24 rows and no ids, the stimulus table has 23" in capsys.readouterr().err
    assert not (lab / "out").exists()


def test_verify_and_show_take_a_folder(lab, capsys):
    assert build("out", "--responses", "s1=s1.npy") == 0
    built = capsys.readouterr().out
    assert main(["data", "show", "out"]) == 0
    assert main(["data", "verify", "out"]) == 0
    assert capsys.readouterr().out == built
    assert verify_folder("out") == []
    path = lab / "out" / "voxels" / "s1.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["data", "verify", "out"]) == 2
    assert "WRONG    voxels/s1.parquet: " in capsys.readouterr().out
    (lab / "empty").mkdir()
    assert main(["data", "verify", "empty"]) == 2
    assert "empty has no benchmark.json; make one with `ontogeny data build empty ...`" in capsys.readouterr().err
