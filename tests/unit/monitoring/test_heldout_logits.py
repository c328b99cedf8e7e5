"""Which axis of an output is classes, probabilities in place of logits, and padding on the left."""

from __future__ import annotations

import pytest
import torch
import transformers as tr
from torch import nn
from torch.nn.functional import cross_entropy

from ontogeny import HeldOutLoss
from ontogeny.errors import ProbeError

VOCABULARY = 12


def ids(n=5, length=VOCABULARY, seed=0):
    return torch.randint(1, VOCABULARY, (n, length), generator=torch.Generator().manual_seed(seed))


class Causal(nn.Module):
    """Logits of the next token: the running mean of the tokens so far, batch x tokens x classes before `given`."""

    def __init__(self, given=lambda logits: logits, length=None):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head, self.given, self.length = nn.Embedding(12, 8), nn.Linear(8, 12), given, length

    def logits(self, x):
        if self.length is not None and x.shape[1] != self.length:
            raise ValueError("texts of one length")
        places = torch.arange(1, x.shape[1] + 1)[:, None]
        return 5 * self.head(self.embed(x).cumsum(1) / places)

    def forward(self, x):
        return self.given(self.logits(x))


class Says(Causal):
    """Its own loss beside the logits."""

    def forward(self, input_ids, labels=None):
        logits = self.logits(input_ids)
        if labels is None:
            return {"logits": self.given(logits)}
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return {"loss": loss, "logits": self.given(logits)}


def behind(logits):
    return logits.transpose(1, 2)


def loss(batches, model):
    return HeldOutLoss(batches)(model)[0].value


def following(model, x, y):
    with torch.no_grad():
        return float(cross_entropy(model.logits(x).flatten(0, 1), y.flatten()))


@pytest.mark.parametrize("given", [behind, lambda logits: logits], ids=["behind the batch", "last"])
def test_as_many_classes_as_tokens_are_told_apart_by_a_shorter_text(given):
    model, x, y = Causal(given), ids(), ids(seed=1)
    assert loss([(x, y)], model) == pytest.approx(following(model, x, y), rel=1e-5)


@pytest.mark.parametrize("given", [behind, lambda logits: logits], ids=["behind the batch", "last"])
def test_or_by_another_batch(given):
    model = Causal(given)
    pairs = [(ids(length=n), ids(length=n, seed=1)) for n in (7, VOCABULARY)]
    sums = [following(model, x, y) * x.numel() for x, y in pairs]
    assert loss(pairs, model) == pytest.approx(sum(sums) / sum(x.numel() for x, _ in pairs), rel=1e-5)


def test_of_one_length_alone_it_is_refused():
    x, y = ids(), ids(seed=1)
    with pytest.raises(ProbeError, match=r"not clear which axis is classes.* pass loss="):
        loss([(x, y)], Causal(behind, length=VOCABULARY))


@pytest.mark.parametrize("given", [behind, lambda logits: logits], ids=["behind the batch", "last"])
def test_the_own_loss_tells_where_texts_are_of_one_length(given):
    model, x = Says(given, length=VOCABULARY), ids()
    found = loss([{"input_ids": x, "labels": x}], model)
    assert found == pytest.approx(own(model, x), rel=1e-5)


def own(model, x):
    with torch.no_grad():
        return float(model(x, labels=x)["loss"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_count_by_their_logarithm(dtype):
    model, x, y = Causal(lambda logits: logits.softmax(-1).to(dtype)), ids(), ids(seed=1)
    assert loss([(x, y)], model) == pytest.approx(following(model, x, y), rel=1e-4 if dtype is torch.float32 else 1e-2)


@pytest.mark.parametrize("given", [lambda z: z.log_softmax(-1), lambda z: z.abs(), lambda z: z.softmax(-1) * 2])
def test_what_are_no_probabilities_is_taken_as_it_is(given):
    model, x, y = Causal(given), ids(length=7), ids(length=7, seed=1)
    with torch.no_grad():
        expected = float(cross_entropy(model(x).flatten(0, 1), y.flatten()))
    assert loss([(x, y)], model) == pytest.approx(expected, rel=1e-5)


def test_classes_of_cases_too():
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=-1))
    x, y = torch.randn(20, 4), torch.randint(0, 3, (20,))
    with torch.no_grad():
        assert loss([(x, y)], model) == pytest.approx(float(cross_entropy(model[0](x), y)), rel=1e-5)


def padded(rows, side):
    width = max(map(len, rows))
    whole, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        whole[i, place], mask[i, place] = row, 1
    return {"input_ids": whole, "attention_mask": mask, "labels": whole.where(mask > 0, -100)}


@pytest.mark.parametrize("labels", [True, False])
def test_a_text_has_the_same_loss_on_whichever_side_its_batch_is_padded(labels):
    torch.manual_seed(0)
    options = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    model = tr.LlamaForCausalLM(tr.LlamaConfig(**options, num_attention_heads=2, pad_token_id=0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    rows = [ids(1, n, seed=n)[0] for n in (4, 7, 9)]
    batches = {side: padded(rows, side) for side in ("left", "right")}
    found = {
        side: loss([batch if labels else {k: v for k, v in batch.items() if k != "labels"}], model)
        for side, batch in batches.items()
    }
    with torch.no_grad():
        alone = [model(row[None], labels=row[None]).loss.item() * (len(row) - 1) for row in rows]
        right = model(**batches["right"]).loss.item()
        left = model(**batches["left"]).loss.item()
    assert found["right"] == pytest.approx(right, rel=1e-5)
    assert found["left"] == pytest.approx(found["right"], rel=1e-4)
    assert found["left"] == pytest.approx(sum(alone) / sum(len(row) - 1 for row in rows), rel=1e-4)
    assert left != pytest.approx(right, rel=1e-3)  # its first tokens are predicted from padding, and counted
