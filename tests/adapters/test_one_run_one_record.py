"""Which record a training writes into: one per run, in the trainer's own folder; a resumed run finds its own."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tests.helpers.models import TinyModule, image_loader, tiny_gpt, token_rows, tokenizer, transform
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny import Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.errors import RecordError
from ontogeny.extraction.weights import weights_hash

pytestmark = pytest.mark.filterwarnings(
    "ignore:Checkpoint directory", "ignore:.*when using `ckpt_path`, callbacks", "ignore:The dirpath has changed"
)
QUICK = {"controls": False, "rehearsal": False}


def probes(folder):
    return [s.step for s in Record(folder).events(kind="probe")]


def lightning(benchmark, **options):
    return LightningCallback(benchmark, transform=transform, **{"schedule": "every:2", **QUICK, **options})


def fit(folder, ours, *, steps=4, seed=1, ckpt=None, logger=True, every=3):
    pl.seed_everything(seed, verbose=False)
    module = TinyModule()
    module.net.late[2].p = 0.0  # Lightning does not keep the random state over a resume
    keep = ModelCheckpoint(filename="{step}", every_n_train_steps=every, save_top_k=-1)
    trainer = pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_steps=steps,
        logger=CSVLogger(folder) if logger else False,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ours, keep] if every else [ours],
        enable_checkpointing=bool(every),
    )
    trainer.fit(module, image_loader(8, shuffle=False), ckpt_path=ckpt)  # one batch an epoch: see tests.helpers.killing
    return trainer


def test_two_plain_lightning_runs_have_a_record_each_in_their_log_folder(image_benchmark, tmp_path):
    first, second = (fit(tmp_path, lightning(image_benchmark), seed=seed) for seed in (1, 2))
    assert first.log_dir != second.log_dir
    assert [probes(Path(t.log_dir) / "alignment") for t in (first, second)] == [[0, 2, 4], [0, 2, 4]]
    for number in ("", "-2"):
        fit(tmp_path / "bare", lightning(image_benchmark), logger=False, every=0)
        assert probes(tmp_path / "bare" / f"alignment{number}") == [0, 2, 4]


@pytest.mark.parametrize("callback", ["again", "new"])
def test_a_resumed_lightning_run_finds_its_record_at_a_step_that_was_not_probed(image_benchmark, tmp_path, callback):
    """The new trainer has a log folder of its own; other records lie about."""
    other = fit(tmp_path, lightning(image_benchmark), seed=2)
    ours = lightning(image_benchmark)
    first = fit(tmp_path, ours)
    record = Path(first.log_dir) / "alignment"
    ckpt = next(Path(first.log_dir).rglob("step=3.ckpt"))
    again = ours if callback == "again" else lightning(image_benchmark)
    second = fit(tmp_path, again, steps=8, ckpt=ckpt)
    assert again.monitor.record.folder == record
    assert probes(record) == [0, 2, 4, 6, 8]
    assert Record(record).branches == ()
    assert not (Path(second.log_dir) / "alignment").exists()
    assert probes(Path(other.log_dir) / "alignment") == [0, 2, 4]


def test_a_lightning_run_rolled_back_and_trained_differently_supersedes(image_benchmark, tmp_path):
    first = fit(tmp_path, lightning(image_benchmark))
    ckpt = next(Path(first.log_dir).rglob("step=3.ckpt"))
    ours = lightning(image_benchmark)
    state = torch.load(ckpt, weights_only=True)
    state["optimizer_states"][0]["param_groups"][0]["lr"] = 0.5
    torch.save(state, ckpt)
    with pytest.warns(UserWarning, match="was resumed at step 3 and went on differently: step 4 has other weights now"):
        fit(tmp_path, ours, steps=6, ckpt=ckpt)
    record = ours.monitor.record
    assert record.folder == Path(first.log_dir) / "alignment"
    assert probes(record.folder) == [0, 2, 4, 6]
    assert {s.step for s in record.left_behind(record.branches[0])} == {4}


def test_another_runs_checkpoint_is_refused_where_a_record_was_given(image_benchmark, tmp_path):
    fit(tmp_path / "a", lightning(image_benchmark, record=tmp_path / "r"))
    other = fit(tmp_path / "b", lightning(image_benchmark), seed=2)
    ckpt = next(Path(other.log_dir).rglob("step=3.ckpt"))
    before = (tmp_path / "r" / "scores.jsonl").read_text()
    with pytest.raises(RecordError, match="holds step 3, of other weights .* another run wrote there"):
        fit(tmp_path / "c", lightning(image_benchmark, record=tmp_path / "r"), steps=6, ckpt=ckpt)
    assert (tmp_path / "r" / "scores.jsonl").read_text() == before


@pytest.mark.parametrize("given", [True, False])
def test_a_second_lightning_fit_with_the_same_callback_has_a_record_of_its_own(image_benchmark, tmp_path, given):
    ours = lightning(image_benchmark, **({"record": tmp_path / "r"} if given else {}))
    seen = []
    for fold in range(3):
        trainer = fit(tmp_path / "logs", ours, seed=fold, every=0)
        seen.append(ours.monitor.record.folder)
        assert ours.monitor.latest[0] == 4
        expected = tmp_path / ("r" if fold == 0 else f"r-{fold + 1}") if given else Path(trainer.log_dir) / "alignment"
        assert seen[-1] == expected
    assert [probes(folder) for folder in seen] == [[0, 2, 4]] * 3
    assert len({Record(folder).identity for folder in seen}) == 3


def hugging_face(benchmark, **options):
    return TransformersCallback(benchmark, tokenizer=tokenizer, **{"schedule": "every:2", **QUICK, **options})


def arguments(folder, **options):
    known = {"max_steps": 4, "save_strategy": "steps", "save_steps": 3, "logging_strategy": "no", **options}
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        **known,
    )


def train(folder, *ours, seed=0, resume=None, **options):
    trainer = Trainer(
        model=tiny_gpt(seed=seed),
        args=arguments(folder, **options),
        train_dataset=token_rows(),
        callbacks=list(ours),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def test_plain_and_resumed_hugging_face_runs_of_one_output_folder(text_benchmark, tmp_path):
    """Two runs after another, then the second is resumed: it goes on in its own record."""
    train(tmp_path, hugging_face(text_benchmark), seed=0)
    train(tmp_path, hugging_face(text_benchmark), seed=1)
    assert probes(tmp_path / "alignment") == probes(tmp_path / "alignment-2") == [0, 2, 4]
    before = (tmp_path / "alignment" / "scores.jsonl").read_text()
    ours = hugging_face(text_benchmark)
    train(tmp_path, ours, seed=5, resume=str(tmp_path / "checkpoint-3"), max_steps=6)
    assert ours.monitor.record.folder == tmp_path / "alignment-2"
    assert probes(tmp_path / "alignment-2") == [0, 2, 4, 6]
    assert ours.monitor.record.branches == ()
    assert (tmp_path / "alignment" / "scores.jsonl").read_text() == before
    assert not (tmp_path / "alignment-3").exists()


class Ends(TrainerCallback):
    """What a kill right after a checkpoint was written does, before other callbacks hear of it."""

    def on_save(self, args, state, control, **kwargs):
        raise RuntimeError("killed")


@pytest.mark.parametrize("how", [{"save_steps": 3}, {"save_strategy": "epoch", "max_steps": 40}])
def test_a_checkpoint_is_noted_before_it_is_written(text_benchmark, tmp_path, how):
    ours = hugging_face(text_benchmark, record=tmp_path / "r", schedule="at:2")
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path, Ends(), ours, **how)
    (checkpoint,) = tmp_path.glob("checkpoint-*")
    step = int(checkpoint.name.partition("-")[2])
    assert [s.step for s in Record(tmp_path / "r").events(kind="checkpoint")] == [step]
    ours.monitor.close()
    again = hugging_face(text_benchmark, record=tmp_path / "r", schedule="at:2")
    train(tmp_path, again, resume=str(checkpoint), **{**how, "max_steps": step + 1, "save_strategy": "no"})
    assert probes(tmp_path / "r") == [0, 2, step + 1]


def test_a_resumed_run_whose_record_is_gone_begins_another_and_says_so(text_benchmark, tmp_path, capsys):
    train(tmp_path, hugging_face(text_benchmark))
    shutil.rmtree(tmp_path / "alignment")
    ours = hugging_face(text_benchmark)
    train(tmp_path, ours, resume=True, max_steps=6)
    assert probes(tmp_path / "alignment") == [4, 6]
    assert "resumed at step 4; no record near" in capsys.readouterr().err


def test_a_hyperparameter_search_has_a_record_a_trial_and_its_own_numbers(text_benchmark, tmp_path):
    """As `Trainer.hyperparameter_search` does it: one trainer and callback, a new model and a `train()` a trial."""
    ours, numbers = hugging_face(text_benchmark), []
    trainer = Trainer(
        model_init=lambda trial=None: tiny_gpt(seed=len(numbers)),
        args=arguments(
            tmp_path,
            eval_strategy="steps",
            eval_steps=2,
            save_steps=2,
            metric_for_best_model="alignment/mean",
            greater_is_better=True,
            load_best_model_at_end=True,
            learning_rate=0.05,
        ),
        train_dataset=token_rows(),
        eval_dataset=token_rows(8, seed=2),
        callbacks=[ours],
    )
    for _ in range(3):
        trainer.train()
        record = ours.monitor.record
        best = record.events(kind="probe", step=trainer.state.best_global_step)[0]
        assert best.weights == weights_hash(trainer.model)
        numbers.append(trainer.state.best_metric)
        if trainer.state.best_global_step < 4:
            assert "eval_alignment" not in trainer.evaluate(), "these weights are not those of the newest numbers"
    folders = [tmp_path / name for name in ("alignment", "alignment-2", "alignment-3")]
    assert [probes(folder) for folder in folders] == [[0, 2, 4]] * 3
    assert len(set(numbers)) == 3
    for folder, number in zip(folders, numbers, strict=True):
        rows = [s for s in Record(folder).select(kind="alignment") if s.step in (2, 4)]
        rois = {s.roi for s in rows}
        means = {
            step: sum(max(s.value for s in rows if s.step == step and s.roi == roi) for roi in rois) / len(rois)
            for step in (2, 4)
        }
        assert number == pytest.approx(max(means.values()))


def test_an_evaluation_of_another_model_is_given_no_numbers(text_benchmark, tmp_path):
    ours = hugging_face(text_benchmark)
    trainer = train(tmp_path, ours, max_steps=2)
    assert "eval_alignment/mean" in trainer.evaluate(token_rows(4))
    with torch.no_grad():
        trainer.model.transformer.wte.weight.add_(1)
    assert "eval_alignment/mean" not in trainer.evaluate(token_rows(4))


def test_a_search_by_the_loss_keeps_its_objective(text_benchmark, tmp_path):
    """The default objective is the sum of all numbers but the loss, where there are any."""
    ours = hugging_face(text_benchmark)
    trainer = Trainer(
        model=tiny_gpt(),
        args=arguments(tmp_path, eval_strategy="steps", eval_steps=2, save_strategy="no", max_steps=2),
        train_dataset=token_rows(),
        eval_dataset=token_rows(8, seed=2),
        callbacks=[ours],
    )
    seen = []

    class Looks(type(ours).__mro__[1]):
        def on_step_end(self, args, state, control, **kwargs):
            state.is_hyper_param_search = True

        def on_evaluate(self, args, state, control, metrics=None, **kwargs):
            seen.append({name for name in metrics if "alignment" in name})

    trainer.add_callback(Looks())
    trainer.train()
    assert seen == [set()]


def test_a_monitor_made_by_hand_needs_a_record_or_a_callback(image_benchmark, tmp_path):
    monitor = watch(image_benchmark, record=None, transform=transform, **QUICK)
    with pytest.raises(RecordError, match="no record yet"):
        _ = monitor.record
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        monitor.open(tmp_path / "r")
    assert monitor.record.folder == tmp_path / "r"
