"""Features that depend on the batch where the rehearsal's eight stimuli do not show it."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.models import WORDS, tokenizer
from torch import nn

from ontogeny import Probe, StimulusSet
from ontogeny.extraction import _rank_reading as module
from ontogeny.extraction.features import Site

SITE = Site("block", "mean")


def stimuli(lengths):
    texts = [" ".join(WORDS[(i * 5 + k * 3 + i * k) % len(WORDS)] for k in range(n)) for i, n in enumerate(lengths)]
    return StimulusSet(name="t", modality="text", ids=tuple(f"s{i}" for i in range(len(texts))), inputs=texts)


EQUAL = stimuli([6] * 24)


class Words(nn.Module):
    """A text model of one block."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.block = nn.Embedding(16, 8), self.make()

    def forward(self, ids):
        return self.block(self.embed(ids))

    def make(self):
        return nn.Linear(8, 8)


class Capacity(nn.Module):
    """An expert that takes the first tokens of a batch alone, as many as it has places for."""

    def __init__(self, places=60):
        super().__init__()
        self.inner, self.places = nn.Linear(8, 8), places

    def forward(self, x):
        flat = x.flatten(0, 1)
        return torch.cat([self.inner(flat[: self.places]), 0 * flat[self.places :]]).view_as(x)


class Whitened(nn.Module):
    """Less the mean of a batch of more than eight."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        y = self.inner(x)
        return y - y.mean(0) if len(y) > 8 else y


class WithCapacity(Words):
    make = Capacity


class WithWhitening(Words):
    make = Whitened


class NeverAlone(Words):
    make = Whitened

    def forward(self, ids):
        if len(ids) == 1:
            raise ValueError("at least two")
        return super().forward(ids)


def alone(model, chosen=EQUAL):
    with torch.no_grad():
        return torch.stack([model.block(model.embed(torch.tensor([tokenizer(t)])))[0].mean(0) for t in chosen.inputs])


def probe(chosen=EQUAL, **options):
    return Probe(stimuli=chosen, reader=tokenizer, layers=["block"], pooling="mean", **options)


@pytest.mark.parametrize("kind", [WithCapacity, WithWhitening])
def test_what_shows_in_large_batches_alone_is_found_and_each_stimulus_read_alone(kind):
    model, reading = kind(), probe()
    assert not reading.rehearse(model).alone
    features = reading(model)
    torch.testing.assert_close(features.values[SITE], alone(model), rtol=1e-5, atol=1e-6)
    assert "one stimulus at a time, since features were others in large batches" in features.notes
    assert reading.rehearse(model).alone
    assert "each stimulus is read alone" in reading.rehearse(model).lines()[0]
    again = reading(model)
    torch.testing.assert_close(again.values[SITE], features.values[SITE], rtol=0, atol=0)


def test_the_batch_with_most_tokens_is_looked_at_too():
    """Twelve texts of two tokens fit, nine of eight do not."""
    chosen = stimuli([2] * 12 + [8] * 9)
    model = WithCapacity()
    model.block.places = 64
    features = probe(chosen)(model)
    torch.testing.assert_close(features.values[SITE], alone(model, chosen), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("batch_size", "lengths", "expected"),
    [(64, [6] * 24, [24, 1, 1]), (1, [6] * 3, [1, 1, 1]), (64, [1, 2, 3, 4], [1, 1, 1, 1])],
    ids=["two more passes", "each alone anyway", "no two of one length"],
)
def test_it_costs_two_passes_of_one_stimulus_or_none(monkeypatch, batch_size, lengths, expected):
    model, reading, sizes, run = Words(), probe(stimuli(lengths), batch_size=batch_size), [], module.run
    reading.rehearse(model)
    monkeypatch.setattr(module, "run", lambda part, batch, **o: sizes.append(batch.size) or run(part, batch, **o))
    reading(model)
    assert sizes == expected


def test_layers_of_a_model_that_reads_no_stimulus_alone_are_refused():
    features = probe()(NeverAlone())
    assert not features.values
    assert "depend on what else is in the batch, and the model cannot" in features.refused[SITE]


def test_surprisal_is_looked_at_as_layers_are():
    class Speaks(Words):
        make = Whitened

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(8, 16)

        def forward(self, ids):
            return self.head(super().forward(ids))

    model = Speaks()
    reading = Probe(stimuli=EQUAL, reader=tokenizer, layers=["surprisal"])
    found = reading(model).values[Site("surprisal", "mean")]
    right = Probe(stimuli=EQUAL, reader=tokenizer, layers=["surprisal"], batch_size=1)(model)
    torch.testing.assert_close(found, right.values[Site("surprisal", "mean")], rtol=1e-5, atol=1e-6)
