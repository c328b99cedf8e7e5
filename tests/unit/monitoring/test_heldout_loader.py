"""A loader is read once, under fixed seeds, and is left as it was: training goes on as if it had not been read."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.helpers.sameness import same, states
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Sampler

from ontogeny import HeldOutLoss
from ontogeny.errors import ProbeError


class Noisy(Dataset):
    """Counts and remembers what it gives, and draws from every random state."""

    def __init__(self, n=40) -> None:
        self.x, self.given, self.calls, self.seen = torch.arange(float(n))[:, None].repeat(1, 4), [], 0, {}
        self.numpy, self.torch, self.python = np.random.default_rng(5), torch.Generator(), random.Random(3)
        self.legacy = np.random.RandomState(4)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        self.given.append(i)
        self.calls += 1
        self.seen[i] = self.calls
        noise = [self.numpy.random(), self.python.random(), self.legacy.rand(), random.random(), np.random.rand()]
        drawn = torch.rand((), generator=self.torch) + torch.rand(())
        return self.x[i] + torch.tensor(noise).float().sum() + drawn, i % 3


class Remembering(Sampler):
    def __init__(self, n) -> None:
        self.n, self.epochs, self.orders = n, 0, []

    def __len__(self):
        return self.n

    def __iter__(self):
        self.epochs += 1
        self.orders.append(torch.randperm(self.n).tolist())
        return iter(self.orders[-1])


def loader(kind="plain", n=40):
    data = Noisy(n)
    options = {
        "plain": {"shuffle": True},
        "workers": {"shuffle": True, "num_workers": 2},
        "workers kept": {"shuffle": True, "num_workers": 2, "persistent_workers": True},
        "own generator": {"shuffle": True, "generator": torch.Generator().manual_seed(7)},
        "own sampler": {"sampler": Remembering(n)},
        "generator of the sampler": {"sampler": RandomSampler(data, generator=torch.Generator().manual_seed(8))},
    }[kind]
    return DataLoader(data, batch_size=4, **options)


KINDS = ["plain", "workers", "workers kept", "own generator", "own sampler", "generator of the sampler"]


def trained(kind, *, read, resumed=False):
    """Losses, weights and random states of two epochs; `read` before them, and between them."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    batches = loader(kind)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for epoch in range(2):
        if read and (epoch == 0 or resumed):
            HeldOutLoss(batches)
        for step, (x, y) in enumerate(batches):
            if read and resumed and step == 3:
                HeldOutLoss(batches)
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    data = batches.dataset
    kept = (
        data.given,
        data.calls,
        data.seen,
        getattr(batches.sampler, "orders", None),
        batches.sampler.__dict__.keys(),
    )
    own = [data.numpy.bit_generator.state, data.torch.get_state(), data.python.getstate(), data.legacy.get_state()[1:]]
    return losses, model.state_dict(), states(), kept, repr(own)


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_bit_identical_whether_its_loader_was_read_before_or_not(kind):
    assert same(trained(kind, read=True), trained(kind, read=False))


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_bit_identical_where_its_loader_is_read_in_the_middle_of_an_epoch(kind):
    assert same(trained(kind, read=True, resumed=True), trained(kind, read=False))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_the_same_at_any_time_and_state(kind):
    torch.manual_seed(0)
    batches = loader(kind)
    first = HeldOutLoss(batches).batches
    before = states()
    torch.manual_seed(2)
    np.random.seed(2)
    for _ in batches:
        pass
    random.seed(2)
    now = states()
    assert now != before
    second = HeldOutLoss(batches).batches
    assert states() == now
    assert same(list(first), list(second))
    assert len(first) == 10
    assert not same(list(first), list(batches))
    assert batches._iterator is None or kind == "workers kept"


def test_the_same_in_another_process():
    code = (
        "import random, torch, numpy as np; torch.manual_seed(11); np.random.seed(12); random.seed(13);"
        "from tests.unit.monitoring.test_heldout_loader import loader; from ontogeny import HeldOutLoss;"
        "print([float(x.double().sum()) for kind in ('plain', 'workers')"
        "  for x, _ in HeldOutLoss(loader(kind)).batches])"
    )
    there = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    here = [float(x.double().sum()) for kind in ("plain", "workers") for x, _ in HeldOutLoss(loader(kind)).batches]
    assert there.stdout.strip() == repr(here)


@pytest.mark.parametrize("kind", ["plain", "workers", "workers kept"])
def test_workers_of_a_reading_do_not_stay(kind):
    batches = loader(kind)
    before = torch.multiprocessing.active_children()
    HeldOutLoss(batches, max_batches=2)
    assert batches._iterator is None
    assert batches.persistent_workers == (kind == "workers kept")
    assert torch.multiprocessing.active_children() == before


def test_only_so_many_batches_are_read_and_a_list_is_taken_whole():
    batches = loader("plain", n=200)
    assert len(HeldOutLoss(batches).batches) == 16
    assert len(HeldOutLoss(batches, max_batches=3).batches) == 3
    assert len(HeldOutLoss([(torch.rand(1, 3), torch.tensor([0]))] * 40).batches) == 40
    with pytest.raises(ProbeError, match="max_batches should be at least 1, got 0"):
        HeldOutLoss(batches, max_batches=0)


class Endless:
    """Made like many loaders of language models: a buffer that is written again and again."""

    def __init__(self) -> None:
        self.buffer, self.rng, self.read = torch.zeros(2, 3, requires_grad=True), np.random.default_rng(), 0

    def __iter__(self):
        buffer = self.buffer.detach()
        while True:
            self.read += 1
            buffer.copy_(torch.as_tensor(self.rng.random((2, 3))))
            yield {"x": self.buffer * 1, "y": [buffer], "info": {"read": self.read}}


def test_batches_are_copies_and_no_more_are_read_than_are_kept():
    one, other = HeldOutLoss(Endless(), max_batches=4), HeldOutLoss(source := Endless(), max_batches=4)
    assert [batch["info"]["read"] for batch in one.batches] == [1, 2, 3, 4]
    assert same(list(one.batches), list(other.batches))
    assert len({float(batch["x"].sum()) for batch in one.batches}) == 4
    assert all(torch.equal(batch["x"], batch["y"][0]) for batch in one.batches)
    assert not any(batch["x"].requires_grad for batch in one.batches)
    assert source.read == 0


class OneShot(IterableDataset):
    def __init__(self) -> None:
        self.rows = (torch.rand(3) for _ in range(10))

    def __iter__(self):
        return self.rows


class Around:
    """A user's own wrapper."""

    def __init__(self, inner) -> None:
        self.inner = inner

    def __iter__(self):
        yield from self.inner


def test_what_reading_would_use_up_is_refused_before_it_is_touched():
    rows = ((torch.rand(2, 3), torch.tensor([0, 1])) for _ in range(5))
    for once in (rows, iter([1, 2]), itertools.count(), map(int, "12")):
        with pytest.raises(ProbeError, match="can be read once: reading it here would use it up"):
            HeldOutLoss(once)
    assert len(list(rows)) == 5
    data = OneShot()
    for source in (
        DataLoader(data),
        Around(DataLoader(data)),
        Around(data.rows),
        Around(map(lambda row: row, data.rows)),
    ):
        with pytest.raises(ProbeError, match=r"is a (generator|map), which cannot be put back once it is used"):
            HeldOutLoss(source)
    with pytest.raises(ProbeError, match=r"the loader\.dataset\.rows is a generator"):
        HeldOutLoss(DataLoader(data))
    assert len(list(data.rows)) == 10


def test_a_loader_inside_a_wrapper_whose_workers_are_at_work_goes_on():
    inner = loader("workers kept")
    running = iter(Around(inner))
    first = next(running)
    alive = inner._iterator
    kept = HeldOutLoss(Around(inner)).batches
    assert inner._iterator is alive
    assert len([first, *running]) == len(kept) == 10


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.rand(4, 2), "got a Tensor, expected several batches; put a single batch in a list"),
        ({"input_ids": torch.zeros(2, 3)}, "got a dict, expected several batches; put a single batch in a list"),
        (Noisy(), "got a Noisy, expected a list of batches or a loader; put the data set in a DataLoader"),
        (7, "got a int, expected a list of batches or a loader$"),
        ([], "got no batches"),
        (DataLoader([]), "got no batches"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_not_batches_is_named(source, message):
    with pytest.raises(ProbeError, match=message):
        HeldOutLoss(source)


LIST = [(torch.ones(2, 3), torch.tensor([0, 1]))]
LOADER = DataLoader(Noisy(8), batch_size=4)


def a_list():
    torch.rand(3)
    return LIST


def a_loader():
    return LOADER


def a_generator():
    while True:
        yield torch.rand(2, 3), torch.randint(0, 2, (2,))


def test_addresses_of_batches_loaders_and_functions_that_make_them():
    before = states()
    counts = {
        n: len(HeldOutLoss(f"{__name__}:{n}").batches) for n in ("LIST", "LOADER", "a_list", "a_loader", "a_generator")
    }
    assert counts == {"LIST": 1, "LOADER": 2, "a_list": 1, "a_loader": 2, "a_generator": 16}
    assert states() == before
    pair = [HeldOutLoss(f"{__name__}:a_generator").batches for _ in range(2)]
    assert same(list(pair[0]), list(pair[1]))


def test_batches_are_left_out_of_the_repr():
    assert repr(HeldOutLoss(LIST)) == "HeldOutLoss(loss=None, max_batches=16)"


RANDOM = np.random.default_rng(11)
COUNT = {"calls": 0}


def get_batch(split):
    """nanoGPT's way: batches drawn from global random states, here from the script's own too."""
    COUNT["calls"] += 1
    at = torch.randint(40, (4,)) + int(RANDOM.integers(3))
    return at[:, None].repeat(1, 4).float(), at % 3


@pytest.mark.parametrize("form", ["list", "generator", "loader", "address"])
def test_batches_that_a_function_draws_leave_no_trace_and_are_the_same_each_time(form):
    made = {
        "list": lambda: [get_batch("val") for _ in range(3)],
        "generator": lambda: (get_batch("val") for _ in range(3)),
        "loader": lambda: loader("own generator"),
        "address": f"{__name__}:drawn",
    }[form]
    before, count, drawn = states(), COUNT["calls"], repr(RANDOM.bit_generator.state)
    first = HeldOutLoss(made, max_batches=3).batches
    assert (states(), COUNT["calls"], repr(RANDOM.bit_generator.state)) == (before, count, drawn)
    torch.rand(1)
    RANDOM.random()
    assert len(first) == 3
    assert same(list(first), list(HeldOutLoss(made, max_batches=3).batches))


def drawn():
    return [get_batch("val") for _ in range(3)]
