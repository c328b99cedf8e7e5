"""Arguments that a forward pass needs beside the stimuli, and errors that name what helps."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.models import WORDS, tokenizer
from torch import nn

from ontogeny import Probe, StimulusSet
from ontogeny.errors import ProbeError
from ontogeny.extraction.features import Site

TEXTS = [" ".join(WORDS[(i * 5 + k * 3 + i * k) % len(WORDS)] for k in range(3 + i % 4)) for i in range(12)]
STIMULI = StimulusSet(name="t", modality="text", ids=tuple(f"s{i}" for i in range(len(TEXTS))), inputs=TEXTS)


def probe(**options):
    return Probe(stimuli=STIMULI, reader=tokenizer, layers=["block"], **{"pooling": "mean", **options})


class Attends(nn.Module):
    """Attention of one head over all tokens but those that are masked."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.places, self.kinds = nn.Embedding(16, 8), nn.Embedding(16, 8), nn.Embedding(2, 8)
        self.block = nn.Linear(8, 8)

    def attended(self, ids, hidden, places=None, kinds=None):
        """`hidden` is true at what is not to be seen."""
        x = self.embed(ids)
        x = x if places is None else x + self.places(places)
        x = x if kinds is None else x + self.kinds(kinds)
        scores = (x @ x.transpose(1, 2)).masked_fill(hidden[:, None, :], -1e9)
        return self.block(scores.softmax(-1) @ x)


def right(model, *, places=False, kinds=False):
    rows = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer(text)])
        more = {"places": torch.arange(ids.shape[1])[None]} if places else {}
        more |= {"kinds": torch.zeros_like(ids)} if kinds else {}
        with torch.no_grad():
            rows.append(model.attended(ids, torch.zeros_like(ids, dtype=torch.bool), **more)[0].mean(0))
    return torch.stack(rows)


class Needs(Attends):
    def forward(self, input_ids, position_ids, token_type_ids, lengths):
        assert lengths.tolist() == [input_ids.shape[1]] * len(input_ids)
        hidden = torch.zeros_like(input_ids, dtype=torch.bool)
        return self.attended(input_ids, hidden, position_ids, token_type_ids)


class NeedsByPlace(Attends):
    def forward(self, tokens, positions, segments):
        return self.attended(tokens, torch.zeros_like(tokens, dtype=torch.bool), positions, segments)


@pytest.mark.parametrize("kind", [Needs, NeedsByPlace])
def test_places_kinds_and_lengths_that_are_needed_are_those_of_texts_without_padding(kind):
    model = kind()
    features = probe()(model)
    torch.testing.assert_close(
        features.values[Site("block", "mean")], right(model, places=True, kinds=True), rtol=1e-5, atol=1e-6
    )


class Keeps(Attends):
    def forward(self, input_ids, mask):
        return self.attended(input_ids, mask == 0)


class KeepsByPlace(Attends):
    def forward(self, tokens, mask):
        return self.attended(tokens, ~mask.bool())


class Hides(Attends):
    def forward(self, input_ids, mask):
        return self.attended(input_ids, mask.bool())


class Ignores(Attends):
    def forward(self, input_ids, mask):
        return self.attended(input_ids, mask < 0)


@pytest.mark.parametrize("kind", [Keeps, KeepsByPlace, Ignores])
def test_a_mask_that_is_needed_keeps_every_token(kind):
    model = kind()
    features = probe()(model)
    torch.testing.assert_close(features.values[Site("block", "mean")], right(model), rtol=1e-5, atol=1e-6)


def test_a_mask_that_hides_what_is_1_is_an_error_that_names_call():
    with pytest.raises(ProbeError, match=r"needs 'mask', and it is not clear whether 1 .* pass call="):
        probe()(Hides())


def test_what_cannot_be_made_of_texts_is_named():
    class Image(Attends):
        def forward(self, input_ids, image):
            raise AssertionError

    with pytest.raises(ProbeError, match="needs 'image' beside a batch of texts; pass call="):
        probe()(Image())


def test_a_pooling_that_fails_refuses_its_own_site_and_is_named():
    def wrong(output, mask):
        return output[:, 99]

    features = probe(pooling=["mean", wrong])(Keeps())
    assert list(features.values) == [Site("block", "mean")]
    assert "pooling 'wrong' failed on its output, IndexError" in features.refused[Site("block", "wrong")]


def test_a_layer_that_gives_a_sparse_tensor_is_refused():
    class Sparse(Attends):
        def __init__(self):
            super().__init__()
            self.other = Made()

        def forward(self, input_ids):
            self.other(self.embed(input_ids))
            return self.attended(input_ids, input_ids < 0)

    class Made(nn.Module):
        def forward(self, x):
            return x.to_sparse()

    features = Probe(stimuli=STIMULI, reader=tokenizer, layers=["other", "block"], pooling="mean")(Sparse())
    assert list(features.values) == [Site("block", "mean")]
    assert "sparse_coo" in features.refused[Site("other", "mean")]
