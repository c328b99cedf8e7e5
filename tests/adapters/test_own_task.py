"""The trainer's own held-out data are the task of a record that names none; training is the same to the bit."""

from __future__ import annotations

import json

import lightning.pytorch as pl
import pytest
import torch
from tests.helpers.models import TinyModule, image_data, image_loader, tiny_gpt, token_rows, tokenizer, transform
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.monitoring.callbacks._trainer_eval_data import of_one_process


def shuffled(features):
    """A collator that draws: as one that masks tokens does."""
    order = torch.randperm(len(features))
    return {key: torch.stack([features[i][key] for i in order]) for key in features[0]}


class Losses(TrainerCallback):
    def __init__(self):
        self.seen = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.seen += [(state.global_step, name, logs[name]) for name in ("loss", "eval_loss") if name in logs]


def train(folder, *callbacks, evaluate=True, eval_dataset=None, cls=Trainer, collator=shuffled, own=None, **more):
    losses = Losses()
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=4,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=4,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=2,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        **more,
    )
    trainer = cls(
        model=tiny_gpt(),
        args=arguments,
        train_dataset=token_rows(),
        eval_dataset=eval_dataset,
        data_collator=collator,
        compute_loss_func=own,
        callbacks=[losses, *callbacks],
    )
    trainer.train()
    return losses.seen, trainer.model.state_dict(), trainer


def watching(benchmark, folder, **options):
    reading = {"tokenizer": tokenizer, "pooling": "mean", "controls": False}
    return TransformersCallback(benchmark, record=folder / "r", schedule="at:2", **reading, **options)


def next_token_loss(model, rows):
    ids = torch.stack([row["input_ids"] for row in rows])
    with torch.no_grad():
        logits = model.eval()(input_ids=ids).logits
    return float(nn.functional.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1)))


def task_lines(text):
    begin = ("ontogeny: task: ", "ontogeny: no task ", "ontogeny: the trainer's held-out data ")
    return [line for line in text.splitlines() if line.startswith(begin)]


@pytest.mark.parametrize("persistent", [False, True])
def test_a_trainers_evaluation_data_are_the_task_and_nothing_of_it_is_seen(text_benchmark, tmp_path, capfd, persistent):
    workers = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True} if persistent else {}
    held_out = token_rows(72, seed=9)
    without = train(tmp_path, eval_dataset=held_out, **workers)
    callback = watching(text_benchmark, tmp_path)
    losses, weights, trainer = train(tmp_path, callback, eval_dataset=held_out, **workers)
    assert losses == without[0]
    assert {name for _, name, _ in losses} == {"loss", "eval_loss"}
    assert all(torch.equal(weights[name], value) for name, value in without[1].items())
    assert type(trainer.accelerator).__name__ == "Accelerator"
    record = callback.monitor.record
    series = record.series(kind="task", metric="loss")
    assert series.steps.tolist() == [0, 2, 4]
    assert series.values[-1] == pytest.approx(next_token_loss(trainer.model, held_out[:64]), abs=1e-5)
    (line,) = task_lines(capfd.readouterr().err)
    assert line == (
        "ontogeny: task: loss on the trainer's eval_dataset, its first 16 batches, read once; task= takes another, "
        "task=False none"
    )
    assert record.header["task"] == line.removeprefix("ontogeny: ")


def test_of_several_evaluation_sets_the_first_is_the_task(text_benchmark, tmp_path, capfd):
    sets = {"books": token_rows(8, seed=9), "news": token_rows(8, seed=10)}
    callback = watching(text_benchmark, tmp_path)
    train(tmp_path, callback, evaluate=False, eval_dataset=sets)
    first = callback.monitor.record.series(kind="task", metric="loss").values[0]
    assert first == pytest.approx(next_token_loss(tiny_gpt(), sets["books"]), abs=1e-5)
    assert "eval_dataset 'books', the first of 2, its first 2 batches" in capfd.readouterr().err


def test_without_held_out_data_one_line_says_what_is_missing(text_benchmark, tmp_path, capfd):
    callback = watching(text_benchmark, tmp_path)
    train(tmp_path, callback, evaluate=False)
    assert task_lines(capfd.readouterr().err) == [
        "ontogeny: no task is measured (this Trainer has no eval_dataset, which would be the task), so that which "
        "moves first, alignment or performance, cannot be tested: pass task=HeldOutLoss(held-out batches), with loss= "
        "where the trainer computes its own, or task=False if none is wanted"
    ]
    assert callback.monitor.record.select(kind="task") == []


def test_a_task_that_was_named_wins_and_false_is_none(text_benchmark, tmp_path, capfd):
    named = HeldOutLoss([{key: value[None] for key, value in row.items()} for row in token_rows(2, seed=3)])
    callback = watching(text_benchmark, tmp_path, task=named)
    train(tmp_path, callback, evaluate=False, eval_dataset=token_rows(8, seed=9))
    assert callback.monitor.task is named
    off = watching(text_benchmark, tmp_path / "off", task=False)
    train(tmp_path, off, evaluate=False, eval_dataset=token_rows(8, seed=9))
    assert off.monitor.record.select(kind="task") == []
    assert task_lines(capfd.readouterr().err) == []


class Broken(Dataset):
    """Held-out data that end the process that reads them."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        raise SystemExit("no such file")


def test_held_out_data_that_cannot_be_read_are_refused_alone(text_benchmark, tmp_path, capfd):
    callback = watching(text_benchmark, tmp_path)
    losses, _, _ = train(tmp_path, callback, evaluate=False, eval_dataset=Broken())
    assert losses == train(tmp_path, evaluate=False)[0]
    record = callback.monitor.record
    refused = record.events(kind="refusal", layer="(task)")
    assert [row.step for row in refused] == [0, 2, 4]
    assert "the trainer's held-out data cannot be read (SystemExit: no such file)" in refused[0].note
    assert len(record.series(layer="transformer.h.1", roi="left").steps) == 3
    assert "pass task=HeldOutLoss(batches), or task=False" in task_lines(capfd.readouterr().err)[0]


class Contrastive(Trainer):
    """Computes its own loss on two sides, as trainers of sentence encoders do."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss = two_sides(model, inputs).mean()
        return (loss, None) if return_outputs else loss


def two_sides(model, batch):
    ids = (batch["anchor_input_ids"], batch["positive_input_ids"])
    one, two = (model.transformer(input_ids=side).last_hidden_state.mean(dim=1) for side in ids)
    return nn.functional.cross_entropy(one @ two.T, torch.arange(len(one)), reduction="none")


def two_of(rows):
    ids = torch.stack([row["input_ids"] for row in rows])
    return {"anchor_input_ids": ids, "positive_input_ids": ids.roll(1, dims=1)}


def test_a_trainer_with_a_loss_of_its_own_is_told_what_to_pass_and_that_works(text_benchmark, tmp_path, capfd):
    own = {"cls": Contrastive, "collator": two_of, "evaluate": False, "remove_unused_columns": False}
    held_out = token_rows(8, seed=9)
    refused = watching(text_benchmark, tmp_path / "default")
    train(tmp_path, refused, eval_dataset=held_out, **own)
    rows = refused.monitor.record.events(kind="refusal", layer="(task)")
    assert [row.step for row in rows] == [0, 2, 4]
    assert "the held-out batch has other keys (anchor_input_ids" in rows[0].note
    assert "Say how it is measured: task=HeldOutLoss(batches, loss=f) where f(model, batch)" in rows[0].note
    assert len(refused.monitor.record.series(layer="transformer.h.1", roi="left").steps) == 3
    assert "by HeldOutLoss and not by Contrastive.compute_loss" in task_lines(capfd.readouterr().err)[0]

    named = watching(text_benchmark, tmp_path / "named", task=HeldOutLoss([two_of(held_out)], loss=two_sides))
    _, _, trainer = train(tmp_path, named, **own)
    found = named.monitor.record.series(kind="task", metric="loss")
    with torch.no_grad():
        assert found.values[-1] == pytest.approx(float(two_sides(trainer.model.eval(), two_of(held_out)).mean()))
    assert found.steps.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"label_smoothing_factor": 0.1}, "the trainer's label smoothing"),
        ({"own": lambda outputs, labels, **_: outputs.logits.square().mean()}, "the trainer's compute_loss_func"),
    ],
)
def test_a_loss_that_is_not_the_models_is_said_not_to_be_what_is_measured(
    text_benchmark, tmp_path, capfd, option, named
):
    callback = watching(text_benchmark, tmp_path)
    train(tmp_path, callback, evaluate=False, eval_dataset=token_rows(8, seed=9), **option)
    assert f"by HeldOutLoss and not by {named}; task= takes another" in task_lines(capfd.readouterr().err)[0]
    assert callback.monitor.record.select(kind="task", step=4)


def test_a_second_training_takes_the_second_trainers_data(text_benchmark, tmp_path):
    callback = watching(text_benchmark, tmp_path)
    for seed, name in ((9, "r"), (10, "r-2")):
        train(tmp_path, callback, evaluate=False, eval_dataset=token_rows(8, seed=seed))
        record = callback.monitor.record
        assert record.folder.name == name
        loss = next_token_loss(tiny_gpt(), token_rows(8, seed=seed))
        assert record.series(kind="task", metric="loss").values[0] == pytest.approx(loss, abs=1e-5)


class Counting(pl.LightningDataModule):
    """Counts what is made, and draws while it is."""

    def __init__(self, *, loaders=1):
        super().__init__()
        self.made, self.loaders = 0, loaders

    def train_dataloader(self):
        return image_loader()

    def val_dataloader(self):
        self.made += 1
        torch.rand(3)
        each = [DataLoader(image_data(32, seed=5 + i), batch_size=16) for i in range(self.loaders)]
        return each[0] if self.loaders == 1 else each


class Several(TinyModule):
    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        super().validation_step(batch, batch_idx)


def fit(folder, *callbacks, data=None, module=TinyModule, **options):
    pl.seed_everything(3, verbose=False)
    model, data = module(), data or Counting()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )
    trainer.fit(model, datamodule=data) if isinstance(data, pl.LightningDataModule) else trainer.fit(model, data)
    return model, data


def lightning(benchmark, folder, **options):
    return LightningCallback(
        benchmark, record=folder / "r", transform=transform, schedule="every:3", controls=False, **options
    )


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"max_epochs": 2}, [0, 3, 6, 9, 12]),
        ({"max_epochs": 2, "num_sanity_val_steps": 0}, [0, 3, 6, 9, 12]),
        ({"max_epochs": 3, "num_sanity_val_steps": 0, "check_val_every_n_epoch": 2}, [15, 18]),
    ],
)
def test_a_validation_loader_is_the_task_and_is_made_once(image_benchmark, tmp_path, capfd, options, steps):
    without, made = fit(tmp_path, **options)
    ours = lightning(image_benchmark, tmp_path)
    model, data = fit(tmp_path, ours, **options)
    assert model.losses == without.losses
    assert data.made == made.made == 1
    series = ours.monitor.record.series(kind="task", metric="loss")
    assert series.steps.tolist() == steps
    batches = list(DataLoader(image_data(32, seed=5), batch_size=16))
    assert series.values[-1] == pytest.approx(HeldOutLoss(batches)(model.eval())[0].value, abs=1e-6)
    lines = task_lines(capfd.readouterr().err)
    assert lines[-1].startswith("ontogeny: task: loss on the trainer's validation loader, its first 2 batches, read")
    if 0 not in steps:
        assert "the trainer makes its validation loader later; it is the task from then on" in lines[0]
        assert len(lines) == 2
    else:
        assert len(lines) == 1


def test_of_several_validation_loaders_the_first_is_the_task(image_benchmark, tmp_path, capfd):
    one, several = lightning(image_benchmark, tmp_path / "1"), lightning(image_benchmark, tmp_path / "2")
    fit(tmp_path, one, max_epochs=1)
    fit(tmp_path, several, max_epochs=1, data=Counting(loaders=2), module=Several)
    values = [c.monitor.record.series(kind="task", metric="loss").values.tolist() for c in (one, several)]
    assert values[0] == values[1]
    assert "validation loader, the first of 2, its first 2 batches" in capfd.readouterr().err


@pytest.mark.parametrize("how", [{"batch_size": 4}, {"batch_size": None}, {"batch_size": 4, "drop_last": True}])
def test_a_loader_that_is_shared_out_among_ranks_is_read_whole(how):
    shared = DistributedSampler(image_data(30, seed=5), num_replicas=2, rank=1, shuffle=False)
    loader = DataLoader(image_data(30, seed=5), sampler=shared, **how)
    mine, whole = list(loader), list(DataLoader(image_data(30, seed=5), **how))
    read = list(of_one_process(loader))
    assert len(mine) < len(read) == len(whole)
    assert all(torch.equal(a, b) for one, two in zip(read, whole, strict=True) for a, b in zip(one, two, strict=True))
    assert len(list(loader)) == len(mine)


def test_without_validation_one_line_says_so(image_benchmark, tmp_path, capfd):
    fit(tmp_path, lightning(image_benchmark, tmp_path), max_epochs=1, data=image_loader())
    (line,) = task_lines(capfd.readouterr().err)
    assert "(this fit has no validation: val_dataloader and validation_step make it the task)" in line


def test_a_validation_batch_of_another_form_is_refused_alone_and_said_once(image_benchmark, tmp_path, capfd):
    class Views(Counting):
        def val_dataloader(self):
            return DataLoader([(torch.rand(3, 12, 12), torch.rand(3, 12, 12), i) for i in range(8)], batch_size=4)

    class Contrastive(TinyModule):
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", (self(batch[0]) - self(batch[1])).square().mean())

    ours = lightning(image_benchmark, tmp_path)
    fit(tmp_path, ours, max_epochs=1, data=Views(), module=Contrastive)
    refused = ours.monitor.record.events(kind="refusal", layer="(task)")
    assert {row.step for row in refused} == {0, 3, 6}
    assert "HeldOutLoss cannot use a batch of type tuple" in refused[0].note
    assert "pass loss=(model, batch) -> loss of each case. Say how it is measured: task=Held" in refused[0].note
    said = [line for line in capfd.readouterr().err.splitlines() if "the task is refused" in line]
    assert len(said) == 1


def test_a_plain_loop_is_told_once_too(image_benchmark, tmp_path, capfd):
    model = TinyModule().net
    for task, lines in ((None, 1), (False, 0)):
        monitor = watch(image_benchmark, record=tmp_path / str(task), transform=transform, task=task)
        for step in range(3):
            monitor(model, step)
        monitor.finish(model, 3)
        said = task_lines(capfd.readouterr().err)
        assert len(said) == lines
    assert json.loads((tmp_path / "None" / "record.json").read_text())["task"].startswith("no task is measured (none")
    assert "task" not in Record(tmp_path / "False").header


def test_a_large_data_set_of_somebodys_own_is_not_kept_unasked(image_benchmark, tmp_path, capfd):
    class Large(Dataset):
        labels = ()

        def __init__(self):
            self.labels = list(range(1_100_000))

        def __len__(self):
            return 8

        def __getitem__(self, index):
            return torch.rand(3, 12, 12), self.labels[index] % 4

    class Data(Counting):
        def val_dataloader(self):
            return DataLoader(Large(), batch_size=4)

    ours = lightning(image_benchmark, tmp_path)
    model, _ = fit(tmp_path, ours, max_epochs=1, data=Data())
    assert model.losses == fit(tmp_path, max_epochs=1, data=Data())[0].losses
    (line,) = task_lines(capfd.readouterr().err)
    assert "its data set holds 1,100,001 values or more and 0.0 GB in memory" in line
    assert "list(itertools.islice(loader, 16)) is short enough" in line
    assert len(ours.monitor.record.series(layer="net.late", metric="rsa-correlation-spearman").steps) == 3
