"""Sentence embeddings: a transformer with mean pooling, pairs with in-batch negatives, checkpoint-N folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertModel

import ontogeny  # ontogeny
from ontogeny.monitoring.heldout.loss import Measured
from ontogeny.replay import hf_trainer, replay
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import WORDS, fast_tokenizer

STEPS, SAVE_EVERY, BATCH = 8, 4, 8


class SentenceEncoder(nn.Module):
    def __init__(self, auto_model: BertModel) -> None:
        super().__init__()
        self.auto_model = auto_model

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        tokens = self.auto_model(**features).last_hidden_state
        mask = features["attention_mask"][:, :, None].to(tokens.dtype)
        return {**features, "sentence_embedding": (tokens * mask).sum(dim=1) / mask.sum(dim=1)}


def make_encoder() -> SentenceEncoder:
    torch.manual_seed(5)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    chance = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return SentenceEncoder(BertModel(BertConfig(vocab_size=16, max_position_embeddings=16, **size, **chance)))


def pairs(seed: int) -> list[tuple[str, str]]:
    rng, out = np.random.default_rng(seed), []
    for _ in range(BATCH):
        words = rng.choice(WORDS, size=5)
        out.append((" ".join(words), " ".join(words[rng.permutation(5)][:4])))
    return out


def loss_of(model: SentenceEncoder, batch: list[tuple[str, str]]) -> torch.Tensor:
    tokenizer = fast_tokenizer()
    sides = [
        model(dict(tokenizer(list(side), padding=True, return_tensors="pt", return_token_type_ids=False)))
        for side in zip(*batch, strict=True)
    ]
    one, two = (nn.functional.normalize(side["sentence_embedding"], dim=1) for side in sides)
    return nn.functional.cross_entropy(20 * one @ two.T, torch.arange(len(batch)))


def held_out(model: SentenceEncoder) -> list[Measured]:
    return [Measured(metric="loss", value=float(loss_of(model, pairs(9999))), unit="nats", n=BATCH)]


OPTIONS = {"tokenizer": fast_tokenizer(), "module": "auto_model", "pooling": "mean_text", "task": held_out}


def main(out: Path, *, watched: bool, resume: bool = False):
    model, first, losses = make_encoder(), 0, []
    if resume:
        last = max(out.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
        model.auto_model = BertModel.from_pretrained(last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4))
    if resume:
        state = torch.load(last / "training.pt", weights_only=True)
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        first = state["step"]
    if watched:
        monitor = ontogeny.watch(text_benchmark(), schedule="every:2", record=out / "record", **OPTIONS)  # ontogeny
        monitor(model, first)  # ontogeny
    model.train()
    for step in range(first + 1, STEPS + 1):
        loss = loss_of(model, pairs(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % SAVE_EVERY == 0:
            folder = out / f"checkpoint-{step}"
            model.auto_model.save_pretrained(folder)
            state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "step": step}
            torch.save(state, folder / "training.pt")
        if watched:
            monitor(model, step)  # ontogeny
    if watched:
        monitor.finish(model, STEPS)  # ontogeny
    return losses, model


def replayed(out: Path, record: Path):
    """The folders hold the transformer alone; it is put into the encoder, as in training."""
    series = hf_trainer(out, model=make_encoder)
    return replay(series, ontogeny.watch(text_benchmark(), record=record, **OPTIONS))
