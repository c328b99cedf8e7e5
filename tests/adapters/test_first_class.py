"""Checkpoints, early stopping and best models are chosen by alignment, at the weights it is of; raw or averaged weights
are read as asked, at the right step."""

from __future__ import annotations

import lightning.pytorch as pl
import pytest
import schedulefree
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from tests.helpers.models import (
    TinyCNN,
    TinyModule,
    image_data,
    image_loader,
    tiny_gpt,
    token_rows,
    tokenizer,
    transform,
)
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.errors import ConfigError, RecordError
from ontogeny.extraction.weights import weights_hash
from ontogeny.sinks import metric_keys


def lightning(benchmark, folder, **options):
    task = HeldOutLoss(batches=list(DataLoader(image_data(32, seed=5), batch_size=16)))
    return LightningCallback(benchmark, record=folder / "r", transform=transform, task=task, **options)


def fit(callbacks, *, module=None, validation=None, **options):
    pl.seed_everything(4, verbose=False)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        **options,
    )
    trainer.fit(module or TinyModule(), image_loader(), validation)
    return trainer


def numbers(record: Record, name: str) -> dict[int, float]:
    steps = [s.step for s in record.events(kind="probe")]
    return {k: metric_keys([s for s in record.scores if s.step == k])[name] for k in steps}


@pytest.mark.parametrize("how", [{"every_n_train_steps": 4}, {"save_on_train_epoch_end": True}, {}], ids=str)
def test_the_best_checkpoint_holds_the_weights_that_its_alignment_was_measured_on(image_benchmark, tmp_path, how):
    """The schedule alone would have probed steps 0 and the last."""
    ours = lightning(image_benchmark, tmp_path, schedule="at:0")
    keep = ModelCheckpoint(tmp_path / "c", monitor="alignment/IT", mode="max", save_top_k=-1, **how)
    validation = None if how else DataLoader(image_data(8, seed=2), batch_size=8)
    fit([keep, ours], max_epochs=3, validation=validation)
    curve = numbers(ours.monitor.record, "alignment/IT")
    assert len(keep.best_k_models) >= 3
    for path, value in keep.best_k_models.items():
        saved = torch.load(path, weights_only=True)
        assert float(value) == pytest.approx(curve[saved["global_step"]], abs=1e-6)
        module = TinyModule()
        module.load_state_dict(saved["state_dict"])
        row = ours.monitor.record.events(kind="probe", step=saved["global_step"])[0]
        assert row.weights == weights_hash(module)


def test_early_stopping_stops_where_the_alignment_says_so(image_benchmark, tmp_path):
    ours = lightning(image_benchmark, tmp_path, schedule="at:0")
    stop = EarlyStopping("alignment/mean", mode="max", patience=1)
    validation = DataLoader(image_data(8, seed=2), batch_size=8)
    trainer = fit([stop, ours], max_epochs=40, validation=validation, val_check_interval=2)
    curve = list(numbers(ours.monitor.record, "alignment/mean").values())[1:]
    assert trainer.global_step < 240
    assert stop.best_score.item() == pytest.approx(max(curve), abs=1e-6)
    assert ours.monitor.latest[0] == trainer.global_step
    assert [s.step for s in ours.monitor.record.events(kind="probe")][-1] == trainer.global_step


def test_sanity_validation_is_not_a_probe(image_benchmark, tmp_path):
    ours = lightning(image_benchmark, tmp_path, schedule="at:2")
    keep = ModelCheckpoint(tmp_path / "c", monitor="task/loss")
    trainer = fit([ours, keep], max_steps=3, validation=DataLoader(image_data(8, seed=2)), num_sanity_val_steps=2)
    assert [s.step for s in ours.monitor.record.events(kind="probe")] == [0, 2, 3]
    assert float(trainer.callback_metrics["task/loss"]) == pytest.approx(
        ours.monitor.record.series(kind="task", metric="loss").values[-1], abs=1e-6
    )


class Keeps(pl.Callback):
    """Hashes of the raw and the averaged weights after every update."""

    def __init__(self, average):
        self.average, self.raw, self.ema = average, {}, {}

    def on_train_start(self, trainer, pl_module):
        self.on_train_batch_end(trainer, pl_module, None, None, 0)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.raw[trainer.global_step] = weights_hash(pl_module)
        self.ema[trainer.global_step] = weights_hash(self.average._average_model.module)


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_raw_or_averaged_weights_are_read_as_asked_and_the_record_says_which(image_benchmark, tmp_path, which):
    average = EMAWeightAveraging(decay=0.7)
    ours = lightning(image_benchmark, tmp_path, schedule="every:2", weights=which)
    keeps = Keeps(average)
    order = [average, ours, keeps] if which == "ema" else [ours, average, keeps]
    trainer = fit(order, max_epochs=2, validation=DataLoader(image_data(8, seed=2)))
    record = ours.monitor.record
    probes = {s.step: s.weights for s in record.events(kind="probe")}
    assert list(probes) == [0, 2, 4, 6, 8, 10, 12]
    assert probes == {step: getattr(keeps, which)[step] for step in probes}
    assert keeps.raw[6] != keeps.ema[6]
    assert {s.note.partition(",")[0] for s in record.events(kind="probe")} == {f"{which} weights"}
    assert record.header["weights"] == which
    section = "alignment" if which == "raw" else "alignment_ema"
    assert f"{section}/IT" in trainer.callback_metrics
    with pytest.raises(RecordError, match=f"is of {which} weights, these are"):
        assert lightning(image_benchmark, tmp_path, weights="ema" if which == "raw" else "raw").monitor


def test_averaged_weights_need_their_callback_before_ours(image_benchmark, tmp_path):
    for callbacks in ([], [EMAWeightAveraging()]):
        ours = lightning(image_benchmark, tmp_path, weights="ema")
        with pytest.raises(ConfigError, match="put one into the trainer's callbacks, before AlignmentCallback"):
            fit([ours, *callbacks], max_steps=1)


class StopsAt(pl.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.global_step >= self.step


@pytest.mark.parametrize("first", [True, False])
def test_the_last_raw_weights_are_read_or_missed_aloud_where_averaging_replaces_them(image_benchmark, tmp_path, first):
    ours, average = lightning(image_benchmark, tmp_path, schedule="at:0"), EMAWeightAveraging(decay=0.7)
    keeps = Keeps(average)
    callbacks = [ours, average, keeps, StopsAt(6)] if first else [average, ours, keeps, StopsAt(6)]
    if first:
        fit(callbacks, max_epochs=9)
        assert {s.step: s.weights for s in ours.monitor.record.events(kind="probe")}[6] == keeps.raw[6]
    else:
        with pytest.warns(UserWarning, match=r"raw weights of the last step \(6\) were not read"):
            fit(callbacks, max_epochs=9)
        assert [s.step for s in ours.monitor.record.events(kind="probe")] == [0]


class TwoOptimizers(TinyModule):
    """Manual optimization, as GANs do it."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(p.parameters(), lr=0.01) for p in (self.net.early, self.net.late)]


def test_in_manual_optimization_each_optimizers_update_counts(image_benchmark, tmp_path):
    ours = lightning(image_benchmark, tmp_path, schedule="every:2")
    fit([ours], module=TwoOptimizers(), max_epochs=1)
    assert [s.step for s in ours.monitor.record.events(kind="probe")] == [0, 2, 4, 6, 8, 10, 12]


def test_the_state_of_the_callback_is_plain_and_a_lost_record_is_noticed(image_benchmark, tmp_path):
    keep = ModelCheckpoint(tmp_path / "c", save_last=True, every_n_train_steps=3)
    fit([lightning(image_benchmark, tmp_path, schedule="every:2"), keep], max_steps=3)
    saved = torch.load(tmp_path / "c" / "last.ckpt", weights_only=True)
    state = next(v for k, v in saved["callbacks"].items() if "AlignmentCallback" in k)
    assert state == {"record": str(tmp_path / "r"), "last_probe": 3}
    elsewhere = lightning(image_benchmark, tmp_path / "elsewhere")
    with pytest.warns(UserWarning, match="saved after a probe at step 3, which record .* does not hold"):
        elsewhere.load_state_dict(state)


def test_a_checkpoint_from_before_the_callback_was_added_resumes(image_benchmark, tmp_path):
    def keep():
        return ModelCheckpoint(tmp_path / "c", save_last=True, every_n_train_steps=6)

    fit([keep()], max_steps=6)
    ours = lightning(image_benchmark, tmp_path, schedule="every:2")
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[ours, keep()], max_steps=9
    )
    with pytest.warns(UserWarning, match="Checkpoint directory .* is not empty"):
        trainer.fit(TinyModule(), image_loader(), ckpt_path=tmp_path / "c" / "last.ckpt")
    assert [s.step for s in ours.monitor.record.events(kind="probe")] == [6, 8, 9]


def train(benchmark, folder, *callbacks, **options):
    ours = TransformersCallback(benchmark, record=folder / "r", tokenizer=tokenizer, schedule="at:1")
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=4,
        learning_rate=0.05,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=2,
        save_steps=2,
        greater_is_better=True,
        load_best_model_at_end=True,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        **options,
    )
    several = {"one": token_rows(8, seed=2), "two": token_rows(8, seed=3)}
    evaluation = several if "one" in options["metric_for_best_model"] else token_rows(8)
    trainer = Trainer(
        model=tiny_gpt(),
        args=arguments,
        train_dataset=token_rows(),
        eval_dataset=evaluation,
        callbacks=[ours, *callbacks],
    )
    trainer.train()
    return trainer, ours


@pytest.mark.parametrize("name", ["alignment", "alignment/mean", "eval_alignment/left"])
def test_the_hugging_face_trainer_loads_the_model_of_the_best_alignment(text_benchmark, tmp_path, name):
    trainer, ours = train(text_benchmark, tmp_path, metric_for_best_model=name, max_steps=8)
    inner = "alignment/left" if "left" in name else "alignment/mean"
    curve = numbers(ours.monitor.record, inner)
    assert list(curve) == [0, 1, 2, 4, 6, 8]
    best = max((2, 4, 6, 8), key=lambda step: curve[step])
    assert trainer.state.best_metric == pytest.approx(curve[best])
    assert trainer.state.best_global_step == best
    assert weights_hash(trainer.model) == ours.monitor.record.events(kind="probe", step=best)[0].weights


def test_the_hugging_face_trainer_stops_early_by_the_alignment(text_benchmark, tmp_path):
    stop = EarlyStoppingCallback(early_stopping_patience=1)
    trainer, ours = train(text_benchmark, tmp_path, stop, metric_for_best_model="alignment", max_steps=400)
    assert trainer.state.global_step < 400
    assert max(numbers(ours.monitor.record, "alignment/mean")) == trainer.state.global_step


def test_an_evaluation_after_training_or_of_several_sets_adds_no_probe(text_benchmark, tmp_path):
    options = {"metric_for_best_model": "eval_one_loss", "max_steps": 2}
    trainer, ours = train(text_benchmark, tmp_path, **options)
    probes = [s.step for s in ours.monitor.record.events(kind="probe")]
    assert probes == [0, 1, 2]
    assert "eval_alignment" in trainer.evaluate(token_rows(4))
    assert [s.step for s in ours.monitor.record.events(kind="probe")] == probes


def test_a_schedule_free_optimizers_deployed_weights_are_read(image_benchmark, tmp_path):
    torch.manual_seed(0)
    model = TinyCNN()
    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=0.05)
    optimizer.train()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="every:1")
    images, labels = image_data(16).tensors
    for step in range(1, 4):
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        monitor(model, step, optimizers=[optimizer])
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert all(group["train_mode"] for group in optimizer.param_groups)
    optimizer.eval()
    row = monitor.record.events(kind="probe", step=3)[0]
    assert row.weights == weights_hash(model)
    assert row.note.startswith("raw weights, as a schedule-free optimizer deploys them, float32")
    monitor(model, 4, optimizers=[optimizer])
    assert not any(group["train_mode"] for group in optimizer.param_groups)


def test_an_averaged_model_of_torch_is_read_under_the_names_of_the_model(image_benchmark, tmp_path):
    model = TinyCNN()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    rows = monitor.measure(AveragedModel(model), 0)
    assert {s.layer for s in rows if s.kind == "alignment"} == {"early", "late", "head"}
    assert rows[-1].weights == weights_hash(model)


def test_features_are_read_in_the_weights_own_precision_whatever_wraps_forward(text_benchmark, tmp_path):
    """accelerate puts autocast into `forward` itself; live scores would otherwise differ from replayed ones."""
    seen = tmp_path / "types"  # a list would be put back
    curves = []
    for bf16 in (False, True):
        folder = tmp_path / str(bf16)
        ours = TransformersCallback(text_benchmark, record=folder / "r", tokenizer=tokenizer, schedule="at:0")
        model = tiny_gpt()

        def look(module, _, out):
            with seen.open("a") as file:
                file.write("" if module.training else f"{(out[0] if isinstance(out, tuple) else out).dtype}\n")

        model.transformer.h[1].register_forward_hook(look)
        arguments = TrainingArguments(
            output_dir=str(folder), max_steps=1, bf16=bf16, report_to="none", use_cpu=True, disable_tqdm=True
        )
        Trainer(model=model, args=arguments, train_dataset=token_rows(), callbacks=[ours]).train()
        curves.append(ours.monitor.record.series(roi="left", layer="transformer.h.1").values[0])
    assert set(seen.read_text().split()) == {"torch.float32"}
    assert curves[0] == curves[1]
