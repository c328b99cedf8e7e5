"""What all verbs share: their words, their errors, what they leave unimported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tests.unit.lag.test_across_runs import record_of

from ontogeny import cli
from ontogeny.cli import main, parse
from ontogeny.cli._vocabulary import Selection
from ontogeny.simulated.planted_leads import planted_lead

CHOICES = ["--benchmark", "b", "c", "--metric", "m", "--roi", "V1", "--roi", "IT", "--layer=l", "--pooling", "p"]
CHOSEN = Selection(
    benchmark=("b", "c"), metric=("m",), roi=("V1", "IT"), layer=("l",), pooling=("p",), subject=("s1", "s2")
)
ABOUT_SCORES = [
    ["lag", "r"],
    ["record", "best", "r"],
    ["report", "r"],
    ["map", "r", "--space", "b"],
    *(["findings", name, "r"] for name in ("across", "modality", "regions", "hierarchy", "when", "depth", "scale")),
]


@pytest.mark.parametrize("verb", ABOUT_SCORES, ids=" ".join)
def test_scores_are_chosen_by_the_same_words_everywhere(verb):
    assert parse([*verb, *CHOICES, "--subject", "s1", "s2"]).run.keywords["which"] == CHOSEN


def test_an_option_that_is_given_again_is_the_last_one_and_lists_grow():
    asked = parse(["lag", "r", "--seed", "1", "--roi", "V1", "--seed=2", "--roi", "V4", "IT"]).run.keywords
    assert asked["how"].seed == 2
    assert asked["which"].roi == ("V1", "V4", "IT")


@pytest.mark.parametrize("verb", [*ABOUT_SCORES, ["demo"], ["data", "list"], ["wandb", "spec", "x"]], ids=" ".join)
def test_how_much_is_said_is_asked_for_before_and_behind_every_verb(verb):
    assert parse(["-q", *verb]).quiet
    assert parse([*verb, "--verbose"]).verbose
    assert not parse(verb).quiet


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lga"], "ontogeny: there is no command 'lga'. Did you mean 'lag'?"),
        (["data", "lits"], 'ontogeny data: Unknown command "lits". Did you mean "list"?'),
        (["lag", "r", "--rio", "V1"], "ontogeny lag: Unknown option: --rio. Did you mean --roi?"),
        (["doctor", "b", "--layrs", "x"], "ontogeny doctor: Unknown option: --layrs. Did you mean --layers?"),
        (["lag", "r", "--match", "nearset"], 'Did you mean "nearest"?'),
        (["lag", "r", "--seed", "x"], '--seed: unable to convert "x" into int'),
        (["lag", "r", "--roi"], "--roi requires at least 1 element"),
        (["record", "show", "r", "s"], "ontogeny record: takes no further words: s."),
        (["lag"], "PATHS requires an argument"),
        (["replay", "tiny"], "--benchmark requires an argument"),
        (["map", "r", "--space", "b", "--step", "1", "--series"], "--step, --series"),
        (["report", "no\x1b[2Jwhere"], "no record at no?[2Jwhere"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_name(words, said, capsys):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize(("asked", "loud"), [([], True), (["-q"], False)])
def test_an_error_of_other_code_is_one_line_and_quiet_hides_all_else(asked, loud, monkeypatch, capsys):
    def fails(*_, **__):
        sys.stderr.write("progress\n")
        raise KeyError("x")

    monkeypatch.setattr("ontogeny.report.write_report", fails)
    assert main(["report", "r", *asked]) == 2
    assert capsys.readouterr().err.splitlines() == [
        *(["progress"] if loud else []),
        f"ontogeny report: KeyError: 'x' (test_command_line.py, line {fails.__code__.co_firstlineno + 2}; "
        "all of it with -v)",
    ]
    assert main(["report", "r", "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_no_error(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ontogeny.report.write_report", interrupted)
    assert main(["report", "r"]) == 130
    assert capsys.readouterr().err == "\n"


@pytest.mark.parametrize("words", ["--help", "lag --help", "record show --help", "data list", "data lits"])
def test_a_verb_imports_what_it_needs(words):
    code = (
        "import sys; from ontogeny.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(100 if {'torch', 'scipy', 'pandas', 'altair'} & sys.modules.keys() else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words.split()], capture_output=True, check=False)
    assert done.returncode == (2 if words == "data lits" else 0), done.stderr


@pytest.mark.parametrize("verb", ["doctor", "replay"])
def test_what_a_model_is_read_with_is_declared_by_watch_alone(verb):
    from ontogeny.cli._watch_options import given
    from ontogeny.monitoring.factory import Options

    words = ["--tokenizer", "gpt2", "--layer", "late", "0", "--pooling", "mean", "--batch-size", "3"]
    words += ["--image-type", "array", "--truncation", "12", "--module", "net", "--call", "m:f", "--transform", "m:tf"]
    made = given(parse([verb, "--benchmark", "planted-vision", *words]).run.keywords["reading"])
    assert made.keys() <= Options.__annotations__.keys()
    assert made == {
        "tokenizer": "gpt2", "layers": ["late", "0"], "pooling": ["mean"], "batch_size": 3, "image_type": "array",
        "truncation": 12, "module": "net", "call": "m:f", "transform": "m:tf",
    }  # fmt: skip


def test_help_of_these_options_is_that_of_watch(capsys):
    assert main(["replay", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for said in ("longest text in tokens; what is longer is cut at its end.", "[choices: raw, ema]", "held-out layer"):
        assert said in shown


def test_old_spellings_work_for_one_more_release(capsys):
    assert main(["findings", "when", "nowhere", "--rois", "V1", "--rois=IT"]) == 2
    said = capsys.readouterr().err
    assert "warning: --rois of ontogeny findings is now --roi; the old name goes in the next release" in said
    assert "there is no record at nowhere" in said


@pytest.fixture
def planted(tmp_path):
    cells = [(roi, "head", planted_lead("lead_trend", 15, seed=n)) for n, roi in enumerate(("IT", "V4", "V1"))]
    record_of(tmp_path / "r", cells)
    return str(tmp_path / "r")


def test_several_regions_are_a_map_of_them(planted, capsys):
    few = ["--surrogates", "9"]
    assert main(["lag", planted, "--roi", "IT", "V4", *few]) == 0
    several = capsys.readouterr().out
    assert main(["lag", planted, "--roi", "IT", "V4", "--map", *few]) == 0
    assert several == capsys.readouterr().out
    assert "V4" in several
    assert "V1" not in several


def test_json_is_what_is_written(planted, tmp_path, capsys):
    assert main(["lag", planted, "--roi", "IT", "--surrogates", "9", "--json", "--out", str(tmp_path / "o")]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "o" / "lag.json").read_text())
    assert main(["record", "show", planted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "run"
    assert main(["data", "list", "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed["planted-vision"]["where"] == "SIMULATED, embedded"


def test_best_of_several_regions(planted, capsys):
    pytest.importorskip("duckdb")
    assert main(["record", "best", planted, "--roi", "IT", "V4", "--by", "roi", "step", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["roi"] for row in rows} == {"IT", "V4"}


def test_models_are_compared_by_one_metric(planted, capsys):
    assert main(["findings", "across", planted, "--metric", "a", "b"]) == 2
    assert "one --metric on one --benchmark, over all else; got --metric a b" in capsys.readouterr().err


def commands(app, name=""):
    """Every function behind a verb, by its words."""
    for word in app:
        if not word.startswith("-"):
            yield from commands(app[word], f"{name} {word}".strip())
    if app.default_command is not None:
        yield name, app


def test_every_option_of_every_verb_says_what_it_is():
    found = dict(commands(cli._app("")))
    assert {"data build", "findings when", "wandb log", "map", "replay"} <= found.keys()
    silent = [
        f"{name} {option.name}"
        for name, app in found.items()
        for option in app.assemble_argument_collection(parse_docstring=True)
        if option.show and not option.parameter.help
    ]
    assert silent == []
