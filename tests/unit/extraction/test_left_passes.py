"""A forward pass is left after the last layer that is read, where that gives the same; else it is run to its end."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.models import WORDS, tokenizer
from torch import nn

from ontogeny import Probe, StimulusSet

TEXTS = [" ".join(WORDS[(i * 5 + k * 3 + i * k) % len(WORDS)] for k in range(3 + i % 4)) for i in range(12)]
STIMULI = StimulusSet(name="t", modality="text", ids=tuple(f"s{i}" for i in range(len(TEXTS))), inputs=TEXTS)
pytestmark = pytest.mark.usefixtures("unchecked")


class Head(nn.Linear):
    """Writes how often it ran into a file: what a probe puts back would not show it."""

    def __init__(self, log):
        super().__init__(8, 16)
        self.log = log

    def forward(self, x):
        with self.log.open("a") as log:
            log.write("x")
        return super().forward(x)


class Language(nn.Module):
    def __init__(self, log):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.first, self.second, self.head = (
            nn.Embedding(16, 8),
            nn.Linear(8, 8),
            nn.Linear(8, 8),
            Head(log),
        )

    def body(self, ids):
        return self.second(self.first(self.embed(ids)).tanh()).tanh()

    def forward(self, ids):
        return self.head(self.body(ids))


class Swapped(Language):
    """Which of both layers runs last depends on the length of the text."""

    def body(self, ids):
        both = (self.first, self.second) if ids.shape[1] % 2 else (self.second, self.first)
        return both[1](both[0](self.embed(ids)).tanh()).tanh()


class Catching(Language):
    """Goes on whatever happens inside."""

    def forward(self, ids):
        try:
            x = self.body(ids)
        except BaseException:  # noqa: BLE001
            x = self.embed(ids)
        return self.head(x)


class Hooked(Language):
    """A hook of its own at its end."""

    def __init__(self, log):
        super().__init__(log)
        self.register_forward_hook(lambda module, args, output: None)


def read(model, log, **options):
    """Features by layer, and how often the head ran in a probe after the rehearsal."""
    probe = Probe(stimuli=STIMULI, reader=tokenizer, **{"layers": ["first", "second"], "pooling": "mean", **options})
    probe.rehearse(model)
    log.write_text("")
    features = probe(model)
    assert not features.refused
    return {site.layer: x for site, x in features.values.items()}, len(log.read_text())


@pytest.mark.parametrize(
    ("kind", "head_runs"), [(Language, False), (Swapped, True), (Catching, True), (Hooked, True)], ids=lambda v: str(v)
)
def test_features_are_those_of_the_whole_pass(tmp_path, kind, head_runs):
    log = tmp_path / "log"
    model = kind(log)
    found, ran = read(model, log)
    assert (ran > 0) is head_runs
    assert list(found) == ["first", "second"]
    whole, ran = read(model, log, layers=["first", "second", "head"])
    assert ran > 0
    for layer, x in found.items():
        assert torch.equal(x, whole[layer])


def test_what_needs_the_output_of_the_model_has_it(tmp_path):
    log = tmp_path / "log"
    found, ran = read(Language(log), log, layers=["first", "surprisal"])
    assert ran > 0
    assert list(found) == ["first", "surprisal"]
