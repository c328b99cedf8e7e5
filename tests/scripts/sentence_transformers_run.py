"""SentenceTransformerTrainer on pairs, with in-batch negatives; the model and its tokenizer are made here."""

from __future__ import annotations

from pathlib import Path

from ontogeny.callbacks.transformers import AlignmentCallback  # ontogeny
from tests.benchmarks import text_benchmark
from tests.models import fast_tokenizer
from tests.scripts.sentence_encoder import BATCH, make_encoder, pairs


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
            text_benchmark(), pooling="mean_text", schedule="every:2", record=out / "record"
        )
        trainer.add_callback(watching)  # ontogeny
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row], model
