"""The probe: layers, poolings, batches, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, tiny_gpt, tokenizer, transform
from torch import nn
from transformers import BertConfig, BertModel

from ontogeny import Probe, StimulusSet
from ontogeny.errors import FeatureError, LayerNotFoundError, ProbeError
from ontogeny.extraction._forward.module_outputs import first_tensor
from ontogeny.extraction._rehearsal.axes import Axes
from ontogeny.extraction.features import Site
from ontogeny.extraction.layers import choose_layers
from ontogeny.extraction.pooling import pool


def text_probe(benchmark, **options):
    return Probe(stimuli=benchmark.stimuli, reader=tokenizer, **options)


def test_last_and_mean_pooling_ignore_padding(text_benchmark):
    model = tiny_gpt().eval()
    features = text_probe(text_benchmark, layers=["transformer.h.1"], pooling=["last", "mean"], batch_size=40)(model)
    for row, text in enumerate(text_benchmark.stimuli.inputs):
        ids = torch.tensor([tokenizer(text)])
        with torch.no_grad():
            place = torch.arange(ids.shape[1])
            hidden = model.transformer.wte(ids) + model.transformer.wpe(place)
            for block in model.transformer.h:
                hidden = first_tensor(block(hidden))
        expected_last, expected_mean = hidden[0, -1], hidden[0].mean(dim=0)
        got = {site.pooling: x[row] for site, x in features.values.items()}
        torch.testing.assert_close(got["last"], expected_last, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(got["mean"], expected_mean, atol=1e-5, rtol=1e-4)


def test_surprisal_is_the_mean_negative_log_probability_of_the_tokens(text_benchmark):
    model = tiny_gpt().eval()
    features = text_probe(text_benchmark, layers="surprisal")(model)
    got = features.values[Site("surprisal", "mean")][:, 0]
    for row, text in enumerate(text_benchmark.stimuli.inputs):
        ids = torch.tensor([tokenizer(text)])
        with torch.no_grad():
            expected = model(ids, labels=ids).loss
        assert got[row].item() == pytest.approx(expected.item(), abs=1e-5)


def test_auto_reads_embeddings_and_blocks_of_transformers_and_stages_of_cnns():
    assert list(choose_layers(tiny_gpt(), "auto")) == ["embeddings", "transformer.h.0", "transformer.h.1"]
    bert = BertModel(BertConfig(vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2))
    assert list(choose_layers(bert, "auto")) == ["embeddings", "encoder.layer.0", "encoder.layer.1"]
    assert list(choose_layers(TinyCNN(), "auto")) == ["early", "late", "head"]
    chain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    assert list(choose_layers(nn.Sequential(chain), "auto")) == ["0.0", "0.4"]


def test_auto_opens_a_chain_of_blocks_that_holds_all_stages_and_none_of_several():
    """As timm's vision transformers and ConvNeXt have one, and its ResNets four."""

    def chain():
        return nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(2)))

    stem, head = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), nn.Linear(3, 2)
    one = nn.ModuleDict({"stem": stem, "blocks": chain(), "head": head})
    assert list(choose_layers(one, "auto")) == ["stem", "blocks.0", "blocks.1", "head"]
    two = nn.ModuleDict({"stem": stem, "layer1": chain(), "layer2": chain(), "head": head})
    assert list(choose_layers(two, "auto")) == ["stem", "layer1", "layer2", "head"]


def test_embeddings_are_what_enters_the_first_block(text_benchmark):
    model = tiny_gpt().eval()
    features = text_probe(text_benchmark, layers="embeddings")(model)
    ids = torch.tensor([tokenizer(text_benchmark.stimuli.inputs[3])])
    with torch.no_grad():
        expected = model.transformer.wte(ids) + model.transformer.wpe(torch.arange(ids.shape[1]))
    torch.testing.assert_close(features.values[Site("embeddings", "last")][3], expected[0, -1], atol=1e-6, rtol=1e-5)


def test_globs_and_wrong_names(text_benchmark):
    model = tiny_gpt()
    assert list(choose_layers(model, "transformer.h.*.mlp")) == ["transformer.h.0.mlp", "transformer.h.1.mlp"]
    with pytest.raises(LayerNotFoundError, match=r"no layer 'transformer.h.7'. Did you mean 'transformer.h.\d'"):
        text_probe(text_benchmark, layers="transformer.h.7")(model)
    with pytest.raises(LayerNotFoundError, match="'embeddings' is what enters the first block"):
        choose_layers(TinyCNN(), "embeddings")
    with pytest.raises(LayerNotFoundError, match="found no blocks or stages in ReLU"):
        choose_layers(nn.ReLU(), "auto")


def test_a_compiled_model_is_read_under_its_own_names(image_benchmark):
    model = TinyCNN()
    probe = Probe(stimuli=image_benchmark.stimuli, reader=transform)
    plain, compiled = probe(model), probe(torch.compile(model))
    assert plain.values.keys() == compiled.values.keys()
    for site, x in plain.values.items():
        torch.testing.assert_close(compiled.values[site], x, rtol=0, atol=0)


def test_features_are_float32_under_the_callers_autocast(image_benchmark):
    model = TinyCNN()
    probe = Probe(stimuli=image_benchmark.stimuli, reader=transform)
    plain = probe(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = probe(model)
    for site, x in plain.values.items():
        assert mixed.values[site].dtype == torch.float32
        assert torch.equal(mixed.values[site], x)


def test_batch_size_does_not_change_features(text_benchmark):
    model = tiny_gpt()
    small, large = (text_probe(text_benchmark, batch_size=b)(model) for b in (3, 64))
    for site, x in small.values.items():
        torch.testing.assert_close(large.values[site], x, atol=1e-5, rtol=1e-5)


class Odd(nn.Module):
    """Layers that give a tuple, a dict, NaN, one value for all, the wrong batch, and nothing."""

    def __init__(self):
        super().__init__()
        for name in ("tuple", "dict", "nan", "same", "batch", "none", "unused", "good"):
            self.add_module(f"l_{name}", Give(name))

    def forward(self, x):
        for name, layer in self.named_children():
            if name != "l_unused":
                layer(x)
        return x


class Give(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x):
        x = x.flatten(1)[:, :5]
        return {
            "tuple": (x, None),
            "dict": {"other": 1, "last_hidden_state": x},
            "nan": x * float("nan"),
            "same": torch.ones_like(x),
            "batch": x[:1],
            "none": "text",
        }.get(self.what, x)


def test_layers_that_cannot_be_used_are_refused_by_name_and_the_others_go_on(image_benchmark):
    layers = ["l_tuple", "l_dict", "l_nan", "l_same", "l_batch", "l_none", "l_good"]
    probe = Probe(stimuli=image_benchmark.stimuli, reader=transform, layers=layers)
    features = probe(Odd())
    assert [site.layer for site in features.values] == ["l_tuple", "l_dict", "l_good"]
    why = {site.layer: reason for site, reason in features.refused.items()}
    assert why["l_nan"] == "the features hold NaN or infinity in 16 of 16 stimuli"
    assert why["l_same"] == "the features are the same for every stimulus"
    assert "should have one axis of the batch (8 stimuli), got shape (1, 5)" in why["l_batch"]
    assert "returned str without a tensor" in why["l_none"]


def test_a_layer_that_is_not_run_is_named(image_benchmark):
    probe = Probe(stimuli=image_benchmark.stimuli, reader=transform, layers=["l_unused", "l_good"])
    features = probe(Odd())
    assert [site.layer for site in features.values] == ["l_good"]
    assert features.refused[Site("l_unused", "spatial_mean")] == "it was not run in the forward pass"


def test_surprisal_needs_a_language_model(text_benchmark):
    bert = BertModel(BertConfig(vocab_size=16, hidden_size=20, num_hidden_layers=1, num_attention_heads=2))
    features = text_probe(text_benchmark, layers=["surprisal"])(bert)
    assert "needs logits of shape batch x tokens x vocabulary" in features.refused[Site("surprisal", "mean")]


def test_images_need_a_transform():
    images = StimulusSet(name="i", modality="image", ids=("a",), inputs=[np.zeros((2, 2, 3), dtype=np.uint8)])
    with pytest.raises(ProbeError, match="needs a transform"):
        Probe(stimuli=images, reader=None)


def test_readers_that_cannot_be_used(text_benchmark, image_benchmark):
    with pytest.raises(ProbeError, match="needs a tokenizer: pass tokenizer="):
        Probe(stimuli=text_benchmark.stimuli, reader=None)
    with pytest.raises(ProbeError, match="gives no token for stimulus 's00'"):
        Probe(stimuli=text_benchmark.stimuli, reader=lambda text: [])
    with pytest.raises(ProbeError, match="should give token ids for stimulus 's00', got list"):
        Probe(stimuli=text_benchmark.stimuli, reader=lambda text: ["a"])
    with pytest.raises(ProbeError, match="should give tensors of one shape, got ndarray"):
        Probe(stimuli=image_benchmark.stimuli, reader=np.asarray)
    with pytest.raises(ProbeError, match="batch_size should be at least 1"):
        text_probe(text_benchmark, batch_size=0)


def test_a_model_that_cannot_read_the_stimuli_says_so(image_benchmark):
    probe = Probe(stimuli=image_benchmark.stimuli, reader=transform, layers="auto")
    chain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(2, 2))
    with pytest.raises(ProbeError, match=r"Sequential failed on stimuli 'p00', 'p01' \(pixels \(2, 3, 12, 12\)\)"):
        probe(chain)


TOKENS, MAP = Axes(positions=(1,)), Axes(positions=(2, 3))


def test_poolings():
    x = torch.arange(24.0).reshape(2, 3, 4)
    special = torch.tensor([[True, False, True], [False, False, False]])
    assert torch.equal(pool(x, TOKENS, "last", special=special), torch.stack([x[0, 1], x[1, 2]]))
    assert torch.equal(pool(x, TOKENS, "mean_text", special=special), torch.stack([x[0, 1], x[1].mean(0)]))
    assert torch.equal(pool(x, TOKENS, "mean", special=special), x.mean(1))
    assert torch.equal(pool(x, TOKENS, "cls"), x[:, 0])
    assert torch.equal(pool(x, TOKENS, "last"), x[:, -1])
    assert torch.equal(pool(x, TOKENS, "flatten"), x.flatten(1))
    maps = x.reshape(2, 3, 2, 2)
    assert torch.equal(pool(maps, MAP, "spatial_mean"), maps.mean((2, 3)))
    assert torch.equal(pool(maps, MAP, "mean"), maps.mean((2, 3)))
    assert torch.equal(pool(x, TOKENS, lambda out, m: out.amax(dim=1)), x.amax(dim=1))


def test_poolings_follow_the_axes_wherever_they_are():
    x = torch.rand(2, 3, 4, 5)
    assert torch.allclose(pool(x, Axes(batch=0, positions=(1, 2)), "spatial_mean"), x.mean((1, 2)))
    assert torch.allclose(pool(x, Axes(batch=2, positions=(0,)), "mean"), x.mean(0).transpose(0, 1).flatten(1))
    assert torch.equal(pool(x, Axes(batch=1, positions=(0,)), "last"), x[-1].flatten(1))
    tokens = torch.rand(2, 6, 4)
    assert torch.allclose(pool(tokens, Axes(positions=(1,), prefix=2), "spatial_mean"), tokens[:, 2:].mean(1))
    assert torch.allclose(pool(tokens, Axes(positions=(1,), prefix=2), "mean"), tokens.mean(1))


@pytest.mark.parametrize(
    ("pooling", "axes", "message"),
    [
        ("medn", TOKENS, "there is no pooling 'medn'. Did you mean 'mean'?"),
        ("mean", Axes(positions=None, why="no axis of its output grows"), "no axis of its output grows"),
        (lambda out, m: out, TOKENS, r"pooling should give 2 stimuli x features, got \(2, 3, 4\)"),
    ],
)
def test_poolings_that_cannot_be_used(pooling, axes, message):
    with pytest.raises(FeatureError, match=message):
        pool(torch.rand(2, 3, 4), axes, pooling)


def test_token_pooling_of_a_map_is_refused():
    with pytest.raises(FeatureError, match=r"needs stimuli x tokens x features, got \(2, 3, 4, 4\)"):
        pool(torch.rand(2, 3, 4, 4), MAP, "last")
