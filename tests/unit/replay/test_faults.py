"""Every way in which a checkpoint cannot be read, on real small files: what it is, what was expected, what to do.

"damaged" is said of what is cut off, corrupt or not finite, and of nothing else.
"""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.models import TinyCNN, TinyModule, fast_tokenizer, tiny_gpt
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ontogeny.errors import CheckpointError, WeightsError
from ontogeny.replay import files, hf_trainer, lightning
from ontogeny.replay._loading.state_dict import DamagedError


def weights():
    torch.manual_seed(0)
    return TinyCNN().state_dict()


def optimizer():
    model = TinyCNN()
    model(torch.rand(2, 3, 12, 12)).sum().backward()
    adam = torch.optim.Adam(model.parameters())
    adam.step()
    return adam.state_dict()


def whole(at):
    tiny_gpt().save_pretrained(at)


def sharded(at):
    tiny_gpt().save_pretrained(at, max_shard_size="5KB")


def tokenizer_alone(at):
    fast_tokenizer().save_pretrained(at)
    (at / "special_tokens_map.json").unlink(missing_ok=True)  # transformers 4 writes one


def training_alone(at):
    at.mkdir()
    torch.save(optimizer(), at / "optimizer.pt")
    torch.save({"last_epoch": 1}, at / "scheduler.pt")
    (at / "trainer_state.json").write_text('{"global_step": 1}')


def pickle_cut(at):
    at.mkdir()
    tiny_gpt().config.save_pretrained(at)
    torch.save(tiny_gpt().state_dict(), at / "pytorch_model.bin")
    cut(at / "pytorch_model.bin")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(build, change):
    def made(at):
        build(at)
        change(at)

    return made


def named(name, text="x"):
    def made(at):
        at.mkdir()
        (at / name).write_text(text)

    return made


def placed(name):
    def made(at):
        (at / name).mkdir(parents=True)

    return made


INDEX = "model.safetensors.index.json"
FOLDERS = [
    (
        "an empty folder",
        lambda at: at.mkdir(),
        "unusable",
        "is empty: was the run ended while it saved? Expected model.",
    ),
    ("cut", changed(whole, lambda at: cut(at / "model.safetensors")), "damaged", "its header announces"),
    ("cut pickle", pickle_cut, "damaged", "pytorch_model.bin is cut off (half-written?)"),
    (
        "no config",
        changed(whole, lambda at: (at / "config.json").unlink()),
        "unusable",
        "has no config.json, which says",
    ),
    (
        "half a config",
        changed(whole, lambda at: cut(at / "config.json")),
        "damaged",
        "config.json cannot be read as JSON (half-written?)",
    ),
    (
        "a list as config",
        changed(whole, lambda at: (at / "config.json").write_text("[]")),
        "unusable",
        "config.json holds a list, expected an object",
    ),
    ("a tokenizer", tokenizer_alone, "unusable", "has no weights of a model, only a tokenizer (tokenizer.json"),
    (
        "an optimizer",
        training_alone,
        "unusable",
        "only the state of training (optimizer.pt, scheduler.pt, trainer_state",
    ),
    (
        "an index alone",
        changed(sharded, lambda at: [p.unlink() for p in at.glob("model-*.safetensors")]),
        "unusable",
        f"{INDEX} names ",
    ),
    (
        "a shard cut",
        changed(sharded, lambda at: cut(min(at.glob("model-*.safetensors")))),
        "damaged",
        "model-00001-of-",
    ),
    (
        "a foreign index",
        changed(whole, lambda at: (at / "model.safetensors").rename(at / "away")),
        "unusable",
        "has no weights",
    ),
    (
        "FSDP",
        placed("pytorch_model_fsdp_0"),
        "unusable",
        "shards of FSDP (pytorch_model_fsdp_0): merge them by `accelerate",
    ),
    (
        "DeepSpeed",
        placed("global_step12"),
        "unusable",
        "partitions of DeepSpeed (global_step12): write whole weights by",
    ),
    ("GGUF", named("a.gguf"), "unusable", "weights of another framework (a.gguf): save them from torch"),
    (
        "other names",
        named("weights.pt"),
        "unusable",
        "but other files (weights.pt): read plain files of weights by files(",
    ),
    (
        "git-lfs",
        changed(
            whole,
            lambda at: (at / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid 1\n"),
        ),
        "unusable",
        "model.safetensors is a pointer of git-lfs in place of the file: get it by `git lfs pull`",
    ),
    (
        "renamed",
        changed(whole, lambda at: (at / "trainer_state.json").write_text('{"global_step": 7}')),
        "unusable",
        "its trainer_state.json says step 7, its name 1: was it renamed?",
    ),
]


@pytest.mark.parametrize(("build", "kind", "told"), [pytest.param(*row[1:], id=row[0]) for row in FOLDERS])
def test_a_folder_says_what_it_holds_instead(tmp_path, build, kind, told):
    build(tmp_path / "checkpoint-1")
    series = hf_trainer(tmp_path)
    assert series.steps == ()
    (problem,) = series.problems
    assert problem.kind == kind
    assert told in problem.reason
    assert problem.reason.casefold().endswith("left out")
    assert ("damaged" in str(problem)) == (kind == "damaged")


def nan(at):
    path = at / "model.safetensors"
    state = load_file(path)
    state["transformer.ln_f.weight"][0] = float("nan")
    save_file(state, path, metadata={"format": "pt"})


def resized(at):
    config = json.loads((at / "config.json").read_text())
    (at / "config.json").write_text(json.dumps(config | {"n_embd": 8}))


def odd_class(at):
    config = json.loads((at / "config.json").read_text())
    (at / "config.json").write_text(json.dumps(config | {"architectures": ["OwnModel"]}))


LOADED = [
    ("NaN", nan, {}, DamagedError, "1 weights are NaN or infinite: transformer.ln_f.weight"),
    (
        "other sizes",
        resized,
        {},
        WeightsError,
        "does not fit GPT2LMHeadModel: other shapes: transformer.h.0.attn.c_attn",
    ),
    (
        "another class",
        lambda at: None,
        {"model": "BertModel"},
        WeightsError,
        "does not fit BertModel (its config.json names GPT2LMHeadModel): missing",
    ),
    (
        "a class nobody has",
        odd_class,
        {},
        WeightsError,
        "config.json names the class OwnModel, which this transformers",
    ),
    (
        "a function's other model",
        lambda at: None,
        {"model": TinyCNN},
        WeightsError,
        "No name is common to both: they are",
    ),
]


@pytest.mark.parametrize(("change", "given", "kind", "told"), [pytest.param(*row[1:], id=row[0]) for row in LOADED])
def test_what_shows_when_a_folder_is_loaded(tmp_path, change, given, kind, told):
    whole(tmp_path / "checkpoint-1")
    change(tmp_path / "checkpoint-1")
    with pytest.raises(WeightsError) as caught:
        hf_trainer(tmp_path, **given).load(1)
    assert type(caught.value) is kind
    assert told in str(caught.value)
    assert "damaged" not in str(caught.value)
    assert "checkpoint-1" in str(caught.value)


def front(prefix):
    return {f"{prefix}{name}": value for name, value in weights().items()}


@pytest.mark.parametrize(
    "state",
    [
        front("module."),
        front("_orig_mod."),
        front("module._orig_mod."),
        front("_fsdp_wrapped_module."),
        front("module._fsdp_wrapped_module._checkpoint_wrapped_module."),
        {name.replace("early.", "early._orig_mod."): value for name, value in weights().items()},
        {"state_dict": front("module."), "epoch": 3, "arch": "tiny", "best_acc1": torch.tensor(71.0)},
        {"model": weights(), "optimizer": optimizer(), "epoch": 3},
        {**weights(), "epoch": 3},
    ],
    ids=["ddp", "compiled", "both", "fsdp", "three", "compiled inside", "pth.tar", "with optimizer", "flat"],
)
@pytest.mark.parametrize(
    "wrap", [lambda: TinyCNN(), lambda: torch.compile(TinyCNN()), lambda: nn.DataParallel(TinyCNN())]
)
def test_names_that_wrappers_made_are_those_of_the_model(tmp_path, state, wrap):
    torch.save(state, tmp_path / "s1.pth.tar")
    loaded = files(tmp_path / "s{step}.pth.tar", model=wrap).load(1).state_dict()
    assert all(torch.equal(now, then) for now, then in zip(loaded.values(), weights().values(), strict=True))


def averaged():
    return AveragedModel(TinyCNN()).state_dict()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = TinyCNN()
        self.projector = nn.Linear(4, 4)


def test_weights_of_the_part_that_holds_all_of_a_model_are_put_into_it(tmp_path):
    torch.save(weights(), tmp_path / "s1.pth.tar")
    loaded = files(tmp_path / "s{step}.pth.tar", model=lambda: nn.ModuleDict({"backbone": TinyCNN()})).load(1)
    assert {f"backbone.{name}" for name in weights()} == set(loaded.state_dict())
    assert all(torch.equal(loaded.state_dict()[f"backbone.{name}"], value) for name, value in weights().items())


def shaped():
    return {**weights(), "head.weight": torch.zeros(5, 8)}


FILES = [
    ("model. in front", front("model."), TinyCNN, "Without 'model.' in front the names fit: give prefix='model.'"),
    (
        "net. missing",
        weights(),
        Net,
        "The model has 'net.' in front of these names: let model= make what is called 'net'",
    ),
    ("averaged alone", {"ema": weights(), "epoch": 1}, TinyCNN, "holds averaged weights alone (at 'ema'), and none as"),
    ("averaged by torch", averaged(), TinyCNN, "weights that torch's AveragedModel averaged, not those of training"),
    ("an optimizer", optimizer(), TinyCNN, "is the state of an optimizer, which holds no weights of the model"),
    (
        "training alone",
        {"optimizer": optimizer(), "epoch": 1},
        TinyCNN,
        "holds the state of training ('optimizer', 'epoch') and no weights of the model",
    ),
    (
        "student and teacher",
        {"student": weights(), "teacher": weights(), "optimizer": optimizer()},
        TinyCNN,
        "weights are at 'student', 'teacher'. Say which with key='student'",
    ),
    (
        "deeper",
        {"nets": {"g": weights(), "d": weights()}},
        TinyCNN,
        "weights are at 'nets.g', 'nets.d'. Say which with",
    ),
    (
        "no tensors",
        {"epoch": 1, "arch": "tiny"},
        TinyCNN,
        "holds no weights: it has 'epoch', 'arch'; expected a state_",
    ),
    ("nothing", {}, TinyCNN, "holds no weights: it has nothing"),
    ("another model", tiny_gpt().state_dict(), TinyCNN, "No name is common to both: they are of another model"),
    (
        "part",
        {k: v for k, v in weights().items() if "head" in k},
        TinyCNN,
        "Choose the model, key or prefix that belongs",
    ),
    (
        "sizes",
        shaped(),
        TinyCNN,
        "other shapes: head.weight: (5, 8), the model has (4, 8). Let model= make it in the size",
    ),
    (
        "a whole model",
        TinyCNN(),
        TinyCNN,
        "holds tests.helpers.nets.TinyCNN, for which code would have to be run; nothing was",
    ),
    ("a list", [1, 2], TinyCNN, "holds a list, not a mapping with weights; save a state_dict"),
]


@pytest.mark.parametrize(("content", "model", "told"), [pytest.param(*row[1:], id=row[0]) for row in FILES])
def test_a_file_says_what_it_holds_instead(tmp_path, content, model, told):
    torch.save(content, tmp_path / "s1.pt")
    series = files(tmp_path / "s{step}.pt", model=model)
    assert series.problems == ()
    with pytest.raises(WeightsError) as caught:
        series.load(1)
    assert told in str(caught.value)
    assert "s1.pt" in str(caught.value)
    assert not isinstance(caught.value, DamagedError)
    for word in ("damaged", "corrupt", "cut off", "half-written"):
        assert word not in str(caught.value)


def flipped(path):
    """A file of the old format with one part of it overwritten."""
    torch.save(weights(), path, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    content[40:80] = b"\xff" * 40
    path.write_bytes(bytes(content))


def old_and_cut(path):
    torch.save(weights(), path, _use_new_zipfile_serialization=False)
    cut(path)


@pytest.mark.parametrize("build", [flipped, old_and_cut])
def test_corrupt_files_are_said_to_be_so(tmp_path, build):
    build(tmp_path / "s1.pt")
    with pytest.raises(DamagedError, match="s1.pt is cut off or corrupt, it cannot be read"):
        files(tmp_path / "s{step}.pt", model=TinyCNN).load(1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of git-lfs in place of the file"),
        ("<!DOCTYPE html><html>", "is no file that torch.save wrote: it begins with b'<!DOCTYPE html><'"),
    ],
)
def test_files_of_another_kind_are_not_damaged(tmp_path, text, told):
    (tmp_path / "s1.pt").write_text(text)
    with pytest.raises(WeightsError) as caught:
        files(tmp_path / "s{step}.pt", model=TinyCNN).load(1)
    assert told in str(caught.value)
    assert not isinstance(caught.value, DamagedError)


def test_lightning_files_of_another_kind_are_unusable_and_torn_ones_damaged(tmp_path):
    state = TinyModule().state_dict()
    torch.save({"state_dict": state, "global_step": 3}, tmp_path / "good.ckpt")
    torch.save(weights(), tmp_path / "plain.ckpt")
    torch.save({"state_dict": None, "global_step": 4}, tmp_path / "empty.ckpt")
    shutil.copy(tmp_path / "good.ckpt", tmp_path / "torn.ckpt")
    cut(tmp_path / "torn.ckpt")
    told = {p.what.rsplit("/", 1)[-1]: p.kind for p in lightning(tmp_path, model=TinyModule).problems}
    assert told == {"plain.ckpt": "unusable", "empty.ckpt": "unusable", "torn.ckpt": "damaged"}
    (tmp_path / "good.ckpt").unlink()
    with pytest.raises(CheckpointError, match="can be used: unusable: .*has no"):
        lightning(tmp_path, model=TinyModule)
