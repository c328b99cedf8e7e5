"""Tiny models of plain torch, tokenizer and transform: a process that needs no trainer starts in half the time."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

WORDS = ["dog", "cat", "tree", "river", "stone", "runs", "sleeps", "falls", "sings", "quickly", "there", "again"]
PLACE = {word: i + 1 for i, word in enumerate(WORDS)}


def tokenizer(text: str) -> list[int]:
    return [PLACE.get(word, 0) for word in text.split()]


def transform(image) -> torch.Tensor:
    return torch.as_tensor(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


class TinyCNN(nn.Module):
    """BatchNorm and dropout: what a careless probe would disturb."""

    def __init__(self, *, frozen_norm: bool = False) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(8, 4)
        self.frozen_norm = frozen_norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.late(self.early(x)).mean(dim=(2, 3)))


class TinyReader(nn.Module):
    """Two residual blocks over the words, each of which sees those before it."""

    def __init__(self, words: int = 16, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(0.2), nn.Linear(width, width))
            for _ in range(2)
        )
        self.head = nn.Linear(width, words)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(input_ids)
        past = torch.arange(1, x.shape[1] + 1)[:, None]
        for block in self.blocks:
            x = x + block(x.cumsum(dim=1) / past)
        return self.head(x)
