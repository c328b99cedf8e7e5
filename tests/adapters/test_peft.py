"""Checkpoints of adapters: read on their base, unmerged, a step gives the numbers that it gave live."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import tiny_gpt, token_rows, tokenizer
from torch import nn
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
)

from ontogeny import watch
from ontogeny.callbacks.transformers import AlignmentCallback
from ontogeny.errors import WeightsError
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import files, hf_trainer, lightning, replay

peft = pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings(  # peft's own, when a test of ours trains and saves
    "ignore:.is_gradient_checkpointing:FutureWarning",
    "ignore:fan_in_fan_out",
    "ignore:Could not find a config file",
)


def base_folder(folder):
    """The same base for all; a tiny GPT-2 as save_pretrained writes it."""
    tiny_gpt().save_pretrained(folder)
    return folder


def lora(**options):
    given = {"r": 2, "target_modules": ["c_attn", "c_proj"], "task_type": "CAUSAL_LM", "lora_dropout": 0.1, **options}
    return peft.LoraConfig(**given)


def train(folder, model, benchmark, *, steps=2):
    """Two steps with a checkpoint and a live probe after each."""
    live = AlignmentCallback(
        benchmark, record=folder / "live", tokenizer=tokenizer, schedule="every:1", run="mine", pooling="mean"
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=steps,
        save_steps=1,
        learning_rate=0.05,
        per_device_train_batch_size=4,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    )
    Trainer(model=model, args=arguments, train_dataset=token_rows(), callbacks=[live]).train()
    return live.monitor.record


def walked(folder, series, benchmark, name="again"):
    monitor = watch(benchmark, record=folder / name, tokenizer=tokenizer, pooling="mean", run="mine")
    return replay(series, monitor), monitor.record


def values(record, step):
    rows = [s for s in record.scores if s.step == step and s.kind in ("alignment", "confound")]
    return {s.key: s.value for s in rows if "random" not in s.layer}


def hashes(record):
    return {s.step: s.weights for s in record.events(kind="probe")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lora")
    base = GPT2LMHeadModel.from_pretrained(base_folder(folder / "base"))
    return folder, train(folder, peft.get_peft_model(base, lora()), text_benchmark())


@pytest.mark.parametrize("given", ["auto", "folder", "path", "class", "function", "with adapter", "model"])
def test_a_step_replayed_is_the_step_probed_live(run, tmp_path, given):
    folder, live = run

    def with_adapter():
        return peft.get_peft_model(GPT2LMHeadModel.from_pretrained(folder / "base"), lora())

    model = {
        "auto": "auto",
        "folder": str(folder / "base"),
        "path": folder / "base",
        "class": "GPT2LMHeadModel",
        "function": lambda: GPT2LMHeadModel.from_pretrained(folder / "base"),
        "with adapter": with_adapter,
        "model": GPT2LMHeadModel.from_pretrained(folder / "base"),
    }[given]
    before = weights_hash(model) if given == "model" else ""
    walk, again = walked(tmp_path, hf_trainer(folder / "out", model=model), text_benchmark())
    assert walk.whole, walk.lines()
    assert [v.outcome for v in walk.results] == ["scored", "scored"]
    for step in (1, 2):
        now, then = values(again, step), values(live, step)
        assert set(now) == set(then)
        assert len(now) > 4
        for key, value in now.items():
            assert value == pytest.approx(then[key], abs=1e-6), key
        assert hashes(again)[step] == hashes(live)[step]
    assert any("base_model.model.transformer.h.1" in key for key in values(live, 1))
    assert values(live, 1) != values(live, 2), "training moved it"
    if given == "model":
        assert weights_hash(model) == before
        assert not hasattr(model, "peft_config")
        assert not any("lora" in name for name, _ in model.named_modules())


def readings(model):
    """Outputs of all modules for fixed ids: what a probe reads, read by nobody but torch."""
    seen = []
    hooks = [m.register_forward_hook(lambda _m, _i, out: seen.append(out)) for m in model.modules()]
    with torch.no_grad():
        model.eval()(input_ids=torch.arange(1, 9)[None])
    for hook in hooks:
        hook.remove()
    return [out for out in seen if isinstance(out, torch.Tensor)]


def moved(model, seed=3):
    """An adapter and what else is trained, as after training: nothing is zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape).to(parameter.dtype) * 0.3)
    return model


def bert(folder, cls):
    torch.manual_seed(0)
    config = BertConfig(vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    cls(config).save_pretrained(folder)


def gpt(folder):
    return GPT2LMHeadModel.from_pretrained(base_folder(folder))


def classifier(folder):
    bert(folder, BertForPreTraining)
    torch.manual_seed(7)
    return BertForSequenceClassification.from_pretrained(folder, num_labels=5)


def encoder(folder):
    bert(folder, BertModel)
    return BertModel.from_pretrained(folder)


def grown(folder):
    model = gpt(folder)
    model.resize_token_embeddings(20, mean_resizing=False)
    return model


HEADS = {"target_modules": ["query", "value", "output.dense"], "r": 2}
CASES = {
    "several targets": (gpt, lambda: lora()),
    "modules_to_save": (gpt, lambda: lora(modules_to_save=["ln_f", "wte"])),
    "rsLoRA, ranks, bias": (
        gpt,
        lambda: lora(use_rslora=True, rank_pattern={"c_proj": 3}, alpha_pattern={"c_attn": 5}, bias="lora_only"),
    ),
    "DoRA": (gpt, lambda: lora(use_dora=True)),
    "embeddings": (gpt, lambda: lora(target_modules=["wte", "c_fc"])),
    "a grown vocabulary": (grown, lambda: lora()),
    "a grown vocabulary that is trained": (grown, lambda: lora(modules_to_save=["wte"])),
    "no task": (gpt, lambda: peft.LoraConfig(r=2, target_modules=["c_fc"])),
    "a classifier": (classifier, lambda: peft.LoraConfig(task_type="SEQ_CLS", **HEADS)),
    "BertModel": (encoder, lambda: peft.LoraConfig(task_type="FEATURE_EXTRACTION", **HEADS)),
    "BertModel, no task": (encoder, lambda: peft.LoraConfig(**HEADS)),
    "IA3": (gpt, lambda: peft.IA3Config(task_type="CAUSAL_LM")),
    "AdaLoRA": (gpt, lambda: peft.AdaLoraConfig(target_modules=["c_attn"], total_step=10, tinit=1, tfinal=1)),
    "LoHa": (encoder, lambda: peft.LoHaConfig(r=2, target_modules=["query", "value"])),
}


@pytest.mark.filterwarnings(
    "ignore:Setting `save_embedding_layers`",
    "ignore:Careful, disabling adapter layers",
    "ignore:Model has `tie_word_embeddings",
    "ignore:Model with `tie",
)
@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_adapter_is_put_on_its_base_bit_for_bit(tmp_path, case):
    build, config = CASES[case]
    live = moved(peft.get_peft_model(build(tmp_path / "base"), config()))
    live.save_pretrained(tmp_path / "checkpoint-4")
    series = hf_trainer(tmp_path)
    assert series.problems == ()
    loaded = series.load(4)
    assert not loaded.training
    assert type(loaded) is type(live)
    assert [name for name, _ in loaded.named_modules()] == [name for name, _ in live.named_modules()]
    now, then = loaded.state_dict(), live.state_dict()
    drawn = [name for name in then if case == "a classifier" and "classifier.original_module" in name]
    assert set(now) == set(then)
    assert all(torch.equal(now[name], value) for name, value in then.items() if name not in drawn)
    assert drawn or weights_hash(loaded) == weights_hash(live)
    now, then = readings(loaded), readings(live)
    assert len(now) == len(then) > 10
    for one, other in zip(now, then, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    with live.disable_adapter():
        assert not torch.allclose(readings(live)[-1], now[-1], atol=1e-3), "the adapter does something"


def test_an_adapter_that_transformers_put_in_has_the_names_it_had(tmp_path):
    live = gpt(tmp_path / "base")
    live.add_adapter(lora(task_type=None))
    moved(live).save_pretrained(tmp_path / "checkpoint-1")
    loaded = hf_trainer(tmp_path).load(1)
    assert type(loaded) is GPT2LMHeadModel
    assert weights_hash(loaded) == weights_hash(live)


@pytest.mark.parametrize("base", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("adapter", [torch.float32, torch.bfloat16])
def test_base_and_adapter_keep_their_types(tmp_path, base, adapter):
    tiny_gpt().to(base).save_pretrained(tmp_path / "base")
    live = peft.get_peft_model(GPT2LMHeadModel.from_pretrained(tmp_path / "base"), lora(), autocast_adapter_dtype=False)
    for name, parameter in live.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(adapter)
    moved(live).save_pretrained(tmp_path / "checkpoint-1")
    loaded = hf_trainer(tmp_path).load(1)
    assert weights_hash(loaded) == weights_hash(live)
    assert {p.dtype for n, p in loaded.named_parameters() if "lora_" not in n} == {base}


def saved(folder, **changes):
    """A checkpoint of LoRA, and its configuration with some values changed."""
    moved(peft.get_peft_model(gpt(folder / "base"), lora())).save_pretrained(folder / "checkpoint-1")
    path = folder / "checkpoint-1" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder / "checkpoint-1"


def refused(folder, **options):
    with pytest.raises(WeightsError) as caught:
        hf_trainer(folder, **options).load(1)
    return str(caught.value)


def test_without_a_base_it_says_that_it_is_an_adapter_which_base_and_how_to_give_one(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    checkpoint = saved(tmp_path, base_model_name_or_path="")
    told = refused(tmp_path)
    assert "checkpoint-1 holds an adapter (LoRA) and no whole model" in told
    assert "names no base model" in told
    assert "Give it with model= (--model)" in told
    saved(tmp_path, base_model_name_or_path="someone/some-base")
    told = refused(tmp_path)
    assert "its adapter_config.json names the base 'someone/some-base', which is no folder here" in told
    assert "no revision 'main' of it; nothing is downloaded for it" in told
    assert "model= names the base '/no/such', which is no folder" in refused(tmp_path, model="/no/such")
    assert weights_hash(hf_trainer(tmp_path, model=tmp_path / "base").load(1)) == weights_hash(
        peft.PeftModel.from_pretrained(gpt(tmp_path / "base"), checkpoint)
    )


def test_a_base_of_the_hub_is_read_from_the_local_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    checkpoint, commit = saved(tmp_path, base_model_name_or_path="someone/some-base"), "a" * 40
    there = tmp_path / "hub" / "models--someone--some-base"
    shutil.move(tmp_path / "base", there / "snapshots" / commit)
    (there / "refs").mkdir()
    (there / "refs" / "main").write_text(commit)
    expected = peft.PeftModel.from_pretrained(GPT2LMHeadModel.from_pretrained(there / "snapshots" / commit), checkpoint)
    assert weights_hash(hf_trainer(tmp_path).load(1)) == weights_hash(expected)
    assert weights_hash(hf_trainer(tmp_path, model="someone/some-base").load(1)) == weights_hash(expected)
    for revision in (commit, "b" * 40):
        saved(tmp_path, base_model_name_or_path="someone/some-base", revision=revision)
        if revision == commit:
            assert weights_hash(hf_trainer(tmp_path).load(1)) == weights_hash(expected)
        else:
            assert f"no revision {revision!r}" in refused(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "its adapter (prefix tuning) is not read: it puts tokens or states before"),
        ({"peft_type": "XLORA"}, "(XLORA) is not read"),
        ({"peft_type": "FUTURE"}, "(FUTURE) is of a method that this peft"),
        ({"newer_setting": 3}, "does not know: newer_setting; upgrade peft"),
        ({"init_lora_weights": "pissa"}, "began with init_lora_weights='pissa', which changes the base's own weights"),
        ({"megatron_config": {"a": 1}}, "is of Megatron, whose modules are not imported"),
        ({"target_modules": ["no_such"]}, "its adapter cannot be put on GPT2LMHeadModel: "),
        ({"target_modules": ["c_attn"]}, "does not fit PeftModelForCausalLM: unexpected"),
        ({"target_modules": ["c_attn", "c_proj", "c_fc"]}, "does not fit PeftModelForCausalLM: missing"),
        ({"r": 3}, "size mismatch"),
    ],
    ids=str,
)
def test_adapters_that_cannot_be_read_say_why(tmp_path, changes, told):
    saved(tmp_path, **changes)
    assert told in refused(tmp_path)


def test_prefix_tuning_as_it_is_saved_is_refused_by_its_name(tmp_path):
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    peft.get_peft_model(gpt(tmp_path / "base"), config).save_pretrained(tmp_path / "checkpoint-1")
    assert "its adapter (prefix tuning) is not read" in refused(tmp_path)


def test_a_head_that_was_drawn_and_not_saved_is_no_silent_guess(tmp_path):
    live = peft.get_peft_model(classifier(tmp_path / "base"), peft.LoraConfig(**HEADS))
    live.save_pretrained(tmp_path / "checkpoint-1")
    told = refused(tmp_path)
    assert "does not hold all that BertForSequenceClassification has: missing" in told
    assert "classifier.weight" in told
    assert "drawn at random when training began, and not saved" in told
    again = hf_trainer(tmp_path, model=lambda: classifier(tmp_path / "base")).load(1)
    assert weights_hash(again) == weights_hash(live)


def test_a_model_with_another_adapter_on_it_is_noticed(tmp_path):
    saved(tmp_path)
    told = refused(tmp_path, model=lambda: peft.get_peft_model(gpt(tmp_path / "base"), lora(lora_alpha=64)))
    assert "has lora_alpha 8, the model that model= gave has 64; put the adapter on as in training" in told


def test_old_files_are_read_without_running_code_and_torn_ones_are_damaged(tmp_path):
    checkpoint = saved(tmp_path)
    expected = weights_hash(hf_trainer(tmp_path).load(1))
    weights = load_file(checkpoint / "adapter_model.safetensors")
    whole = (checkpoint / "adapter_model.safetensors").read_bytes()
    (checkpoint / "adapter_model.safetensors").unlink()
    torch.save(weights, checkpoint / "adapter_model.bin")
    assert weights_hash(hf_trainer(tmp_path).load(1)) == expected

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({**weights, "x": Evil()}, checkpoint / "adapter_model.bin")
    assert "holds posix.mkdir, for which code would have to be run; nothing was" in refused(tmp_path)
    assert not (tmp_path / "owned").exists()
    (checkpoint / "adapter_model.bin").unlink()
    (checkpoint / "adapter_model.safetensors").write_bytes(whole[:-40])
    told = hf_trainer(tmp_path).problems[0]
    assert (told.kind, told.step) == ("damaged", 1)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] * float("nan")}, checkpoint / "adapter_model.safetensors")
    assert "1 weights are NaN or infinite" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda at: (at / "adapter_config.json").unlink(), "has no adapter_config.json, which says how the adapter"),
        (lambda at: (at / "adapter_model.safetensors").unlink(), "adapter_config.json of an adapter but no weights"),
        (lambda at: shutil.copytree(at, at / "other"), "holds several adapters (default, other)"),
        (lambda at: tiny_gpt().save_pretrained(at), "has whole weights (model.safetensors) and an adapter beside them"),
    ],
)
def test_folders_with_less_or_more_than_one_adapter(tmp_path, change, told):
    change(saved(tmp_path))
    problem = hf_trainer(tmp_path).problems[0]
    assert problem.kind == "unusable"
    assert told in problem.reason


def test_an_adapter_under_a_name_of_its_own(tmp_path):
    live = moved(peft.get_peft_model(gpt(tmp_path / "base"), lora(), adapter_name="mine"))
    live.save_pretrained(tmp_path / "checkpoint-1")
    assert (tmp_path / "checkpoint-1" / "mine" / "adapter_config.json").is_file()
    assert weights_hash(hf_trainer(tmp_path).load(1)) == weights_hash(live)


def test_code_of_the_base_is_not_run_even_where_it_is_allowed(tmp_path):
    saved(tmp_path)
    config = json.loads((tmp_path / "base" / "config.json").read_text())
    auto = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config | {"auto_map": auto}))
    (tmp_path / "base" / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    hf_trainer(tmp_path, trust_remote_code=True).load(1)
    assert not (tmp_path / "ran").exists()


def test_making_models_leaves_random_states_and_the_users_base_alone(tmp_path, unchecked):
    saved(tmp_path)
    mine = gpt(tmp_path / "base")
    names, before = [name for name, _ in mine.named_modules()], weights_hash(mine)
    mine.train()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    for model in ("auto", mine, lambda: mine):
        hf_trainer(tmp_path, model=model).load(1)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert [name for name, _ in mine.named_modules()] == names
    assert (weights_hash(mine), mine.training) == (before, True)


class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.net = inner


@pytest.mark.parametrize("form", ["peft", "names", "module"])
def test_plain_and_lightning_files_of_an_adapter_alone(tmp_path, form):
    base_folder(tmp_path / "base")

    def make():
        model = peft.get_peft_model(GPT2LMHeadModel.from_pretrained(tmp_path / "base"), lora(modules_to_save=["ln_f"]))
        return Wrapped(model) if form == "module" else model

    live = moved(make())
    if form == "peft":
        state = peft.get_peft_model_state_dict(live)
    else:
        state = {name: value for name, value in live.state_dict().items() if ".default" in name}
    torch.save(state, tmp_path / "s1.pt")
    torch.save({"state_dict": state, "global_step": 1, "epoch": 0}, tmp_path / "one.ckpt")
    for series in (files(tmp_path / "s{step}.pt", model=make), lightning(tmp_path, model=make)):
        assert weights_hash(series.load(1)) == weights_hash(live)
    for less in (next(iter(state)), list(state)[-1]):
        torch.save({name: value for name, value in state.items() if name != less}, tmp_path / "s1.pt")
        with pytest.raises(WeightsError, match="does not fit .*: missing"):
            files(tmp_path / "s{step}.pt", model=make).load(1)
    torch.save(state, tmp_path / "s1.pt")
    with pytest.raises(WeightsError, match="weights of a model with an adapter .* let model= return the model with"):
        files(tmp_path / "s{step}.pt", model=lambda: gpt(tmp_path / "base")).load(1)
