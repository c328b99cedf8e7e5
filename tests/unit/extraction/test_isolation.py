"""Isolation: interrupts, compiled functions, weights that are elsewhere, what is remembered of a model."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, tiny_gpt, tokenizer, transform
from torch import nn

from ontogeny import Probe, watch
from ontogeny.errors import ProbeError
from ontogeny.extraction.isolation import NotYetError, observing
from ontogeny.extraction.preserved import preserved, what_reading_changes
from ontogeny.extraction.random_state import GlobalState, _autocast
from ontogeny.extraction.state import SavedState
from ontogeny.extraction.state._values import _total
from ontogeny.extraction.weights import weights_hash


def test_ctrl_c_waits_until_everything_is_put_back():
    """Sent at many moments from another thread: it is raised, and nothing is left behind."""
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    raised = 0
    for moment in range(25):
        timer = threading.Timer(0.0004 * moment, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            with observing(model) as seen:
                seen.model.train()
                for _ in range(20):
                    seen.model(torch.rand(8, 4))
            timer.join()
        except KeyboardInterrupt:
            raised += 1
        timer.join()
        assert model.training
        assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert raised > 0


def test_a_compiled_model_is_neither_compiled_anew_nor_seen_compiled(text_benchmark):
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    model = tiny_gpt()
    plain = Probe(stimuli=text_benchmark.stimuli, reader=tokenizer)(model)
    model.forward = torch.compile(model.forward, backend=backend)
    ids = torch.randint(0, 12, (4, 6))
    model(ids)
    n = len(compiled)
    assert n > 0
    found = Probe(stimuli=text_benchmark.stimuli, reader=tokenizer)(model)
    model(ids)
    assert len(compiled) == n
    for site, x in plain.values.items():
        assert torch.equal(found.values[site], x)


def test_weights_that_accelerate_keeps_elsewhere_are_read_and_hashed(image_benchmark):
    accelerate = pytest.importorskip("accelerate")
    model = TinyCNN().eval()
    plain, known = Probe(stimuli=image_benchmark.stimuli, reader=transform)(model), weights_hash(model)
    moved = accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert all(p.is_meta for p in moved.parameters())
    assert weights_hash(moved) == known
    found = Probe(stimuli=image_benchmark.stimuli, reader=transform)(moved)
    assert all(p.is_meta for p in moved.parameters())
    for site, x in plain.values.items():
        assert torch.equal(found.values[site], x)


def test_weights_without_values_are_refused_by_name(image_benchmark, tmp_path):
    with torch.device("meta"):
        model = TinyCNN()
    with pytest.raises(ProbeError, match=r"'early.0.weight' is on the meta device|failed on stimuli 'p00', 'p01'"):
        watch(image_benchmark, record=tmp_path / "r", transform=transform)(model, 0)
    with pytest.raises(ProbeError, match="on the meta device: it has no values"):
        weights_hash(model)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_sparse_and_complex_weights_are_hashed_and_kept():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("sparse", torch.eye(3).to_sparse())
            self.register_buffer("complex", torch.ones(2, dtype=torch.complex64))
            self.register_buffer("rows", torch.eye(3).to_sparse_csr())

    model = Odd()
    first = weights_hash(model)
    with preserved(model):
        model.sparse.mul_(2)
        model.complex.mul_(2j)
        assert weights_hash(model) != first
    assert weights_hash(model) == first


def test_a_hash_does_not_pin_a_buffer():
    model = nn.BatchNorm1d(4)
    weights_hash(model)
    model.running_mean.resize_(64)


def test_a_model_that_its_first_batch_completes_is_read_after_it(image_benchmark, tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4), nn.Linear(4, 2))
    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, schedule="at:0,5", layers=["0", "4"])
    with pytest.raises(NotYetError, match="made by the first batch"), observing(model):
        pass
    assert monitor.check(model)
    assert monitor(model, 0) == []
    model(torch.rand(2, 3, 12, 12))
    assert monitor(model, 1)
    assert sorted({s.step for s in monitor.record.select(kind="alignment")}) == [1]
    assert "3.weight" in monitor.record.events(kind="cost", metric="left out")[0].note


def test_what_reading_changes_is_known_afterwards(image_benchmark):
    class Counts(TinyCNN):
        def forward(self, x):
            self.calls = getattr(self, "calls", 0) + 1
            self.early[0].weight.data.mul_(1.01)
            return super().forward(x)

    model = Counts()
    before = model.early[0].weight.clone()
    Probe(stimuli=image_benchmark.stimuli, reader=transform)(model)
    assert torch.equal(model.early[0].weight, before)
    assert not hasattr(model, "calls")
    assert set(what_reading_changes(model)) == {"calls", "early.0.weight"}


def test_a_second_training_has_a_record_of_its_own(image_benchmark, tmp_path):
    first = watch(image_benchmark, record=tmp_path / "r", transform=transform)
    first(TinyCNN(), 0)
    second = first.another(tmp_path / "r-2")
    assert second.record.folder.name == "r-2"
    second(TinyCNN(), 0)
    assert len(second.record.select(kind="alignment")) == len(first.record.select(kind="alignment"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8, torch.float64], ids=str)
@pytest.mark.parametrize("size", [2, 7, 4096, 10_001])
def test_what_is_too_large_for_a_copy_is_summed_so_that_places_count(dtype, size):
    before = (torch.arange(size) % 200).to(dtype)
    changes = {
        "one value": lambda x: x[-1:].add_(1),
        "two trade places": lambda x: x.copy_(x[[1, 0, *range(2, size)]]),
        "all move on": lambda x: x.copy_(x.roll(1)),
        "back to front": lambda x: x.copy_(x.flip(0)),
    }
    for name, change in changes.items():
        model = nn.Module()
        model.register_buffer("large", before.clone())
        state = SavedState(model, copied=lambda _: False)
        assert not state.restore(), name
        change(model.large)
        state.restore()
        assert list(state.lost) == ["large"], name


def test_words_that_trade_places_are_seen_between_rows_and_in_each_sixteenth():
    words = torch.arange(512 * 40)
    swaps = torch.randint(0, len(words), (300, 2), generator=torch.Generator().manual_seed(0)).tolist()
    between = [(i, j) for i, j in swaps if i // 512 != j // 512]
    assert len(between) > 250
    for i, j in [(0, 1), (0, 512), (1, 512), (511, 4095), (16 * 512, 16 * 512 + 3), *between]:
        moved = words.clone()
        moved[i], moved[j] = j, i
        assert not torch.equal(_total(moved), _total(words)), (i, j)


def images_probe(benchmark, **options):
    return Probe(stimuli=benchmark.stimuli, reader=transform, pooling="flatten", **options)


class Flat(nn.Module):
    """Small tokens out of pictures, for what reads sequences."""

    def __init__(self, inner):
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 8, 4, 4), inner

    def forward(self, x):
        return self.inner(self.stem(x).flatten(2).transpose(1, 2))


def test_layers_inside_a_fused_encoder_are_run(image_benchmark):
    """In eval mode without gradients torch computes the whole layer at once, and calls no hook inside."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = Flat(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)).train()
    before = torch.backends.mha.get_fastpath_enabled()
    features = images_probe(image_benchmark, layers=["inner.layers.0.linear1"])(model)
    assert [site.layer for site in features.values] == ["inner.layers.0.linear1"]
    assert torch.backends.mha.get_fastpath_enabled() is before


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.generator = nn.Conv2d(3, 4, 4, 4), torch.Generator()
        self.out = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.out(self.stem(x) + torch.rand(4, 1, 1, generator=self.generator))


def test_a_generator_of_the_model_begins_from_one_seed(image_benchmark):
    model = Noisy()
    first = images_probe(image_benchmark, layers=["*"])(model)
    torch.rand(5, generator=model.generator)  # as training draws from it
    state = model.generator.get_state()
    again = images_probe(image_benchmark, layers=["*"])(model)
    assert torch.equal(model.generator.get_state(), state)
    for site, x in first.values.items():
        assert torch.equal(x, again.values[site])


@pytest.mark.filterwarnings("error")
def test_a_model_that_warns_in_its_forward_pass_is_read_where_warnings_are_errors(image_benchmark):
    class Warns(TinyCNN):
        def forward(self, x):
            warnings.warn("old", UserWarning, stacklevel=1)
            return super().forward(x)

    assert images_probe(image_benchmark)(Warns()).values


def test_what_a_forward_pass_logs_is_dropped(image_benchmark, tmp_path):
    logged = tmp_path / "logged"  # a list would be put back

    class LightningModule(TinyCNN):  # by its name, whichever of both packages it is of
        def log(self, name, value):
            logged.write_text(name)

    class Logs(LightningModule):
        def forward(self, x):
            self.log("norm", x.norm())
            return super().forward(x)

    model = Logs()
    assert images_probe(image_benchmark)(model).values
    assert not logged.exists()
    assert "log" not in vars(model)


LEFT = {
    "default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "autocast": (torch.autocast_increment_nesting, lambda: _autocast()),
    "threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "numpy": (lambda: np.seterr(divide="raise"), np.geterr),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_a_forward_pass_that_fails_left_in_the_process_is_put_back(name, image_benchmark):
    change, look = LEFT[name]

    class Fails(TinyCNN):
        def forward(self, x):
            change()
            raise RuntimeError("too late to put it back")

    before = look()
    with pytest.raises(ProbeError, match="too late"):
        images_probe(image_benchmark)(Fails())
    assert look() == before


def test_ctrl_c_in_a_long_forward_pass_is_raised_in_it(image_benchmark, tmp_path):
    ended = tmp_path / "ended"

    class Long(TinyCNN):
        def forward(self, x):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(100):
                time.sleep(0.001)  # Python raises it between two of these at the latest
            ended.touch()
            return super().forward(x)

    with pytest.raises(KeyboardInterrupt):
        images_probe(image_benchmark)(Long())
    assert not ended.exists()


@pytest.mark.parametrize("step", ["__init__", "restore"])
def test_a_reading_that_fails_anywhere_gives_ctrl_c_back(step, monkeypatch):
    def broken(*_args, **_options):
        raise ArithmeticError("no state")

    with monkeypatch.context() as patched:
        patched.setattr(GlobalState, step, broken)
        with pytest.raises(ArithmeticError), observing(nn.Linear(2, 2)):
            pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_readings_inside_one_another_look_at_the_weights_once_between_them(monkeypatch):
    """Before the first, between two, and at the end of all: not at each end of each."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    monkeypatch.setattr("ontogeny.extraction.preserved._SMALL", 0)
    monkeypatch.setattr("ontogeny.extraction.preserved.available", lambda: 0)
    with observing(model):
        pass
    asked = []

    def counted(alias):
        asked.append(alias.data_ptr())
        return _total(alias)

    monkeypatch.setattr("ontogeny.extraction.state._values._total", counted)
    with preserved(model):
        with observing(model), preserved(model):
            model(torch.rand(2, 4))
        with observing(model):
            model(torch.rand(2, 4))
    weights = [p.data_ptr() for p in model.parameters()]
    assert [asked.count(place) for place in weights] == [3] * 4


@pytest.mark.parametrize("large", [False, True])
def test_a_weight_that_one_reading_changes_is_as_before_in_the_next(monkeypatch, large):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    if large:
        monkeypatch.setattr("ontogeny.extraction.preserved._SMALL", 0)
        monkeypatch.setattr("ontogeny.extraction.preserved.available", lambda: 0)
    with observing(model):
        pass
    before = weights_hash(model)

    def two_readings():
        with preserved(model):
            with observing(model):
                model[1].weight.data.mul_(2)
            with observing(model):
                raise AssertionError("it should not have begun")

    if large:
        with pytest.raises(ProbeError, match=r"cannot be put back: 1\.weight: its values were changed"):
            two_readings()
    else:
        with preserved(model):
            with observing(model):
                model[1].weight.data.mul_(2)
            with observing(model) as seen:
                assert weights_hash(seen.model) == before
                assert not seen.model.training
                seen.again()
                assert not seen.model.training
        assert weights_hash(model) == before
        assert what_reading_changes(model) == ("1.weight",)
    assert model.training


def test_a_view_that_autograd_refuses_to_look_at_is_left_as_it_is():
    whole = torch.rand(6, requires_grad=True)
    module = nn.Linear(2, 2)
    module.stale, _ = whole.split(3)
    with torch.no_grad():
        whole.add_(1)
    with pytest.raises(RuntimeError, match="view"):
        _ = module.stale.is_leaf
    stale = module.stale
    with preserved(module):
        module.stale = torch.zeros(3)
    assert module.stale is stale
