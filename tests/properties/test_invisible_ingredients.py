"""A probe leaves everything that a model reaches as it was, and training bit-identical: for each habit of keeping state
alone, for hundreds of compositions of them, and when the probe fails or is interrupted at any moment.

In CI each habit alone and 160 compositions, more than 320 set-ups; all kinds of them by hand: ONTOGENY_SETUPS=2000.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest
import torch
from tests.helpers import faults
from tests.helpers.ingredients import INGREDIENTS
from tests.helpers.reachable import Fact, differences, snapshot
from tests.helpers.training import process_kept, stack, train_lightning, train_plain, train_transformers
from tests.helpers.watched import monitor_of, probe_of, probed, watching

from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from ontogeny.errors import ProbeError
from ontogeny.extraction.isolation import NotYetError
from ontogeny.extraction.preserved import LeftBehindError

# As users run it: the tests' type checker draws random numbers itself.
pytestmark = pytest.mark.usefixtures("unchecked")

MANY = "ONTOGENY_SETUPS" in os.environ
BY_HAND = pytest.mark.skipif(not MANY, reason="takes minutes: set ONTOGENY_SETUPS=320")

SETUPS = int(os.environ.get("ONTOGENY_SETUPS", "320"))
# The instruments are checked on each fourth ingredient, by hand on all.
CHECKED = list(INGREDIENTS)[:: 4 if SETUPS < 1000 else 1]
_COMPOSED = [n for n, i in INGREDIENTS.items() if not i.may_refuse]
_REFUSED = [n for n, i in INGREDIENTS.items() if i.may_refuse]

# What the first forward pass makes is the same whoever asks for it: the comparer alone can see that it was made early.
_ELSEWHERE = (
    "variable-of-another-module",
    "imported-in-forward",
)  # where the comparer does not look; training shows it
_MADE_ONCE = ("backward-hook", "lazy-linear", "child-made-late", "cached-property")


def read(model, names, probe=None):
    """Probe; a model with state that cannot be put back may be refused, by the names of module and attribute."""
    try:
        features = (probe or probe_of(model, names))(model)
        may = ("TorchScript", "depend on what else", "broke in the middle")
        assert features.values or any(why in str(features.refused) for why in may)
    except NotYetError:
        assert "lazy-linear" in names
        return False
    except ProbeError as error:
        if any(not INGREDIENTS[n].any_batch for n in names) and not isinstance(error, LeftBehindError):
            return False  # what it carries from training has the size of another batch
        attributes = {INGREDIENTS[n].may_refuse: i for i, n in enumerate(names) if INGREDIENTS[n].may_refuse}
        named = [a for a, i in attributes.items() if a in str(error) and f"steps.{i}" in str(error)]
        if not named:
            raise
        return False
    return True


def unseen(names, seed, act, model, step):
    """`act` on the model, and compare everything reachable before and after."""
    before = snapshot(model)
    act(model, names, seed + step)
    found = differences(before, snapshot(model))
    del before  # an interrupt's frames may keep this one, and what it holds, until the next collection
    assert not found, f"{names}, seed {seed}, before step {step}:\n" + "\n".join(found[:20])


def with_one_probe():
    """As a training has it: the first reading rehearses, later ones know how."""
    probes = []

    def act(model, names, seed):
        if not probes:
            probes.append(probe_of(model, names))
        read(model, names, probes[0])

    return act


def train_and_compare(names, seed, act=None, look=(0, 3)):
    """The same training with `act` before every step, which is looked at before some of them, up to the last."""
    act = act or with_one_probe()

    def between(model, step):
        if step in look:
            unseen(names, seed, act, model, step)
        else:
            act(model, names, seed + step)

    steps = max(look)
    same(train_plain(names, seed, steps=steps), train_plain(names, seed, between, steps=steps), names)


def fits_any_batch(names):
    """Else what it carries from training fits no batch of another size, and a probe may fail on it by name."""
    return all(INGREDIENTS[n].any_batch for n in names)


def same(bare, watched, names):
    for a, b in zip(bare, watched, strict=True):
        if isinstance(a, dict) and a and isinstance(next(iter(a.values())), Fact):
            found = differences(a, b)
            assert not found, f"{names}, after training:\n" + "\n".join(found[:20])
        else:
            assert repr(a) == repr(b), f"{names}, what was logged:\n{a}\n{b}"


def draw(seed):
    """Two to five ingredients."""
    rng = random.Random(seed)
    return [rng.choice(_COMPOSED) for _ in range(rng.randint(2, 5))]


# ---- the instruments themselves


@BY_HAND
@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED)
def test_training_without_a_probe_is_deterministic(name):
    """Also when it is looked at between the steps: the comparer changes nothing."""
    for seed in (0, 1):

        def look(model, step, seed=seed):
            unseen([name], seed, lambda *_: None, model, step)

        same(train_plain([name], seed), train_plain([name], seed, look), [name])


@BY_HAND
@pytest.mark.slow
def test_trainers_without_a_probe_are_deterministic(tmp_path):
    for seed in range(2):
        names = draw(seed)
        same(train_lightning(names, seed, []), train_lightning(names, seed, []), names)
        same(train_transformers(names, seed, [], tmp_path), train_transformers(names, seed, [], tmp_path), names)


@BY_HAND
@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED)
def test_a_careless_reader_is_seen(name):
    """A forward pass that puts nothing back is reported by the comparer and changes what training gives."""
    found = []

    def careless(model, step):
        before = snapshot(model)
        model.eval()
        for rows in (5, 6, 9) if INGREDIENTS[name].any_batch else (6, 6, 6):
            model(train_inputs(rows))
            for module in model.modules():
                module.training = True
        model.state_dict()
        found.extend(differences(before, snapshot(model)))

    with_reader = train_plain([name], 0, careless)
    assert found or name in _ELSEWHERE
    if name in _MADE_ONCE:
        return
    with pytest.raises(AssertionError):
        same(train_plain([name], 0), with_reader, [name])


def train_inputs(rows):
    return torch.randn(rows, 8, generator=torch.Generator().manual_seed(rows)) * 2


# ---- one habit


@pytest.mark.slow
@pytest.mark.parametrize("name", INGREDIENTS)
def test_each_ingredient_alone(name):
    train_and_compare([name], 1)


@pytest.mark.parametrize("name", _REFUSED)
def test_a_model_that_is_refused_by_name_trains_on(name):
    asked = []
    train_and_compare(["in-place", name, "step-counter"], 3, lambda m, n, s: asked.append(read(m, n)))
    assert len(set(asked)) == 1


# ---- several


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SETUPS - SETUPS // 8 if MANY else 150))
def test_compositions_in_plain_loops(seed):
    train_and_compare(draw(seed), seed, look=(1 + seed % 4,))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SETUPS // 16 if MANY else 5))
def test_compositions_in_lightning(seed, tmp_path):
    names = [name for name in draw(10_000 + seed) if name != "lazy-linear"]
    bare = train_lightning(names, seed, [])
    callback = watching(LightningCallback, names, "net.", tmp_path)
    watched = train_lightning(names, seed, [callback])
    assert probed(callback) == 7 or not fits_any_batch(names)
    same(bare, watched, names)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SETUPS // 16 if MANY else 5))
def test_compositions_in_transformers(seed, tmp_path):
    names = [name for name in draw(20_000 + seed) if name != "lazy-linear"]  # which this Trainer cannot train
    bare = train_transformers(names, seed, [], tmp_path)
    callback = watching(TransformersCallback, names, "", tmp_path)
    watched = train_transformers(names, seed, [callback], tmp_path)
    assert probed(callback) == 6 or not fits_any_batch(names)
    same(bare, watched, names)


# ---- errors and interrupts


def broken():
    raise RuntimeError("broke in the middle")


def stopped():
    raise KeyboardInterrupt


def signalled():
    signal.raise_signal(signal.SIGINT)


def calls_of(names, seed):
    """How often a probe of a model like this one calls torch in its forward passes, and how long it takes."""
    with process_kept():
        twin = stack(names, seed)
        start = time.perf_counter()
        with faults.raising(0, broken) as counted:
            probe_of(twin, names)(twin)
        return counted.calls, time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.parametrize("act", [broken, stopped, signalled])
@pytest.mark.parametrize("seed", range(SETUPS // 16 if MANY else 2))
def test_an_error_in_the_middle_of_a_forward_pass(seed, act):
    names = [name for name in draw(30_000 + seed) if name != "lazy-linear"]
    total, _ = calls_of(names, seed)
    fired = []

    def breaking(model, names, at):
        number = random.Random(at).randint(1, total)
        with faults.raising(number, act) as counted, contextlib.suppress(ProbeError, KeyboardInterrupt, RuntimeError):
            read(model, names)
        fired.append(counted.calls >= number)

    train_and_compare(names, seed, breaking, look=(0, 2))
    assert any(fired)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SETUPS // 16 if MANY else 2))
def test_an_interrupt_from_outside_at_a_random_moment(seed):
    names = [name for name in draw(40_000 + seed) if name != "lazy-linear"]
    _, seconds = calls_of(names, seed)
    raised = []

    def interrupted(model, names, at):
        try:
            with faults.interrupted_after(random.Random(at).uniform(0, seconds)):
                read(model, names)
        except KeyboardInterrupt as error:
            raised.append(type(error))  # an error that is kept holds frames, and these hold objects

    train_and_compare(names, seed, interrupted, look=(0, 1, 2, 3, 4))
    assert raised


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:the probe at step")
@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True], ids=["probe", "monitor"])
@pytest.mark.parametrize("seed", range(SETUPS // 32 if MANY else 2))
def test_an_interrupt_at_a_random_line(seed, whole, tmp_path):
    names = [name for name in draw(50_000 + seed) if name != "lazy-linear"]
    raised, lines, monitors = [], [], []

    def probing(model, number):
        if whole:
            monitors.append(monitors[-1] if number else monitor_of(model, names, tmp_path / str(len(monitors))))
            monitors[-1](model, number)
        else:
            read(model, names)

    def interrupted(model, names, at):
        if not lines:
            with process_kept(), faults.lines_of(lines.append):
                probing(model, 0)
        try:
            most = len(lines) // (1 if at == seed else 4)  # the first probe has a rehearsal, and imports
            with faults.interrupted_at_line(random.Random(at).randint(1, most)):
                probing(model, at - seed)
        except KeyboardInterrupt as error:
            raised.append(type(error))  # an error that is kept holds frames, and these hold objects

    train_and_compare(names, seed, interrupted, look=(0, 1, 2, 3, 4))
    assert raised
