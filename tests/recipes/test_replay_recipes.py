"""The recipes of replay run as users run them: Pythia's from a hub on the loopback, two saved runs, a Ray cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from tests.helpers.hub_server import serving
from tests.helpers.models import saved
from tests.helpers.processes import run_python
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from ontogeny import Record
from ontogeny.cli.demo_training.train_language import train_tokenizer
from ontogeny.simulated.language_world import training_sentences

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "recipes"


def run(command, folder, **environment):
    own = {"OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1", **environment}
    done = run_python(command, cwd=folder, env={**os.environ, **own})
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


@pytest.mark.long
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
    record = Record(tmp_path / "runs" / "70m")
    assert [s.step for s in record.events(kind="probe")] == list(steps)
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
    record = Record(folder)
    assert sorted(s.step for s in record.events(kind="probe")) == list(range(7))
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


STAND_INS = {
    "scontrol": 'echo "node-a"; echo "node-b"',
    "hostname": "echo 127.0.0.1",
    "srun": 'echo "$@" >> "$SRUN_LOG"; while [[ "$1" == --* ]]; do shift; done; exec "$@"',
}
COUNT = """
import sys, ray
ray.init(address="auto", log_to_driver=False)
alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]

@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    import time
    time.sleep(1)
    return ray.get_runtime_context().get_node_id()

used = set(ray.get([where.remote() for _ in range(2)]))
print("NODES", len(alive), "USED", len(used), "ARGUMENTS", *sys.argv[1:])
sys.exit(7)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def two_nodes(tmp_path):
    """An environment in which Slurm's commands start things here: two Ray nodes on one machine."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, body in STAND_INS.items():
        (tools / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tools / name).chmod(0o755)
    (tmp_path / "count.py").write_text(COUNT)
    short = tempfile.mkdtemp(prefix="ray")  # the names of Ray's sockets may have 107 letters
    yield os.environ | {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "node-[a-b]",
        "SRUN_LOG": str(tmp_path / "srun.log"),
        "ONTOGENY_COMMAND": f"{sys.executable} {tmp_path / 'count.py'}",
        "RAY_PORT": str(free_port()),
        "RAY_WAIT": "50",
        "RAY_OPTIONS": "--num-cpus 1 --object-store-memory 80000000",
        "RAY_TMPDIR": short,
        "RAY_RAYLET_START_WAIT_TIME_S": "50",
    }
    shutil.rmtree(short, ignore_errors=True)


def rays(folder: str) -> list[str]:
    """Command lines of the processes that Ray runs out of a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_the_slurm_script_starts_ray_on_every_node_runs_the_command_there_and_stops_it(tmp_path, two_nodes):
    script = str(RECIPES / "replay_ray.slurm")
    done = subprocess.run(
        ["bash", script, "tiny", "--steps", "0,1 2"],
        env=two_nodes,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "NODES 2 USED 2 ARGUMENTS tiny --steps 0,1 2" in said, said[-3000:]
    assert done.returncode == 7, "the command's own exit code"
    starts = [line for line in (tmp_path / "srun.log").read_text().splitlines() if " ray start " in line]
    assert [line.split("--nodelist=")[1].split()[0] for line in starts] == ["node-a", "node-b"]
    assert "--head" in starts[0]
    assert "--head" not in starts[1]
    deadline = time.monotonic() + 15
    while rays(two_nodes["RAY_TMPDIR"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert rays(two_nodes["RAY_TMPDIR"]) == [], "no process of Ray is left"


def test_the_slurm_script_is_bash_and_asks_slurm_for_one_task_a_node():
    script = RECIPES / "replay_ray.slurm"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    text = script.read_text()
    assert "#SBATCH --ntasks-per-node=1" in text
    assert "set -euo pipefail" in text.partition("#SBATCH --output")[2]
