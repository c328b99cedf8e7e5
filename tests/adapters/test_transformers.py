"""The Hugging Face callback beside `trainer.log`, checkpoints, a resumed run, and real offline Weights & Biases."""

from __future__ import annotations

import pytest
import wandb
from tests.helpers.models import tiny_gpt, token_rows, tokenizer
from tests.helpers.wandb_files import history, run_folder
from transformers import Trainer, TrainingArguments

from ontogeny import HeldOutLoss, Record
from ontogeny.callbacks.transformers import AlignmentCallback

NAME = "alignment/left.ridge-gcv.transformer.h.1.mean"


def train(benchmark, folder, *, steps, bind=False, resume=None, report_to="none", **options):
    held_out = [{key: value[None] for key, value in row.items()} for row in token_rows(8, seed=9)]
    callback = AlignmentCallback(
        benchmark,
        record=folder / "r",
        tokenizer=tokenizer,
        task=HeldOutLoss(batches=held_out),
        pooling="mean",
        **options,
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=steps,
        per_device_train_batch_size=8,
        save_strategy="steps",
        save_steps=4,
        logging_strategy="steps",
        logging_steps=3,
        report_to=report_to,
        use_cpu=True,
        disable_tqdm=True,
        include_num_input_tokens_seen="all",
    )
    trainer = Trainer(model=tiny_gpt(), args=arguments, train_dataset=token_rows(), callbacks=[callback])
    if bind:
        callback.bind(trainer)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, callback


def test_a_bound_callback_logs_through_the_trainer(text_benchmark, tmp_path):
    trainer, callback = train(text_benchmark, tmp_path, steps=5, bind=True, schedule="at:2")
    logged = {row["step"]: row[NAME] for row in trainer.state.log_history if NAME in row}
    series = callback.monitor.record.series(layer="transformer.h.1", roi="left")
    assert logged == pytest.approx(dict(zip(series.steps.tolist(), series.values.tolist(), strict=True)))
    assert list(logged) == [0, 2, 5]
    seen = {(e.step, e.metric): e.value for e in callback.monitor.record.events(kind="progress")}
    tokens = trainer.state.num_input_tokens_seen
    assert tokens > 0
    assert seen[5, "epochs"] == pytest.approx(trainer.state.epoch)
    assert [seen[step, "tokens"] for step in (0, 2, 5)] == pytest.approx([0, tokens * 2 / 5, tokens])


def test_a_resumed_run_continues_the_record_without_gap_or_double(text_benchmark, tmp_path):
    train(text_benchmark, tmp_path, steps=4, schedule="every:2")
    before = (tmp_path / "r" / "scores.jsonl").read_text()
    train(text_benchmark, tmp_path, steps=7, schedule="every:2", resume=True)
    assert (tmp_path / "r" / "scores.jsonl").read_text().startswith(before)
    record = Record(tmp_path / "r")
    assert [s.step for s in record.events(kind="probe")] == [0, 2, 4, 6, 7]
    assert len({s.key for s in record.scores}) == len(record.scores)


def test_scores_reach_a_running_wandb_run_on_their_own_axis(text_benchmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(text_benchmark, tmp_path, steps=5, schedule="at:2", report_to="wandb")
    wandb.finish()
    rows = history(run_folder(tmp_path))
    ours = {row["alignment/step"]: row[NAME] for row in rows if NAME in row}
    series = Record(tmp_path / "r").series(layer="transformer.h.1", roi="left")
    assert ours == pytest.approx(dict(zip(series.steps.tolist(), series.values.tolist(), strict=True)))
    assert any("train/loss" in row for row in rows), "the trainer's own rows are not pushed out"


def test_a_monitor_brings_its_own_options(text_benchmark, tmp_path):
    from ontogeny import watch

    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer)
    with pytest.raises(TypeError, match=r"a Monitor brings its own options; got \['layers'\] beside it"):
        AlignmentCallback(monitor, layers="auto")
