"""What people have: tables with rows that complete each other, series at different steps, logs, runs on a server."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pandas
import pyarrow
import pytest
from tests.helpers.wandb_server import KEY, command, serving

from ontogeny.cli import lag as cli_lag
from ontogeny.cli import main
from ontogeny.errors import DataError, LagError
from ontogeny.lag import matched, run_leads, runs_of_log
from ontogeny.lag.common_steps import Match
from ontogeny.record.task_logs import TrainerKind, open_log, read_task_log

BOTH = {"alignment": "alignment/IT", "performance": "eval/loss"}


def write(path, text):
    path.write_text(text)
    return path


def sparse(steps=range(20)):
    """Rows as W&B exports them: one column per row, its own counter of rows beside the step."""
    rows = []
    for step in steps:
        rows.append({"_step": len(rows), "train/global_step": step, "alignment/IT": step / 10, "alignment/step": step})
        rows.append({"_step": len(rows), "train/global_step": step, "eval/loss": 3 - step / 10})
        rows.append({"_step": len(rows), "train/global_step": step, "train/loss": 4.0})
    return rows


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "jsonl", "pandas", "pyarrow"])
def test_rows_that_complete_each_other_are_joined_by_their_step(tmp_path, kind):
    frame = pandas.DataFrame(sparse())
    path = tmp_path / f"export.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "json":
        path.write_text(json.dumps(sparse()))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in sparse()))
    given = {"pandas": frame, "pyarrow": pyarrow.Table.from_pandas(frame)}.get(kind, path)
    [run] = runs_of_log(given, **BOTH)
    assert run.steps.tolist() == list(range(20))
    assert run.alignment == pytest.approx(np.arange(20) / 10)
    assert run.performance == pytest.approx(3 - np.arange(20) / 10)
    assert (run.averaged, run.higher_is_better, run.notes) == (False, False, ())


def test_the_step_of_a_chart_exported_from_a_page_of_wandb_need_not_be_said(tmp_path):
    lines = "".join(f"{step},{step / 9},\n{step},,{3 - step}\n" for step in range(15))
    [run] = runs_of_log(write(tmp_path / "chart.csv", '"Step",alignment/IT,eval/loss\n' + lines), **BOTH)
    assert run.steps.tolist() == list(range(15))


def test_a_named_index_is_a_column_and_usual_names_need_not_be_said():
    table = pandas.DataFrame({"alignment": np.arange(15) / 9, "performance": np.arange(15)}, index=range(15))
    [run] = runs_of_log(table.rename_axis("step"))
    assert run.steps.tolist() == list(range(15))
    ours = [{"alignment/mean": s / 9, "task/loss": -s, "alignment/step": 10 * s, "_step": s} for s in range(15)]
    [run] = runs_of_log(pandas.DataFrame(ours))
    assert run.steps.tolist() == list(range(0, 150, 10)), "our rows have their own step, W&B's counts calls"
    assert not run.averaged


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step,alignment,performance\n0,1,2\n1,high,2\n2,3,low\n", r"'alignment' holds text .*: 'high' \(row 2\)"),
        ("step,alignment,performance\n0,1,2\n1,inf,2\n", r"'alignment' is infinite \(row 2\)"),
        ("step,alignment,performance\n0,1,2\nx,1,2\n", r"'step' holds text where a number should be: 'x' \(row 2\)"),
        ("step,alignment,performance\n0,1,2\n-1,1,2\n", r"'step': row 2, which has a value of 'alignment', should"),
        ("step,alignment,performance\n0,1,2\nnan,1,2\n", r"'step': row 2, which has a value of 'alignment', should"),
        ("step,alignment,performance\n0,1,2\n,1,2\n", r"row 2 of 2 have a value of 'alignment' and no 'step'; name"),
        ("step,alignment,performance\n0,1,2\n5,1,2\n0,3,2\n", r"two values at step 0, 1 in row 1 and 3 in row 3; name"),
        ("step,alignment,performance\n0,1,2,9\n", r"row 1 of 1 have more cells than the 3 names"),
        ("step;alignment;performance\n0;1;2\n", r"cells are apart by ';'; expected a comma"),
        ("step,alignment,alignment\n0,1,2\n", r"has 2 columns called 'alignment'; give each its own name"),
        ("step,alignment,performance\n", r"has no rows; a line of names and a line per checkpoint are expected"),
        ("iteration,alignment,performance\n0,1,2\n", r"has no step: none of .*Its columns: 'iteration', 'alignment'"),
        (
            "step,aligment,performance\n0,1,2\n",
            r"no column 'alignment' \(say which .*\). Did you mean 'aligment'\? Its columns: 's",
        ),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_rows(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        runs_of_log(write(tmp_path / "t.csv", text))


def test_missing_values_and_rows_out_of_order_are_taken_and_said(tmp_path):
    lines = [f"{step},{step / 10},{20 - step}" for step in range(20)]
    lines[4], lines[7] = "4,NaN,16", "7,,13"
    lines[10], lines[11] = lines[11], lines[10]
    path = write(tmp_path / "t.csv", "\n".join(["step,alignment,performance", *lines]))
    [run] = runs_of_log(path)
    assert run.steps.tolist() == list(range(20))
    assert np.flatnonzero(np.isnan(run.alignment)).tolist() == [4, 7]
    assert f"'alignment' is NaN in row 5 of {path}, left out" in run.notes
    assert f"steps of {path} fall at row 12; the rows were put in order" in run.notes
    warnings = run_leads(run, surrogates=9).warnings
    assert set(run.notes) <= set(warnings)


def test_a_step_that_a_trainer_logged_again_has_the_later_value_and_it_is_said(tmp_path):
    rows = [{"step": s, "a": s, "eval_loss": 1.0} for s in (*range(14), *range(10, 20))]
    rows[-10:] = [row | {"eval_loss": 2.0} for row in rows[-10:]]
    path = write(tmp_path / "trainer_state.json", json.dumps({"log_history": rows}))
    [run] = runs_of_log(path, alignment="a", performance="eval_loss")
    assert run.performance.tolist() == [1.0] * 10 + [2.0] * 10
    assert run.notes == ("'eval_loss' was logged again at 4 steps (10, 11, 12, 13); the later value is taken",)


def test_different_steps_are_matched_only_when_asked():
    a = np.array([0.0, 10, 100, 1000]), np.array([0.0, 1, 2, 3])
    p = np.array([90.0, 110, 900, 2000]), np.array([5.0, 6, 7, 8])
    with pytest.raises(
        LagError,
        match=r"share no step: alignment has 4 \(0, 10, 100, 1000\), performance 4 \(90, 110, 900, 2000\). "
        r"Values .* not made up unasked; say match='nearest' or match='interpolate' \(--match\)",
    ):
        matched(a, p)
    near = matched(a, p, "nearest")
    assert near.steps.tolist() == [100, 1000]
    assert near.performance.tolist() == [5, 7], "each value is used once, and what is far is left"
    assert "2 pairs of 4 steps of alignment and 4 of performance, 55 steps apart on average and 100 at" in near.notes[0]
    between = matched(a, p, "interpolate")
    assert between.steps.tolist() == [100, 1000], "nothing beyond the ends"
    share = np.log(101 / 91) / np.log(111 / 91)
    assert between.performance[0] == pytest.approx(5 + share)
    assert between.notes[1] == "2 steps outside its range are left out"
    dense = np.arange(0.0, 50), np.arange(0.0, 50)
    assert len(matched(dense, a, "interpolate").steps) == 2, "never more checkpoints than the fewer of both"
    with pytest.raises(LagError, match="cover no common range of steps"):
        matched(a, (p[0] + 5000, p[1]), "interpolate")


def test_a_match_that_there_is_not_is_refused(unchecked):
    with pytest.raises(LagError, match="there is no match 'nearst'. Did you mean 'nearest'"):
        matched(([0.0], [1.0]), ([0.0], [1.0]), "nearst")


def test_common_steps_are_compared_and_what_is_left_out_is_said():
    a, p = np.arange(0.0, 100), np.arange(0.0, 100, 5)
    found = matched((a, a), (p, p))
    assert found.steps.tolist() == p.tolist()
    assert found.notes == ("80 of 100 steps of alignment have no value of the other: left out",)
    few = matched((a[::7], a[::7]), (p, p))
    assert few.steps.tolist() == [0, 35, 70]
    assert few.notes[0].startswith("alignment and performance share 3 steps (0, 35, 70): alignment has 15 (0, 7, 14,")
    with pytest.raises(LagError, match="share 3 steps"):
        matched((a[::7], a[::7]), (p, p), fewest=12)


def test_runs_of_a_table_need_a_name_and_one_group(tmp_path):
    text = "step,alignment,performance,seed,size\n0,1,2,a,70\n1,1,3,,70\n"
    with pytest.raises(LagError, match="row 2 of 2 have no 'seed', which says of which run they are"):
        runs_of_log(write(tmp_path / "t.csv", text), run="seed")
    with pytest.raises(DataError, match=r"no column 'sed'. Did you mean 'seed'"):
        runs_of_log(tmp_path / "t.csv", run="sed")
    text = text.replace(",,70", ",a,160")
    with pytest.raises(LagError, match="one run is of several groups 'size': 70, 160"):
        runs_of_log(write(tmp_path / "t.csv", text), run="seed", group="size")
    with pytest.raises(LagError, match="belongs to one run"):
        runs_of_log(tmp_path / "t.csv", run="seed", task_log=tmp_path / "t.csv")


def test_tensorboard_folders_old_and_new_and_of_several_runs(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "a")) as one, SummaryWriter(str(tmp_path / "a")) as resumed:
        for step in range(20):
            own = one if step < 12 else resumed
            own.add_scalar("alignment/mean", step / 10, step)
            own.add_scalar("eval/loss", 3 - step / 10, step, new_style=True)
    [run] = runs_of_log(tmp_path, performance="eval/loss")
    assert run.steps.tolist() == list(range(20))
    assert run.performance == pytest.approx(3 - np.arange(20) / 10, abs=1e-6)
    with SummaryWriter(str(tmp_path / "b")) as other:
        other.add_scalar("alignment/mean", 1.0, 0)
    with pytest.raises(DataError, match="events of 2 runs; name one of them: a, b"):
        runs_of_log(tmp_path)


@pytest.mark.parametrize("where", ["name", "revision", "model", "folder"])
def test_results_of_the_evaluation_harness_say_their_step_in_four_places(tmp_path, where):
    folder = tmp_path / "evals"
    for step in range(0, 1300, 100):
        at = folder / (f"checkpoint-{step}" if where == "folder" else f"run{step}x")
        at.mkdir(parents=True)
        arguments = {"revision": f"x,revision=step{step}", "model": f"pretrained=out/checkpoint-{step},dtype=auto"}
        content = {"results": {"sciq": {"acc,none": step / 9000}}, "config": {"model_args": arguments.get(where, "")}}
        write(at / (f"results_step{step}.json" if where == "name" else "results_2026.json"), json.dumps(content))
    curve = write(tmp_path / "t.csv", "\n".join(["step,alignment", *(f"{s},{s}" for s in range(0, 1300, 100))]))
    [run] = runs_of_log(curve, task_log=folder, performance="sciq acc")
    assert run.performance == pytest.approx(np.arange(0, 1300, 100) / 9000)
    assert (run.averaged, run.thresholded, run.higher_is_better) == (False, True, True)
    assert [row.step for row in read_task_log(folder)] == run.steps.tolist()


def test_the_command_matches_when_asked_and_says_so(tmp_path, capsys):
    steps = range(0, 200, 10)
    write(tmp_path / "a.csv", "\n".join(["step,alignment", *(f"{s},{s / 200}" for s in steps)]))
    write(tmp_path / "p.csv", "\n".join(["step,eval_loss", *(f"{s + 1},{3 - s / 200}" for s in steps)]))
    options = ["lag", str(tmp_path / "a.csv"), "--task-log", str(tmp_path / "p.csv"), "--performance", "eval_loss"]
    assert main(options) == 2
    assert "(--match)" in capsys.readouterr().err
    assert main([*options, "--match", "nearest", "--surrogates", "9", "--details"]) == 0
    assert "matched by nearest step, as asked: 20 pairs" in " ".join(capsys.readouterr().out.split())
    assert main([*options[:2], *options[1:]]) == 2
    assert "--task-log belongs to one run" in capsys.readouterr().err
    assert get_args(Match) == get_args(cli_lag.Match)
    assert get_args(TrainerKind) == get_args(cli_lag.Writer)


def test_what_is_here_is_never_asked_of_a_server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("runs/a/b", "nowhere", "a/b", "/a/b/c", "../a/b"):
        with pytest.raises(DataError, match="there is no log at"):
            open_log(name)
    with pytest.raises(DataError, match="runs is neither a record"):
        open_log("runs")
    with pytest.raises(DataError, match="a list is no log; expected a DataFrame or the path of"):
        open_log([1])


def test_a_run_on_the_server_is_read_by_its_name(tmp_path):
    with serving() as server:
        server.history = sparse()
        account = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}
        options = ["--alignment", "alignment/IT", "--performance", "eval/loss", "--surrogates", "9"]
        done = command("lag", "me/brains/abc123", *options, folder=tmp_path, **account)
        assert done.returncode == 0, done.stderr
        assert "alignment/IT against eval/loss" in " ".join(done.stdout.split())
        assert "20 checkpoints" in done.stdout
        assert {"entity": "me", "project": "brains", "name": "abc123"} in server.of("query Run(")


def test_without_a_key_the_message_says_what_it_needs(tmp_path):
    done = command("lag", "me/brains/abc123", folder=tmp_path, WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "there is nothing at me/brains/abc123 on this machine, and Weights & Biases did not give" in done.stderr
    assert "WANDB_API_KEY" in done.stderr
