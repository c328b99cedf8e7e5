"""Watch a Hugging Face Trainer: one callback, nothing else changes.

    python recipes/transformers_run.py --record runs/gpt --steps 200

Reads the embedded simulated world "planted-language"; with real data, say "tuckute2024" (see `ontogeny data list`).
Afterwards: `ontogeny report runs/gpt`.
"""

from __future__ import annotations

import argparse

import torch
from transformers import Trainer, TrainingArguments

from ontogeny import HeldOutLoss
from ontogeny.callbacks.transformers import AlignmentCallback
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.simulated.language_world import training_sentences


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="planted-language")
    parser.add_argument("--record", default="runs/gpt")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--sentences", type=int, default=5000)
    args = parser.parse_args(argv)

    texts = list(training_sentences(seed=1, n=args.sentences))
    tokenizer = train_tokenizer(texts, vocabulary=1024)
    rows = chunks(texts, tokenizer)
    held_out = chunks(list(training_sentences(seed=2, n=500)), tokenizer)[:64]

    trainer = Trainer(
        model=small_gpt(len(tokenizer)),
        args=TrainingArguments(
            output_dir=f"{args.record}/checkpoints",
            max_steps=args.steps,
            per_device_train_batch_size=32,
            learning_rate=2e-3,
            save_strategy="no",
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=[{"input_ids": row, "labels": row} for row in rows],
        processing_class=tokenizer,
    )
    alignment = AlignmentCallback(  # <- the line; the tokenizer is the trainer's own
        args.benchmark,
        record=args.record,
        layers=["auto", "surprisal"],
        task=HeldOutLoss(batches=[{"input_ids": held_out}]),
    )
    trainer.add_callback(alignment.bind(trainer))
    trainer.train()

    record = alignment.monitor.record
    loss = record.series(kind="task", metric="loss")
    roi = next(s.roi for s in record.scores if s.kind == "alignment")
    curve = record.series(layer="transformer.h.2", roi=roi, metric="ridge-gcv")
    for step, value, nats in zip(curve.steps, curve.values, loss.values, strict=True):
        print(f"step {step:>6}   {curve.name}   {value:+.3f}   held-out loss {nats:.3f} nats")


if __name__ == "__main__":
    main()
