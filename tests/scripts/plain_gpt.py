"""A plain loop over memory-mapped tokens: a small GPT whose forward pass returns (logits, loss)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

import ontogeny  # ontogeny
from ontogeny.replay import files, replay
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import WORDS, tokenizer

BLOCK, BATCH, ACCUMULATION, MAX_ITERS, WARMUP, SAVE_EVERY, RATE = 8, 4, 2, 8, 3, 4, 1e-2


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(b, t, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, vocabulary: int, width: int = 16, depth: int = 2) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(BLOCK, width)
        self.h = nn.ModuleList(Block(width) for _ in range(depth))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1], device=idx.device))
        for block in self.h:
            x = block(x)
        x = self.ln_f(x)
        if targets is None:
            return self.lm_head(x[:, [-1]]), None
        logits = self.lm_head(x)
        return logits, nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def make_gpt() -> GPT:
    torch.manual_seed(1337)
    return GPT(len(WORDS) + 1)


def prepare(out: Path) -> None:
    rng = np.random.default_rng(0)
    for split, n in (("train", 2000), ("val", 300)):
        rng.integers(1, len(WORDS) + 1, n).astype(np.uint16).tofile(out / f"{split}.bin")


def get_batch(out: Path, split: str, seed: int):
    data = np.memmap(out / f"{split}.bin", dtype=np.uint16, mode="r")
    starts = np.random.default_rng(seed).integers(0, len(data) - BLOCK - 1, BATCH)
    x, y = (np.stack([data[i + shift : i + shift + BLOCK] for i in starts]).astype(np.int64) for shift in (0, 1))
    return torch.from_numpy(x), torch.from_numpy(y)


def rate(it: int) -> float:
    if it < WARMUP:
        return RATE * (it + 1) / WARMUP
    return RATE * 0.5 * (1 + math.cos(math.pi * (it - WARMUP) / (MAX_ITERS - WARMUP)))


def main(out: Path, *, watched: bool, resume: bool = False, compiled: bool = False):
    if not resume:
        prepare(out)
    model, iter_num, losses = make_gpt(), 0, []
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95))
    if resume:
        found = torch.load(max(out.glob("ckpt-*.pt")), weights_only=True)
        model.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])
        iter_num = found["iter_num"]
    if compiled:
        model = torch.compile(model, backend="eager")

    if watched:
        held_out = [get_batch(out, "val", seed) for seed in range(4)]  # ontogeny
        monitor = ontogeny.watch(  # ontogeny
            text_benchmark(),
            tokenizer=tokenizer,
            task=ontogeny.HeldOutLoss(held_out),
            schedule="every:2",
            record=out / "record",
        )
    while True:
        if iter_num % SAVE_EVERY == 0:
            raw = getattr(model, "_orig_mod", model)
            content = {"model": raw.state_dict(), "optimizer": optimizer.state_dict(), "iter_num": iter_num}
            torch.save(content, out / f"ckpt-{iter_num:06d}.pt")
        if watched:
            monitor(model, iter_num)  # ontogeny
        if iter_num == MAX_ITERS:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(iter_num)
        for micro in range(ACCUMULATION):
            _, loss = model(*get_batch(out, "train", 100 + ACCUMULATION * iter_num + micro))
            (loss / ACCUMULATION).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        iter_num += 1
    if watched:
        monitor.finish(model, iter_num)  # ontogeny
    return losses, model


def replayed(out: Path, record: Path):
    series = files(out / "ckpt-{step:06}.pt", model=make_gpt, key="model")
    held_out = [get_batch(out, "val", seed) for seed in range(4)]
    task = ontogeny.HeldOutLoss(held_out)
    return replay(series, ontogeny.watch(text_benchmark(), tokenizer=tokenizer, task=task, record=record))
