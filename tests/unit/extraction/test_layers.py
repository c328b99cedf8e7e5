"""Which of a model's layers is read under a name, and by what it gives."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from tests.helpers.models import WORDS, tokenizer, transform
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import apply_activation_checkpointing
from transformers import BertConfig, BertModel

from ontogeny import Probe, StimulusSet
from ontogeny.extraction.features import Site
from ontogeny.extraction.weights import weights_hash

TEXTS = [" ".join(WORDS[(i * 5 + k * 3) % len(WORDS)] for k in range(1 + i % 6)) for i in range(14)]
STIMULI = StimulusSet(name="t", modality="text", ids=tuple(f"s{i}" for i in range(len(TEXTS))), inputs=TEXTS)


def read(model, *layers, pooling="mean", stimuli=STIMULI, reader=tokenizer):
    return Probe(stimuli=stimuli, reader=reader, layers=list(layers), pooling=pooling)(model)


def by_hook(model, layer, pooled=lambda out: out[0].mean(0)):
    rows = []
    handle = layer.register_forward_hook(lambda _m, _a, out: rows.append(pooled(out)))
    with torch.no_grad():
        for text in TEXTS:
            model.eval()(torch.tensor([tokenizer(text)]))
    handle.remove()
    return torch.stack(rows)


def bert():
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertModel(BertConfig(vocab_size=16, **shape))


def test_a_module_named_embeddings_is_read_by_its_output_and_what_enters_the_first_block_beside_it():
    model = bert()
    features = read(model, "embeddings", "block_input", "auto")
    assert {site.layer for site in features.values} == {"embeddings", "block_input", *_blocks()}
    expected = by_hook(model, model.embeddings)
    torch.testing.assert_close(features.values[Site("embeddings", "mean")], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(features.values[Site("block_input", "mean")], expected, rtol=1e-5, atol=1e-6)


def _blocks():
    return {"encoder.layer.0", "encoder.layer.1"}


class Patches(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings, self.body, self.head = nn.Conv2d(3, 5, 4, 4), nn.Conv2d(5, 5, 3), nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.body(self.embeddings(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize("layers", ["auto", "embeddings"])
def test_a_convolution_named_embeddings_is_read_by_its_channels(image_benchmark, layers):
    model = Patches()
    found = read(model, layers, pooling="spatial_mean", stimuli=image_benchmark.stimuli, reader=transform)
    pictures = torch.stack([transform(picture) for picture in image_benchmark.stimuli.inputs])
    with torch.no_grad():
        expected = model.embeddings(pictures).mean(dim=(2, 3))
    torch.testing.assert_close(found.values[Site("embeddings", "spatial_mean")], expected, rtol=1e-4, atol=1e-5)


class Numbered(nn.Module):
    """Blocks that are told their number first, and what they read by name."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(8, 8)

        def forward(self, number, *, offsets, x):
            return self.inner(x) + number + 0 * offsets[..., None]

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.blocks = nn.Embedding(16, 8), nn.ModuleList(self.Block() for _ in range(2))
        self.name_ids, self.surprisal = nn.Identity(), nn.Linear(8, 8)

    def forward(self, ids):
        x = self.embed(self.name_ids(ids))
        for number, block in enumerate(self.blocks):
            x = block(number, offsets=torch.zeros_like(ids), x=x)
        return self.surprisal(x)


def test_what_enters_a_block_is_found_among_its_arguments():
    model = Numbered()
    features = read(model, "embeddings")
    torch.testing.assert_close(features.values[Site("embeddings", "mean")], by_hook(model, model.embed))


def test_a_layer_of_integers_is_refused():
    features = read(Numbered(), "name_ids", "blocks.1")
    assert "is int64, and features are floating-point" in features.refused[Site("name_ids", "mean")]
    assert list(features.values) == [Site("blocks.1", "mean")]


def test_a_module_named_surprisal_is_not_taken_for_the_surprisal_of_texts():
    features = read(Numbered(), "surprisal", "blocks.1")
    assert "would be taken for the surprisal of texts" in features.refused[Site("surprisal", "mean")]
    assert list(features.values) == [Site("blocks.1", "mean")]


@dataclasses.dataclass
class Given:
    hidden: torch.Tensor


class Several(nn.Module):
    """A block whose output is made of some tensors."""

    class Block(nn.Module):
        def __init__(self, made):
            super().__init__()
            self.inner, self.made = nn.Linear(8, 8), made

        def forward(self, x):
            return self.made(torch.tanh(self.inner(x)))

    def __init__(self, made, handed_on):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.block, self.handed_on = nn.Embedding(16, 8), self.Block(made), handed_on

    def forward(self, ids):
        return self.handed_on(self.block(self.embed(ids)))


def second(out):
    return out[1]


@pytest.mark.parametrize(
    ("made", "handed_on"),
    [
        (lambda y: (y.pow(2).mean((1, 2)), y), second),
        (lambda y: (y.pow(2).mean(), y), second),
        (lambda y: (y.argmax(-1), y), second),
        (lambda y: (y @ y.transpose(1, 2), y), second),
        (lambda y: (y.mean(-1), y), second),
        (lambda y: (y > 0, y), second),
        (lambda y: {"loss": y.mean((1, 2)), "out": (None, y)}, lambda out: out["out"][1]),
        (lambda y: (y, y * 2, y[..., :3]), lambda out: out[0]),
        (Given, lambda out: out.hidden),
        (lambda y: SimpleNamespace(loss=y.mean(), states=Given(y)), lambda out: out.states.hidden),
    ],
    ids=[
        "loss of each",
        "loss",
        "choices",
        "weights",
        "one of each token",
        "signs",
        "nested",
        "first of several",
        "dataclass",
        "namespace",
    ],
)
def test_of_several_tensors_the_hidden_states_are_read(made, handed_on):
    model = Several(made, handed_on)
    expected = by_hook(model, model.block, lambda out: handed_on(out)[0].mean(0))
    features = read(model, "block")
    assert not features.refused
    torch.testing.assert_close(features.values[Site("block", "mean")], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("made", [lambda y: (y.mean((1, 2)), y, y[..., :3]), lambda y: (y[..., :3], y)])
def test_several_tensors_with_positions_are_refused_where_the_first_is_not_the_one_that_is_handed_on(made):
    features = read(Several(made, second), "block")
    assert not features.values
    assert "it is not clear which is the layer's output" in features.refused[Site("block", "mean")]


def test_wrappers_of_activation_checkpointing_are_in_no_name_and_change_nothing():
    plain, wrapped = Stacked(), Stacked()
    apply_activation_checkpointing(wrapped, check_fn=lambda module: type(module) in (nn.Sequential, nn.Embedding))
    assert any("_checkpoint_wrapped_module" in name for name, _ in wrapped.named_modules())
    probe = Probe(stimuli=STIMULI, reader=tokenizer, pooling="mean")
    expected, found = (probe(model).values for model in (plain, wrapped))
    assert [site.layer for site in found] == ["embeddings", "blocks.0", "blocks.1", "blocks.2"]
    for site, features in expected.items():
        torch.testing.assert_close(found[site], features, rtol=0, atol=0)
    assert weights_hash(wrapped) == weights_hash(plain)


class Stacked(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(16, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(3))

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = x + block(x)
        return x
