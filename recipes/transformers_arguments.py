"""Watch a Hugging Face run whose options all come from the command line or a file, as in the Trainer's example scripts.

    python recipes/transformers_arguments.py --output_dir runs/hf --max_steps 200 --metric_for_best_model alignment/mean
    python recipes/transformers_arguments.py options.yaml        # or .json: the same names

With `--metric_for_best_model alignment/mean --load_best_model_at_end` the model of the best alignment is loaded in the
end.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser, Trainer, TrainingArguments

from ontogeny import HeldOutLoss
from ontogeny.callbacks.transformers import AlignmentCallback
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.simulated.language_world import training_sentences


@dataclass
class AlignmentArguments:
    """What is watched, in the manner of TrainingArguments."""

    benchmark: str = field(default="planted-language", metadata={"help": "see `ontogeny data list`"})
    record: str = field(default="runs/hf/record", metadata={"help": "folder of the record"})
    layers: list[str] = field(default_factory=lambda: ["auto"], metadata={"help": "auto, surprisal, names, globs"})
    pooling: list[str] = field(default_factory=lambda: ["last"], metadata={"help": "last, mean, ..."})
    schedule: str = field(default="log", metadata={"help": "log, log:12, every:100, at:0,10"})
    budget: float | None = field(default=None, metadata={"help": "largest share of wall time, 0.02 for 2 %"})
    sentences: int = field(default=5000, metadata={"help": "sentences to train on"})


def main(argv=None) -> None:
    parser = HfArgumentParser((TrainingArguments, AlignmentArguments))
    given = sys.argv[1:] if argv is None else list(argv)
    if len(given) == 1 and Path(given[0]).suffix in (".yaml", ".yml"):
        training, alignment = parser.parse_yaml_file(given[0])
    elif len(given) == 1 and given[0].endswith(".json"):
        training, alignment = parser.parse_json_file(given[0])
    else:
        training, alignment = parser.parse_args_into_dataclasses(given)

    texts = list(training_sentences(seed=1, n=alignment.sentences))
    tokenizer = train_tokenizer(texts, vocabulary=1024)
    held_out = chunks(list(training_sentences(seed=2, n=500)), tokenizer)[:64]
    trainer = Trainer(
        model=small_gpt(len(tokenizer)),
        args=training,
        train_dataset=[{"input_ids": row, "labels": row} for row in chunks(texts, tokenizer)],
        eval_dataset=[{"input_ids": row, "labels": row} for row in held_out],
        processing_class=tokenizer,
    )
    watching = AlignmentCallback(  # <- the line
        alignment.benchmark,
        record=alignment.record,
        layers=alignment.layers,
        pooling=alignment.pooling,
        schedule=alignment.schedule,
        budget=alignment.budget,
        task=HeldOutLoss(batches=[{"input_ids": held_out}]),
    )
    trainer.add_callback(watching.bind(trainer))
    trainer.train()
    print("best", trainer.state.best_metric, "at step", trainer.state.best_global_step)


if __name__ == "__main__":
    main()
