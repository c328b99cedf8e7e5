"""Does what a small GPT explains of the language network beyond sentence length precede its loss, over 8 seeds?

    python analysis/12_language_study.py --out runs/studies/language    3 hours of one core; killed, it goes on
    python analysis/12_language_study.py --report    figure, table and records of the seeds that are finished

Books (12 MB) against 1,000 sentences x language network (Tuckute et al. 2024, Nat Hum Behav) and 180 concepts x 15
participants (Pereira et al. 2018, Nat Commun), found through ONTOGENY_DATA or the cache folder; without them, and with
`--data planted`, the embedded simulated world. What is claimed, and what would refute it, is in PLAN.md (12).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from study_report import Curve, write_results
from torch import Tensor, nn
from training_study import Training, batch_rows, options_of, run_seeds

from ontogeny import Benchmark, HeldOutLoss, Monitor, StimulusSet, load, watch
from ontogeny.cli.demo_training import real_or_planted
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.datasets import training_text
from ontogeny.metrics import Ridge, UniqueVariance
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.monitoring.schedule import at
from ontogeny.simulated.language_world import training_sentences
from ontogeny.stimuli import nuisance_features

STEPS = 3500
BATCH = 32
WIDTH, DEPTH = 192, 4
HELD_OUT = 512
NUISANCE = "surface-and-frequency"


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def surface_and_frequency(stimuli: StimulusSet, texts: Sequence[str]) -> Nuisance:
    """Length, words, punctuation, and how frequent a stimulus' words are in the training text: mean and least log10."""
    counts = Counter(word for text in texts for word in words_of(text))
    each = [np.log10([1 + counts[word] for word in words_of(text)] or [1]) for text in stimuli.inputs]
    frequency = np.array([[logs.mean(), logs.min()] for logs in each])
    values = np.concatenate([nuisance_features(stimuli), frequency], axis=1)
    return Nuisance(name=NUISANCE, stimulus_ids=stimuli.ids, values=values)


def benchmarks(texts: Sequence[str], *, real: bool) -> list[Benchmark]:
    """The sentences by ridge, and by what is left beyond the nuisance; the concepts by their own metrics."""
    sentences = load("tuckute2024" if real else "planted-language")
    metrics = (Ridge(), UniqueVariance(nuisance=surface_and_frequency(sentences.stimuli, texts)))
    return [replace(sentences, metrics=metrics), *([load("pereira2018_concepts")] if real else [])]


def batch_loss(rows: Tensor, model: nn.Module, seed: int, step: int) -> Tensor:
    batch = rows[batch_rows(len(rows), seed, step, size=BATCH)]
    loss: Tensor = model(input_ids=batch, labels=batch).loss
    return loss


def watched(
    against: Sequence[Benchmark], tokenizer: Any, task: HeldOutLoss, record: Path, weights: Any, due: Sequence[int]
) -> Monitor:
    return watch(
        list(against),
        record=record,
        run=f"{record.parent.name}-{weights}",
        tokenizer=tokenizer,
        layers=("auto", "surprisal"),
        pooling=("last", "mean"),
        controls=("random features", "surface"),
        schedule=at(due),
        task=task,
        weights=weights,
        on_error="raise",
    )


def training(*, real: bool) -> Training:
    """Books or the simulated world; of books every twentieth paragraph is held out."""
    if real:
        paragraphs = training_text()
        held_out, texts = paragraphs[::20], [p for i, p in enumerate(paragraphs) if i % 20]
    else:
        held_out, texts = training_sentences(seed=2, n=200), training_sentences(seed=1, n=2000)
    tokenizer = train_tokenizer(texts, vocabulary=4096 if real else 512)
    others = chunks(held_out, tokenizer)
    cases = others[:: max(1, len(others) // HELD_OUT)][:HELD_OUT]
    width, depth = (WIDTH, DEPTH) if real else (32, 2)
    return Training(
        model=partial(small_gpt, len(tokenizer), width=width, depth=depth),
        loss=partial(batch_loss, chunks(texts, tokenizer)),
        watch=partial(
            watched,
            benchmarks(texts, real=real),
            tokenizer,
            HeldOutLoss([{"input_ids": part} for part in cases.chunk(8)]),
        ),
    )


def real_data() -> tuple[Any, ...]:
    return load("tuckute2024"), load("pereira2018_concepts"), training_text()


def main(argv: Sequence[str] | None = None) -> None:
    options = options_of(__doc__ or "", steps=STEPS, out=Path("runs/studies/language"), argv=argv)
    if options.report:
        metrics = (f"unique-r2-{NUISANCE}", "ridge-gcv", "rsa-correlation-spearman")
        shown = [Curve(weights="raw", metric=m, pooling=pooling) for m in metrics for pooling in ("last", "mean")]
        write_results("language", options, shown, tasks=("loss",))
        return
    real = real_or_planted(options.data, real_data, print)
    run_seeds(training(real=real), options)


if __name__ == "__main__":
    main()
