"""What a rehearsal finds out about a model, and what a probe makes of it."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from tests.helpers.models import WORDS, TinyCNN, fast_tokenizer, tiny_gpt, tokenizer, transform
from torch import nn
from transformers import BertConfig, BertModel

from ontogeny import Probe, StimulusSet, watch
from ontogeny.errors import LayerNotFoundError, ProbeError
from ontogeny.extraction.features import Site
from ontogeny.extraction.preserved import LeftBehindError

TEXTS = [" ".join(WORDS[(i * 5 + k * 3) % len(WORDS)] for k in range(1 + i % 6)) for i in range(14)]
STIMULI = StimulusSet(name="t", modality="text", ids=tuple(f"s{i}" for i in range(len(TEXTS))), inputs=TEXTS)


def text_probe(reader=tokenizer, **options):
    return Probe(stimuli=STIMULI, reader=reader, **options)


class Words(nn.Module):
    """A base for text models with habits."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.e, self.l = nn.Embedding(16, 8), nn.Linear(8, 8)


def alone(model, layer, texts=TEXTS, pooled=lambda x: x[0].mean(0), reader=tokenizer):
    """Features by a plain hook, one text at a time."""
    rows = []
    handle = layer.register_forward_hook(lambda _m, _a, out: rows.append(pooled(out)))
    model.eval()
    with torch.no_grad():
        for text in texts:
            model(torch.tensor([list(reader(text))]))
    handle.remove()
    model.train()
    return torch.stack(rows)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("name", ["mask", "src_key_padding_mask", "attn_mask", "attention_mask", "lengths"])
def test_a_mask_of_any_name_and_polarity_cannot_be_wrong(name, required):
    default = "" if required else "=None"
    scope: dict = {}
    exec(f"def forward(self, x, {name}{default}):\n    return self.l(self.e(x)) * (1 + 0 * self.seen({name}))", scope)

    class Masked(Words):
        forward = scope["forward"]

        def seen(self, given):
            self.given = given
            return 0

    model = Masked()
    features = text_probe(layers=["l"], pooling="mean")(model)
    right = alone(model, model.l) if not required else None
    if right is None:
        with torch.no_grad():
            right = torch.stack([model.l(model.e(torch.tensor(tokenizer(t)))).mean(0) for t in TEXTS])
    torch.testing.assert_close(features.values[Site("l", "mean")], right, rtol=1e-5, atol=1e-6)


class Sorts(Words):
    """What a text gives depends on what else is in the batch."""

    def forward(self, x):
        y = self.l(self.e(x))
        return self.last(y - y.mean(dim=0, keepdim=True) * (len(y) > 1))

    def last(self, y):
        return y


def test_features_that_depend_on_the_batch_are_read_alone():
    model = Sorts()
    model.out = nn.Linear(8, 4)
    model.last = lambda y: model.out(y)
    probe = text_probe(layers=["l", "out"], pooling="mean")
    assert probe.rehearse(model).alone
    features = probe(model)
    torch.testing.assert_close(features.values[Site("out", "mean")], alone(model, model.out))
    assert "one stimulus at a time" in features.notes


class NeedsTwo(Words):
    """Normalizes over the batch, and cannot read a single text."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def train(self, mode=True):
        super().train(mode)
        self.norm.train()
        return self

    def forward(self, x):
        return self.norm(self.l(self.e(x[:, 0])))


def test_a_layer_that_depends_on_a_batch_it_needs_is_refused_and_the_others_are_read():
    features = text_probe(layers=["l", "norm"], pooling="mean")(NeedsTwo())
    assert [site.layer for site in features.values] == ["l"]
    assert "depend on what else is in the batch" in features.refused[Site("norm", "mean")]


class Draws(Words):
    def forward(self, x):
        return self.l(self.e(x) + torch.randn(8) + torch.tensor(np.random.rand()) + 0.1 * torch.rand(len(x), 1, 1))


def test_a_model_that_draws_numbers_gives_the_same_whatever_was_drawn_before():
    probe = text_probe(layers=["l"], pooling="mean")
    torch.manual_seed(1)
    first = probe(Draws())
    torch.manual_seed(2)
    np.random.seed(3)
    model = Draws()
    before = torch.get_rng_state()
    second = text_probe(layers=["l"], pooling="mean")(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.values[Site("l", "mean")], second.values[Site("l", "mean")])
    assert "a fixed random seed" in first.notes


def test_numbers_from_where_no_seed_reaches_are_refused():
    class Clock(Words):
        def forward(self, x):
            import secrets

            return self.l(self.e(x) + secrets.randbelow(1000))

    features = text_probe(layers=["e", "l"], pooling="mean")(Clock())
    assert [site.layer for site in features.values] == ["e"]
    assert "two readings of the same weights differ" in features.refused[Site("l", "mean")]


def test_a_model_that_runs_only_under_autocast_is_read_so_and_says_so():
    model = tiny_gpt().to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "wte" in name or "wpe" in name:
            parameter.data = parameter.data.float()
    features = text_probe(pooling="mean")(model)
    assert features.notes[0] == "float32 and bfloat16 under autocast bfloat16"
    assert text_probe()(tiny_gpt()).notes[0] == "float32"


def test_axes_are_found_wherever_they_are():
    class Axes(Words):
        def __init__(self):
            super().__init__()
            for name in ("tbc", "bct", "bthd", "btt", "bc", "b_only"):
                self.add_module(name, nn.Identity())

        def forward(self, x):
            y = self.l(self.e(x))
            self.tbc(y.transpose(0, 1))
            self.bct(y.transpose(1, 2))
            self.bthd(y.unflatten(2, (2, 4)))
            self.btt(y @ y.transpose(1, 2))
            self.bc(y.mean(1))
            self.b_only(y[:1])
            return y

    model = Axes()
    names = ["l", "tbc", "bct", "bthd", "btt", "bc", "b_only"]
    features = text_probe(layers=names, pooling="mean")(model)
    for name in ("tbc", "bct", "bthd", "bc"):
        torch.testing.assert_close(features.values[Site(name, "mean")], features.values[Site("l", "mean")])
    assert "2 axes of its output" in features.refused[Site("btt", "mean")]
    assert "should have one axis of the batch" in features.refused[Site("b_only", "mean")]


def test_last_is_the_last_token_of_the_text_and_mean_text_leaves_special_ones_out():
    from tokenizers.processors import TemplateProcessing

    own = fast_tokenizer([*WORDS, "[CLS]", "[SEP]"])
    cls, sep = (own.convert_tokens_to_ids(token) for token in ("[CLS]", "[SEP]"))
    own.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)).eval()
    features = text_probe(own, layers=["encoder.layer.0"], pooling=["last", "mean_text", "mean"])(model)
    ids = torch.tensor([own(TEXTS[4])["input_ids"]])
    assert ids[0, 0] == cls
    assert ids[0, -1] == sep
    with torch.no_grad():
        hidden = model(ids).last_hidden_state[0]
    for pooling, right in (("last", hidden[-2]), ("mean_text", hidden[1:-1].mean(0)), ("mean", hidden.mean(0))):
        torch.testing.assert_close(features.values[Site("encoder.layer.0", pooling)][4], right, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_of_a_tokenizer_is_taken_away_on_both_sides(side):
    own = fast_tokenizer()
    own.padding_side = side
    padded = text_probe(lambda text: own(text, padding="max_length", max_length=12), pooling="mean")(tiny_gpt().eval())
    plain = text_probe(own, pooling="mean")(tiny_gpt().eval())
    for site, x in plain.values.items():
        assert torch.equal(padded.values[site], x)


def test_tokens_masked_in_the_middle_are_refused():
    with pytest.raises(ProbeError, match="leaves out tokens in the middle of stimulus 's2'"):
        text_probe(
            lambda text: {"input_ids": [1, 2, 3][: len(text.split())], "attention_mask": [1, 0, 1][: len(text.split())]}
        )


def test_a_text_beyond_the_context_is_named_and_truncation_helps():
    long = StimulusSet(name="l", modality="text", ids=("a", "b"), inputs=["dog cat", " ".join(["dog"] * 20)])
    with pytest.raises(ProbeError, match=r"stimul(us|i) .*of 20 tokens.*'transformer.wpe' has 16 rows.*truncation="):
        Probe(stimuli=long, reader=tokenizer, pooling="mean")(tiny_gpt())
    cut = Probe(stimuli=long, reader=tokenizer, pooling="mean", truncation=16)(tiny_gpt())
    assert cut.values


def test_one_text_beyond_the_context_is_found_by_the_rehearsal():
    """The eight longest texts are read cut to one length, at which the model can read them."""
    texts = [*(" ".join(["dog"] * n) for n in range(8, 16)), " ".join(["dog"] * 20)]
    long = StimulusSet(name="l", modality="text", ids=tuple(f"s{i}" for i in range(9)), inputs=texts)
    with pytest.raises(ProbeError, match=r"'s8'.*of 20 tokens.*'transformer.wpe' has 16 rows.*truncation="):
        Probe(stimuli=long, reader=tokenizer, pooling="mean").rehearse(tiny_gpt())


def test_a_token_beyond_the_vocabulary_says_that_the_tokenizer_is_another_models():
    with pytest.raises(
        ProbeError, match=r"'transformer.wte' has 16 rows, and row 99 .* Pass the tokenizer that the model"
    ):
        text_probe(lambda text: [99 for _ in text.split()])(tiny_gpt())


def test_module_and_call_say_what_is_read_and_how(image_benchmark):
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([TinyCNN()])

        def forward(self, batch, stage):
            return self.parts[0](batch["image"])

    model, stimuli = Holder(), image_benchmark.stimuli
    right = Probe(stimuli=stimuli, reader=transform)(model.parts[0])
    for name in ("parts.0", "parts[0]"):
        named = Probe(stimuli=stimuli, reader=transform, module=name)(model)
        assert [s.layer for s in named.values] == ["parts.0.early", "parts.0.late", "parts.0.head"]
        for a, b in zip(named.values.values(), right.values.values(), strict=True):
            assert torch.equal(a, b)
    own = ["early", "late", "head"]
    call = lambda m, b: m({"image": b["pixels"]}, "fit")  # noqa: E731
    called = Probe(stimuli=stimuli, reader=transform, call=call, layers=own)(model)
    for a, b in zip(called.values.values(), right.values.values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ProbeError, match="needs 'stage' beside a batch of pictures; name the part that is read"):
        Probe(stimuli=stimuli, reader=transform)(model)
    with pytest.raises(LayerNotFoundError, match=r"no submodule 'part\.0' to be read\. Did you mean 'parts.0'"):
        Probe(stimuli=stimuli, reader=transform, module="part.0")(model)


def test_each_run_of_a_shared_block_is_a_layer_of_its_own():
    class Shared(Words):
        def forward(self, x):
            y = self.e(x)
            for _ in range(3):
                y = torch.tanh(self.l(y))
            return y

    model = Shared()
    features = text_probe(layers=["l"], pooling="mean")(model)
    assert [s.layer for s in features.values] == ["l[0]", "l[1]", "l[2]"]
    one = text_probe(layers=["l[2]"], pooling="mean")(model)
    assert [s.layer for s in one.values] == ["l[2]"]
    assert torch.equal(one.values[Site("l[2]", "mean")], features.values[Site("l[2]", "mean")])


def test_what_cannot_be_put_back_is_named_before_it_is_touched():
    class Streams(Words):
        def __init__(self):
            super().__init__()
            self.stream = (i for i in range(100))

        def forward(self, x):
            return self.l(self.e(x)) + next(self.stream)

    model = Streams()
    with pytest.raises(LeftBehindError, match="stream is a generator, which cannot be put back once it is used"):
        text_probe(layers=["l"])(model)
    assert next(model.stream) == 0


def test_a_benchmark_that_cannot_be_read_does_not_take_the_others_with_it(text_benchmark, image_benchmark, tmp_path):
    monitor = watch([image_benchmark, text_benchmark], record=tmp_path / "r", transform=transform, tokenizer=tokenizer)
    monitor(TinyCNN(), 0)
    assert {s.benchmark for s in monitor.record.select(kind="alignment")} == {image_benchmark.name}
    refused = [s for s in monitor.record.events(kind="refusal") if s.benchmark == text_benchmark.name]
    assert "TinyCNN failed on stimuli" in refused[0].note
    assert any("layers of 16 stimuli" in line for line in monitor.record.header["rehearsal"])


def test_a_task_that_fails_is_refused_alone(image_benchmark, tmp_path):
    def breaks(model):
        raise AssertionError("no such batch")

    monitor = watch(image_benchmark, record=tmp_path / "r", transform=transform, task=breaks)
    monitor(TinyCNN(), 0)
    assert monitor.record.select(kind="alignment")
    assert [(s.layer, s.note) for s in monitor.record.events(kind="refusal")] == [
        ("(task)", "AssertionError: no such batch")
    ]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_no_more_stimuli_than_a_batch_are_read_together(size):
    """Three at least, where it is not one: fewer do not show which axis is the batch."""
    seen = []

    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 3)

        def forward(self, x):
            seen_outside(len(x))
            return self.layer(x.flatten(1)[:, :12])

    def seen_outside(n):
        os.write(w, bytes([n]))

    r, w = os.pipe()
    pixels = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    stimuli = StimulusSet(name="t", modality="image", ids=tuple(f"p{i}" for i in range(10)), inputs=list(pixels))
    probe = Probe(
        stimuli=stimuli, reader=lambda x: torch.tensor(np.asarray(x)) / 255, layers=["layer"], batch_size=size
    )
    probe(Counts())
    os.close(w)
    seen = list(os.read(r, 1000))
    os.close(r)
    assert max(seen) == {1: 1, 2: 3, 4: 4}[size]


def test_a_tokenizer_that_raises_is_quoted():
    stimuli = StimulusSet(name="t", modality="text", ids=("a", "b"), inputs=["one", "two"])

    def tokenizer(text):
        raise ValueError(f"no {text}")

    with pytest.raises(ProbeError, match=r"'[ab]'.*ValueError: no (one|two)"):
        Probe(stimuli=stimuli, reader=tokenizer, layers=["0"])(nn.Sequential(nn.Embedding(5, 3)))
