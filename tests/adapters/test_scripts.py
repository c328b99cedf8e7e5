"""Other people's scripts: the same run with and without the lines that watch it; killed and resumed; replayed."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest
import torch
from tests.helpers.processes import run_python
from tests.helpers.sameness import same
from tests.scripts import NAMES

from ontogeny import Record

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
PROBED = [0, 2, 4, 6, 8]
ROOT = Path(__file__).parents[2]


def rows(record: Path, *kinds: str) -> dict:
    """Step and place of each score -> its value."""
    opened = Record(record)
    lines = (record / "scores.jsonl").read_bytes().count(b"\n")
    assert lines == len(opened.scores), "a row is there twice"
    return {
        (s.step, s.kind, s.layer, s.pooling, s.subject, s.roi, s.metric): s.value
        for s in opened.scores
        if s.kind in kinds
    }


def written(out: Path) -> list[Path]:
    return sorted(folder.parent for folder in out.glob("record*/record.json"))


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """All scripts, killed after a checkpoint; one process for all."""
    folder = tmp_path_factory.mktemp("killed")
    done = run_python(["-m", "tests.scripts", folder], cwd=ROOT, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module", params=NAMES)
def script(request, tmp_path_factory):
    """A script, and what it gave by itself and watched: losses, model, folder."""
    module, runs = import_module(f"tests.scripts.{request.param}"), []
    for watched in (False, True):
        out = tmp_path_factory.mktemp(f"{request.param}-{watched}")
        runs.append((*module.main(out, watched=watched), out))
    return module, *runs


def test_losses_and_final_weights_are_those_of_the_script_alone(script):
    _, (losses, model, out), (watched_losses, watched_model, watched_out) = script
    assert len(losses) >= 8
    assert losses == watched_losses
    assert same(dict(model.state_dict()), dict(watched_model.state_dict()))
    assert not written(out)
    assert written(watched_out)


def test_every_probe_is_in_the_record_with_its_task(script):
    _, _, (_, _, out) = script
    for record in written(out):
        found = rows(record, "alignment", "task", "refusal")
        assert {step for step, kind, *_ in found if kind == "alignment"} == set(PROBED)
        assert {step for step, kind, *_ in found if kind == "task"} == set(PROBED)
        assert not [key for key in found if key[1] == "refusal"]
        assert len({layer for _, kind, layer, *_ in found if kind == "alignment"}) >= 2


def test_killed_after_a_checkpoint_it_resumes_and_its_record_is_that_of_the_run_left_alone(script, killed):
    module, _, (losses, model, out) = script
    mine = killed / module.__name__.rpartition(".")[2]
    for record in written(mine):
        assert {key[0] for key in rows(record, "alignment")} == {0, 2, 4, 6}
    again, resumed = module.main(mine, watched=True, resume=True)
    assert again[-4:] == losses[-4:]
    assert same(dict(resumed.state_dict()), dict(model.state_dict()))
    assert [record.name for record in written(mine)] == [record.name for record in written(out)]
    for whole, one in zip(written(out), written(mine), strict=True):
        assert rows(one, "alignment", "task", "confound") == rows(whole, "alignment", "task", "confound")


def test_its_own_checkpoints_replayed_are_the_rows_that_were_written_live(script, tmp_path):
    module, _, (_, _, out) = script
    for record in written(out):
        again = tmp_path / record.name
        averaged = {"key": "state_dict_ema"} if record.name == "record-ema" else {}
        walked = module.replayed(out, again, **averaged)
        assert walked.whole, walked.lines()
        live, read = rows(record, "alignment", "task"), rows(again, "alignment", "task")
        assert {4, 8} <= {step for step, *_ in read} == {visit.step for visit in walked.results}
        assert read == {
            key: pytest.approx(live[key], abs=1e-6) for key in live if key[0] in {step for step, *_ in read}
        }


def test_the_task_of_a_model_that_returns_logits_and_loss_is_its_own_loss(tmp_path):
    module = import_module("tests.scripts.plain_gpt")
    _, model = module.main(tmp_path, watched=True, compiled=True)
    with torch.no_grad():
        own = torch.stack([model(*module.get_batch(tmp_path, "val", seed))[1] for seed in range(4)]).mean()
    found = Record(tmp_path / "record").series(kind="task", metric="loss")
    assert found.values[-1] == pytest.approx(float(own), abs=1e-6)


@pytest.mark.filterwarnings("ignore:Importing from .sentence_transformers:DeprecationWarning")
def test_a_trainer_of_sentence_transformers(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    module = import_module("tests.scripts.sentence_transformers_run")
    runs = []
    for watched in (False, True):
        out = tmp_path / str(watched)
        out.mkdir()
        runs.append(module.main(out, watched=watched))
    assert library.__version__
    assert runs[0][0] == runs[1][0]
    assert same(dict(runs[0][1].state_dict()), dict(runs[1][1].state_dict()))
    live = rows(tmp_path / "True" / "record", "alignment", "task")
    assert {step for step, kind, *_ in live if kind == "task"} == set(PROBED)
    assert {step for step, kind, *_ in live if kind == "alignment"} == set(PROBED)
    walked = module.replayed(tmp_path / "True", tmp_path / "again")
    assert walked.whole, walked.lines()
    read = rows(tmp_path / "again", "alignment", "task")
    assert read == {key: pytest.approx(value, abs=1e-6) for key, value in live.items() if key[0] in (4, 8)}
    on = module.replayed(tmp_path / "True", tmp_path / "True" / "record")
    assert [visit.outcome for visit in on.results] == ["known", "known"]
