"""What a trainer logged -> task rows, at the step of the weights that each value belongs to.

How a logged step relates to weights differs (found by running lightning 2.6 and transformers 5.23, and tested):

| writer | value | logged at k belongs to | source |
|---|---|---|---|
| transformers | eval_* | the weights after k updates | trainer_eval |
| transformers | loss | the weights before each of the updates since the last log: a mean | trainer_average |
| lightning | val_*, valid*, test_* | the weights after k + 1 updates | trainer_eval |
| lightning | others, more than once an epoch or *_step | the weights after k updates, one batch | trainer_batch |
| lightning | others, once an epoch or *_epoch | a mean over the epoch that ends with k + 1 updates | trainer_average |
| own | val*, eval*, test* | the weights after k updates, as far as anyone can tell | trainer_eval |
| own | others | not known, so the worst is supposed | trainer_average |

A value that a trainer measured in an evaluation is of one set of weights, though by the trainer's own definition:
transformers from 4.57 on divides a language model's loss by one label too many a text, Lightning evaluates averaged
weights where weight averaging is on. A training loss is named `train_loss` here (`logged_loss` where nothing says what
it is), so that it is never taken for `loss`, which is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ontogeny.errors import DataError, nearest
from ontogeny.record.score import Score

__all__ = ["Logged", "TrainerKind", "belongs", "more_than_once_an_epoch", "plain", "task_rows", "writer_of_keys"]

TrainerKind = Literal["transformers", "lightning", "own"]

_NOT_TASK = re.compile(
    r"(train/)?epoch|train/train_loss|step|_.*|hp_metric|.*(^|[/_-])(lr|learning_rate|grad_norm|runtime|samples_per_second|steps_per_second|"
    r"tokens_per_second|total_flos|num_tokens|num_input_tokens_seen|global_step|momentum|weight_decay)([/_-].*)?|lr-.*|"
    r"(alignment|task|system|profiler)/.*"
)
_HELD_OUT = re.compile(r"(val|valid|validation|eval|evaluation|test|dev)([^a-z].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One number as it stands in a log.

    Args:
        step: as logged.
        metric: as logged.
        value: the number.
        epoch: as logged, None where it is not.
    """

    step: int
    metric: str
    value: float
    epoch: float | None = None


def writer_of_keys(names: Iterable[str]) -> TrainerKind:
    """Whose log this is, by the names that only one trainer writes."""
    known = set(names)
    if "train/global_step" in known or "train/epoch" in known:
        return "transformers"
    return "lightning" if {"trainer/global_step", "epoch"} & known else "own"


def task_rows(
    logged: Iterable[Logged], writer: TrainerKind, *, run: str, note: str, metrics: Sequence[str] | None = None
) -> list[Score]:
    """Task rows; a step that was logged twice (a resumed run) has the later value.

    Args:
        logged: numbers, in the order of writing.
        writer: whose log it is.
        run: name of the run.
        note: where the values are from.
        metrics: which of them; None: all but the learning rate, times and the like.

    Raises:
        DataError: a metric that was asked for is not there, or nothing is.
    """
    kept = [one for one in logged if (one.metric in metrics if metrics else not _NOT_TASK.fullmatch(one.metric))]
    for name in metrics or ():
        if not any(one.metric == name for one in kept):
            raise DataError(f"{note} has no metric {name!r}. {nearest(name, dict.fromkeys(o.metric for o in logged))}")
    if not kept:
        raise DataError(f"{note} has no number about a task in it; choose metrics=, or look whether the run logged any")
    found = {row.key: row for row in _converted(kept, writer, run, note)}
    return sorted(found.values(), key=lambda row: (row.metric, row.step))


def _converted(kept: Sequence[Logged], writer: TrainerKind, run: str, note: str) -> Iterator[Score]:
    often = more_than_once_an_epoch(kept)
    for one in kept:
        metric = plain(one.metric)
        source, shift = belongs(metric, writer, often=one.metric in often)
        if not _HELD_OUT.fullmatch(metric) and not metric.startswith("train"):
            metric = f"logged_{metric}" if writer == "own" else f"train_{metric}"
        yield Score(
            run=run,
            step=one.step + shift,
            kind="task",
            metric=metric,
            value=one.value,
            unit="as logged",
            source=source,
            note=note,
        )


def belongs(metric: str, writer: TrainerKind, *, often: bool) -> tuple[str, int]:
    """Source, and by how many updates the weights are ahead of the logged step."""
    late = 1 if writer == "lightning" else 0
    if _HELD_OUT.fullmatch(metric):
        return "trainer_eval", late
    if writer == "lightning" and (metric.endswith("_step") or (often and not metric.endswith("_epoch"))):
        return "trainer_batch", 0
    return "trainer_average", late


def plain(name: str) -> str:
    """train/loss -> train_loss, eval/loss -> eval_loss; other slashes stay."""
    head, slash, rest = name.partition("/")
    return f"{head}_{rest}" if slash and head in ("train", "eval", "test", "val") else name


def more_than_once_an_epoch(kept: Sequence[Logged]) -> set[str]:
    """Names of what was logged at several steps of one epoch."""
    seen: dict[tuple[str, Any], set[int]] = {}
    for one in kept:
        seen.setdefault((one.metric, one.epoch), set()).add(one.step)
    return {metric for (metric, _), steps in seen.items() if len(steps) > 1}
