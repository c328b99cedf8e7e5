"""Weights of another floating type than the run's are said to be that; making models disturbs nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, TinyModule, tiny_gpt, tokenizer, transform
from torch import nn

from ontogeny import watch
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import files, hf_trainer, lightning, replay
from ontogeny.replay._loading.model_factory import make


def live(folder, benchmark, dtype, *, step=1):
    monitor = watch(benchmark, record=folder / "r", tokenizer=tokenizer, run="mine")
    monitor(tiny_gpt().to(dtype), step, force=True)
    return monitor.record


def walk(folder, benchmark, **options):
    monitor = watch(benchmark, record=folder / "r", tokenizer=tokenizer, run="mine")
    return replay(hf_trainer(folder / "out", **options), monitor), monitor.record


def saved(folder, dtype, *, step=1, seed=0):
    tiny_gpt(seed=seed).to(dtype).save_pretrained(folder / "out" / f"checkpoint-{step}")


TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@pytest.mark.parametrize("ran", ["float32", "bfloat16"])
@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
def test_a_checkpoint_in_another_type_than_the_live_rows_is_said_to_be(text_benchmark, tmp_path, ran, kept):
    record = live(tmp_path, text_benchmark, TYPES[ran])
    before = [s for s in record.scores if s.step == 1]
    saved(tmp_path, TYPES[kept])
    walked, again = walk(tmp_path, text_benchmark)
    told = "\n".join(walked.lines())
    assert "damaged" not in told
    assert [s for s in again.scores if s.step == 1] == before
    if ran == kept:
        assert walked.results[0].outcome == "known"
        assert "1 known" in told
    else:
        assert walked.results[0].outcome == "changed"
        assert not walked.whole
        assert "changed since; the record's" not in told or "rounded" in told
    if (ran, kept) == ("bfloat16", "float32"):
        assert "the same weights as the record's" in told
        assert "float32 here" in told
        assert "bfloat16 there" in told
    if (ran, kept) == ("float32", "bfloat16"):
        assert "in bfloat16" in told
        assert "of a type that the record does not say: if the run held float32, these may be the same ones" in told


def test_weights_that_changed_in_the_same_type_are_changed(text_benchmark, tmp_path):
    live(tmp_path, text_benchmark, torch.float32)
    saved(tmp_path, torch.float32, seed=5)
    (visit,) = walk(tmp_path, text_benchmark)[0].results
    assert visit.outcome == "changed"
    assert "in float32, the record's" in visit.reason
    assert "changed since; the record's rows are kept" in visit.reason


def test_a_walk_says_which_types_it_read_and_notes_them(text_benchmark, tmp_path):
    for step, dtype in enumerate(TYPES.values(), start=1):
        saved(tmp_path, dtype, step=step)
    walked, record = walk(tmp_path, text_benchmark)
    assert record.header["dtypes"] == {"bfloat16": [2], "float16": [3], "float32": [1]}
    assert [(v.dtype, v.stored) for v in walked.results] == [(name, name) for name in TYPES]
    lines = walked.lines()
    assert lines[0] == "3 checkpoints: 3 scored"
    assert lines[1] == (
        "  step 2: weights read in bfloat16, as stored; a live run that held them in another type has rows that differ "
        "by rounding"
    )
    assert lines[2].startswith("  step 3: weights read in float16, as stored")
    assert len(lines) == 3


def test_types_that_a_walk_noted_are_compared(text_benchmark, tmp_path):
    saved(tmp_path, torch.float32)
    walk(tmp_path, text_benchmark)
    saved(tmp_path, torch.bfloat16)
    told = walk(tmp_path, text_benchmark)[0].results[0]
    assert told.outcome == "changed"
    assert "in float32: another type, whose rows differ by rounding" in told.reason


def test_weights_that_are_cast_when_read_are_said_to_be(text_benchmark, tmp_path):
    saved(tmp_path, torch.bfloat16)
    assert (
        "weights stored in bfloat16, read in float32" in walk(tmp_path, text_benchmark, dtype="float32")[0].lines()[1]
    )
    other = tmp_path / "function"
    saved(other, torch.bfloat16)
    line = walk(other, text_benchmark, model=tiny_gpt)[0].lines()[1]
    assert "weights stored in bfloat16, read in float32" in line


def test_a_config_that_names_another_type_does_not_round_the_weights(tmp_path):
    saved(tmp_path, torch.float32)
    path = tmp_path / "out" / "checkpoint-1" / "config.json"
    path.write_text(path.read_text().replace('"float32"', '"bfloat16"'))
    assert weights_hash(hf_trainer(tmp_path / "out").load(1)) == weights_hash(tiny_gpt())


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_making_models_leaves_the_process_as_it_was(tmp_path, unchecked, image_benchmark):
    saved(tmp_path, torch.float32)
    torch.save(TinyCNN().state_dict(), tmp_path / "s1.pt")
    torch.save({"state_dict": TinyModule().state_dict(), "global_step": 1}, tmp_path / "a.ckpt")

    def careless():
        random.random(), np.random.rand(), torch.set_default_dtype(torch.float32), torch.set_grad_enabled(False)
        return TinyCNN()

    every = [
        hf_trainer(tmp_path / "out"),
        files(tmp_path / "s{step}.pt", model=careless),
        lightning(tmp_path, model=TinyModule),
    ]
    before = states()
    for series in every:
        series.load(1)
        assert states() == before
        assert torch.is_grad_enabled()
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    before = states()
    assert replay(every[1], monitor).whole
    assert states() == before


def test_a_model_of_the_users_own_is_copied_and_one_that_is_new_is_not(tmp_path):
    mine, kept = TinyCNN(), []
    state = {name: value.clone() for name, value in mine.state_dict().items()}
    torch.save({name: value + 1 for name, value in state.items()}, tmp_path / "s1.pt")

    def keeps():
        kept.append(TinyCNN())
        return kept[-1]

    for model in (mine, lambda: mine, keeps):
        loaded = files(tmp_path / "s{step}.pt", model=model).load(1)
        assert loaded is not mine
        assert loaded not in kept
        assert torch.equal(loaded.head.bias, state["head.bias"] + 1)
    assert mine.training
    assert all(torch.equal(value, state[name]) for name, value in mine.state_dict().items())
    made = []

    class Counted(nn.Linear):
        def __deepcopy__(self, memo):
            made.append("copied")
            return super().__deepcopy__(memo) if hasattr(super(), "__deepcopy__") else self

    make(lambda: Counted(2, 2), {}, "x")
    assert made == []
