"""Held-out losses of every form of batch, against the model's own loss or torch's, computed beside it."""

from __future__ import annotations

import dataclasses
from collections import namedtuple

import pytest
import torch
import transformers as tr
from tests.helpers.models import TinyCNN, image_data, tiny_gpt
from torch import nn

from ontogeny import HeldOutLoss
from ontogeny.errors import ProbeError

VOCABULARY, WIDE, HEADS = 50, 16, 2
SIZES = {"vocab_size": VOCABULARY, "hidden_size": WIDE, "num_hidden_layers": 2, "num_attention_heads": HEADS}
GPT2 = {"vocab_size": VOCABULARY, "n_embd": WIDE, "n_layer": 2, "n_head": HEADS}
BERT = {**SIZES, "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0}
LLAMA = {
    **SIZES,
    "intermediate_size": 32,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
T5 = {
    "vocab_size": VOCABULARY,
    "d_model": WIDE,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 1,
    "num_heads": HEADS,
    "decoder_start_token_id": 0,
}
BART = {
    "vocab_size": VOCABULARY,
    "d_model": WIDE,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 40,
}
VIT = {"hidden_size": WIDE, "num_hidden_layers": 1, "num_attention_heads": HEADS, "intermediate_size": 32}
MOE = {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True}


def made(model, config, options, **more):
    torch.manual_seed(0)
    model = model(config(**options, **more)).eval()
    with torch.no_grad():  # as after some training: the first weights give nearly the same loss to every token
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return model


def ids(n=5, length=9, seed=0):
    return torch.randint(3, VOCABULARY, (n, length), generator=torch.Generator().manual_seed(seed))


def masked(seed=0, n=5):
    """Token ids as DataCollatorForLanguageModeling gives them: labels where hidden, of which one in ten is not."""
    whole, generator = ids(n=n, seed=seed), torch.Generator().manual_seed(seed)
    chosen = torch.rand(whole.shape, generator=generator) < 0.4
    chosen[0, :3] = True
    labels = whole.masked_fill(~chosen, -100)
    hidden = chosen & (torch.rand(whole.shape, generator=generator) < 0.9)
    return {"input_ids": whole.masked_fill(hidden, 2), "attention_mask": torch.ones_like(whole), "labels": labels}


def measured(batches, model, **options):
    return {m.metric: m for m in HeldOutLoss(batches, **options)(model)}


def own(model, batches, count):
    """The model's own mean losses, weighted by how many targets each batch has."""
    with torch.no_grad():
        found = [(model(**batch).loss.item(), count(batch["labels"])) for batch in batches]
    return sum(loss * n for loss, n in found) / sum(n for _, n in found), sum(n for _, n in found)


def judged(labels):
    return int((labels != -100).sum())


def following(labels):
    return judged(labels[:, 1:])


def per_case(labels):
    return len(labels)


def causal(**more):
    rows = ids()
    labels = rows.clone()
    labels[1, :4] = -100
    return {"input_ids": rows, "labels": labels, **more}


def padded_on_the_right():
    batch = causal()
    mask = torch.ones_like(batch["input_ids"])
    mask[2, 6:] = 0
    return {
        "input_ids": batch["input_ids"] * mask,
        "attention_mask": mask,
        "labels": batch["labels"].where(mask > 0, -100),
    }


def translated(labels_like=7):
    labels = ids(length=labels_like, seed=3)
    labels[0, 5:] = -100
    return {"input_ids": ids(), "attention_mask": torch.ones_like(ids()), "labels": labels}


TAGS = {"input_ids": ids(), "labels": ids(seed=4).remainder(4).where(ids() % 5 > 0, -100), "special": torch.ones(5, 9)}
SENTENCES = {"input_ids": ids(), "token_type_ids": torch.zeros_like(ids()), "labels": torch.tensor([0, 2, 1, 1, 3])}
SCORED = {"input_ids": ids(), "labels": torch.randn(5)}
SEVERAL = {"input_ids": ids(), "labels": torch.randint(0, 2, (5, 4)).float()}
PICTURES = {"pixel_values": torch.rand(5, 3, 8, 8), "labels": torch.tensor([0, 2, 1, 1, 3])}

# name: model, configuration, batches, targets of a batch, unit, accuracy too
OWN = {
    "gpt2": (tr.GPT2LMHeadModel, tr.GPT2Config, GPT2, [causal(), padded_on_the_right()], following),
    "llama": (tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA, [causal(), padded_on_the_right()], following),
    "bert": (tr.BertForMaskedLM, tr.BertConfig, BERT, [masked(), masked(1, 3)], judged),
    "roberta": (tr.RobertaForMaskedLM, tr.RobertaConfig, BERT, [masked(), masked(1, 3)], judged),
    "t5": (tr.T5ForConditionalGeneration, tr.T5Config, T5, [translated(), translated(9)], judged),
    "bart": (tr.BartForConditionalGeneration, tr.BartConfig, BART, [translated(), translated(9)], judged),
    "sentences": (tr.BertForSequenceClassification, tr.BertConfig, {**BERT, "num_labels": 4}, [SENTENCES], per_case),
    "regression": (tr.BertForSequenceClassification, tr.BertConfig, {**BERT, "num_labels": 1}, [SCORED], per_case),
    "several labels": (tr.BertForSequenceClassification, tr.BertConfig, {**BERT, "num_labels": 4}, [SEVERAL], per_case),
    "bart sentences": (tr.BartForSequenceClassification, tr.BartConfig, {**BART, "num_labels": 4},
                       [{"input_ids": torch.cat([ids(), torch.full((5, 1), 2)], dim=1), "labels": SENTENCES["labels"]}],
                       per_case),
    "tags": (tr.BertForTokenClassification, tr.BertConfig, {**BERT, "num_labels": 4}, [TAGS], judged),
    "causal tags": (tr.GPT2ForTokenClassification, tr.GPT2Config, {**GPT2, "num_labels": 4}, [TAGS], judged),
    "vit": (tr.ViTForImageClassification, tr.ViTConfig, {**VIT, "image_size": 8, "patch_size": 4, "num_labels": 4},
            [PICTURES], per_case),
}  # fmt: skip
UNITS = {"regression": "squared error"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OWN)
def test_the_models_own_loss(name):
    kind, config, options, batches, count = OWN[name]
    model = made(kind, config, options)
    expected, n = own(model, [{k: v for k, v in b.items() if k != "special"} for b in batches], count)
    got = measured(batches, model)
    assert got["loss"].value == pytest.approx(expected, rel=1e-5)
    assert (got["loss"].n, got["loss"].unit) == (n, UNITS.get(name, "nats"))
    assert ("accuracy" in got) == (name not in ("regression", "several labels"))


def test_accuracy_is_of_the_same_tokens():
    model, batch = made(tr.BertForMaskedLM, tr.BertConfig, BERT), masked()
    with torch.no_grad():
        logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    at = batch["labels"] != -100
    got = measured([batch], model)["accuracy"]
    assert (got.value, got.n) == ((logits.argmax(-1) == batch["labels"])[at].float().mean().item(), int(at.sum()))


def test_routers_losses_are_not_the_tasks():
    """With the experts' balance in the model's own loss, the labels say what is meant."""
    model, batch = made(tr.MixtralForCausalLM, tr.MixtralConfig, MOE, router_aux_loss_coef=0.5), causal()
    with torch.no_grad():
        out = model(**batch)
    expected = nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())
    assert out.loss - expected > 0.1
    assert measured([batch], model)["loss"].value == pytest.approx(expected.item(), rel=1e-5)
    assert measured([{"input_ids": batch["input_ids"]}], model)["loss"].n == 40


def test_the_models_own_loss_decides_where_labels_mislead():
    """Labels that hardly agree with the input, which the model shifts all the same, are of the next token."""
    model = made(tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA)
    batch = {"input_ids": ids(), "labels": ids(seed=9)}
    expected, n = own(model, [batch], following)
    assert measured([batch], model)["loss"].value == pytest.approx(expected, rel=1e-5)
    assert measured([batch], model)["loss"].n == n


def test_padding_on_the_left_changes_nothing():
    model, rows = made(tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA), ids()
    padded, mask = torch.zeros(5, 12, dtype=torch.long), torch.zeros(5, 12, dtype=torch.long)
    padded[:, 3:], mask[:, 3:] = rows, 1
    alone = measured([{"input_ids": rows}], model)["loss"]
    got = measured([{"input_ids": padded, "attention_mask": mask}], model)["loss"]
    assert got.n == alone.n == 40
    assert got.value == pytest.approx(alone.value, rel=1e-5)
    assert measured([{"input_ids": padded, "attention_mask": mask, "labels": padded}], model)["loss"] == got


@pytest.mark.parametrize("wide", [9, 33])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    ("kind", "config", "options"),
    [
        (tr.BertForMaskedLM, tr.BertConfig, BERT),
        (tr.BertForTokenClassification, tr.BertConfig, {**BERT, "num_labels": VOCABULARY}),
        (tr.BertLMHeadModel, tr.BertConfig, {**BERT, "is_decoder": False}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_no_next_token_loss_of_a_model_that_sees_what_follows(kind, config, options, labelled, dtype, wide):
    rows = ids(length=wide)
    batch = {"input_ids": rows, **({"labels": rows} if labelled else {})}
    with pytest.raises(ProbeError, match=f"{kind.__name__} sees the tokens that follow, so that it has no next-token"):
        measured([batch], made(kind, config, options).to(dtype))


def test_a_model_that_sees_what_follows_is_found_out_at_its_first_weights_too():
    torch.manual_seed(0)
    model = tr.BertForTokenClassification(tr.BertConfig(**BERT, num_labels=VOCABULARY)).eval()
    with pytest.raises(ProbeError, match="sees the tokens that follow"):
        measured([{"input_ids": ids(length=30)}], model)
    model = tr.BertForMaskedLM(tr.BertConfig(**BERT)).eval().to(torch.bfloat16)
    with pytest.raises(ProbeError, match="sees the tokens that follow"):
        measured([{"input_ids": ids(length=30)}], model)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_needs_labels(name):
    model = made(*OWN[name][:3])
    with pytest.raises(
        ProbeError, match=f"{type(model).__name__} sees the tokens .* target sequence of an encoder-decoder"
    ):
        measured([{"input_ids": ids()}], model)


class NanoGPT(nn.Module):
    """As in nanoGPT: logits of all tokens only with targets, and the loss beside them."""

    def __init__(self, *, order="logits first", both=True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDE), nn.Linear(WIDE, VOCABULARY)
        self.mix, self.order, self.both = nn.GRU(WIDE, WIDE, batch_first=True), order, both

    def forward(self, idx, targets=None):
        x = self.mix(self.embed(idx))[0]
        if targets is None:
            return self.head(x[:, [-1]]), None
        logits = self.head(x)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
        if self.order == "a mapping":
            return {"loss": loss, "logits": logits}
        return (logits, loss) if self.order == "logits first" else (loss, logits)


@pytest.mark.parametrize("order", ["logits first", "loss first", "a mapping"])
def test_pairs_of_token_ids_that_are_shifted_already(order):
    model, rows = NanoGPT(order=order).eval(), ids(length=10)
    x, y = rows[:, :-1], rows[:, 1:].clone()
    y[0, 4:] = -1
    with torch.no_grad():
        out = model(x, y)
    expected = (out["loss"] if order == "a mapping" else out[order == "logits first"]).item()
    got = measured([(x[:2], y[:2]), (x[2:], y[2:])], model)["loss"]
    assert got.value == pytest.approx(expected, rel=1e-6)
    assert got.n == 45 - 5
    # the same text as a mapping, with and without labels that are not shifted
    whole = measured([(x, rows[:, 1:])], model)["loss"]
    for batch in ({"input_ids": rows}, {"input_ids": rows, "labels": rows}, (rows, rows)):
        assert measured([batch], model)["loss"].value == pytest.approx(whole.value, rel=1e-6)
        assert measured([batch], model)["loss"].n == whole.n


def test_pairs_of_token_ids_for_a_model_with_a_mask_in_second_place():
    model, rows = made(tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA), ids(length=10)
    with torch.no_grad():
        logits = model(rows[:, :-1]).logits
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item()
    assert measured([(rows[:, :-1], rows[:, 1:])], model)["loss"].value == pytest.approx(expected, rel=1e-6)


class Returns(nn.Module):
    """A classifier that returns its logits in some way."""

    def __init__(self, how, inner=None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.how = inner or nn.Sequential(nn.Flatten(), nn.Linear(432, 4)), how

    def forward(self, x):
        return self.how(self.inner(x))


Named = namedtuple("Named", ["features", "logits"])


@dataclasses.dataclass
class Plain:
    loss: torch.Tensor
    logits: torch.Tensor


ONE = torch.tensor(0.5)
WAYS = {
    "a tensor": lambda z: z,
    "with the loss": lambda z: (z, ONE),
    "after the loss": lambda z: (ONE, z),
    "with None": lambda z: (z, None),
    "logits": lambda z: {"features": z + 1, "logits": z},
    "out": lambda z: {"aux": z + 1, "out": z},
    "after one loss a case": lambda z: (torch.ones(len(z)), z),
    "ModelOutput": lambda z: tr.modeling_outputs.SequenceClassifierOutput(loss=ONE, logits=z),
    "a named tuple": lambda z: Named(z + 1, z),
    "a dataclass": lambda z: Plain(ONE, z),
}


@pytest.mark.parametrize("way", WAYS)
def test_logits_are_found_in_what_a_classifier_returns(way):
    model = Returns(WAYS[way]).eval()
    x, y = image_data(9).tensors
    expected = nn.functional.cross_entropy(model.inner(x), y)
    for batch in ((x, y), [x, y[:, None]], {"x": x, "label": y, "name": ["a"] * 9}):
        got = measured([batch], model)
        assert got["loss"].value == pytest.approx(expected.item(), rel=1e-6)
        assert got["accuracy"].value == pytest.approx((model.inner(x).argmax(1) == y).float().mean().item())


def test_cases_without_a_label_and_pixels_without_a_class_are_not_judged():
    x, y = image_data(9).tensors
    model = Returns(lambda z: z).eval()
    expected = nn.functional.cross_entropy(model(x)[2:], y[2:]).item()
    y = torch.cat([torch.tensor([-100, -1]), y[2:]])
    nothing = (x, torch.full_like(y, -100))
    assert measured([(x, y), nothing], model)["loss"].value == pytest.approx(expected, rel=1e-6)
    assert measured([(x, y), nothing], model)["loss"].n == 7
    with pytest.raises(ProbeError, match="none of the 2 held-out batches has a case with a target"):
        measured([nothing, nothing], model)
    segments = Returns(lambda z: {"out": z, "aux": z * 2}, nn.Conv2d(3, 5, 1)).eval()
    target = torch.randint(0, 5, (9, 12, 12))
    target[:, 0] = 255
    expected = nn.functional.cross_entropy(segments.inner(x), target, ignore_index=255).item()
    assert measured([(x, target)], segments)["loss"].value == pytest.approx(expected, rel=1e-6)


def test_values_are_scored_by_squared_error():
    x = torch.randn(7, 6)
    model = nn.Linear(6, 1)
    y = torch.randn(7)
    expected = nn.functional.mse_loss(model(x)[:, 0], y).item()
    for target in (y, y[:, None]):
        got = measured([(x[:3], target[:3]), (x[3:], target[3:])], model)
        assert got["loss"].value == pytest.approx(expected, rel=1e-6)
        assert (got["loss"].unit, got["loss"].n, list(got)) == ("squared error", 7, ["loss"])
    wide = nn.Linear(6, 3)
    expected = nn.functional.mse_loss(wide(x), x[:, :3]).item()
    assert measured([(x, x[:, :3])], wide)["loss"].value == pytest.approx(expected, rel=1e-6)


class Wrapper(nn.Module):
    def __init__(self, model) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args, **kwargs):
        return self.model(*args, **kwargs)


def test_keys_are_chosen_for_the_model_inside_wrappers():
    model = made(tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA)
    batch = padded_on_the_right()
    alone = measured([batch], model)["loss"]
    strange = {
        **batch,
        "text": ["a"] * 5,
        "length": torch.ones(5),
        "token_type_ids": torch.zeros_like(batch["input_ids"]),
    }
    for wrapped in (model, Wrapper(model), nn.DataParallel(model), torch.compile(model, backend="eager")):
        assert measured([strange], wrapped)["loss"] == alone


@pytest.mark.filterwarnings("ignore")
def test_keys_are_chosen_for_the_model_inside_an_adapter():
    peft = pytest.importorskip("peft")
    batch = {**masked(), "text": ["a"] * 5}
    for kind in (None, "FEATURE_EXTRACTION", "TOKEN_CLS"):
        base = made(tr.BertForMaskedLM, tr.BertConfig, BERT)
        alone = measured([batch], base)["loss"]
        adapted = peft.get_peft_model(base, peft.LoraConfig(task_type=kind, target_modules=["query"])).eval()
        assert measured([batch], adapted)["loss"] == alone


def test_inputs_are_in_the_weights_precision_and_losses_in_float32():
    x, y = image_data(9).tensors
    model = TinyCNN().eval().to(torch.bfloat16)
    with torch.no_grad():
        expected = nn.functional.cross_entropy(model(x.to(torch.bfloat16)).float(), y).item()
    assert measured([(x, y)], model)["loss"].value == pytest.approx(expected, rel=1e-6)


def test_a_model_that_writes_into_its_inputs_leaves_held_out_data_alone():
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    task = HeldOutLoss([(x, y)])
    model = Returns(lambda z: z, nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 4)))
    before = x.clone()
    assert list(task(model)) == list(task(model))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("batch", "model", "message"),
    [
        (torch.rand(2, 3), nn.Linear(3, 2), "cannot use a batch of type Tensor .*2, 3"),
        ((torch.rand(2, 3), torch.tensor([0, 1]), 4), nn.Linear(3, 2), "cannot use a batch of type tuple .*2, 3"),
        ({"a": torch.rand(2, 3), "b": torch.rand(2, 3), "labels": torch.zeros(2)}, nn.Linear(3, 2),
         r"forward takes \['input'\].*b \(2, 3\)"),
        ({"input": torch.rand(2, 3)}, nn.Linear(3, 2), "without labels .* has no target"),
        ((torch.rand(2, 3), torch.tensor([0, 5])), nn.Linear(3, 2), "logits have 2 classes .* go up to 5"),
        ((torch.rand(2, 4), torch.tensor([0, 1])), nn.Linear(3, 2), "Linear failed on held-out inputs .*2, 4"),
        ((torch.rand(2, 3), torch.rand(2, 5)), nn.Linear(3, 2), r"returns values of shape \(2, 5\)"),
        ((torch.rand(2, 3), torch.tensor([0.0, 1.0])), nn.Linear(3, 1), "may be meant for squared error or"),
        ((torch.rand(2, 3), torch.tensor([[0.2, 0.8], [1, 0]])), nn.Linear(3, 2), "may be meant for squared error or"),
        ((torch.rand(2, 3), torch.tensor([0, 1])), nn.Linear(3, 1), "a model that returns logits, cases x classes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(batch, model, message):
    with pytest.raises(ProbeError, match=message) as caught:
        measured([batch], model)
    assert "loss=" in str(caught.value)


def test_losses_in_two_units_have_no_mean():
    with pytest.raises(ProbeError, match="in nats and in squared error"):
        measured([(torch.rand(2, 3), torch.tensor([0, 1])), (torch.rand(2, 3), torch.rand(2, 2))], nn.Linear(3, 2))


def test_a_loss_of_ones_own_gives_a_tensor():
    with pytest.raises(ProbeError, match="gave float, expected a tensor"):
        measured([1], nn.Linear(3, 2), loss=lambda model, batch: 0.5)


def test_decided_once_for_all_batches():
    """A batch whose judged tokens happen to be unhidden says nothing by itself."""
    model = made(tr.BertForMaskedLM, tr.BertConfig, BERT)
    first, second = masked(), masked(1)
    first["labels"] = first["input_ids"].where(torch.arange(9) == 4, -100)
    expected, n = own(model, [first, second], judged)
    got = measured([first, second], model)["loss"]
    assert (got.value, got.n) == (pytest.approx(expected, rel=1e-5), n)


def test_a_gpt_at_its_first_weights_with_dropout_is_read_without_gradients():
    task = HeldOutLoss([{"input_ids": ids(length=8) % 13}])
    model = tiny_gpt().eval()
    assert task(model)[0].n == 35
    assert all(p.grad is None for p in model.parameters())


def test_batches_with_and_without_labels_beside_each_other():
    """Labels of hidden tokens in one batch say nothing about a batch of bare text."""
    model = made(tr.BertForMaskedLM, tr.BertConfig, BERT)
    with pytest.raises(ProbeError, match="sees the tokens that follow"):
        measured([masked(), {"input_ids": ids()}], model)
    model = made(tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA)
    got = measured([causal(), {"input_ids": ids()}], model)["loss"]
    assert got.n == following(causal()["labels"]) + 40


def test_arrays_are_taken_as_tensors_are():
    model = made(tr.LlamaForCausalLM, tr.LlamaConfig, LLAMA)
    batch = causal()
    arrays = {name: value.numpy() for name, value in batch.items()}
    assert measured([arrays], model) == measured([batch], model)
    rows = ids().numpy().astype("uint16")
    assert measured([{"input_ids": rows}], model) == measured([{"input_ids": ids()}], model)
    with pytest.raises(ProbeError, match=r"input_ids 5 x tuple"):
        measured([{"input_ids": ids().tolist()}], model)


def test_a_model_in_training_is_evaluated_and_goes_on_training():
    model = TinyCNN().train()
    model.late.eval()
    x, y = image_data(9).tensors
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    got = measured([(x, y)], model)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert got == measured([(x, y)], model.eval())
