"""Names, folders, and files that cannot be used, on made-up files in the public layouts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from ontogeny.cli import main
from ontogeny.datasets import SOURCES, find_source, load, training_images, training_text
from ontogeny.datasets import data_paths as store_module
from ontogeny.datasets.readers.kriegeskorte import read_monkey, read_photographs, read_sessions
from ontogeny.datasets.readers.tuckute import read_sentences
from ontogeny.errors import DataError, DatasetNotFoundError

HEAD = "Sentence,EffectSize,cond\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ONTOGENY_DATA and an empty cache."""
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(store_module.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    return tmp_path


def run(*argv: str) -> int:
    return main(["data", *argv])


def sentences(n: int = 1000) -> list[str]:
    return [f"Sentence number {i} is here now.,{np.sin(i):.6f},B" for i in range(n)]


def csv_file(folder: Path, lines: list[str], head: str = HEAD) -> Path:
    path = folder / "data" / "tuckute2024" / "tuckute_averaged.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_unknown_names_and_options_get_the_nearest() -> None:
    with pytest.raises(DataError, match="no benchmark is called 'tuckute2042'. Did you mean 'tuckute2024'"):
        load("tuckute2042")
    with pytest.raises(DataError, match="no option 'conditon'. Did you mean 'condition'"):
        load("tuckute2024", conditon="B")
    with pytest.raises(DataError, match="is a training sample, not a benchmark"):
        load("books")
    with pytest.raises(DataError, match="no training text is called 'book'. Did you mean 'books'"):
        training_text("book")
    with pytest.raises(DataError, match="no data set is called 'kriegeskorte'"):
        find_source("kriegeskorte")
    with pytest.raises(DataError, match="condition is 'B', 'D' or 'S', got 'A'"):
        load("tuckute2024", condition="A")
    with pytest.raises(DataError, match="split is 'train' or 'test', got 'val'"):
        training_images(split="val")


def test_a_missing_set_says_where_it_looked_and_the_command(folder: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="ontogeny data get tuckute2024") as caught:
        load("tuckute2024")
    assert str(folder / "data") in str(caught.value)
    assert str(folder / "cache" / "ontogeny") in str(caught.value)
    with pytest.raises(DatasetNotFoundError, match="this sample has no public file; use the embedded world"):
        training_text("books")


def test_the_given_folder_comes_before_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = csv_file(folder, sentences())
    assert len(load("tuckute2024").stimuli) == 1000
    cached = folder / "cache" / "ontogeny" / "tuckute2024" / path.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(path.read_bytes())
    monkeypatch.delenv("ONTOGENY_DATA")
    assert len(load("tuckute2024").stimuli) == 1000


def test_ids_follow_the_sentence_not_the_row(folder: Path) -> None:
    csv_file(folder, sentences())
    one = load("tuckute2024").stimuli
    csv_file(folder, sentences()[::-1])
    two = load("tuckute2024").stimuli
    assert dict(zip(one.ids, one.inputs, strict=True)) == dict(zip(two.ids, two.inputs, strict=True))


@pytest.mark.parametrize(
    ("lines", "head", "text"),
    [
        (sentences(900), HEAD, "expected 1000 sentences of condition B, got 900"),
        ([*sentences(), "Half a li"], HEAD, "expected 3 cells, got 1; is the line cut"),
        (sentences(), "Sentence,EffectSiz,cond\n", "column 'EffectSize' is missing.*Did you mean 'EffectSiz'"),
        ([*sentences(999), sentences(1)[0]], HEAD, "'Sentence number 0 is here now.' appears twice"),
        ([*sentences(999), "Nothing was measured here at all.,nan,B"], HEAD, "column 'EffectSize' is empty"),
        ([*sentences(999), "Nothing was measured here at all.,,B"], HEAD, "column 'EffectSize' is empty"),
        ([*sentences(999), '"An open quote,0.1,B'], HEAD, "cannot be read as CSV of UTF-8 text"),
    ],
)
def test_a_bad_csv_is_named(folder: Path, lines: list[str], head: str, text: str) -> None:
    path = csv_file(folder, lines, head)
    with pytest.raises(DataError, match=text) as caught:
        read_sentences(path)
    assert str(path) in str(caught.value)


def brain_cells(rng: np.random.Generator, n: int = 92) -> np.ndarray:
    cells = np.empty((1, 2, 2), dtype=[("RDM", object), ("name", object)])
    for subject in range(2):
        for session in range(2):
            rdm = rng.random((n, n))
            rdm = rdm + rdm.T
            np.fill_diagonal(rdm, 0)
            cells[0, subject, session] = (rdm, f"hIT | S{subject} | Session: {session + 1}")
    return cells


def test_sessions_are_read_by_subject(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"RDMs": brain_cells(rng)})
    sessions = read_sessions(path)
    assert list(sessions) == ["S0", "S1"]
    assert sessions["S0"].shape == (2, 92, 92)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("keep", [0, 50, 100, 130, 200, 500, 5000, 100_000])
def test_a_truncated_mat_is_named(tmp_path: Path, rng: np.random.Generator, keep: int, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"RDMs": brain_cells(rng)}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="cut short") as caught:
        read_sessions(path)
    assert str(path) in str(caught.value)


def test_a_mat_of_another_kind_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"other": np.ones(3)})
    with pytest.raises(DataError, match="variable 'RDMs' is missing"):
        read_sessions(path)
    scipy.io.savemat(path, {"RDMs": np.ones((1, 2, 2))})
    with pytest.raises(DataError, match=r"should have the fields \['RDM', 'name'\], missing"):
        read_sessions(path)
    scipy.io.savemat(path, {"RDMs": brain_cells(rng)[0]})
    with pytest.raises(DataError, match="should be 1 x subjects x sessions"):
        read_sessions(path)
    scipy.io.savemat(path, {"RDMs": brain_cells(rng, n=50)})
    with pytest.raises(DataError, match="should be 92 x 92 and finite"):
        read_sessions(path)
    cells = brain_cells(rng)
    cells[0, 1, 0]["RDM"][3, 4] = np.nan
    scipy.io.savemat(path, {"RDMs": cells})
    with pytest.raises(DataError, match="92 x 92 and finite"):
        read_sessions(path)
    cells = brain_cells(rng)
    cells[0, 1, 0]["name"] = "nobody"
    scipy.io.savemat(path, {"RDMs": cells})
    with pytest.raises(DataError, match="names should be 'hIT"):
        read_sessions(path)


def test_photographs_and_monkey_of_another_form_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    cells = np.empty((1, 3), dtype=[("image", object), ("category", object)])
    for i in range(3):
        cells[0, i] = (np.zeros((5, 5, 3), dtype=np.uint8), "human face")
    pairs = np.empty((1, 1), dtype=[("RDM", object), ("name", object)])
    pairs[0, 0] = (np.ones(10), "mIT_674neurons")
    scipy.io.savemat(path, {"stimuli_92objs": cells, "RDMs_mIT_hIT_fig1": pairs})
    with pytest.raises(DataError, match="expected 92 uint8 colour images, got 3"):
        read_photographs(path)
    with pytest.raises(DataError, match="should have 4186 pairs, got 10"):
        read_monkey(path)
    pairs[0, 0] = (np.ones(10), "something")
    scipy.io.savemat(path, {"RDMs_mIT_hIT_fig1": pairs})
    with pytest.raises(DataError, match="no RDM whose name starts with 'mIT'"):
        read_monkey(path)


def test_paragraphs_are_read_and_bad_files_named(folder: Path) -> None:
    path = folder / "data" / "text" / "books.txt.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"One.\n\n Two. \n"))
    assert training_text() == ["One.", "Two."]
    path.write_bytes(gzip.compress(b"One. " * 1000)[:-20])
    with pytest.raises(DataError, match=r"books.txt.gz cannot be read as gzipped text"):
        training_text()
    path.write_bytes(gzip.compress(b"\n"))
    with pytest.raises(DataError, match="expected a paragraph per line, got none"):
        training_text()


def parquet(folder: Path, columns: dict[str, list[object]]) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = folder / "data" / "images" / "cifar10_train.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def picture(size: int) -> dict[str, object]:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), 7, dtype=np.uint8)).save(out, format="PNG")
    return {"bytes": out.getvalue(), "path": None}


def test_pictures_are_decoded_with_labels_and_class_names(folder: Path) -> None:
    parquet(folder, {"image": [picture(32)] * 3, "label": [1, 0, 1], "class": ["car", "bird", "car"]})
    images, labels, names = training_images()
    assert images.shape == (3, 32, 32, 3)
    assert (images == 7).all()
    assert labels.tolist() == [1, 0, 1]
    assert names == ("bird", "car")


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"image": [picture(32)], "label": [0]}, r"columns \['class'\] are missing"),
        ({"image": [picture(16)], "label": [0], "class": ["a"]}, "expected uint8 pictures of 32 x 32 x 3"),
        ({"image": [{"bytes": b"no", "path": None}], "label": [0], "class": ["a"]}, "cannot be decoded"),
        ({"image": [picture(32)] * 2, "label": [0, 0], "class": ["a", "b"]}, "should name the same classes"),
    ],
)
def test_bad_pictures_are_named(folder: Path, columns: dict[str, list[object]], text: str) -> None:
    path = parquet(folder, columns)
    with pytest.raises(DataError, match=text) as caught:
        training_images()
    assert str(path) in str(caught.value)


def test_a_truncated_parquet_is_named(folder: Path) -> None:
    path = parquet(folder, {"image": [picture(32)], "label": [0], "class": ["a"]})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        training_images()


def test_the_table_is_pinned_and_cited() -> None:
    assert len({s.name for s in SOURCES}) == len(SOURCES)
    for source in SOURCES:
        assert source.citation
        assert source.licence
        for file in source.files:
            assert len(file.sha256) == 64
            assert file.address is not None or source.stand_in


def test_list_says_where_each_set_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv_file(folder, sentences())
    assert run("list") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert f"found in {folder / 'data' / 'tuckute2024'}" in lines["tuckute2024"]
    assert "missing: ontogeny data get kriegeskorte2008" in lines["kriegeskorte2008"]
    assert "SIMULATED, embedded" in lines["planted-vision"]
    assert "missing, no public file" in lines["books"]


def test_show_says_all_that_is_needed_to_read_a_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv_file(folder, sentences())
    assert run("show", "tuckute2024") == 0
    out = capsys.readouterr().out
    for part in ("1000 text", "group", "language network (LH)", "0.559", "5 shuffled folds", "MIT", "doi:", "left out"):
        assert part in out
    assert run("show", "kriegeskorte2008") == 0
    assert "not here" in capsys.readouterr().out


def test_verify_finds_a_changed_and_a_missing_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv_file(folder, sentences())
    assert run("verify", "tuckute2024") == 2
    assert f"WRONG    {path}: expected 114405 bytes" in capsys.readouterr().out
    assert run("verify", "books") == 2
    assert "MISSING  text/books.txt.gz; looked at" in capsys.readouterr().out
    assert run("verify", "planted-vision") == 0


def test_get_is_honest_about_samples_and_worlds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("get", "cifar10-sample") == 2
    assert "has no public file, so it cannot be downloaded; in its place" in capsys.readouterr().err
    assert run("get", "planted-language") == 0
    assert "nothing to get" in capsys.readouterr().out
    csv_file(folder, sentences())
    assert run("get", "tuckute2024") == 2
    assert "expected 114405 bytes" in capsys.readouterr().err


def test_get_prints_citation_and_terms(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ontogeny.datasets import download as module

    monkeypatch.setattr(module, "download", lambda file, to: to / file.path)
    assert run("get", "tuckute2024", "--out", str(folder / "mine")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "cite       Tuckute" in out
    assert "terms      MIT" in out
    assert f"ONTOGENY_DATA={json.dumps(str(folder / 'mine'))[1:-1]}" in out
    assert run("get", "tuckute2024", f"--to={folder / 'mine'}") == 0
    old, err = capsys.readouterr()
    assert old == out
    assert "--to of ontogeny data get is now --out; the old name goes in the next release" in err
