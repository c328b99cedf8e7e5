"""A saved Hugging Face run, read afterwards: what the callback missed is filled in from the checkpoints.

    python recipes/replay_hf_run.py --record runs/hf --steps 200 --save 20

The Trainer saves every 20 steps; the callback watches the first half alone (and the end, as always). Then the
checkpoints are replayed into the same record, and the losses that the Trainer wrote into trainer_state.json become task
rows. The steps that were watched live are loaded too, and their weights compared. The second half in one line, for a
run that nobody watched, in its terms; what needs our own held-out loss says --task module:attribute:

    ontogeny replay runs/hf/checkpoints --benchmark planted-language --layers auto surprisal --record runs/hf \
        --task-log runs/hf/checkpoints
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments

import ontogeny
from ontogeny.callbacks.transformers import AlignmentCallback
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.replay import hf_trainer, read_task_log, replay
from ontogeny.simulated.language_world import training_sentences


def train(folder: Path, args, options, tokenizer, data) -> None:
    """A run that saves its checkpoints, watched for its first half."""
    trainer = Trainer(
        model=small_gpt(len(tokenizer)),
        args=TrainingArguments(
            output_dir=str(folder),
            max_steps=args.steps,
            save_steps=args.save,
            eval_strategy="steps",
            eval_steps=args.save,
            logging_steps=args.save,
            per_device_train_batch_size=32,
            learning_rate=2e-3,
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=[{"input_ids": row, "labels": row} for row in data["train"]],
        eval_dataset=[{"input_ids": row, "labels": row} for row in data["held_out"]],
        processing_class=tokenizer,
    )
    first_half = range(0, args.steps // 2 + 1, args.save)
    schedule = f"at:{','.join(map(str, first_half))}"
    callback = AlignmentCallback(args.benchmark, record=args.record, schedule=schedule, **options)
    trainer.add_callback(callback.bind(trainer))
    trainer.train()


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="planted-language")
    parser.add_argument("--record", type=Path, default=Path("runs/hf"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--save", type=int, default=20, help="save a checkpoint every so many steps")
    parser.add_argument("--sentences", type=int, default=5000)
    args = parser.parse_args(argv)

    texts = list(training_sentences(seed=1, n=args.sentences))
    tokenizer = train_tokenizer(texts, vocabulary=1024)
    data = {
        "train": chunks(texts, tokenizer),
        "held_out": chunks(list(training_sentences(seed=2, n=500)), tokenizer)[:64],
    }
    task = ontogeny.HeldOutLoss(batches=[{"input_ids": data["held_out"]}])
    options = {"layers": ["auto", "surprisal"], "task": task}
    folder = args.record / "checkpoints"
    train(folder, args, options, tokenizer, data)
    live = {score.step for score in ontogeny.Record(args.record).events(kind="probe")}

    series = hf_trainer(folder)
    monitor = ontogeny.watch(args.benchmark, record=args.record, tokenizer=series.tokenizer(series.steps[0]), **options)
    monitor.record.append(read_task_log(folder, run=monitor.record.run))  # eval_loss, train_loss
    walked = replay(series, monitor)
    print("\n".join(walked.lines()))

    record = ontogeny.Record(args.record)
    roi = record.select(kind="alignment")[-1].roi
    curve = record.series(layer="transformer.h.2", roi=roi, metric="ridge-gcv")
    ours = record.series(kind="task", metric="loss")
    theirs = record.series(kind="task", metric="eval_loss")
    logged = dict(zip(theirs.steps.tolist(), theirs.values, strict=True))
    print(f"\n{curve.name}; held-out loss, ours; the Trainer's eval_loss")
    for step, value, nats in zip(curve.steps.tolist(), curve.values, ours.values, strict=True):
        how = "live" if step in live else "replayed"
        print(f"step {step:>6}   {how:<8}   {value:+.3f}   {nats:.3f} nats   {logged.get(step, float('nan')):.3f}")


if __name__ == "__main__":
    main()
