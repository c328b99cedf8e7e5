"""MLflow and TensorBoard beside both trainers, read back from their own files; each sink alone, none breaks another."""

from __future__ import annotations

import lightning.pytorch as pl
import mlflow
import pytest
from lightning.pytorch.loggers import MLFlowLogger
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.helpers.models import TinyModule, image_loader, tiny_gpt, token_rows, tokenizer, transform
from transformers import Trainer, TrainingArguments

from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.record import Score
from ontogeny.sinks import Sink, finish, metric_keys, write

NAME = "alignment/IT.rsa-correlation-spearman.net.late.spatial_mean"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """MLflow's store in plain files, which it asks to be wanted."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    mlflow.set_tracking_uri(uri)
    yield uri
    mlflow.set_tracking_uri(None)


def logged(uri: str, name: str) -> dict[int, float]:
    mlflow.flush_async_logging()
    client = MlflowClient(uri)
    runs = [run for e in client.search_experiments() for run in client.search_runs([e.experiment_id])]
    return {m.step: m.value for run in runs for m in client.get_metric_history(run.info.run_id, name)}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_mlflow_through_lightning(image_benchmark, tmp_path, store):
    ours = LightningCallback(image_benchmark, record=tmp_path / "r", transform=transform, schedule="at:2")
    trainer = pl.Trainer(
        max_steps=4,
        accelerator="cpu",
        logger=MLFlowLogger("mine", tracking_uri=store),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        callbacks=[ours],
    )
    trainer.fit(TinyModule(), image_loader())
    series = ours.monitor.record.series(layer="net.late", metric="rsa-correlation-spearman")
    assert logged(store, NAME) == pytest.approx(dict(zip(series.steps.tolist(), series.values.tolist(), strict=True)))
    assert list(logged(store, "alignment/mean")) == [0, 2, 4]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_mlflow_and_tensorboard_through_the_hugging_face_trainer(text_benchmark, tmp_path, store, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tb"))
    ours = TransformersCallback(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, schedule="at:2")
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=4,
        report_to=["mlflow", "tensorboard"],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model=tiny_gpt(), args=arguments, train_dataset=token_rows(), callbacks=[ours])
    ours.bind(trainer)
    trainer.train()
    wanted = ours.monitor.record.series(layer="transformer.h.1", roi="left")
    wanted = dict(zip(wanted.steps.tolist(), wanted.values.tolist(), strict=True))
    name = "alignment/left.ridge-gcv.transformer.h.1.last"
    assert logged(store, name) == pytest.approx(wanted)
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert {e.step: e.value for e in events.Scalars(f"train/{name}")} == pytest.approx(wanted, abs=1e-6)


class Collects:
    def __init__(self):
        self.steps, self.finished = [], False

    def write(self, step, metrics):
        self.steps.append(step)

    def finish(self, record):
        self.finished = True


class Breaks:
    name = "the wire"

    def write(self, step, metrics):
        raise OSError("cut")

    def finish(self, record):
        raise OSError("cut again")


def test_each_sink_is_alone(tmp_path):
    from ontogeny import Record

    sinks = [Breaks(), Collects(), Breaks()]
    assert all(isinstance(s, Sink) for s in sinks)
    with pytest.warns(UserWarning, match="the wire could not log step 3: cut") as caught:
        write(sinks, 3, {})
    assert len(caught) == 2
    with pytest.warns(UserWarning, match="the wire could not finish: cut again"):
        finish(sinks, Record(tmp_path / "r", create=True))
    assert sinks[1].steps == [3]
    assert sinks[1].finished


def score(value, **fields):
    return Score(run="r", step=1, kind="alignment", benchmark=fields.pop("benchmark", "b"), value=value, **fields)


def test_short_names_are_readable_valid_and_say_the_best_layer():
    rows = [
        score(0.2, roi="V1 (left)/d", layer="a", metric="m", subject="1"),
        score(0.4, roi="V1 (left)/d", layer="a", metric="m", subject="2"),
        score(0.9, roi="V1 (left)/d", layer="b", metric="other"),
        score(0.1, roi="µ", layer="a", metric="m", pooling="last"),
        score(None, roi="µ", layer="c", metric="m"),
        Score(run="r", step=1, kind="task", metric="loss", value=2.0),
    ]
    names = metric_keys(rows)
    assert names == pytest.approx(
        {
            "alignment/mean": 0.2,
            "alignment/V1 -left--d": 0.3,
            "alignment/µ": 0.1,
            "alignment/V1 -left--d.m.a": 0.3,
            "alignment/V1 -left--d.other.b": 0.9,
            "alignment/µ.m.a.last": 0.1,
            "task/loss": 2.0,
        }
    )
    assert set(metric_keys(rows[:1], "ema")) == {
        f"alignment_ema/{n}" for n in ("mean", "V1 -left--d", "V1 -left--d.m.a")
    }
    two = metric_keys([score(0.5, roi="V1"), score(0.1, roi="V1", benchmark="c")])
    assert two["alignment/b.V1"] == 0.5
    assert two["alignment/c.V1"] == 0.1
    assert metric_keys([]) == {}
