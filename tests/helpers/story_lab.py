"""A made lab that scanned people who listened to stories: files as labs have them, and the features made by hand."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from himalaya.ridge import RidgeCV
from sklearn.model_selection import PredefinedSplit
from transformers import GPT2Config, GPT2LMHeadModel

from ontogeny.metrics.ridge.ridge import ALPHAS
from tests.helpers.textgrids import long_format

VOCABULARY = [f"w{i}" for i in range(40)]
TR, SHAPE = 2.0, (4, 3, 2)
DELAYS = (1, 2, 3, 4)
LAYER = "transformer.h.1"
NOISE = 0.6


def tokenizer(text: str) -> list[int]:
    return [VOCABULARY.index(word) for word in text.split()]


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    size = {"vocab_size": 40, "n_positions": 64, "n_embd": 12, "n_layer": 3, "n_head": 2, "initializer_range": 0.4}
    return GPT2LMHeadModel(GPT2Config(bos_token_id=0, eos_token_id=0, **size)).eval()


@dataclass
class Heard:
    """A story: words with onset and offset in seconds, and how many volumes were taken."""

    name: str
    words: list[str]
    onset: np.ndarray
    offset: np.ndarray
    volumes: int

    @classmethod
    def make(cls, rng: np.random.Generator, name: str, volumes: int) -> Heard:
        n = int(volumes * TR * 1.5)
        onset = np.sort(rng.uniform(0, volumes * TR - 1, n)).round(3)
        onset += 0.001 * np.arange(n)
        return cls(name, [str(w) for w in rng.choice(VOCABULARY, n)], onset, onset + 0.2, volumes)


def window(story: Heard, place: int, context: int, stride: int) -> list[str]:
    return story.words[max(0, place - place % stride - context) : place + 1]


def word_features(model: GPT2LMHeadModel, story: Heard, context: int, stride: int) -> np.ndarray:
    """One window after the other, by Hugging Face's own hidden states."""
    rows = []
    for place in range(len(story.words)):
        ids = [VOCABULARY.index(word) for word in window(story, place, context, stride)]
        with torch.no_grad():
            rows.append(model(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0, -1].numpy())
    return np.stack(rows).astype(np.float64)


def at_volumes(story: Heard, x: np.ndarray, sound: float = 0.0) -> np.ndarray:
    """Lanczos by its formula, word by word."""
    out = np.zeros((story.volumes, x.shape[1]))
    middle = (story.onset + story.offset) / 2
    for volume in range(story.volumes):
        for time, row in zip(middle, x, strict=True):
            t = ((volume + 0.5) * TR - sound - time) / TR
            if abs(t) <= 3:
                out[volume] += np.sinc(t) * np.sinc(t / 3) * row
    return out


def late(x: np.ndarray, delay: int) -> np.ndarray:
    return np.vstack([np.zeros((delay, x.shape[1])), x[: len(x) - delay]])


def delayed(story: Heard, x: np.ndarray, sound: float = 0.0) -> np.ndarray:
    volumes = at_volumes(story, x, sound)
    return np.hstack([late(volumes, delay) for delay in DELAYS])


def z(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def himalaya_r(x: np.ndarray, y: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Mean over outer folds of Pearson r, penalties chosen on the other outer folds; by himalaya."""
    out = []
    for fold in range(held_out.max() + 1):
        train, test = held_out != fold, held_out == fold
        grid = np.array(ALPHAS) * ((x[train] - x[train].mean(axis=0)) ** 2).sum() / train.sum()
        inner = PredefinedSplit(np.unique(held_out[train], return_inverse=True)[1])
        fitted = RidgeCV(alphas=grid, fit_intercept=True, cv=inner, solver_params={"warn": False})
        predicted = fitted.fit(x[train], y[train]).predict(x[test])
        out.append([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y[test].T, strict=True)])
    return np.mean(out, axis=0)


def write_words(path: Path, stories: list[Heard], **more: list[float]) -> Path:
    """A table of words; with a column story where there are several."""
    columns: dict[str, list] = {"word": [], "onset": [], "offset": [], "story": []}
    for story in stories:
        columns["word"] += story.words
        columns["onset"] += story.onset.tolist()
        columns["offset"] += story.offset.tolist()
        columns["story"] += [story.name] * len(story.words)
    if len(stories) == 1:
        del columns["story"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*columns, *more])
        writer.writerows(zip(*columns.values(), *more.values(), strict=True))
    return path


def write_textgrid(path: Path, story: Heard) -> Path:
    """Words with pauses between them."""
    said = [(a, b, word) for a, b, word in zip(story.onset, story.offset, story.words, strict=True)]
    pauses = [(b, a, "sp") for b, a in zip(story.offset, story.onset[1:], strict=False)]
    path.write_text(long_format([("phone", [(0, 1, "AA")]), ("word", sorted(said + pauses))]), encoding="utf-8")
    return path


def write_bold(path: Path, values: np.ndarray, tr: float = TR) -> Path:
    """Volumes x voxels as a 4-D image."""
    image = nib.Nifti1Image(values.T.reshape(*SHAPE, len(values)).astype(np.float32), np.diag([2, 2, 2, 1]))
    image.header.set_zooms((2, 2, 2, tr))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def write_atlas(folder: Path) -> Path:
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels.ravel()[:16] = 1
    labels.ravel()[16:22] = 2
    path = folder / "atlas_dseg.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.diag([2, 2, 2, 1])), path)
    (folder / "atlas_dseg.tsv").write_text("index\tname\n1\tSTG\n2\tPFC\n", encoding="utf-8")
    return path
