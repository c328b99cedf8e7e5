"""Promise 2: step k probed in training = checkpoint k replayed; in the same record, resumable, nothing unnoticed."""

from __future__ import annotations

import shutil

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from tests.helpers.models import TinyModule, image_data, image_loader, tiny_gpt, token_rows, tokenizer, transform
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.cli import main
from ontogeny.replay import hf_trainer, lightning, plan, replay

IMAGES = HeldOutLoss(batches=list(DataLoader(image_data(32, seed=5), batch_size=16)))
TEXTS = HeldOutLoss(batches=[{"input_ids": torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])}])
KINDS = ("alignment", "task", "confound", "control", "baseline")


def train_lightning(benchmark, folder, which):
    pl.seed_everything(4, verbose=False)
    ours = LightningCallback(
        benchmark,
        record=folder / "live",
        transform=transform,
        task=IMAGES,
        schedule="every:2",
        weights=which,
        run="mine",
    )
    average = EMAWeightAveraging(decay=0.7)
    keep = ModelCheckpoint(folder / "c", filename="{step}", every_n_train_steps=2, save_top_k=-1)
    trainer = pl.Trainer(
        max_steps=6,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[average, ours, keep],
    )
    trainer.fit(TinyModule(), image_loader())
    return ours.monitor.record


def train_transformers(benchmark, folder, **options):
    ours = TransformersCallback(
        benchmark, record=folder / "live", tokenizer=tokenizer, task=TEXTS, schedule="every:2", run="mine"
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=6,
        save_steps=2,
        learning_rate=0.02,
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        **options,
    )
    Trainer(model=tiny_gpt(), args=arguments, train_dataset=token_rows(), callbacks=[ours]).train()
    return ours.monitor.record


def images(benchmark, folder, **options):
    return watch(benchmark, record=folder, transform=transform, task=IMAGES, run="mine", **options)


def texts(benchmark, folder, **options):
    return watch(benchmark, record=folder, tokenizer=tokenizer, task=TEXTS, run="mine", **options)


def rows(record, steps):
    return {s.key: s for s in record.scores if s.kind in KINDS and s.step in steps and "random" not in s.layer}


def same(live: Record, replayed: Record, steps=(2, 4, 6)):
    one, other = (
        {k: s for k, s in rows(r, steps).items() if s.kind not in ("control", "baseline")} for r in (live, replayed)
    )
    assert one.keys() == other.keys()
    assert len(one) > 20
    for key, score in one.items():
        assert other[key].value == pytest.approx(score.value, abs=1e-6), key
        assert other[key].weights == score.weights


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_lightning_raw_and_averaged(image_benchmark, tmp_path, which):
    live = train_lightning(image_benchmark, tmp_path, which)
    series = lightning(tmp_path / "c", model=TinyModule, weights=which)
    assert series.steps == (2, 4, 6)
    monitor = images(image_benchmark, tmp_path / "again", weights=which)
    walked = replay(series, monitor)
    assert [v.outcome for v in walked.results] == ["scored"] * 3
    assert walked.whole
    same(live, monitor.record)


@pytest.mark.parametrize("options", [{}, {"bf16": True}], ids=str)
def test_the_hugging_face_trainer(text_benchmark, tmp_path, options):
    live = train_transformers(text_benchmark, tmp_path, **options)
    monitor = texts(text_benchmark, tmp_path / "again")
    assert replay(hf_trainer(tmp_path / "out"), monitor).whole
    same(live, monitor.record)


def test_a_live_record_is_continued_and_a_second_walk_does_nothing(text_benchmark, tmp_path):
    train_transformers(text_benchmark, tmp_path)
    series = hf_trainer(tmp_path / "out")
    before = (tmp_path / "live" / "scores.jsonl").read_text()
    monitor = texts(text_benchmark, tmp_path / "live")
    assert [v.outcome for v in replay(series, monitor).results] == ["known"] * 3
    assert (tmp_path / "live" / "scores.jsonl").read_text() == before
    fresh = texts(text_benchmark, tmp_path / "again")
    planned = plan(series, fresh.record, ["tiny-text"])
    assert (planned.steps, planned.bytes, planned.seconds) == ((2, 4, 6), 0, None)
    assert plan(series, None, ["tiny-text"]) == planned
    assert replay(series.only([4]), fresh).whole
    assert [v.outcome for v in replay(series, texts(text_benchmark, tmp_path / "again")).results] == [
        "scored",
        "known",
        "scored",
    ]
    record = Record(tmp_path / "again")
    planned = plan(series, record, ["tiny-text"])
    assert (planned.steps, planned.known, planned.seconds) == ((), (2, 4, 6), 0)
    more = [plan(series, record, ["tiny-text", "another"], places=n).seconds for n in (1, 2)]
    assert more[0] == pytest.approx(sum(s.value for s in record.events(kind="probe")))
    assert more[1] == more[0] / 2


def test_what_is_wrong_is_named_in_the_record_and_the_rest_goes_on(text_benchmark, tmp_path):
    live = train_transformers(text_benchmark, tmp_path)
    out = tmp_path / "out"
    weights = out / "checkpoint-4" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    monitor = texts(text_benchmark, tmp_path / "again")
    walked = replay(hf_trainer(out), monitor)
    assert [(v.step, v.outcome) for v in walked.results] == [(2, "scored"), (6, "scored")]
    assert not walked.whole
    assert any("checkpoint-4" in line for line in walked.lines())
    assert any("checkpoint-4" in s.layer for s in monitor.record.events(kind="refusal", step=4))
    same(live, monitor.record, steps=(2, 6))


def test_a_checkpoint_changed_under_its_old_name_is_noticed(text_benchmark, tmp_path):
    train_transformers(text_benchmark, tmp_path)
    out = tmp_path / "out"
    shutil.copy(out / "checkpoint-6" / "model.safetensors", out / "checkpoint-2" / "model.safetensors")
    walked = replay(hf_trainer(out), texts(text_benchmark, tmp_path / "live"))
    assert [v.outcome for v in walked.results] == ["changed", "known", "known"]
    assert "changed since; the record's rows are kept" in walked.lines()[1]


def test_a_model_that_cannot_be_read_fails_alone(text_benchmark, tmp_path):
    train_transformers(text_benchmark, tmp_path)
    monitor = watch(text_benchmark, record=tmp_path / "r", tokenizer=lambda text: [10**6], run="mine")
    walked = replay(hf_trainer(tmp_path / "out"), monitor)
    assert [v.outcome for v in walked.results] == ["failed"] * 3
    assert "'transformer.wte' has 16 rows, and row 1000000 was asked for" in walked.results[0].reason
    assert walked.lines()[0] == "3 checkpoints: 3 failed"


def test_another_models_tokenizer_is_named(text_benchmark, tmp_path):
    from ontogeny.cli.demo_training.train_language import train_tokenizer

    train_transformers(text_benchmark, tmp_path)
    other = train_tokenizer(["dog cat tree river stone runs"] * 3, vocabulary=300)
    walked = replay(hf_trainer(tmp_path / "out"), watch(text_benchmark, record=tmp_path / "r", tokenizer=other))
    assert [v.outcome for v in walked.results] == ["failed"] * 3
    assert "the model's embedding 16 rows; it is another model's tokenizer" in walked.results[0].reason


def test_the_command(tmp_path, capsys):
    """The embedded world, a tokenizer and a model by address; the task from the Trainer's own log."""
    from ontogeny.cli.demo_training.train_language import small_gpt, train_tokenizer

    words = train_tokenizer(["the dog runs there", "a cat sleeps"] * 9, vocabulary=300)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        save_steps=2,
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    data = [{"input_ids": row, "labels": row} for row in torch.randint(0, 200, (16, 8))]
    Trainer(model=small_gpt(300), args=arguments, train_dataset=data, processing_class=words).train()
    where = ["--record", str(tmp_path / "r"), "--benchmark", "planted-language", "--pooling", "mean"]
    source = ["replay", str(tmp_path / "out"), *where]
    assert main([*source, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "out: 2 checkpoints would be scored (2, 4), 0 are in the record" in said
    assert "download: about 0.00 GB" in said
    log = str(tmp_path / "out" / "checkpoint-4" / "trainer_state.json")
    assert main([*source, "--steps", "4", "--task-log", log]) == 0
    said = capsys.readouterr().out
    assert "task values from" in said
    assert "1 checkpoints: 1 scored" in said
    record = Record(tmp_path / "r")
    assert [s.step for s in record.events(kind="probe")] == [4]
    assert {s.source for s in record.select(kind="task")} != {"measured"}
    assert main([*source, "--steps", "2,3"]) == 1
    assert "missing: out: no checkpoint at step 3; the nearest are 2 and 4" in capsys.readouterr().out
    assert main(["replay", str(tmp_path / "c{count}.pt"), *where]) == 2
    assert "say with --model module:attribute" in capsys.readouterr().err
