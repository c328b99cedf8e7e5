"""Tiny real models and tokenizers that several tests train."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from tests.helpers.nets import PLACE, WORDS, TinyCNN, tokenizer, transform

__all__ = [
    "PLACE",
    "WORDS",
    "TinyCNN",
    "TinyModule",
    "fast_tokenizer",
    "image_data",
    "image_loader",
    "saved",
    "tiny_gpt",
    "tiny_neox",
    "token_rows",
    "tokenizer",
    "transform",
]


class TinyModule(pl.LightningModule):
    def __init__(self, *, frozen_norm: bool = False) -> None:
        super().__init__()
        self.net = TinyCNN()
        self.frozen_norm = frozen_norm
        self.losses: list[float] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def on_train_start(self) -> None:
        if self.frozen_norm:
            self.net.early[1].eval()

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.losses.append(loss.item())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", nn.functional.cross_entropy(self(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def image_data(n: int = 48, *, seed: int = 0) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (n,), generator=generator)
    images = torch.rand(n, 3, 12, 12, generator=generator) + labels[:, None, None, None] / 4
    return TensorDataset(images, labels)


def image_loader(n: int = 48, *, batch_size: int = 8, shuffle: bool = True) -> DataLoader:
    return DataLoader(image_data(n), batch_size=batch_size, shuffle=shuffle)


def tiny_gpt(*, dropout: float = 0.2, seed: int = 0, words: int = 16, positions: int = 16) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=words,
        n_positions=positions,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


def token_rows(n: int = 64, *, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(1, 13, (n, 8), generator=generator)
    return [{"input_ids": row, "labels": row} for row in rows]


def tiny_neox(*, seed: int = 0, dtype: torch.dtype = torch.float32) -> GPTNeoXForCausalLM:
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoXForCausalLM(config).to(dtype)


def fast_tokenizer(words=WORDS) -> PreTrainedTokenizerFast:
    model = WordLevel({"<unk>": 0, **{word: i + 1 for i, word in enumerate(words)}}, unk_token="<unk>")
    inner = Tokenizer(model)
    inner.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", pad_token="<unk>")


def saved(model, folder, *, tokenizer=None, **options) -> dict[str, bytes]:
    """The files of a model as transformers writes them."""
    model.save_pretrained(folder, **options)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
