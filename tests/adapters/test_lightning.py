"""The Lightning callback beside real loggers, checkpoints and a resumed run."""

from __future__ import annotations

import csv
import json

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.helpers.models import TinyModule, image_data, image_loader, transform
from torch.utils.data import DataLoader

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback

NAME = "alignment/IT.rsa-correlation-spearman.net.late.spatial_mean"


def callback(benchmark, folder, **options):
    task = HeldOutLoss(batches=list(DataLoader(image_data(32, seed=5), batch_size=16)))
    return AlignmentCallback(benchmark, record=folder, transform=transform, task=task, **options)


def trainer(**options):
    return pl.Trainer(
        accelerator="cpu",
        log_every_n_steps=options.pop("log_every_n_steps", 1),
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def test_scores_reach_every_logger_at_the_probed_step_and_the_callback_metrics(image_benchmark, tmp_path):
    loggers = [CSVLogger(tmp_path, name="csv"), TensorBoardLogger(tmp_path, name="tb")]
    ours = callback(image_benchmark, tmp_path / "r", schedule="at:3")
    t = trainer(max_steps=5, logger=loggers, callbacks=[ours], enable_checkpointing=False, log_every_n_steps=2)
    t.fit(TinyModule(), image_loader())
    record = ours.monitor.record
    wanted = dict(zip(*(c.tolist() for c in _curve(record)), strict=True))
    assert list(wanted) == [0, 3, 5]
    with (tmp_path / "csv" / "version_0" / "metrics.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if row[NAME]]
    assert {int(row["step"]): float(row[NAME]) for row in rows} == pytest.approx(wanted, abs=1e-6)
    events = EventAccumulator(str(tmp_path / "tb" / "version_0"))
    events.Reload()
    assert {e.step: e.value for e in events.Scalars(NAME)} == pytest.approx(wanted, abs=1e-6)
    assert {e.step for e in events.Scalars("task/loss")} == {0, 3, 5}
    assert float(t.callback_metrics[NAME]) == pytest.approx(wanted[5], abs=1e-6)
    batches = t.num_training_batches
    seen = {e.step: e.value for e in record.events(kind="progress", metric="epochs")}
    assert seen == pytest.approx({0: 0, 3: 3 / batches, 5: 5 / batches})


def _curve(record: Record):
    series = record.series(layer="net.late", metric="rsa-correlation-spearman")
    return series.steps, series.values


def test_a_broken_logger_warns_and_stops_nothing(image_benchmark, tmp_path):
    class Broken(CSVLogger):
        def log_metrics(self, metrics, step=None):
            if any(name.startswith("alignment/") for name in metrics):
                raise OSError("no space left")

    ours = callback(image_benchmark, tmp_path / "r", schedule="at:1")
    t = trainer(
        max_steps=2,
        logger=[Broken(tmp_path), CSVLogger(tmp_path, name="whole")],
        callbacks=[ours],
        enable_checkpointing=False,
    )
    with pytest.warns(UserWarning, match=r"Broken could not log step \d: no space left"):
        t.fit(TinyModule(), image_loader())
    assert t.global_step == 2
    assert NAME in (tmp_path / "whole" / "version_0" / "metrics.csv").read_text()


def test_checkpoints_and_early_stopping_can_watch_the_alignment(image_benchmark, tmp_path):
    ours = callback(image_benchmark, tmp_path / "r", schedule="every:1")
    stop = EarlyStopping(NAME, patience=100, check_on_train_epoch_end=True)
    keep = ModelCheckpoint(tmp_path / "c", monitor="task/loss", save_on_train_epoch_end=True)
    trainer(max_epochs=2, logger=False, callbacks=[ours, stop, keep]).fit(TinyModule(), image_loader())
    assert keep.best_model_path


def test_a_resumed_run_continues_the_record_without_gap_or_double(image_benchmark, tmp_path):
    def run(max_steps, ckpt_path=None):
        pl.seed_everything(3, verbose=False)
        ours = callback(image_benchmark, tmp_path / "r", schedule="every:2")
        keep = ModelCheckpoint(tmp_path / "c", save_last=True, every_n_train_steps=6)
        t = trainer(max_steps=max_steps, logger=False, callbacks=[ours, keep])
        t.fit(TinyModule(), image_loader(shuffle=False), ckpt_path=ckpt_path)

    run(6)
    before = (tmp_path / "r" / "scores.jsonl").read_text()
    with pytest.warns(UserWarning, match="Checkpoint directory .* is not empty"):
        run(9, tmp_path / "c" / "last.ckpt")
    after = (tmp_path / "r" / "scores.jsonl").read_text()
    assert after.startswith(before)
    record = Record(tmp_path / "r")
    assert [s.step for s in record.events(kind="probe")] == [0, 2, 4, 6, 8, 9]
    each = {e.step: e.value for e in record.events(kind="progress")}
    assert each == pytest.approx({step: step * each[9] / 9 for step in (0, 2, 4, 6, 8, 9)}), "epochs go on"
    keys = [s.key for s in record.scores]
    assert len(keys) == len(set(keys)) == len([json.loads(line) for line in after.splitlines()])


def test_a_monitor_built_by_hand_is_taken_as_it_is(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="at:1")
    trainer(max_steps=2, logger=False, callbacks=[AlignmentCallback(monitor)], enable_checkpointing=False).fit(
        TinyModule(), image_loader()
    )
    assert [s.step for s in monitor.record.events(kind="probe")] == [0, 1, 2]
    with pytest.raises(TypeError, match=r"a Monitor brings its own options; got \['schedule'\] beside it"):
        AlignmentCallback(monitor, schedule="log")


def test_a_wrong_layer_name_is_said_before_training_starts(image_benchmark, tmp_path):
    ours = callback(image_benchmark, tmp_path / "r", layers=["net.lat"])
    with pytest.raises(Exception, match="net.late"):
        trainer(max_steps=2, logger=False, callbacks=[ours], enable_checkpointing=False).fit(
            TinyModule(), image_loader()
        )
