"""Results of lm-evaluation-harness, as Pythia publishes them: `zero-shot/70m-deduped_step1000.json`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ontogeny.errors import DataError, nearest
from ontogeny.record.score import Score

__all__ = ["from_lm_eval"]

_STEP = re.compile(r"(?<![a-z])(?:global_?)?(?:step|checkpoint)[-_]?(\d+)(?!\d)")
_ARGUMENT = re.compile(r"(?:^|,)(\w+)=([^,]*)")
_UNITS = {
    "acc": "share correct",
    "acc_norm": "share correct",
    "exact_match": "share correct",
    "ppl": "perplexity",
    "perplexity": "perplexity",
    "word_perplexity": "perplexity of a word",
    "byte_perplexity": "perplexity of a byte",
    "bits_per_byte": "bits a byte",
}


def from_lm_eval(
    path: str | os.PathLike[str], *, run: str = "", tasks: Sequence[str] | None = None, step: int | None = None
) -> list[Score]:
    """Task rows of one result file, or of all in a folder.

    A metric is called "arc_easy acc"; its standard error stands in the note. The step is in the file's name
    ("..._step1000.json") or, as a revision ("step1000") or a folder ("checkpoint-1000"), in the model's arguments;
    these have to agree. Else it is in the name of a folder between the file and `path`.

    Args:
        path: file, or a folder, which is searched with all below it.
        run: name of the run.
        tasks: which tasks; None: all.
        step: of the one file, where nothing in it says it.

    Raises:
        DataError: nothing there, no results in a file, no step, two that disagree, or a task that is not there.
    """
    place = Path(path)
    files = sorted(place.rglob("*.json")) if place.is_dir() else [place]
    found: dict[tuple[Any, ...], Score] = {}
    seen: dict[str, None] = {}
    for file in files:
        content = _read(file, strict=not place.is_dir())
        if content is None:
            continue
        at = step if step is not None else _step(file, content, place)
        seen |= dict.fromkeys(content["results"])
        for row in _rows(content["results"], run=run, step=at, note=f"from {file.name}", tasks=tasks):
            if found.setdefault(row.key, row).value != row.value:
                raise DataError(
                    f"{place} has two values of {row.metric} at step {at} ({found[row.key].note}; {row.note})"
                )
    for name in tasks or ():
        if name not in seen:
            raise DataError(f"{place} has no results of task {name!r}. {nearest(name, seen)}")
    if not found:
        raise DataError(f"{place} has no results of lm-evaluation-harness in it")
    return sorted(found.values(), key=lambda row: (row.metric, row.step))


def _read(file: Path, *, strict: bool) -> dict[str, Any] | None:
    """A result file; in a folder, other JSON files are passed over."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("results"), dict):
        return content
    if strict:
        raise DataError(f"{file} has no 'results'; is it a result file of lm-evaluation-harness?")
    return None


def _step(file: Path, content: Mapping[str, Any], place: Path) -> int:
    arguments = (content.get("config") or {}).get("model_args") or ""
    given = arguments if isinstance(arguments, dict) else dict(_ARGUMENT.findall(str(arguments)))
    sources = {
        "its name": file.stem,
        "its revision": str(given.get("revision", "")),
        "its model": str(given.get("pretrained", "")),
    }
    named_steps = {where: int(found[-1]) for where, text in sources.items() if (found := _STEP.findall(text))}
    if not named_steps and place.is_dir() and (found := _STEP.findall(str(file.parent.relative_to(place.parent)))):
        named_steps["its folder"] = int(found[-1])
    if not named_steps:
        raise DataError(
            f"{file} does not say its step, in its name (..._step1000.json), as revision=, or as a folder "
            "(checkpoint-1000); give step="
        )
    if len(set(named_steps.values())) > 1:
        raise DataError(
            f"{file}: {' but '.join(f'{where} says step {s}' for where, s in named_steps.items())}; give step="
        )
    return next(iter(named_steps.values()))


def _rows(
    results: Mapping[str, Any], *, run: str, step: int, note: str, tasks: Sequence[str] | None
) -> Iterator[Score]:
    for task, values in results.items():
        if (tasks is not None and task not in tasks) or not isinstance(values, dict):
            continue
        for key, value in values.items():
            metric, _, variant = key.partition(",")
            if metric.endswith("_stderr") or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            error = values.get(f"{metric}_stderr,{variant}" if variant else f"{metric}_stderr")
            spread = f"; standard error {error:.3g}" if isinstance(error, int | float) else ""
            name = f"{task} {metric}" + (f" {variant}" if variant not in ("", "none") else "")
            yield Score(
                run=run,
                step=step,
                kind="task",
                metric=name,
                value=float(value),
                unit=_UNITS.get(metric, "as published"),
                source="harness",
                note=note + spread,
            )
