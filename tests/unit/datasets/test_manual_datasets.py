"""The table of sets that users get themselves."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ontogeny.cli import main
from ontogeny.datasets import SOURCES, benchmark_names, data_folders
from ontogeny.datasets.manual_datasets import ELSEWHERE, Elsewhere, find_elsewhere, folder_of
from ontogeny.errors import DataError, DatasetNotFoundError


def test_every_entry_says_all_and_has_a_reader():
    names = [one.name for one in ELSEWHERE]
    assert len(set(names)) == len(names)
    assert not set(names) & {source.name for source in SOURCES}
    for one in ELSEWHERE:
        assert one.name in benchmark_names()
        assert all(str(getattr(one, field.name)).strip() for field in fields(Elsewhere))


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


@pytest.mark.parametrize("one", ELSEWHERE, ids=lambda one: one.name)
def test_get_says_where_and_list_names_it(one, tmp_path, monkeypatch, capsys):
    """Exit code 2 as long as it is not here, so that a script that goes on after `get` stops."""
    monkeypatch.setenv("ONTOGENY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main(["data", "get", one.name]) == 2
    said = capsys.readouterr().out
    assert "You get it yourself; nothing was downloaded." in said
    assert f"put into   {tmp_path / 'data' / one.name}" in said
    for field in fields(Elsewhere):
        assert str(getattr(one, field.name)) in said or field.name == "tried"
    assert main(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert f"not here; see: ontogeny data get {one.name}" in said
    assert ("untried" in next(line for line in said.splitlines() if line.startswith(one.name + " "))) is not one.tried
    assert main(["data", "verify", one.name]) == 2
    assert f"{one.name} is not on this machine; looked at" in capsys.readouterr().err
    (tmp_path / "data" / one.name).mkdir(parents=True)
    (tmp_path / one.name).mkdir()
    assert main(["data", "get", one.name]) == 0
    assert f"found in   {tmp_path / 'data' / one.name}" in capsys.readouterr().out
    assert main(["data", "list"]) == 0
    assert f"found in {tmp_path / 'data' / one.name}" in capsys.readouterr().out
    assert main(["data", "show", one.name]) == 0
    assert one.citation in capsys.readouterr().out
    assert main(["data", "verify", one.name]) == 0
    assert f"no bytes of {one.name} are pinned" in capsys.readouterr().out
