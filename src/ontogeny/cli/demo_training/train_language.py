"""A small GPT learns to read under a Hugging Face Trainer, read on sentences while it learns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)
from typing_extensions import override

from ontogeny.datasets import training_text
from ontogeny.monitoring import HeldOutLoss, Monitor
from ontogeny.monitoring.callbacks.transformers import AlignmentCallback
from ontogeny.simulated.language_world import training_sentences

__all__ = ["chunks", "small_gpt", "train_language", "train_tokenizer"]

_WIDTH = 32
_CHARACTERS = 4_000_000


def train_tokenizer(texts: Sequence[str], *, vocabulary: int = 4096) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, trained on `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def chunks(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """Token ids of all texts, each closed by <eos>, cut into rows of 32."""
    encoded = tokenizer(list(texts))["input_ids"]
    flat = [token for row in encoded for token in (*row, tokenizer.eos_token_id)]
    return torch.tensor(flat[: len(flat) // _WIDTH * _WIDTH]).view(-1, _WIDTH)


def small_gpt(vocabulary: int, *, width: int = 128, depth: int = 3) -> GPT2LMHeadModel:
    """A GPT-2 without dropout, heads of 32."""
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=128,
        n_embd=width,
        n_layer=depth,
        n_head=width // 32,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        loss_type="ForCausalLM",
    )
    return GPT2LMHeadModel(config)


def train_language(record: Path, *, real: bool, steps: int, seed: int = 0, progress: bool = True) -> Monitor:
    """Train the GPT once, with its record.

    Args:
        record: the record's folder.
        real: books and the language network, or the planted language world.
        steps: optimizer updates.
        seed: of weights and data order.
        progress: show a bar.

    Returns:
        The monitor that watched.
    """
    train_texts, held_out_texts = _texts(real=real)
    tokenizer = train_tokenizer(train_texts, vocabulary=4096 if real else 1024)
    rows = chunks(train_texts, tokenizer)
    held_out = chunks(held_out_texts, tokenizer)[:512]
    callback = AlignmentCallback(
        "tuckute2024" if real else "planted-language",
        record=record,
        tokenizer=tokenizer,
        layers=("auto", "surprisal"),
        pooling=("last", "mean"),
        schedule="log:6",
        task=HeldOutLoss(batches=[{"input_ids": part} for part in held_out.chunk(8)]),
    )
    set_seed(seed)
    model = small_gpt(len(tokenizer))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=64,
            learning_rate=2e-3,
            lr_scheduler_type="cosine",
            warmup_steps=min(50, steps // 4),
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=not progress,
            seed=seed,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=_Rows(rows), callbacks=[callback])
        trainer.train()
    assert callback.monitor is not None  # noqa: S101 - made when training began
    return callback.monitor


class _Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Rows of token ids as a language model's examples."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @override
    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


def _texts(*, real: bool) -> tuple[list[str], list[str]]:
    """Training and held-out texts that share no paragraph."""
    if not real:
        return list(training_sentences(seed=1, n=20000)), list(training_sentences(seed=2, n=2000))
    train: list[str] = []
    held_out: list[str] = []
    size = 0
    for index, paragraph in enumerate(training_text("books")):
        (held_out if index % 20 == 0 else train).append(paragraph)
        size += len(paragraph)
        if size > _CHARACTERS:
            break
    return train, held_out
