"""The stimuli of the zoo: texts of one to twelve tokens, pictures, waveforms, spectrograms; and their readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ontogeny import StimulusSet

LENGTHS = (1, 1, 2, 3, 3, 5, 5, 5, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 12)
"""Words a text: as many texts of five words as words, and more of seven than a batch of 7 has room for."""

FIRST_WORD, N_TOKENS = 4, 40
WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(N_TOKENS - FIRST_WORD)]
PAD, OPEN, CLOSE, UNKNOWN = range(FIRST_WORD)


@dataclass(frozen=True, kw_only=True)
class World:
    """Stimuli, the reader that a user gives, and what a model takes: one tensor a stimulus, with a batch of 1.

    Args:
        last: place of a text's last token that the tokenizer did not add.
        poolings: that are tried.
    """

    stimuli: Any
    reader: Callable[[Any], Any]
    tensors: tuple[Tensor, ...]
    poolings: tuple[str, ...]
    last: int = -1


def texts() -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(WORDS[i] for i in rng.integers(0, len(WORDS), n)) for n in rng.permutation(LENGTHS)]


def word_ids(text: str) -> list[int]:
    """A tokenizer that is a plain function."""
    return [FIRST_WORD + WORDS.index(word) for word in text.split()]


def fast_tokenizer(*, opens: bool, closes: bool) -> Any:
    """Of Hugging Face, with a token before or after every text."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    special = {"[PAD]": PAD, "[CLS]": OPEN, "[SEP]": CLOSE, "[UNK]": UNKNOWN}
    vocabulary = special | {word: FIRST_WORD + i for i, word in enumerate(WORDS)}
    inner = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    single = ["[CLS]"] * opens + ["$A"] + ["[SEP]"] * closes
    inner.post_processor = TemplateProcessing(
        single=" ".join(single), special_tokens=[("[CLS]", OPEN), ("[SEP]", CLOSE)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        pad_token="[PAD]",
        **({"cls_token": "[CLS]", "bos_token": "[CLS]"} if opens else {}),
        **({"sep_token": "[SEP]", "eos_token": "[SEP]"} if closes else {}),
    )


def _stimuli(name: str, modality: str, inputs: list[Any]) -> Any:
    ids = tuple(f"s{i}" for i in range(len(inputs)))
    return StimulusSet(name=name, modality=modality, ids=ids, inputs=inputs)


def text_world(*, opens: bool = False, closes: bool = False, shortest: int = 1) -> World:
    """Texts; token ids are written down by hand: the words, with the special tokens around them."""
    inputs = [text for text in texts() if len(text.split()) >= shortest]
    rows = [[OPEN] * opens + word_ids(text) + [CLOSE] * closes for text in inputs]
    return World(
        stimuli=_stimuli("texts", "text", inputs),
        reader=fast_tokenizer(opens=opens, closes=closes) if opens or closes else word_ids,
        tensors=tuple(torch.tensor([row]) for row in rows),
        poolings=("mean", "last"),
        last=-2 if closes else -1,
    )


def pixels(picture: Any) -> Tensor:
    return torch.as_tensor(np.asarray(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1).contiguous()


def waveform(picture: Any, *, samples: int) -> Tensor:
    return pixels(picture).flatten()[:samples]


def spectrogram(picture: Any, *, rows: int, columns: int) -> Tensor:
    return pixels(picture).flatten()[: rows * columns].reshape(rows, columns)


def picture_world(height: int, width: int, *, reader: Callable[[Any], Tensor] = pixels, n: int = 10) -> World:
    """Noise with a gradient, height x width x 3."""
    rng = np.random.default_rng(height * 1000 + width)
    slope = np.linspace(0, 80, height)[:, None, None] + np.linspace(0, 40, width)[None, :, None]
    noise = rng.integers(0, 136, size=(n, height, width, 3))
    inputs = [(slope * rng.random(3) + picture).astype(np.uint8) for picture in noise]
    return World(
        stimuli=_stimuli("pictures", "image", inputs),
        reader=reader,
        tensors=tuple(reader(picture)[None] for picture in inputs),
        poolings=("spatial_mean",),
    )


WORLDS: dict[str, Callable[[], World]] = {
    "words": cache(text_world),
    "two words": cache(partial(text_world, shortest=2)),
    "opened": cache(partial(text_world, opens=True)),
    "closed": cache(partial(text_world, closes=True)),
    "sentences": cache(partial(text_world, opens=True, closes=True)),
    "pictures": cache(partial(picture_world, 32, 32)),
    "wide pictures": cache(partial(picture_world, 32, 64)),
    "pictures of 64": cache(partial(picture_world, 64, 64, n=8)),
    "wide pictures of 64": cache(partial(picture_world, 64, 96, n=8)),
    "waves": cache(partial(picture_world, 20, 20, reader=partial(waveform, samples=320))),
    "spectra": cache(partial(picture_world, 20, 20, reader=partial(spectrogram, rows=8, columns=32))),
    "patches of sound": cache(partial(picture_world, 20, 20, reader=partial(spectrogram, rows=32, columns=16))),
}
"""Name -> world, made once."""
