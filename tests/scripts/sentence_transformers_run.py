"""SentenceTransformerTrainer on pairs, with in-batch negatives; the model and its tokenizer are made here."""

from __future__ import annotations

from pathlib import Path

import torch

from ontogeny import HeldOutLoss, watch  # ontogeny
from ontogeny.callbacks.transformers import AlignmentCallback  # ontogeny
from ontogeny.replay import hf_trainer, replay
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import fast_tokenizer
from tests.scripts.sentence_encoder import BATCH, make_encoder, pairs

HOW = {"pooling": "mean_text"}


def in_batch_negatives(model, batch):
    """The loss of MultipleNegativesRankingLoss, of each pair."""
    sides = [list(side) for side in zip(*batch, strict=True)]
    one, two = (model.encode(s, convert_to_tensor=True, normalize_embeddings=True) for s in sides)
    return torch.nn.functional.cross_entropy(20 * one @ two.T, torch.arange(len(batch)), reduction="none")


def main(out: Path, *, watched: bool):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
    from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    make_encoder().auto_model.save_pretrained(out / "base")
    fast_tokenizer().save_pretrained(out / "base")
    model = SentenceTransformer(str(out / "base"), device="cpu")
    data = [pair for seed in range(4) for pair in pairs(seed)]
    trainer = SentenceTransformerTrainer(
        model=model,
        args=Arguments(
            output_dir=str(out / "checkpoints"),
            max_steps=8,
            per_device_train_batch_size=BATCH,
            learning_rate=5e-3,
            logging_steps=1,
            save_steps=4,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=Dataset.from_dict({"anchor": [a for a, _ in data], "positive": [b for _, b in data]}),
        loss=MultipleNegativesRankingLoss(model),
    )
    if watched:
        watching = AlignmentCallback(  # ontogeny
            text_benchmark(),
            schedule="every:2",
            task=HeldOutLoss([pairs(9999)], loss=in_batch_negatives),
            record=out / "record",
            **HOW,
        )
        trainer.add_callback(watching)  # ontogeny
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row], model


def replayed(out: Path, record: Path):
    series = hf_trainer(out / "checkpoints")
    task = HeldOutLoss([pairs(9999)], loss=in_batch_negatives)
    return replay(series, watch(text_benchmark(), record=record, tokenizer=series.tokenizer(4), task=task, **HOW))
