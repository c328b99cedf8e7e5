"""The hash of weights: by its formula in Python's integers, what it notices, and records that have the older one."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from tests.helpers.models import TinyCNN, tiny_gpt, tokenizer
from torch import nn

from ontogeny import Record, watch
from ontogeny.extraction import weights as hashes
from ontogeny.extraction._keyed_sums import keyed_sums
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import files, replay

_MOD = 2**64


def splitmix(place: int) -> int:
    """SplitMix64 as published: state place x golden ratio."""
    z = ((place + 1) * 0x9E3779B97F4A7C15) % _MOD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % _MOD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % _MOD
    return z ^ (z >> 31)


def by_formula(content: bytes) -> list[int]:
    content += bytes(-len(content) % 1024)
    total = [0] * 8
    for row in range(len(content) // 1024):
        part = content[1024 * row : 1024 * (row + 1)]
        numbers = [int.from_bytes(part[i : i + 2], "little", signed=True) for i in range(0, 1024, 2)]
        for s in range(8):
            one = sum((splitmix(512 * s + i) & 0xFFFF) * x for i, x in enumerate(numbers))
            total[s] += one * splitmix(2**40 + 8 * row + s)
    return [(t + 2**63) % _MOD - 2**63 for t in total]


def test_splitmix_is_the_published_one():
    assert splitmix(0) == 0xE220A8397B1DCDAF  # first number of seed 0 in the authors' own test


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(700, generator=torch.Generator().manual_seed(0)),
        torch.randn(3, 512, generator=torch.Generator().manual_seed(1)).bfloat16(),
        torch.randn(257, generator=torch.Generator().manual_seed(2), dtype=torch.complex64),
        torch.randn(40, 30, generator=torch.Generator().manual_seed(3)).T,
        torch.arange(1031, dtype=torch.uint8),
        torch.arange(4100, dtype=torch.uint8)[1:],
        torch.tensor([True, False, True]),
        torch.tensor(3),
        torch.full((600,), -32768, dtype=torch.int16),
        torch.tensor([float("nan"), float("inf"), -0.0]),
        torch.zeros(0),
        torch.zeros(()).expand(3, 4),
    ],
    ids=lambda t: f"{t.dtype}-{tuple(t.shape)}",
)
def test_sums_are_those_of_the_formula(tensor):
    content = tensor.contiguous().clone().reshape(-1).view(torch.uint8).numpy().tobytes()
    assert keyed_sums(tensor).tolist() == by_formula(content)


def test_sums_do_not_depend_on_pieces_or_threads(monkeypatch):
    from ontogeny.extraction import _keyed_sums

    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    known, threads = keyed_sums(x).tolist(), torch.get_num_threads()
    monkeypatch.setattr(_keyed_sums, "_ROWS", 37)
    assert keyed_sums(x).tolist() == known
    monkeypatch.setattr(_keyed_sums, "_BLOCK", {"cpu": 3})
    torch.set_num_threads(2)
    try:
        assert keyed_sums(x).tolist() == known
    finally:
        torch.set_num_threads(threads)


def test_a_device_without_room_leaves_it_to_the_cpu(monkeypatch):
    from ontogeny.extraction import _keyed_sums

    x = torch.randn(3000, generator=torch.Generator().manual_seed(0))
    known, real, calls = keyed_sums(x).tolist(), _keyed_sums._total, []

    def full(flat):
        calls.append(flat)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(flat)

    monkeypatch.setattr(_keyed_sums, "_total", full)
    assert keyed_sums(x).tolist() == known
    assert len(calls) == 2


def test_a_bit_two_signs_two_places_and_rows_are_noticed():
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    seen = {tuple(keyed_sums(x).tolist())}

    def changed(change) -> None:
        y = x.clone()
        change(y)
        found = tuple(keyed_sums(y).tolist())
        assert found not in seen
        seen.add(found)

    for bit in range(32):
        changed(
            lambda y, bit=bit: y.view(torch.int32)[1000].bitwise_xor_(torch.tensor(1 << bit if bit < 31 else -(2**31)))
        )
    changed(lambda y: y.__setitem__([3, 900], -x[[3, 900]]))
    changed(lambda y: y.__setitem__(slice(None), -x))
    changed(lambda y: y.__setitem__([0, 1], x[[1, 0]]))
    changed(lambda y: y.__setitem__(slice(0, 512), x[512:1024]) or y.__setitem__(slice(512, 1024), x[:512]))
    assert len(seen) == 37


def test_names_types_and_shapes_count_and_wrappers_do_not():
    torch.manual_seed(0)
    model = TinyCNN()
    known = weights_hash(model)
    assert len(known) == 32
    assert weights_hash(torch.nn.DataParallel(model)) == known
    assert weights_hash(model.double()) != known
    flat, square = nn.Module(), nn.Module()
    flat.register_buffer("x", torch.zeros(4))
    square.register_buffer("x", torch.zeros(2, 2))
    assert weights_hash(flat) != weights_hash(square)
    square.register_buffer("y", torch.zeros(0))
    assert len({weights_hash(square), weights_hash(nn.Module()), weights_hash(flat)}) == 3


def test_hashes_stay_what_they_are_between_versions():
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.arange(6.0).view(2, 3))
        model.bias.zero_()
    weight, bias = (
        torch.tensor(by_formula(p.detach().numpy().tobytes())).numpy().tobytes() for p in (model.weight, model.bias)
    )
    expected = hashlib.sha256(b"biastorch.float32(2,)" + bias + b"weighttorch.float32(2, 3)" + weight).hexdigest()
    assert weights_hash(model) == expected[:32] == "3fa9f529dc1c44497bb1ecb4307ad49a"
    content = (
        b"biastorch.float32(2,)" + bytes(8) + b"weighttorch.float32(2, 3)" + model.weight.detach().numpy().tobytes()
    )
    assert weights_hash(model, like="0" * 16) == hashlib.sha256(content).hexdigest()[:16]


@pytest.fixture
def older(text_benchmark, tmp_path, monkeypatch):
    """A series, and a record of it that has hashes of the older kind."""
    (tmp_path / "w").mkdir()
    for step in (0, 1):
        torch.save(tiny_gpt(seed=step).state_dict(), tmp_path / "w" / f"step{step}.pt")
    series = files(tmp_path / "w" / "step{step}.pt", model=tiny_gpt)
    newer = hashes.weights_hash
    with monkeypatch.context() as patch:
        patch.setattr("ontogeny.monitoring.snapshot.weights_hash", lambda model: newer(model, like="0" * 16))
        replay(series, watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, run="r"))
    return series, tmp_path / "r"


def test_a_record_of_older_hashes_is_compared_by_them(older, text_benchmark, tmp_path):
    series, folder = older
    assert {len(event.weights) for event in Record(folder).events(kind="probe")} == {16}
    monitor = watch(text_benchmark, record=folder, tokenizer=tokenizer, run="r")
    assert [one.outcome for one in replay(series, monitor, verify=True).results] == ["known", "known"]
    torch.save(tiny_gpt(seed=7).state_dict(), tmp_path / "w" / "step1.pt")
    monitor = watch(text_benchmark, record=folder, tokenizer=tokenizer, run="r")
    found = replay(series, monitor, verify=True).results
    assert [one.outcome for one in found] == ["known", "changed"]
    assert "changed since" in found[1].reason


def test_a_training_goes_on_in_a_record_of_older_hashes(older, text_benchmark, tmp_path):
    series, folder = older
    monitor = watch(text_benchmark, record=folder, tokenizer=tokenizer, run="r")
    assert monitor(series.load(1), 1) == []
    monitor(series.load(1), 2)
    found = {event.step: len(event.weights) for event in monitor.record.events(kind="probe")}
    assert found == {0: 16, 1: 16, 2: 32}
    assert json.loads((folder / "record.json").read_text())
