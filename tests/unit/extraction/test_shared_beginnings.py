"""Texts that are beginnings of others are read with them where the model is causal, to the same numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from ontogeny.extraction import Probe
from ontogeny.extraction import _rank_reading as reading_module
from ontogeny.extraction._forward.hooked_pass import run
from ontogeny.extraction._tokens import Tokens, tokenized
from ontogeny.extraction.model_inputs import random_tokens
from ontogeny.stimuli import StimulusSet

WORDS = [f"w{i}" for i in range(30)]


def tokenizer(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


class Causal(nn.Module):
    """Running means of embeddings, twice; logits."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first, self.head = nn.Embedding(30, 8), nn.Linear(8, 8), nn.Linear(8, 30)
        self.seen: list[tuple[int, ...]] = []

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(dim=1) / torch.arange(1, x.shape[1] + 1)[None, :, None]

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(torch.tanh(self.first(self.mix(self.embed(input_ids))))))


class Whole(Causal):
    """Looks at the whole text."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.mean(dim=1, keepdim=True)


class LateWhole(Causal):
    """Looks at the whole text where it is longer than 12 tokens, as no text of the rehearsal is."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        found = super().mix(x)
        return found + x.mean(dim=1, keepdim=True) if x.shape[1] > 12 else found


@pytest.fixture
def stimuli(rng) -> StimulusSet:
    """Windows that begin every five words, and one short text of its own; in no order."""
    words = [str(w) for w in rng.choice(WORDS, 40)]
    windows = [words[max(0, place - place % 5 - 6) : place + 1] for place in range(40)]
    order = rng.permutation(40)
    inputs = tuple(" ".join(windows[i]) for i in order)
    tails = tuple(windows[i][-1] for i in order)
    return StimulusSet(name="w", modality="text", ids=tuple(f"t{i}" for i in order), inputs=inputs, tails=tails)


def probe(stimuli: StimulusSet, **options) -> Probe:
    given = {"stimuli": stimuli, "reader": tokenizer, "layers": ["first", "head", "surprisal"], "batch_size": 4}
    return Probe(**{**given, **options})


@pytest.fixture
def counted(monkeypatch):
    """Features, and how many texts were read for them after the rehearsal."""
    sizes: list[int] = []

    def counting(part, batch, **options):
        sizes.append(batch.size)
        return run(part, batch, **options)

    monkeypatch.setattr(reading_module, "run", counting)

    def read(model: nn.Module, one: Probe):
        one.rehearse(model)
        sizes.clear()
        return one(model), sum(sizes)

    return read


def one_by_one(model: nn.Module, stimuli: StimulusSet) -> dict[str, np.ndarray]:
    """By hand: the layers' outputs at the last token, and the surprisal of the last word."""
    rows: dict[str, list] = {"first": [], "head": [], "surprisal": []}
    for text in stimuli.inputs:
        ids = torch.tensor([tokenizer(text)])
        kept = {}
        hooks = [
            getattr(model, name).register_forward_hook(
                lambda _m, _a, out, name=name, kept=kept: kept.__setitem__(name, out)
            )
            for name in ("first", "head")
        ]
        with torch.no_grad():
            logits = model(ids)
        for hook in hooks:
            hook.remove()
        rows["first"].append(kept["first"][0, -1].numpy())
        rows["head"].append(kept["head"][0, -1].numpy())
        rows["surprisal"].append(
            [-float(logits[0, -2].log_softmax(0)[ids[0, -1]])] if ids.shape[1] > 1 else [float("nan")]
        )
    out = {name: np.array(values) for name, values in rows.items()}
    out["surprisal"] = np.where(np.isnan(out["surprisal"]), np.nanmean(out["surprisal"]), out["surprisal"])
    return out


@pytest.mark.parametrize(("kind", "shares"), [(Causal, True), (Whole, False)])
def test_features_are_those_of_each_text_alone(stimuli, counted, kind, shares):
    torch.manual_seed(0)
    model = kind().eval()
    layers = ["first", "head", "surprisal"] if shares else ["first", "head"]
    found, n = counted(model, probe(stimuli, layers=layers))
    expected = one_by_one(model, stimuli)
    for site, x in found.values.items():
        np.testing.assert_allclose(x.numpy(), expected[site.layer], atol=1e-5)
    assert {site.layer for site in found.values} == set(layers)
    assert found.stimulus_ids == stimuli.ids
    # 7 windows hold all 40 texts; beside them up to three are read alone, as checks
    assert 7 < n <= 7 + 3 if shares else n >= 40


def test_a_model_that_looks_ahead_in_long_texts_alone_is_found_out_and_read_text_by_text(rng, counted):
    """The texts of the rehearsal are cut to the shortest of the longest eight."""
    torch.manual_seed(0)
    model = LateWhole().eval()
    words = [str(w) for w in rng.choice(WORDS, 30)]
    inputs = tuple(" ".join(words[: n + 1]) for n in (*range(3, 11), 20))
    tails = tuple(text.split()[-1] for text in inputs)
    stimuli = StimulusSet(name="w", modality="text", ids=tuple("abcdefghi"), inputs=inputs, tails=tails)
    one = probe(stimuli, layers=["first", "head"])
    assert one.rehearse(model).causal
    found, n = counted(model, one)
    assert n > len(stimuli)
    assert not one.rehearse(model).causal
    expected = one_by_one(model, stimuli)
    for site, x in found.values.items():
        np.testing.assert_allclose(x.numpy(), expected[site.layer], atol=1e-5)


def test_other_poolings_read_each_text(stimuli, counted):
    torch.manual_seed(0)
    model = Causal().eval()
    one = probe(stimuli, pooling="mean", layers=["first"])
    assert one.n_passes(one.rehearse(model)) == len(stimuli)
    found, n = counted(model, one)
    assert n >= len(stimuli)
    (x,) = found.values.values()
    ids = torch.tensor([tokenizer(stimuli.inputs[3])])
    with torch.no_grad():
        expected = model.first(model.mix(model.embed(ids))).mean(dim=1)
    np.testing.assert_allclose(x[3].numpy(), expected[0].numpy(), atol=1e-5)


def test_every_text_is_held_once_by_as_few_texts_as_can_be(rng):
    for _ in range(200):
        ids = [tuple(rng.integers(0, 2, rng.integers(1, 6)).tolist()) for _ in range(12)]
        batches = list(Tokens(ids=ids).shared(3))
        rows = list(itertools.chain(*(batch.rows for batch in batches)))
        assert sorted(rows) == list(range(12))
        for batch in batches:
            for row, (text, first, last) in zip(batch.rows, batch.spans.tolist(), strict=True):
                assert tuple(batch.inputs["input_ids"][text, : last + 1].tolist()) == ids[row]
                assert first == 0
        longest = {a for a in ids if not any(b[: len(a)] == a and b != a for b in ids)}
        assert sum(batch.size for batch in batches) == len(longest)


def test_random_tokens_keep_beginnings_and_counts(stimuli):
    """So that the control costs as few passes as the texts themselves."""
    made, whole = random_tokens(stimuli, tokenizer), tokenized(stimuli, tokenizer, None)
    assert [len(row) for row in made.ids] == [len(row) for row in whole.ids]
    assert made.n_shared() <= whole.n_shared() == 7
    texts = {row for row in whole.ids if not any(o[: len(row)] == row and o != row for o in whole.ids)}
    dealt = [made.ids[whole.ids.index(row)] for row in texts]
    assert sorted(itertools.chain(*dealt)) == sorted(itertools.chain(*texts))
    assert set(dealt) != texts


def test_a_tokenizer_that_joins_a_word_to_the_one_before_counts_its_tokens_from_where_they_differ(stimuli):
    """One character a token, but "ab" is one: the tail "b" after "a" begins with the token that reaches into it."""

    def joined(text: str) -> list[int]:
        parts = [[part] if part == "ab" else list(part) for part in text.replace("ab", "|ab|").split("|")]
        return [2 if one == "ab" else ord(one) % 2 for part in parts for one in part]

    texts = StimulusSet(name="t", modality="text", ids=("x", "y"), inputs=("cab", "cc"), tails=("b", "c"))
    assert list(tokenized(texts, joined, None).starts) == [1, 1]
