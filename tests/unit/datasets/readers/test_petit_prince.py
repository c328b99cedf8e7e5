"""Le Petit Prince: a small set on the documented layout, made here."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers import images

from ontogeny.datasets import load
from ontogeny.datasets.readers.petit_prince import read_sections
from ontogeny.errors import DataError, DatasetNotFoundError
from ontogeny.neuroimaging import to_volumes

pytest.importorskip("nibabel", reason="nibabel is not installed")

# Volumes of each section, and the numbers of its runs in the names of one subject.
COUNTS = (30, 34, 32)
NUMBERS = (8, 15, 16)


def write_words(path: Path, rows: list[list[str]], head: tuple[str, ...] = ("", "word", "onset", "offset", "section")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([head, *rows])


def name(subject: str, number: int, language: str = "EN") -> str:
    return f"{subject}_task-lpp{language}_run-{number:02d}_space-MNIColin27_desc-preproc_bold.nii.gz"


@pytest.fixture
def made(rng, tmp_path):
    root = tmp_path / "ds003643"
    rows, n = [], 0
    for section, count in enumerate(COUNTS, 1):
        for onset in np.sort(rng.uniform(0, count * 2 - 1, size=50)):
            word = str(rng.choice(["once", "when", "six, years", "old"]))
            rows.append([str(n), word, f"{onset:.3f}", f"{onset + 0.2:.3f}", str(section)])
            n += 1
    rows.insert(7, [str(n), " ", "1.0", "1.1", "1"])
    write_words(root / "annotation" / "EN" / "lppEN_word_information.csv", rows)
    series = {}
    for subject, numbers, more in (("sub-EN057", NUMBERS, 1), ("sub-EN058", (1, 2, 3), 0)):
        for number, count in zip(numbers, COUNTS, strict=True):
            data = 1000 + rng.standard_normal((*images.SHAPE, count + more))
            data[5, 1, 0] = 0
            data += np.linspace(0, 50, count + more)
            data[5, 1, 0] = 0
            series[subject, number] = data
            images.nifti(root / "derivatives" / subject / "func" / name(subject, number), data.astype(np.float32))
    return root, series, images.atlas(tmp_path), rows


def test_runs_in_their_order_are_the_sections(made, rng):
    root, series, atlas, rows = made
    b = load("li2022", folder=root, atlas=atlas, context=2, delays=(1, 2))
    assert (b.name, len(b.stimuli)) == ("li2022-EN", sum(COUNTS))
    assert dict.fromkeys(b.stimuli.groups) == dict.fromkeys(["section 1", "section 2", "section 3"])
    assert [a.subject for a in b.assemblies] == ["sub-EN057", "sub-EN058"]
    first = b.assemblies[0]
    assert [first.roi.count(roi) for roi in ("V1", "IT", "FFA")] == [20, 20, 1]
    second = series["sub-EN057", NUMBERS[1]][1, 2, 3, : COUNTS[1]]
    time = np.arange(COUNTS[1])
    left = second - np.polyval(np.polyfit(time, second, 3), time)
    voxel = first.roi.index("IT") + 2 * 4 + 3
    ours = first.responses[COUNTS[0] : COUNTS[0] + COUNTS[1], voxel]
    np.testing.assert_allclose(ours, left / left.std(), atol=5e-4)

    x = rng.standard_normal((len(b.read), 3))
    joined = b.pieces.joined(torch.as_tensor(x)).numpy()
    said = [(r[1], (float(r[2]) + float(r[3])) / 2) for r in rows if r[4] == "2"]
    place = {text: row for row, text in enumerate(b.read.inputs)}
    texts = [" ".join(w for w, _ in said[max(0, i - 2) : i + 1]) for i in range(len(said))]
    whole = to_volumes(np.array([t for _, t in said]), x[[place[t] for t in texts]], 2 * time + 1.0)
    late = np.vstack([np.zeros((1, 3)), whole[:-1]])
    expected = (late - late.mean(axis=0)) / late.std(axis=0)
    np.testing.assert_allclose(joined[COUNTS[0] : COUNTS[0] + COUNTS[1], :3], expected, atol=1e-9)


def test_subjects_and_rois_are_chosen(made):
    root, _, atlas, _ = made
    b = load("li2022", folder=root, atlas=atlas, subjects=["sub-EN058"], rois=["FFA", "IT"])
    assert [a.subject for a in b.assemblies] == ["sub-EN058"]
    assert set(b.assemblies[0].roi) == {"FFA", "IT"}
    assert b.assemblies[0].ceiling is None


def test_chinese_words_stand_without_spaces(made, tmp_path):
    root, _, atlas, rows = made
    write_words(root / "annotation" / "CN" / "lppCN_word_information.csv", [[r[0], "小王子", *r[2:]] for r in rows])
    for number, count in enumerate(COUNTS, 1):
        data = np.random.default_rng(number).standard_normal((*images.SHAPE, count)).astype(np.float32)
        images.nifti(root / "derivatives" / "sub-CN001" / "func" / name("sub-CN001", number, "CN"), data)
    b = load("li2022", folder=root, atlas=atlas, language="CN", context=2)
    assert b.name == "li2022-CN"
    assert b.read.inputs == ("小王子", "小王子小王子", "小王子小王子小王子")


def test_sets_that_are_not_whole_are_refused(made, tmp_path, monkeypatch):
    root, _, atlas, _ = made
    given = {"folder": root, "atlas": atlas}
    for options, text in [
        ({"language": "DE"}, "language is 'EN', 'CN' or 'FR', got 'DE'"),
        ({"atlas": None}, "li2022: give atlas=..., a label image in MNI space"),
        ({"subjects": ["sub-EN57"]}, "there is no subject 'sub-EN57'. Did you mean 'sub-EN057'"),
        ({"language": "FR"}, "lppFR_word_information.csv is not there; of a datalad set"),
    ]:
        with pytest.raises(DataError, match=text):
            load("li2022", **{**given, **options})
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "nothing"))
    with pytest.raises(DatasetNotFoundError, match="li2022 is not on this machine.*ds003643"):
        load("li2022", atlas=atlas)
    func = root / "derivatives" / "sub-EN058" / "func"
    (func / name("sub-EN058", 2)).rename(tmp_path / "kept.nii.gz")
    with pytest.raises(DataError, match="sub-EN058: expected 3 runs, one a section, got 2: .*leave this subject out"):
        load("li2022", **given)
    images.nifti(func / name("sub-EN058", 2), np.ones((*images.SHAPE, 20), dtype=np.float32))
    with pytest.raises(
        DataError, match="volumes of section 2 differ by more than 2 between subjects: .*'sub-EN058': 20"
    ):
        load("li2022", **given)
    for path in (root / "derivatives").iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(DataError, match="there is no subject sub-EN\\*; `datalad get` at least one"):
        load("li2022", **given)


def test_a_line_that_stands_there_twice_is_read_once_and_parts_of_a_word_are_not(tmp_path):
    path = tmp_path / "words.csv"
    rows = [["0", "did", "0", "1", "1"], ["1", "n't", "0", "1", "1"], ["2", "serpent", "1", "2", "1"]]
    rows += [["3", "serpant", "1", "2", "1"], ["4", "serpant", "2", "3", "1"], ["5", "a", "0", "1", "2"]]
    write_words(path, [*rows, ["6", "b", "0", "1", "3"]])
    assert [word for word, _ in read_sections(path)["section 1"]] == ["did", "n't", "serpent", "serpant"]


def test_tables_of_words_that_cannot_be_used_are_refused(tmp_path):
    path = tmp_path / "words.csv"
    write_words(path, [["0", "a", "0", "1"]], head=("", "word", "onset", "offsett"))
    with pytest.raises(DataError, match="column 'offset' is missing, got .* Did you mean 'offsett'"):
        read_sections(path)
    write_words(path, [["0", "a", "0", "1", "1"], ["1", "b", "soon", "2", "1"]])
    with pytest.raises(DataError, match="words.csv, row 2: column 'onset' should be a number, got 'soon'"):
        read_sections(path)
    write_words(path, [["0", "a", "0", "1", "1"], ["1", "b", "1", "2", "3"]])
    with pytest.raises(DataError, match="expected the sections 1, 2, 3, ..., got \\[1, 3\\]"):
        read_sections(path)
    path.write_text("/annex/objects/SHA256E")
    with pytest.raises(DataError, match="expected a header and at least one row"):
        read_sections(path)
