"""The studies of training: killed, they go on to the rows of a run left alone; and what is written of them."""

import argparse
import csv
import importlib.util
import os
import shutil
import signal
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.page_records import STEPS as STEPS_45
from tests.helpers.page_records import world, write_world
from tests.helpers.processes import run_python
from threadpoolctl import threadpool_limits

from ontogeny import Record

ANALYSIS = Path(__file__).resolve().parents[2] / "analysis"
STEPS = 3
OPTIONS = ["--data", "planted", "--seeds", "2", "--steps", str(STEPS)]

# Killed in the second seed at step 2: rows of the raw weights are written, those of the average (vision) are not, and
# the saved state is of step 1.
KILLED = """
import os, runpy, signal, sys
sys.path.insert(0, sys.argv[1])
import training_study
write = training_study.save_model
def save_model(model, path):
    if path.endswith("seed1/weights/raw/step-2.safetensors"):
        os.kill(os.getpid(), signal.SIGKILL)
    write(model, path)
training_study.save_model = save_model
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def study(monkeypatch):
    """A script of `analysis` as a module; sums in one thread, as in the process that is killed."""
    monkeypatch.syspath_prepend(str(ANALYSIS))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"analysis_{name}", ANALYSIS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    with threadpool_limits(1):
        yield load


def rows(folder):
    return sorted(
        (s.kind, s.benchmark, s.subject, s.roi, s.metric, s.layer, s.pooling, s.step, s.weights, s.value)
        for s in Record(folder).scores
    )


def written(main, options, folder, kind, capsys):
    """The table of `--report`, after a look at the picture and the kept records."""
    capsys.readouterr()
    main([*options, "--report", "--results", str(folder)])
    with (folder / "tables" / f"{kind}_study.csv").open() as file:
        table = list(csv.DictReader(file))
    assert f"2 seeds, {len(table)} rows" in capsys.readouterr().out
    assert (folder / "figures" / f"{kind}-study.png").stat().st_size > 10_000
    kept = folder / "records" / kind / "seed1-raw"
    assert rows(kept) == rows(Path(options[-1]) / "seed1" / "raw")
    assert list(kept.rglob("*.parquet"))
    return table


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights"),
    [pytest.param("11_vision_study", ("raw", "ema"), marks=pytest.mark.long), ("12_language_study", ("raw",))],
)
def test_a_study_that_is_killed_has_the_rows_of_one_left_alone(name, weights, study, tmp_path, capsys):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = ["-c", KILLED, ANALYSIS, ANALYSIS / f"{name}.py", *OPTIONS, "--out", killed]
    done = run_python(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    before = {path: path.stat().st_mtime_ns for path in (killed / "seed0").rglob("*.safetensors")}
    assert len(before) == (STEPS + 1) * len(weights)
    assert [len(Record(killed / "seed1" / one).events(kind="probe")) for one in weights] == [3, 2][: len(weights)]
    shutil.copytree(killed / "seed0", whole / "seed0")
    main = study(name).main
    for out in (killed, whole):
        main([*OPTIONS, "--out", str(out)])
    assert before == {path: path.stat().st_mtime_ns for path in before}  # a finished seed is not trained again
    for folder in (Path("seed1") / one for one in weights):
        found, expected = rows(killed / folder), rows(whole / folder)
        assert {row[7] for row in expected} == set(range(STEPS + 1))
        assert found == expected
        assert not Record(killed / folder).branches
    if name == "12_language_study" or os.environ.get("ONTOGENY_LONG"):
        table = written(main, [*OPTIONS, "--out", str(killed)], tmp_path, name.split("_")[1], capsys)
        assert {row["task"] for row in table} == ({"loss"} if weights == ("raw",) else {"accuracy", "loss"})
        assert all(row["seeds"] == "2" and row["trend_verdict"].startswith("not tested") for row in table)
        where = {column: table[0][column] for column in ("metric", "pooling", "roi", "layer")}
        ends = [Record(killed / seed / "raw").series(**where).values[-3:].mean() for seed in ("seed0", "seed1")]
        assert float(table[0]["end"]) == pytest.approx(sum(ends) / 2, abs=1e-4)


def test_planted_leads_of_seeds_are_in_the_table_and_where_nothing_rises_it_says_so(study, tmp_path, capsys):
    study("11_vision_study")
    report = sys.modules["study_report"]
    for seed in range(4):
        values = world({"IT": 500.0}, layers=2, seed=seed)
        values["IT"][:, 1] = values["IT"][:, 1].mean() + 0.01 * np.random.default_rng(seed).standard_normal(
            len(STEPS_45)
        )
        write_world(tmp_path / f"seed{seed}" / "raw", values, seed=seed)
    options = argparse.Namespace(out=tmp_path, steps=STEPS_45[-1], results=tmp_path / "results")
    report.write_results("planted", options, [report.Curve(weights="raw", metric="ridge-gcv")], tasks=("loss",))
    with (options.results / "tables" / "planted_study.csv").open() as file:
        risen, flat = csv.DictReader(file)
    assert (risen["trend_verdict"], risen["trend_seeds"], risen["answer"]) == ("alignment leads", "4", "yes")
    assert float(risen["trend_low"]) < np.log10(1801 / 501) < float(risen["trend_high"])
    assert 0 < float(risen["trend_q_over_layers"]) < 0.05
    assert float(risen["gain_low"]) > 0 > float(flat["gain_low"])
    assert (flat["trend"], flat["trend_q_over_layers"]) == ("", "")
    assert flat["trend_verdict"].startswith("not tested: 0 of the runs")
    assert "4 seeds, 2 rows" in capsys.readouterr().out


def test_checkpoints_are_forty_and_even_in_log_step(study):
    study("11_vision_study")
    due = sys.modules["training_study"].checkpoints(5000)
    assert len(due) == 40
    assert (due[:4], due[-1]) == ([0, 1, 2, 3], 5000)
    ratios = [b / a for a, b in pairwise(due[20:])]
    assert max(ratios) / min(ratios) < 1.03
    assert sys.modules["training_study"].checkpoints(4) == [0, 1, 2, 3, 4]


def test_without_a_finished_seed_there_is_no_report(study, tmp_path):
    with pytest.raises(SystemExit, match="no seed in .* has reached step 4"):
        study("11_vision_study").main(["--report", "--steps", "4", "--out", str(tmp_path)])


def test_a_state_of_a_run_of_other_length_is_refused(study, tmp_path):
    import torch

    module = study("11_vision_study")
    (tmp_path / "seed0").mkdir()
    torch.save({"steps": 9}, tmp_path / "seed0" / "state.pt")
    with pytest.raises(SystemExit, match="of a run of 9 steps, not 4; choose another --out"):
        module.main(["--data", "planted", "--steps", "4", "--out", str(tmp_path)])
