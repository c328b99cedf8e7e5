"""What a terminal shows: the answer first, no line wider than the screen, errors in the words of the command line."""

from __future__ import annotations

import re

import pytest
from tests.helpers.page_records import world, write_world

from ontogeny.cli import main
from ontogeny.lag import compare

IT = ["--roi", "IT", "--layer", "transformer.h.4.mlp", "--surrogates", "19"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    write_world(folder / "a", world({"V1": 300.0, "IT": 800.0, "nothing": None}))
    for seed in range(5):
        halves = {"V1": 300.0, "IT": 700.0 + 60 * seed}
        write_world(folder / f"seed{seed}", world(halves, seed=seed + 20), seed=seed)
    return folder


def said(capsys, *words: str) -> list[str]:
    assert main(list(words)) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [["lag", "a", *IT], ["lag", "a", *IT, "--details"], ["lag", "a", "--map", "--surrogates", "19"],
     ["record", "show", "a"], ["findings", "regions", "a"], ["findings", "regions", "a", "--details"],
     ["data", "show", "planted-vision"], ["doctor", "planted-vision"]],
    ids=" ".join,
)  # fmt: skip
def test_no_line_is_wider_than_the_screen_but_commands(words, width, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = said(capsys, *words)
    wide = [line for line in lines if len(line) > width and not line.strip().startswith("ontogeny ")]
    assert len(lines) > 5
    assert wide == []
    assert not re.search(r"[{}]|\(s\)|\+-", "\n".join(lines))


def test_lag_begins_with_the_answer_and_keeps_statistics_for_details(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    lines = said(capsys, "lag", "a", *IT)
    assert lines[0].startswith("Yes, in this run: the model is half-way to its alignment with IT in 2.")
    assert any(re.fullmatch(r"95 % interval \d\.\d\d to \d\.\d\d×; step \d+ against 1,\d+\.", line) for line in lines)
    assert not any("log10" in line or "F(2" in line for line in lines)
    assert lines == str(compare("a", roi="IT", layer="transformer.h.4.mlp", surrogates=19)).splitlines()
    details = said(capsys, "lag", "a", *IT, "--details")
    assert details[0] == lines[0]
    for word in ("log10 steps", "p(A leads)", "Granger, usual", "warnings"):
        assert any(word in line for line in details)


def test_what_is_not_above_the_surface_stops_at_once(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    lines = said(capsys, "lag", "a", "--roi", "nothing", *IT[2:])
    assert lines[0].startswith("Nothing to time: alignment with nothing is not above pixels alone")
    assert not any("fewer steps" in line for line in lines)


def test_several_runs_are_rows_under_their_own_names(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    lines = said(capsys, "lag", *(f"{place}/seed{i}" for i in range(5)), *IT)
    assert lines[0].startswith("Yes, over 5 runs: ")
    rows = [line for line in lines if line.startswith("seed")]
    assert [row.split()[0] for row in rows] == [f"seed{i}" for i in range(5)]
    assert len({row.index("×") for row in rows}) == 1


def test_errors_name_what_was_asked_for_without_dictionaries(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for words in (
        ["lag", "a", "--roi", "V9"],
        ["map", "a", "--space", "a", "--roi", "V9"],
        ["report", "a", "--roi", "V9"],
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert "{" not in error
        assert "Traceback" not in error
    assert main(["lag", "a", "--roi", "V9", "--layer", "x"]) == 2
    assert "holds no score with roi 'V9', layer 'x'. roi: " in capsys.readouterr().err


def test_help_has_the_first_session_on_top_and_the_glossary_after_the_options(capsys):
    main(["--help"])
    text = capsys.readouterr().out
    first = text.index("A first session")
    assert first < text.index("Before training") < text.index("What came out")
    assert all(
        first < text.index(f"│ {verb} ") < text.index("Before training") for verb in ("demo", "replay", "report")
    )
    main(["lag", "--help"])
    text = capsys.readouterr().out
    assert text.index("--details") < text.index("what the lines of --details mean") < text.index("re-pairing  ")


def test_show_says_first_what_can_be_asked_of_a_record(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    first = said(capsys, "record", "show", "a")[0]
    assert re.match(r"[\d,]+ scores of 4\d probes, steps 0 to 100,000 against world", first)


def test_a_replay_ends_with_the_next_command(tmp_path, capsys):
    words = ["replay", "tiny", "--benchmark", "planted-vision", "--record", str(tmp_path / "r"), "--steps", "0"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"next: ontogeny report {tmp_path / 'r'}"
    assert "0checkpoint" not in err
