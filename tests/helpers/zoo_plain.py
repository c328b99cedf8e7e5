"""Models that users write themselves: GPTs, classifiers with masks of several names, recurrent nets, trainers' modules.

Every one takes token ids, batch x tokens, and has three blocks of 32 features unless said otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from tests.helpers.zoo import Family, numbered
from tests.helpers.zoo_stimuli import N_TOKENS

WIDTH, HEADS, PLACES = 32, 4, 32


class CausalBlock(nn.Module):
    """Pre-norm attention and MLP, as in nanoGPT and minGPT."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 48), nn.GELU(), nn.Linear(48, WIDTH), nn.Dropout(0.1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(WIDTH, 2))
        y = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.c_proj(y)
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """Blocks in a list in a dict; logits of the last token alone where no targets are given."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(N_TOKENS, WIDTH),
                "wpe": nn.Embedding(PLACES, WIDTH),
                "h": nn.ModuleList(CausalBlock() for _ in range(3)),
                "ln_f": nn.LayerNorm(WIDTH),
            }
        )
        self.lm_head = nn.Linear(WIDTH, N_TOKENS, bias=False)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.transformer.wte(idx) + self.transformer.wpe(torch.arange(idx.shape[1], device=idx.device))
        for block in self.transformer.h:
            x = block(x)
        x = self.transformer.ln_f(x)
        if targets is None:
            return self.lm_head(x[:, [-1]]), None
        logits = self.lm_head(x)
        return logits, cross_entropy(logits.flatten(0, 1), targets.flatten())


class MinGPT(nn.Module):
    """Blocks in a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.tok_emb, self.pos_emb = nn.Embedding(N_TOKENS, WIDTH), nn.Parameter(torch.zeros(1, PLACES, WIDTH))
        self.blocks = nn.Sequential(*(CausalBlock() for _ in range(3)))
        self.ln_f, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, N_TOKENS, bias=False)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        logits = self.head(self.ln_f(self.blocks(self.tok_emb(idx) + self.pos_emb[:, : idx.shape[1]])))
        return logits, None if targets is None else cross_entropy(logits.flatten(0, 1), targets.flatten())


class ListGPT(nn.Module):
    """Blocks in a list of the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(N_TOKENS, WIDTH)
        self.layers = nn.ModuleList(CausalBlock() for _ in range(3))
        self.head = nn.Linear(WIDTH, N_TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class SharedGPT(ListGPT):
    """One block, three times: a recurrence in depth."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([CausalBlock()])

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for _ in range(3):
            x = self.layers[0](x)
        return self.head(x)


class HeadsGPT(ListGPT):
    """Its blocks hand on batch x tokens x heads x features of a head."""

    class Block(CausalBlock):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flatten(2)).unflatten(2, (HEADS, -1))

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(self.Block() for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens).unflatten(2, (HEADS, -1))
        for layer in self.layers:
            x = layer(x)
        return self.head(x.flatten(2))


class Classifier(nn.Module):
    """PyTorch's own encoder and a linear layer on the mean token."""

    def __init__(self, *, batch_first: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(N_TOKENS, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 48, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 5)

    def classified(self, ids: Tensor, **masks: Any) -> Tensor:
        return self.head(self.encoder(self.embed(ids), **masks).mean(dim=1))

    def forward(self, src: Tensor) -> Tensor:
        return self.classified(src)


class MaskClassifier(Classifier):
    """`mask` is True at what is padding."""

    def forward(self, src: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.classified(src, src_key_padding_mask=mask)


class PaddingClassifier(Classifier):
    """PyTorch's own name, and its own reading: True at what is padding."""

    def forward(self, src: Tensor, src_key_padding_mask: Tensor | None = None) -> Tensor:
        return self.classified(src, src_key_padding_mask=src_key_padding_mask)


class AttentionClassifier(Classifier):
    """`attn_mask` is tokens x tokens, True at what is not attended."""

    def forward(self, src: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        return self.classified(src, mask=attn_mask)


class KeepClassifier(Classifier):
    """`attention_mask` is 1 at what is a token, as in transformers."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        padding = None if attention_mask is None else attention_mask == 0
        return self.classified(input_ids, src_key_padding_mask=padding)


class NamedKeepClassifier(KeepClassifier):
    """The same with its ids by another name."""

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return super().forward(tokens, attention_mask)


class OpenClassifier(Classifier):
    """Whatever comes is handed on."""

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.inner(*args, **kwargs)

    def inner(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.classified(ids, src_key_padding_mask=mask)


class SequenceFirst(Classifier):
    """Tokens x batch x features inside, PyTorch's default."""

    def __init__(self) -> None:
        super().__init__(batch_first=False)

    def classified(self, ids: Tensor, **masks: Any) -> Tensor:
        return self.head(self.encoder(self.embed(ids).transpose(0, 1), **masks).mean(dim=0))


class SequenceFirstOutside(Classifier):
    """Takes tokens x batch, so that only `call=` can run it."""

    def __init__(self) -> None:
        super().__init__(batch_first=False)


class Recurrent(nn.Module):
    """A language model of long short-term memory; a flat chain of modules."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.embed = nn.Embedding(N_TOKENS, WIDTH)
        self.rnn = kind(WIDTH, WIDTH, num_layers=2, batch_first=True)
        self.head = nn.Linear(WIDTH, N_TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(tokens))[0])


class RecurrentPile(nn.Module):
    """Recurrent layers in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(N_TOKENS, WIDTH)
        self.layers = nn.ModuleList(nn.GRU(WIDTH, WIDTH, batch_first=True) for _ in range(3))
        self.head = nn.Linear(WIDTH, N_TOKENS)

    def forward(self, tokens: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.embed(tokens)
        for layer in self.layers:
            x, hidden = layer(x)
        return self.head(x), hidden


class Module(pl.LightningModule):
    """A trainer's module around a model, with a forward pass of its own."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor) -> Any:
        return self.net(ids)

    def training_step(self, batch, batch_idx):
        return self.net(batch, batch)[1]


class ModuleWithoutForward(pl.LightningModule):
    """Only its steps know how the model is run."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        return self.net(batch, batch)[1]


def of_the_net(model: nn.Module, x: Tensor) -> Any:
    return model.net(x)


def plain() -> list[Family]:
    """Blocks of their own making."""
    own = partial(Family, hidden="")
    layers, encoder = numbered("layers", 3), numbered("encoder.layers", 3)
    masks = (Classifier, MaskClassifier, PaddingClassifier, AttentionClassifier, KeepClassifier, NamedKeepClassifier)
    recurrent = {"blocks": ("rnn",), "first": "", "exact": False}
    return [
        own(name="nanoGPT", build=NanoGPT, blocks=numbered("transformer.h", 3)),
        own(name="minGPT", build=MinGPT, blocks=numbered("blocks", 3)),
        own(name="GPT in a list", build=ListGPT, blocks=layers),
        own(name="one block three times", build=SharedGPT, blocks=tuple(f"layers.0[{i}]" for i in range(3))),
        own(name="heads apart", build=HeadsGPT, blocks=layers, axes="bthd"),
        *(own(name=kind.__name__, build=kind, blocks=encoder) for kind in (*masks, OpenClassifier)),
        own(name="SequenceFirst", build=SequenceFirst, blocks=encoder, axes="tbd"),
        own(
            name="SequenceFirstOutside",
            build=SequenceFirstOutside,
            blocks=encoder,
            axes="tbd",
            forward=lambda model, x: model(x.T),
            options={"call": lambda module, batch: module(batch["input_ids"].T)},
        ),
        own(name="LSTM", build=Recurrent, **recurrent),
        own(name="GRU", build=partial(Recurrent, nn.GRU), **recurrent),
        own(name="GRUs in a list", build=RecurrentPile, blocks=layers),
        own(name="Lightning", build=lambda: Module(NanoGPT()), blocks=numbered("net.transformer.h", 3)),
        own(
            name="Lightning without forward",
            build=lambda: ModuleWithoutForward(NanoGPT()),
            blocks=numbered("net.transformer.h", 3),
            forward=of_the_net,
            options={"module": "net"},
        ),
    ]
