"""Logs of real runs become task rows at the weights that each value belongs to."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import wandb
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tests.helpers.models import TinyModule, image_data, image_loader, tiny_gpt, token_rows
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny import Record, load_published
from ontogeny.cli import main
from ontogeny.errors import DataError, LagError
from ontogeny.lag import run_from_record, runs_of_log
from ontogeny.record import Score
from ontogeny.record.task_logs import (
    from_csv_logger,
    from_lm_eval,
    from_tensorboard,
    from_trainer_state,
    from_wandb,
    read_task_log,
)
from ontogeny.record.task_logs._wandb_offline_file import wandb_history
from ontogeny.replay import lightning


def curve(rows, metric):
    return {row.step: row.value for row in rows if row.metric == metric}


def sources(rows):
    return {row.metric: row.source for row in rows}


SHARES = (1, 7 / 8)
"""What Trainers of some versions divide an evaluation's loss by: the 7 tokens of 8 that are predicted, or all 8."""


class Losses(TrainerCallback):
    """The evaluation loss at the weights after every step: the mean over what is predicted."""

    def __init__(self, held_out):
        self.held_out, self.at = held_out, {}

    @torch.no_grad()
    def on_step_end(self, args, state, control, model=None, **kwargs):
        model.eval()
        batch = {key: torch.stack([row[key] for row in self.held_out]) for key in self.held_out[0]}
        self.at[state.global_step] = float(model(**batch).loss)
        model.train()


@pytest.fixture(scope="module")
def hf_run(tmp_path_factory):
    """A real Trainer, also with W&B offline and TensorBoard."""
    folder = tmp_path_factory.mktemp("hf")
    losses = Losses(token_rows(8, seed=9))
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=12,
        learning_rate=0.01,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        save_strategy="steps",
        save_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        logging_strategy="steps",
        logging_steps=3,
        report_to=["wandb", "tensorboard"],
        use_cpu=True,
        disable_tqdm=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        wandb.teardown()  # one process has one folder until then, another test's
        patch.setenv("TENSORBOARD_LOGGING_DIR", str(folder / "tb"))
        trainer = Trainer(
            model=tiny_gpt(dropout=0.0),
            args=arguments,
            train_dataset=token_rows(),
            eval_dataset=losses.held_out,
            callbacks=[losses],
        )
        trainer.train()
        wandb.finish()
        wandb.teardown()
    if not (folder / "tb").exists():  # a Trainer that does not know the variable
        (folder / "out" / "runs").rename(folder / "tb")
    history = trainer.state.log_history
    share = next(entry["eval_loss"] for entry in history if "eval_loss" in entry) / losses.at[2]
    assert min(abs(share - known) for known in SHARES) < 1e-4
    return folder, {step: loss * share for step, loss in losses.at.items()}, history


def test_a_trainers_state_has_evaluations_at_their_weights_and_averaged_training_losses(hf_run):
    folder, held_out, history = hf_run
    rows = from_trainer_state(folder / "out", run="a")
    assert {row.run for row in rows} == {"a"}
    assert {row.kind for row in rows} == {"task"}
    assert sources(rows) == {"eval_loss": "trainer_eval", "train_loss": "trainer_average"}
    found = curve(rows, "eval_loss")
    assert list(found) == [2, 4, 6, 8, 10, 12]
    for step, value in found.items():
        assert value == pytest.approx(held_out[step], abs=1e-4)
        assert value != pytest.approx(held_out[step - 1], abs=1e-4)
    logged = {e["step"]: e["loss"] for e in history if "loss" in e}
    assert curve(rows, "train_loss") == logged, "the mean over the whole run, which is logged last, is no part of it"


def test_the_state_of_one_checkpoint_and_chosen_metrics(hf_run):
    folder, _, _ = hf_run
    state = folder / "out" / "checkpoint-4" / "trainer_state.json"
    assert list(curve(from_trainer_state(state), "eval_loss")) == [2, 4]
    assert read_task_log(state) == read_task_log(state.parent) == from_trainer_state(state)
    rows = from_trainer_state(folder / "out" / "checkpoint-8", metrics=["grad_norm"])
    assert list(curve(rows, "train_grad_norm")) == [3, 6]
    with pytest.raises(DataError, match=r"from trainer_state.json has no metric 'evalloss'. Did you mean 'eval_loss'"):
        from_trainer_state(state, metrics=["evalloss"])


def test_the_same_run_in_wandb_offline_and_in_tensorboard(hf_run):
    folder, _, _ = hf_run
    state = from_trainer_state(folder / "out")
    file = next((folder / "wandb").glob("offline-run-*/*.wandb"))
    deadline = time.monotonic() + 30
    while len(curve(from_wandb(file), "eval_loss")) < 6 and time.monotonic() < deadline:
        time.sleep(0.1)  # its service writes the file after `finish` has returned
    from_file, from_events = from_wandb(file), from_tensorboard(next((folder / "tb").rglob("*tfevents*")).parent)
    event_file = next((folder / "tb").rglob("*tfevents*"))
    dispatched = [read_task_log(place) for place in (file, file.parent, event_file, event_file.parent)]
    for rows in (from_file, from_events, from_wandb(file.parent), *dispatched):
        assert sources(rows) == sources(state)
        for metric in ("eval_loss", "train_loss"):
            assert {s: v for s, v in curve(rows, metric).items() if s in curve(state, metric)} == pytest.approx(
                curve(state, metric), rel=1e-5
            )


def test_an_exported_wandb_history_is_read_as_the_run_itself(hf_run, tmp_path):
    folder, _, _ = hf_run
    file = next((folder / "wandb").glob("offline-run-*/*.wandb"))
    history = wandb_history(file)
    keys = list(dict.fromkeys(key for row in history for key in row))
    with (tmp_path / "h.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, keys)
        writer.writeheader()
        writer.writerows(history)
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    (tmp_path / "h.json").write_text(json.dumps(history))
    wanted = curve(from_wandb(file), "eval_loss")
    for name in ("h.csv", "h.jsonl", "h.json"):
        assert curve(from_wandb(tmp_path / name), "eval_loss") == wanted
        assert curve(read_task_log(tmp_path / name), "eval_loss") == wanted


class Logging(TinyModule):
    """All ways to log a training loss."""

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        self.log("both", loss, on_step=True, on_epoch=True)
        self.log("per_epoch", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05)


@pytest.fixture(scope="module")
def pl_run(tmp_path_factory):
    """A real run with a checkpoint after every update, no dropout, no shuffling."""
    folder = tmp_path_factory.mktemp("pl")
    module = Logging()
    module.net.late[2].p = 0.0
    start = {name: value.clone() for name, value in module.state_dict().items()}
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        log_every_n_steps=1,
        val_check_interval=3,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=[CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tb")],
        callbacks=[ModelCheckpoint(folder / "ckpt", every_n_train_steps=1, save_top_k=-1)],
    )
    trainer.fit(module, image_loader(shuffle=False), DataLoader(image_data(32, seed=5), batch_size=32))
    return folder, lightning(folder / "ckpt", model=TinyModule), start


@torch.no_grad()
def loss_at(model, batch, *, training):
    model.train(training)
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.p = 0.0
    return float(nn.functional.cross_entropy(model(batch[0]), batch[1]))


@pytest.mark.parametrize("log", ["csv", "tb"])
def test_lightnings_logged_steps_become_steps_of_weights(pl_run, log):
    """val_loss logged at k is of the weights after k + 1 updates, a step's train_loss of those after k."""
    folder, checkpoints, start = pl_run
    rows = read_task_log(folder / log / "version_0")
    assert sources(rows) == {
        "val_loss": "trainer_eval",
        "train_loss": "trainer_batch",
        "train_both_step": "trainer_batch",
        "train_both_epoch": "trainer_average",
        "train_per_epoch": "trainer_average",
    }
    held_out = next(iter(DataLoader(image_data(32, seed=5), batch_size=32)))
    found = curve(rows, "val_loss")
    assert list(found) == [3, 6, 9, 12]
    for step, value in found.items():
        assert value == pytest.approx(loss_at(checkpoints.load(step), held_out, training=False), abs=1e-5)
    batches = list(image_loader(shuffle=False))
    assert list(curve(rows, "train_loss")) == list(range(12))
    for step, value in curve(rows, "train_loss").items():
        model = checkpoints.load(step) if step else TinyModule()
        if not step:
            model.load_state_dict(start)
        assert value == pytest.approx(loss_at(model, batches[step % 6], training=True), abs=1e-5)
    batch_losses = list(curve(rows, "train_loss").values())
    for metric in ("train_both_epoch", "train_per_epoch"):
        means = {6: sum(batch_losses[:6]) / 6, 12: sum(batch_losses[6:]) / 6}
        assert curve(rows, metric) == pytest.approx(means, abs=1e-5)


def test_a_step_that_a_resumed_run_logged_again_has_the_later_value(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,val_loss\n0,4,2.0\n0,9,1.5\n0,9,1.25\n,,\n0,14,\n0,19,nan\n")
    rows = from_csv_logger(tmp_path)
    assert curve(rows, "val_loss") == pytest.approx({5: 2.0, 10: 1.25, 20: float("nan")}, nan_ok=True)


def test_tags_of_a_loop_of_ones_own_are_taken_as_they_say_or_supposed_the_worst(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        for step in (0, 10):
            writer.add_scalar("val/acc", 0.5, step)
            writer.add_scalar("loss", 1.0, step)
            writer.add_scalar("lr", 0.1, step)
            writer.add_scalar("task/loss", 9.0, step)
            writer.add_scalar("alignment/IT.rsa", 0.1, step)
    rows = from_tensorboard(tmp_path)
    assert sources(rows) == {"val_acc": "trainer_eval", "logged_loss": "trainer_average"}
    assert list(curve(rows, "val_acc")) == [0, 10]
    assert list(curve(from_tensorboard(tmp_path, writer="lightning"), "val_acc")) == [1, 11]


def test_averaged_losses_carry_the_warning_into_lag_and_evaluations_do_not(hf_run, tmp_path):
    folder, _, _ = hf_run
    record = Record(tmp_path / "r", create=True, run="a")
    record.append(
        Score(run="a", step=s, kind="alignment", roi="IT", layer="h", metric="rsa", value=s / 10, unit="r")
        for s in range(10)
    )
    record.append(from_trainer_state(folder / "out", run="a"))
    assert run_from_record(record, task="train_loss").averaged
    assert not run_from_record(record, task="eval_loss").averaged
    assert not run_from_record(record, task="eval_loss").higher_is_better


def test_one_reader_gives_the_same_run_from_every_log_of_a_trainer(hf_run):
    """The average of the logged losses against the evaluations, out of three kinds of logs of one training."""
    folder, held_out, _ = hf_run
    slash = {"alignment": "train/grad_norm", "performance": "eval/loss"}
    flat = {"alignment": "grad_norm", "performance": "eval_loss"}
    with pytest.raises(
        LagError, match=r"share 2 steps \(6, 12\): alignment has 4 \(3, 6, 9, .*\), performance 6 \(2, 4"
    ):
        runs_of_log(folder / "out", **flat)
    runs = [
        runs_of_log(folder / place, match="nearest", **names)[0]
        for place, names in (("out", flat), ("wandb", slash), ("tb", slash))
    ]
    for run in runs:
        assert run.steps.tolist() == [3, 6, 9, 12]
        assert run.performance[[1, 3]] == pytest.approx([held_out[6], held_out[12]], abs=1e-4)
        assert not run.higher_is_better
        assert not run.averaged
        assert "matched by nearest step, as asked: 4 pairs of 4 steps of alignment and 6 of performance" in run.notes[0]
    between = runs_of_log(folder / "out", match="interpolate", **flat)[0]
    share = (np.log10(4) - np.log10(3)) / (np.log10(5) - np.log10(3))
    assert between.performance[0] == pytest.approx(held_out[2] + share * (held_out[4] - held_out[2]), abs=1e-4)
    assert between.interpolated
    assert "performance is interpolated, as asked, at 2 of 4 steps" in between.notes[0]


def test_a_records_task_may_stand_in_a_trainers_log(hf_run, tmp_path, capsys):
    folder, held_out, _ = hf_run
    record = Record(tmp_path / "r", create=True, run="a")
    record.append(
        Score(run="a", step=s, kind="alignment", roi="IT", layer="h", metric="rsa", value=s / 10, unit="r")
        for s in (2, 4, 6, 8, 10, 12)
    )
    run = run_from_record(record, task="eval_loss", task_log=folder / "out")
    assert run.performance.tolist() == pytest.approx([held_out[s] for s in (2, 4, 6, 8, 10, 12)], abs=1e-4)
    with pytest.raises(LagError, match=r"has no task 'loss'. It has no task at all: give the log that has one"):
        run_from_record(record)
    options = ["lag", str(record.folder), "--task-log", str(folder / "out")]
    assert main(options) == 2
    assert "which column of" in capsys.readouterr().err
    assert main([*options, "--task", "eval_los"]) == 2
    error = capsys.readouterr().err
    assert "has no column 'eval_los'. Did you mean 'eval_loss'" in error
    assert "'grad_norm'" in error.partition("Its columns: ")[2]
    assert main([*options, "--task", "eval_loss"]) == 0
    assert "6 checkpoints with both, 12 are needed" in capsys.readouterr().out
    assert main([*options, "--task", "loss"]) == 2
    assert "share 2 steps (6, 12)" in capsys.readouterr().err


def test_lightnings_shift_is_said_and_made_in_every_reader(pl_run):
    folder, _, _ = pl_run
    for place in ("csv/version_0/metrics.csv", "csv/version_0", "tb"):
        [run] = runs_of_log(folder / place, alignment="train_loss", performance="val_loss", match="nearest")
        assert run.steps.tolist() == [3, 6, 9, 11]
        said = "'val_loss', logged by Lightning at step k, belongs to the weights after k + 1 updates"
        assert said in run.notes
    names = {"alignment": "train_loss", "performance": "val_loss"}
    [as_written] = runs_of_log(folder / "csv/version_0", writer="own", **names)
    assert as_written.steps.tolist() == [2, 5, 8, 11]


PYTHIA = "evals/pythia-v1/pythia-70m-deduped/zero-shot"


def results(tmp_path, tables, *, steps=(0, 1, 1000, 143_000)):
    """Files of Pythia's published layout, made of the published table."""
    folder = tmp_path / PYTHIA
    folder.mkdir(parents=True)
    rows = [r for r in tables if r["model"].removesuffix("-deduped") == "pythia-70m"]
    for step in steps:
        told: dict[str, dict[str, float]] = {}
        for r in rows:
            if r["step"] == step:
                told.setdefault(r["task"], {}).update({r["metric"]: r["value"], f"{r['metric']}_stderr": r["stderr"]})
        arguments = f"use_accelerate=True,pretrained=EleutherAI/pythia-70m-deduped,revision=step{step}"
        content = {"results": told, "versions": dict.fromkeys(told, 0), "config": {"model_args": arguments}}
        (folder / f"70m-deduped_step{step}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def table():
    """The published values; with all their digits where the data folder is, else the seven that are committed."""
    full = Path(os.environ.get("ONTOGENY_DATA", "none")) / "published" / "pythia_benchmarks.csv"
    if full.is_file():
        rows = csv.DictReader(full.read_text().splitlines())
        kinds = {"step": int, "value": float, "stderr": float}
        return [{name: kinds.get(name, str)(value) for name, value in row.items()} for row in rows]
    columns = load_published("shen2026").tables["pythia_benchmarks"]
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]


def test_pythias_published_results_give_the_values_of_the_table(tmp_path, table):
    rows = read_task_log(results(tmp_path, table), run="pythia-70m-deduped")
    wanted = {
        (f"{r['task']} {r['metric']}", r["step"]): r["value"]
        for r in table
        if r["model"].removesuffix("-deduped") == "pythia-70m" and r["step"] in (0, 1, 1000, 143_000)
    }
    assert len(wanted) > 40
    assert {(row.metric, row.step): row.value for row in rows} == wanted
    assert {row.source for row in rows} == {"harness"}
    acc = next(row for row in rows if row.metric == "arc_easy acc" and row.step == 1000)
    assert acc.unit == "share correct"
    assert acc.note.startswith("from 70m-deduped_step1000.json; standard error 0.0")
    assert {row.unit for row in rows if row.metric.endswith("ppl")} == {"perplexity"}
    few = from_lm_eval(tmp_path / PYTHIA, tasks=["sciq"])
    assert {row.metric for row in few} == {"sciq acc", "sciq acc_norm"}


def test_published_results_beside_an_alignment_are_thresholded_where_they_are_accuracies(tmp_path, table):
    record = Record(tmp_path / "r", create=True, run="p")
    record.append(
        Score(run="p", step=s, kind="alignment", roi="IT", layer="h", metric="rsa", value=0.1, unit="r")
        for s in (0, 1, 1000)
    )
    record.append(from_lm_eval(results(tmp_path, table), run="p"))
    accuracy = run_from_record(record, task="arc_easy acc")
    assert (accuracy.thresholded, accuracy.higher_is_better, accuracy.averaged) == (True, True, False)
    assert not run_from_record(record, task="lambada_openai ppl").higher_is_better


def test_the_newer_layout_with_filters_and_a_revision(tmp_path):
    content = {
        "results": {
            "sciq": {"alias": "sciq", "acc,none": 0.5, "acc_stderr,none": 0.01, "acc_norm,none": 0.4},
            "gsm8k": {"exact_match,strict-match": 0.1, "exact_match_stderr,strict-match": "N/A"},
        },
        "config": {"model_args": {"pretrained": "EleutherAI/pythia-70m", "revision": "step512"}},
    }
    path = tmp_path / "results_2024-05-01.json"
    path.write_text(json.dumps(content))
    rows = read_task_log(path)
    assert {row.metric: (row.step, row.value) for row in rows} == {
        "sciq acc": (512, 0.5),
        "sciq acc_norm": (512, 0.4),
        "gsm8k exact_match strict-match": (512, 0.1),
    }
    assert next(r for r in rows if r.metric == "sciq acc").note.endswith("standard error 0.01")


def test_results_that_cannot_be_used_say_why(tmp_path):
    def write(name, results=None, arguments=""):
        content = {
            "results": {"sciq": {"acc": 0.5}} if results is None else results,
            "config": {"model_args": arguments},
        }
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    with pytest.raises(DataError, match=r"a.json does not say its step, in its name .*; give step="):
        from_lm_eval(write("a.json"))
    assert from_lm_eval(tmp_path / "a.json", step=3)[0].step == 3
    with pytest.raises(DataError, match="m_step2.json: its name says step 2 but its revision says step 4; give step="):
        from_lm_eval(write("m_step2.json", arguments="pretrained=x,revision=step4"))
    with pytest.raises(DataError, match=r"has no results of task 'sicq'. Did you mean 'sciq'"):
        from_lm_eval(write("m_step3.json"), tasks=["sicq"])
    (tmp_path / "b.json").write_text("[1")
    with pytest.raises(DataError, match="b.json cannot be read as JSON"):
        from_lm_eval(tmp_path / "b.json")
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(DataError, match="c.json has no 'results'; is it a result file of lm-evaluation-harness"):
        from_lm_eval(tmp_path / "c.json")
    folder = tmp_path / "two"
    folder.mkdir()
    for name, value in (("x_step5.json", 0.5), ("y_step5.json", 0.6)):
        (folder / name).write_text(json.dumps({"results": {"sciq": {"acc": value}}}))
    with pytest.raises(
        DataError, match=r"has two values of sciq acc at step 5 \(from x_step5.json; from y_step5.json\)"
    ):
        from_lm_eval(folder)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none has no results of lm-evaluation-harness in it"):
        from_lm_eval(tmp_path / "none")


def test_logs_that_are_not_there_or_not_what_they_should_be(tmp_path):
    with pytest.raises(DataError, match="there is no log at .*nowhere"):
        read_task_log(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match="a.txt is no log that is known: CSV, Parquet, trainer_state.json"):
        read_task_log(tmp_path / "a.txt")
    with pytest.raises(DataError, match="there is no trainer_state.json at .* nor in a checkpoint-N folder of it"):
        from_trainer_state(tmp_path)
    (tmp_path / "trainer_state.json").write_text("{}")
    with pytest.raises(DataError, match="trainer_state.json has no log_history"):
        from_trainer_state(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1, "learning_rate": 0.1}]}')
    with pytest.raises(DataError, match="from trainer_state.json has no number about a task in it; choose metrics="):
        from_trainer_state(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"log_hist')
    with pytest.raises(DataError, match="trainer_state.json cannot be read as JSON"):
        read_task_log(tmp_path / "trainer_state.json")
    (tmp_path / "j.json").write_text("{")
    with pytest.raises(DataError, match="j.json cannot be read as JSON"):
        read_task_log(tmp_path / "j.json")
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="m.csv has no column 'step'; is it the metrics.csv of Lightning's CSVLogger"):
        from_csv_logger(tmp_path / "m.csv")
    with pytest.raises(DataError, match="no.csv cannot be read as CSV"):
        from_csv_logger(tmp_path / "no.csv")
    with pytest.raises(DataError, match="there is no TensorBoard event file at"):
        from_tensorboard(tmp_path)
    with pytest.raises(DataError, match="there is no Weights & Biases history at"):
        from_wandb(tmp_path / "no.wandb")
    (tmp_path / "b.wandb").write_bytes(b"no")
    with pytest.raises(DataError, match="b.wandb is no offline run of Weights & Biases: it does not begin with ':W&B'"):
        from_wandb(tmp_path / "b.wandb")
    (tmp_path / "h.jsonl").write_text('{"loss": 1}\n')
    with pytest.raises(DataError, match="h.jsonl has no step: none of 'train/global_step', .* is there; name"):
        from_wandb(tmp_path / "h.jsonl")
    (tmp_path / "h.json").write_text("[1, 2]")
    with pytest.raises(DataError, match="h.json is not a list of rows; export the run's history"):
        from_wandb(tmp_path / "h.json")
    (tmp_path / "i.jsonl").write_text("{")
    with pytest.raises(DataError, match="i.jsonl cannot be read as jsonl"):
        from_wandb(tmp_path / "i.jsonl")


def test_a_wandb_file_that_was_cut_off_gives_what_is_whole(hf_run, tmp_path):
    folder, _, _ = hf_run
    content = next((folder / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    whole = wandb_history(next((folder / "wandb").glob("offline-run-*/*.wandb")))
    for share in (0.5, 0.9):
        (tmp_path / "torn.wandb").write_bytes(content[: int(len(content) * share)])
        part = wandb_history(tmp_path / "torn.wandb")
        assert part == whole[: len(part)]
