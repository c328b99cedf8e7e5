"""Numbers in file names sort as numbers, wherever a listing becomes an order."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from PIL import Image

from ontogeny._atomic_write import by_number, natural_key
from ontogeny.datasets.own_data._array_files import read_stimulus_table
from ontogeny.neuroimaging.bids_names import bids_files
from ontogeny.report import find_records

NAMES = st.text(st.sampled_from("ab-_. 0129éẻ٣²") | st.characters(codec="utf-8"), max_size=12)


@given(
    st.lists(st.integers(0, 10**30), unique=True), st.sampled_from(["", "p", "run-", "é", "a.b_"]), st.text(max_size=3)
)
def test_numbers_between_the_same_words_sort_by_value(values, before, after):
    after = after.lstrip("0123456789")
    names = [f"{before}{value}{after}" for value in values]
    assert sorted(names, key=natural_key) == [f"{before}{value}{after}" for value in sorted(values)]


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 4), st.integers(0, 4))
def test_zeros_in_front_do_not_count(one, other, zeros, more):
    a, b = f"p{'0' * zeros}{one}", f"p{'0' * more}{other}"
    if one != other:
        assert (natural_key(a) < natural_key(b)) == (one < other)


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc"), st.integers(0, 20)), unique=True))
def test_several_numbers_sort_one_after_the_other(cells):
    names = [f"p{one}{letter}{two}" for one, letter, two in cells]
    assert sorted(names, key=natural_key) == [f"p{one}{letter}{two}" for one, letter, two in sorted(cells)]


@given(NAMES, NAMES, NAMES)
def test_it_is_a_total_order(a, b, c):
    x, y, z = map(natural_key, (a, b, c))
    assert (x < y) + (x == y) + (x > y) == 1
    assert (x == y) == (a == b)
    assert not (x <= y <= z) or x <= z


@given(NAMES, NAMES)
def test_the_form_of_unicode_decides_nothing_between_different_names(a, b):
    forms = [[unicodedata.normalize(form, text) for text in (a, b)] for form in ("NFC", "NFD")]
    if forms[0][0] != forms[0][1]:
        ways = {natural_key(one) < natural_key(other) for one in (forms[0][0], forms[1][0]) for other in forms[0][1:]}
        assert len(ways) == 1


def test_files_go_by_their_names_without_endings_and_hidden_ones_are_none():
    names = ["img10.png", ".img1.png", "img.png", "img2.jpg", "img2-b.png", "img2.png", "._img3.png"]
    assert [path.name for path in by_number(map(Path, names))] == [
        "img.png",
        "img2.jpg",
        "img2.png",
        "img2-b.png",
        "img10.png",
    ]


def test_a_folder_of_pictures_is_in_the_order_of_its_numbers(tmp_path):
    names = ["p2b.png", "p10a.png", "p1.png", "p02a.jpg", "p11.png", "é3.png", unicodedata.normalize("NFD", "é12.png")]
    for value, name in enumerate(names):
        Image.new("RGB", (4, 4), (value, value, value)).save(tmp_path / name)
    (tmp_path / "._p1.png").write_bytes(b"of another system")
    (tmp_path / ".DS_Store.png").write_bytes(b"")
    (tmp_path / "thumbs.png").mkdir()
    read = read_stimulus_table(tmp_path)
    assert [unicodedata.normalize("NFC", name) for name in read.files] == [
        "p1.png",
        "p02a.jpg",
        "p2b.png",
        "p10a.png",
        "p11.png",
        "é3.png",
        "é12.png",
    ]
    assert read.ids == tuple(unicodedata.normalize("NFC", Path(name).stem) for name in read.files)
    assert [int(np.median(image)) for image in read.inputs] == [names.index(name) for name in read.files]


@pytest.mark.parametrize(
    ("key", "values"), [("task", ["story2", "story10"]), ("ses", ["wave2", "wave10"]), ("run", ["2", "10"])]
)
def test_bids_files_go_by_the_numbers_in_their_entities(key, values, tmp_path):
    for value in values:
        (tmp_path / f"sub-01_{key}-{value}_stat-beta_statmap.nii.gz").write_bytes(b"")
    assert [path.name.split("_")[1] for path in bids_files(tmp_path)] == [f"{key}-{value}" for value in values]


def test_records_of_a_folder_go_by_the_numbers_in_their_names(image_benchmark, tmp_path):
    from tests.helpers.models import transform

    from ontogeny import watch

    for seed in (10, 2, 1):
        watch(image_benchmark, record=tmp_path / f"seed-{seed}", transform=transform)
    assert [record.folder.name for record in find_records(tmp_path)] == ["seed-1", "seed-2", "seed-10"]
