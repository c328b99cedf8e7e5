"""The table of sets that users get themselves."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ontogeny.datasets import SOURCES, benchmark_names, data_folders
from ontogeny.datasets.elsewhere import ELSEWHERE, Elsewhere, find_elsewhere, folder_of
from ontogeny.errors import DataError, DatasetNotFoundError


def test_every_entry_says_all_and_has_a_reader():
    names = [one.name for one in ELSEWHERE]
    assert len(set(names)) == len(names)
    assert not set(names) & {source.name for source in SOURCES}
    for one in ELSEWHERE:
        assert one.name in benchmark_names()
        assert all(getattr(one, field.name).strip() for field in fields(Elsewhere))


def test_folders_are_found_given_or_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path))
    assert data_folders()[0] == tmp_path
    (tmp_path / "lebel2023").mkdir()
    assert folder_of("lebel2023") == tmp_path / "lebel2023"
    assert folder_of("lebel2023", tmp_path) == tmp_path
    with pytest.raises(
        DatasetNotFoundError, match="terms: CC0.*openneuro.org/datasets/ds003643.*ONTOGENY_DATA. Files:"
    ):
        folder_of("li2022")
    with pytest.raises(DataError, match="no set from elsewhere is called 'lebel2003'. Did you mean 'lebel2023'"):
        find_elsewhere("lebel2003")
