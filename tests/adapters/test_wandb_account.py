"""`ontogeny wandb`: the real client against a server on this machine, and a record logged offline."""

from __future__ import annotations

import json
import re

import pytest
from tests.helpers.wandb_files import config, history, run_folder
from tests.helpers.wandb_server import KEY, command, serving

from ontogeny import Record
from ontogeny.cli import main
from ontogeny.record import Event, Score
from ontogeny.sinks.charts import TITLES, spec_text


def record_of(folder, *, steps=(0, 1, 10), layers=("one", "two")) -> Record:
    record = Record(folder, create=True, run="little")
    for step in steps:
        own = {"run": "little", "step": step, "weights": f"w{step}"}
        record.append(
            [
                *(
                    Score(
                        **own,
                        kind="alignment",
                        benchmark="b",
                        roi="IT",
                        layer=layer,
                        metric="rsa",
                        value=0.01 * step + i,
                    )
                    for i, layer in enumerate(layers)
                ),
                Score(**own, kind="task", metric="loss", value=2.0 - 0.1 * step),
                Event(**own, kind="probe", metric="seconds", value=0.1),
            ]
        )
    return record


@pytest.mark.parametrize(("given", "owner"), [((), "me"), (("--entity", "team", "--access", "public"), "team")])
def test_register_sends_both_specifications(tmp_path, given, owner):
    with serving() as server:
        done = command("wandb", "register", *given, folder=tmp_path, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    sent = server.of("createCustomChart")
    assert [(v["entity"], v["chartName"], v["displayName"], v["chartType"]) for v in sent] == [
        (owner, name, title, "vega2") for name, title in TITLES.items()
    ]
    assert {v["access"] for v in sent} == {"PUBLIC" if given else "PRIVATE"}
    for variables in sent:
        spec = json.loads(variables["spec"])
        assert spec == json.loads(spec_text(variables["chartName"]))
        assert spec["data"] == {"name": "wandb"}
        assert "vega-lite" in spec["$schema"]
    for name in TITLES:
        assert f"made {owner}/{name}" in done.stdout
    assert f"export ONTOGENY_WANDB_CHARTS={owner}" in done.stdout


@pytest.mark.long
def test_without_a_key_register_says_what_to_do(tmp_path):
    done = command("wandb", "register", folder=tmp_path)
    assert done.returncode == 2
    assert "No API key configured" in done.stderr
    assert "`wandb login`, or the variable WANDB_API_KEY" in done.stderr
    assert "`ontogeny wandb spec NAME` prints it" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_connection_register_says_so(tmp_path):
    hurried = "import ontogeny.sinks.wandb_account as a; a._SECONDS = 1"
    nowhere = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY}
    done = command("wandb", "register", folder=tmp_path, first=hurried, **nowhere)
    assert done.returncode == 2
    assert re.search(r"request to Weights & Biases failed: .*127\.0\.0\.1:9.*needs a connection", done.stderr, re.S)


def test_what_the_server_refuses_is_said_in_its_words(tmp_path):
    with serving(createCustomChart="a chart of this name exists") as server:
        done = command("wandb", "register", folder=tmp_path, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    assert done.returncode == 2
    assert "a chart of this name exists" in done.stderr


@pytest.mark.long
def test_an_account_without_an_entity_has_to_name_one(tmp_path):
    nobody = "import wandb; wandb.Api.default_entity = None"
    with serving() as server:
        there = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        done = command("wandb", "register", folder=tmp_path, first=nobody, **there)
    assert done.returncode == 2
    assert "has no default entity; name a user or team with --entity" in done.stderr
    assert not server.of("createCustomChart")


def test_workspace_saves_a_page_with_the_keys_that_a_run_has(tmp_path):
    with serving() as server:
        there = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
        done = command("wandb", "workspace", "--entity", "me", "--project", "brains", folder=tmp_path, **there)
    assert done.returncode == 0, done.stderr
    assert f"saved {server.url}/me/brains?nw=" in done.stdout
    (view,) = server.of("upsertView")
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("me", "brains", "ontogeny")
    sections = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    assert [s["name"] for s in sections[:2]] == ["alignment", "alignment of single layers"]
    plots = [p["config"] for s in sections for p in s["panels"] if p["viewType"] == "Run History Line Plot"]
    assert {(p["xAxis"], p["xLogScale"]) for p in plots} == {("alignment/step", True)}
    best, task, single = (re.compile(p["metricRegex"]) for p in plots)
    keys = [
        "alignment/IT",
        "alignment/mean",
        "alignment/step",
        "alignment/IT.rsa.net.1",
        "task/loss",
        "alignment_ema/IT",
    ]
    assert [k for k in keys if best.search(k)] == ["alignment/IT", "alignment/mean", "alignment_ema/IT"]
    assert [k for k in keys if single.search(k)] == ["alignment/IT.rsa.net.1"]
    assert [k for k in keys if task.search(k)] == ["task/loss"]
    text = view["spec"]
    for key in ("alignment/pictures", "alignment/which_first", "alignment/scores"):
        assert key in text


def test_a_finished_record_becomes_a_run(tmp_path):
    record = record_of(tmp_path / "r")
    done = command("wandb", "log", "r", "--project", "brains", folder=tmp_path, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    folder = run_folder(tmp_path)
    assert f"logged 3 probes of r: {folder}, to be uploaded with `wandb sync`" in done.stdout
    rows = [row for row in history(folder) if "task/loss" in row]
    assert [row["alignment/step"] for row in rows] == [0, 1, 10]
    assert [row["alignment/IT"] for row in rows] == record.series(layer="two").values.tolist()
    assert [row["alignment/IT.rsa.one"] for row in rows] == record.series(layer="one").values.tolist()
    assert config(folder)["ontogeny"]["run"] == "little"
    assert Record(tmp_path / "r").scores == record.scores, "the record is only read"


def test_an_empty_record_is_refused(tmp_path):
    Record(tmp_path / "r", create=True)
    done = command("wandb", "log", "r", "--project", "brains", folder=tmp_path, WANDB_MODE="offline")
    assert done.returncode == 2
    assert "holds no score, so there is nothing to log" in done.stderr
    assert not (tmp_path / "wandb").exists()


@pytest.mark.long
def test_spec_prints_what_is_shipped_and_an_unknown_name_says_which_there_are(tmp_path):
    done = command("wandb", "spec", "ontogeny-lag", folder=tmp_path)
    assert done.stdout == spec_text("ontogeny-lag")
    wrong = command("wandb", "spec", "ontogeny-lags", folder=tmp_path)
    assert wrong.returncode == 2
    assert "there is no chart 'ontogeny-lags'. Did you mean 'ontogeny-lag' or" in wrong.stderr
    assert not (tmp_path / "wandb").exists()


def test_help_teaches(capsys):
    for verb in ((), ("register",), ("spec",), ("log",), ("workspace",)):
        assert main(["wandb", *verb, "--help"]) == 0
        assert f"Usage: ontogeny wandb {' '.join(verb)}" in (whole := capsys.readouterr().out)
        if not verb:
            for text in ("ontogeny wandb register", "WandbSink()", "alignment/step", "WANDB_MODE=offline"):
                assert text in whole
