"""Weights out of files: nothing is run, nothing is missing, nothing is left over, everything is finite."""

from __future__ import annotations

import argparse
import datetime
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.helpers.models import TinyCNN
from torch import nn

from ontogeny.errors import ConfigError, WeightsError
from ontogeny.replay._loading.find_state_dict import inner
from ontogeny.replay._loading.model_factory import make, resolve
from ontogeny.replay._loading.state_dict import all_finite, damage, load_into, read, stripped


@pytest.fixture
def state():
    torch.manual_seed(0)
    return TinyCNN().state_dict()


def test_safetensors_and_torch_files_are_read_as_they_were_written(tmp_path, state):
    save_file(state, tmp_path / "a.safetensors")
    torch.save({"state_dict": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, tmp_path / "b.pt")
    torch.save(state, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    for content in (read(tmp_path / "a.safetensors"), read(tmp_path / "b.pt")["state_dict"], read(tmp_path / "c.pt")):
        assert set(content) == set(state)
        assert all(torch.equal(content[name], value) for name, value in state.items())


def test_no_code_in_a_file_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({"state_dict": {"a": torch.zeros(1)}, "x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(
        WeightsError, match=r"evil.pt holds posix.mkdir, for which code would have to be run; nothing was"
    ):
        read(tmp_path / "evil.pt")
    torch.save(TinyCNN(), tmp_path / "whole.pt")
    with pytest.raises(
        WeightsError, match=r"whole.pt holds tests.helpers.nets.TinyCNN, for which code would have to be run"
    ):
        read(tmp_path / "whole.pt")
    assert not (tmp_path / "owned").exists()


def test_classes_that_the_user_trusts_may_be_in_a_file(tmp_path):
    torch.save({"a": torch.zeros(1), "when": datetime.timedelta(1)}, tmp_path / "a.pt")
    with pytest.raises(
        WeightsError, match=r"a.pt holds datetime.timedelta, .* or name the class in allow= if you know it"
    ):
        read(tmp_path / "a.pt")
    assert read(tmp_path / "a.pt", allow=[datetime.timedelta])["when"] == datetime.timedelta(1)


def test_a_file_without_a_mapping_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="a.pt holds a Tensor, not a mapping with weights; save a state_dict"):
        read(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_file_that_was_cut_off_is_noticed_without_reading_it(tmp_path, state, name, share):
    path = tmp_path / name
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    assert damage(path) is None
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    told = damage(path)
    if share == 0.001 and name == "a.pt":
        assert told is not None or path.stat().st_size < 2
    else:
        assert "half-written?" in told or "no readable header" in told
    with pytest.raises(WeightsError, match=name):
        read(path)


def test_missing_and_strange_files(tmp_path):
    assert damage(tmp_path / "no.pt") == "is missing"
    (tmp_path / "b.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0notjson!")
    assert damage(tmp_path / "b.safetensors") == "has no readable header; it is not a safetensors file"
    (tmp_path / "c.pt").write_text("hello")
    assert damage(tmp_path / "c.pt") is None, "an old format cannot be told from its end"
    with pytest.raises(WeightsError, match="c.pt: is no file that torch.save wrote: it begins with b'hello'"):
        read(tmp_path / "c.pt")


def test_the_state_dict_is_found_where_it_usually_is(state):
    assert inner(state, None, "x") == state
    for content in ({"state_dict": state, "epoch": 1}, {"model": state}, {"state": {"model": state}, "rng": 1}):
        assert set(inner(content, None, "x")) == set(state)
    assert set(inner({"state_dict": {}, "ema": state}, "ema", "x")) == set(state)
    assert set(inner({"state": {"model_ema_state_dict": state}}, "state.model_ema_state_dict", "x")) == set(state)


def test_a_state_dict_that_is_not_there_says_what_is(state):
    with pytest.raises(
        WeightsError, match=r"x has no state_dict; weights are at 'weights'. Say which with key='weights'"
    ):
        inner({"weights": state, "epoch": 1}, None, "x")
    with pytest.raises(WeightsError, match=r"x has no state_dict at 'wieghts'. Did you mean 'weights'"):
        inner({"weights": state}, "wieghts", "x")


def test_prefixes(state):
    wrapped = {f"module.{name}": value for name, value in state.items()}
    assert set(stripped(wrapped, "", "x")) == set(state)
    assert set(stripped({f"module._orig_mod.{n}": v for n, v in state.items()}, "", "x")) == set(state)
    mixed = {f"net.{name}": value for name, value in state.items()} | {"loss.weight": torch.zeros(1)}
    assert set(stripped(mixed, "net.", "x")) == set(state)
    assert set(stripped(mixed, "", "x")) == set(mixed)
    with pytest.raises(WeightsError, match="x: no weight's name begins with 'ent.'"):
        stripped(mixed, "ent.", "x")


def test_loading_is_strict_and_says_what_does_not_fit(state):
    model = load_into(TinyCNN(), state, "x")
    assert not model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    less = {name: value for name, value in state.items() if not name.startswith("head")}
    with pytest.raises(
        WeightsError, match=r"x does not fit TinyCNN: missing 2: head.weight, head.bias; unexpected 1: new"
    ):
        load_into(TinyCNN(), {**less, "new": torch.zeros(1)}, "x")
    with pytest.raises(WeightsError, match=r"other shapes: head.weight: \(5, 8\), the model has \(4, 8\)"):
        load_into(TinyCNN(), {**state, "head.weight": torch.zeros(5, 8)}, "x")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_weight_that_is_not_finite_is_found(bad, dtype):
    model = nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3)).to(dtype)
    all_finite(model, "x")
    with torch.no_grad():
        model[1].weight[2, 4] = bad
    with pytest.raises(WeightsError, match=r"x: 1 weights are NaN or infinite: 1.weight; this checkpoint is left out"):
        all_finite(model, "x")


def test_large_weights_and_masks_are_finite():
    model = nn.Linear(64, 64).half()
    with torch.no_grad():
        model.weight.fill_(60_000)  # their sum is not a half-precision number
    model.register_buffer("mask", torch.full((2, 2), float("-inf")))
    model.register_buffer("count", torch.tensor(3))
    model.register_buffer("nothing", torch.zeros(0))
    all_finite(model, "x")
    model.mask[0, 0] = float("nan")
    with pytest.raises(WeightsError, match="mask"):
        all_finite(model, "x")


def test_a_model_is_found_by_its_text_in_the_current_folder_too(tmp_path, monkeypatch):
    (tmp_path / "own_net_for_test.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Linear(2, 2)\nx = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    assert isinstance(make(resolve("own_net_for_test:net"), {}, "x"), nn.Linear)
    assert resolve("tests.helpers.nets:TinyCNN") is TinyCNN
    assert resolve(TinyCNN) is TinyCNN
    with pytest.raises(ConfigError, match="'own_net_for_test' has no 'nte'. Did you mean 'net'"):
        resolve("own_net_for_test:nte")
    with pytest.raises(ConfigError, match="'own_net_for_test:x' is a int, neither a class nor a function"):
        resolve("own_net_for_test:x")
    with pytest.raises(
        ConfigError, match="No module named 'no_such_module'; is the module in this folder or installed"
    ):
        resolve("no_such_module:net")
    with pytest.raises(ConfigError, match="expected module:attribute, got 'net'"):
        resolve("net")
    assert str(tmp_path) not in os.sys.path


def test_a_class_gets_the_options_that_it_takes_and_a_function_none():
    made = make(TinyCNN, {"frozen_norm": True, "other": 1}, "x")
    assert made.frozen_norm
    assert isinstance(make(lambda: nn.Identity(), {"frozen_norm": True}, "x"), nn.Identity)
    with pytest.raises(
        WeightsError, match=r"x: Linear cannot be made: .*in_features.*Give a function without arguments"
    ):
        make(nn.Linear, {}, "x")
    with pytest.raises(WeightsError, match="x: model= gave a str, expected a torch module"):
        make(lambda: "net", {}, "x")


def test_reading_maps_the_file_and_what_was_loaded_outlives_it(tmp_path, state):
    path = Path(tmp_path / "a.pt")
    torch.save(state, path)
    model = load_into(TinyCNN(), read(path), "x")
    path.unlink()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
