"""The recipes of replay run as users run them: Pythia's from a hub on the loopback, two saved runs, a Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.hub_server import serving
from tests.models import saved
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from ontogeny import Record
from ontogeny.demo.language import train_tokenizer
from ontogeny.worlds.language import training_sentences

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"


def run(command, folder, **environment):
    own = {"OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1", **environment}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def neox_revisions(folder, steps):
    """Revisions of a tiny GPT-NeoX with random weights and a tokenizer for the embedded world."""
    tokenizer = train_tokenizer(list(training_sentences(seed=1, n=300)), vocabulary=400)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    made = {}
    for step in steps:
        torch.manual_seed(step)
        model = GPTNeoXForCausalLM(config).to(torch.float16)
        made[f"step{step}"] = saved(model, folder / str(step), tokenizer=tokenizer)
    return made


def evaluations(folder, steps):
    """Results in the layout in which Pythia publishes them."""
    place = folder / "pythia-70m-deduped" / "zero-shot"
    place.mkdir(parents=True)
    for step in steps:
        results = {"arc_easy": {"acc": 0.25 + step / 1000, "acc_stderr": 0.009}}
        content = {"results": results, "config": {"model_args": f"pretrained=tiny/neox-70m,revision=step{step}"}}
        (place / f"70m-deduped_step{step}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.slow
def test_pythias_recipe_runs_from_a_hub_to_the_report_and_the_lag(tmp_path):
    steps = (0, 1, 8, 64)
    with serving({"tiny/neox-70m": neox_revisions(tmp_path / "made", (*steps, 1000))}) as hub:
        command = [RECIPES / "replay_pythia.py", "--sizes", "70m", "--repository", "tiny/neox-{size}"]
        command += ["--benchmark", "planted-language", "--steps", "0,1,8,64", "--record", tmp_path / "runs"]
        command += ["--evaluations", evaluations(tmp_path / "evals", steps)]
        online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        online |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        code, said, wrong = run([*command, "--dry-run"], tmp_path, **online)
        assert code == 0, wrong[-3000:]
        assert "4 checkpoints would be scored (0, 1, 8, 64)" in said
        code, said, wrong = run(command, tmp_path, **online)
        assert code == 0, wrong[-3000:]
        assert "4 task values from " in said
        assert "4 checkpoints: 4 scored" in said
        assert "refused: too few checkpoints" in said
    assert not list((tmp_path / "cache").rglob("*.safetensors")), "nothing that was downloaded is left"
    assert (tmp_path / "runs" / "report.html").is_file()
    assert (tmp_path / "runs" / "70m" / "lag" / "lag.json").is_file()
    record = Record.open(tmp_path / "runs" / "70m")
    assert [s.step for s in record.select(kind="probe")] == list(steps)
    told = record.series(kind="task", metric="arc_easy acc")
    assert (told.steps.tolist(), told.values[-1]) == (list(steps), pytest.approx(0.314))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "few", "logged"),
    [
        ("replay_hf_run", ["--sentences", "300"], ("eval_loss", "train_loss")),
        ("replay_lightning_run", ["--images", "128"], ("val_loss", "train_loss")),
    ],
)
def test_a_saved_run_continues_its_own_live_record(tmp_path, recipe, few, logged):
    folder = tmp_path / "record"
    options = ["--record", folder, "--steps", "6", "--save", "1", *few]
    code, said, wrong = run([RECIPES / f"{recipe}.py", *options], tmp_path)
    assert code == 0, wrong[-3000:]
    assert "6 checkpoints: 2 scored, 4 known" in said, "the weights of live steps are those of their checkpoints"
    lines = [line.split() for line in said.splitlines() if line.startswith("step ")]
    assert [(int(line[1]), line[2]) for line in lines] == [
        (step, "replayed" if step in (4, 5) else "live") for step in range(7)
    ]
    record = Record.open(folder)
    assert sorted(s.step for s in record.select(kind="probe")) == list(range(7))
    assert len({s.run for s in record.scores}) == 1
    assert (folder / "scores.jsonl").read_bytes().count(b"\n") == len(record.scores), "no row is there twice"
    per_step = [{s.key[2:] for s in record.select(kind="alignment") if s.step == step} for step in range(7)]
    assert all(keys == per_step[0] for keys in per_step), "replayed steps have every row that live ones have"
    ours = record.series(kind="task", metric="loss")
    theirs = record.series(kind="task", metric=logged[0])
    assert (theirs.steps.tolist(), theirs.source) == ([1, 2, 3, 4, 5, 6], "trainer_eval")
    by_step = dict(zip(ours.steps.tolist(), ours.values, strict=True))
    theirs_by = {"val_loss": 1.0, "eval_loss": 31 / 32}[logged[0]]  # transformers divides by one label too many of 32
    assert [by_step[step] * theirs_by for step in range(1, 7)] == pytest.approx(theirs.values, rel=1e-4)
    assert record.series(kind="task", metric=logged[1]).source in ("trainer_average", "trainer_batch")
