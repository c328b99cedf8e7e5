"""`ontogeny replay`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ontogeny.cli._output import say
from ontogeny.cli._replay_arguments import NOTHING, Asked, Checkpoints, Place, Reading, Work
from ontogeny.cli._vocabulary import Names
from ontogeny.errors import ConfigError, DownloadError, OntogenyError

__all__ = ["replay"]


def replay(
    source: tuple[str, ...] = (),
    /,
    *,
    benchmark: Names,
    work: Work = Work(),
    checkpoints: Checkpoints = Checkpoints(),
    reading: Reading = NOTHING,
    place: Place = Place(),
) -> int:
    """Score a series of saved checkpoints.

    Walk a series of saved checkpoints through the same probe as a live run, into the same record.

      ontogeny replay tiny --benchmark planted-vision                       the series that comes with the package
      ontogeny replay out/ --benchmark tuckute2024                        checkpoint-N folders of a Hugging Face Trainer
      ontogeny replay ckpts/ --model my_module:Module --transform my_module:tf --benchmark kriegeskorte2008    Lightning
      ontogeny replay out/ckpt.pt --model my_module:make --tokenizer my_module:encode --benchmark ...           one file
      ontogeny replay 'runs/a/ep{count}.pt' --model my_module:make --transform my_module:tf --benchmark ...  plain files
      ontogeny replay pythia-70m-deduped --steps log --benchmark tuckute2024            a public series, by its manifest
      ontogeny replay someone/some-model --revisions 'step{step}' --benchmark ...       revisions of a hub repository
      ontogeny replay --models list.yaml --benchmark ...              finished models, with a table of their performance

    --engine local --workers 4 measures in four processes, --engine ray on a Ray cluster; one that dies is replaced,
    and the record is the same. --features FOLDER keeps features, so that other metrics or regions need no second
    forward pass.

    It goes on where it was interrupted; a second run does nothing. At most two downloaded checkpoints are on disk
    (--keep leaves them). --dry-run says what would be done, how much would be downloaded, and how long it would
    take. A checkpoint that cannot be used is named, in the record too, and the rest goes on; the exit code is then
    1. Weights are read safely (safetensors, weights_only); no code of a repository is run without
    --trust-remote-code.

    Args:
        source: files, folders, file patterns, names of public series (see checkpoints/), or hub repositories.
        benchmark: names (see `ontogeny data list`) or folders.
    """
    if bool(source) == bool(checkpoints.models):
        raise ConfigError("say what to replay: a folder, file pattern, manifest or hub repository, or --models LIST")
    how = {"checkpoints": checkpoints, "reading": reading, "place": place, "work": work}
    request = Asked(source=source, benchmark=benchmark, **how)
    return _run_series(request) if checkpoints.models is None else _run_models(request, checkpoints.models)


def _run_series(request: Asked) -> int:
    from ontogeny.replay import read_task_log, replay_many

    if request.work.task_log and len(request.source) > 1:
        raise ConfigError("--task-log belongs to one series; replay them one by one")
    if request.work.dry_run:
        return _plan_series(request)
    several = _several(request)
    records = _records(request, several)
    monitors = [request.monitor(*pair) for pair in zip(several, records, strict=True)]
    for log in request.work.task_log:
        rows = monitors[0].record.append(read_task_log(log, run=monitors[0].record.run))
        say(f"{len(rows)} task values from {log}")
    reports = replay_many(zip(several, monitors, strict=True), **_how(request))
    for done, record in zip(reports, records, strict=True):
        say("\n".join([*done.lines(), f"record {record}"]))
    say(f"next: ontogeny report {_common(records)}")
    return 0 if all(done.whole for done in reports) else 1


def _common(records: Sequence[Path]) -> Path:
    """The record, or the folder that several lie in."""
    return records[0] if len(records) == 1 else records[0].parent


def _several(request: Asked) -> list[Any]:
    """The series that are asked for; what they count, and how these were found, is printed."""
    several = [request.series(source) for source in request.source]
    for line in (line for series in several for line in _how_steps_were_read(series)):
        say(line)
    return several


def _how_steps_were_read(series: Any) -> list[str]:
    from ontogeny.replay.checkpoint_series import UPDATES

    counted = f"steps of {series.name} are {series.unit}, not {UPDATES}: see --updates-per-count"
    return [*([] if series.unit == UPDATES else [counted]), *(f"{series.name}: {note}" for note in series.notes)]


def _plan_series(request: Asked) -> int:
    """What would be done; the hub is asked once, and an answer that does not come is no reason to wait."""
    from ontogeny.replay.sources.hub_client import asking_once

    several, unlisted = [], 0
    for source in request.source:
        try:
            with asking_once():
                several.append(request.series(source))
        except DownloadError as error:
            say(f"{source}: a listing of the hub alone tells its steps. {error}")
            unlisted += 1
    for series, record in zip(several, _records(request, several), strict=True):
        planned = _planned(series, record, request.benchmark, request.engine())
        say("\n".join([*_how_steps_were_read(series), planned, *(f"  {problem}" for problem in series.problems)]))
    return 1 if unlisted else 0


def _records(request: Asked, several: Sequence[Any]) -> list[Path]:
    """Folder of each series' record."""
    if request.work.record is not None and len(several) == 1:
        return [request.work.record]
    names = [series.name.replace("/", "--") for series in several]
    if len(set(names)) < len(names):
        raise ConfigError(f"two of these series have one name ({', '.join(names)}); replay them one by one")
    return [(request.work.record or Path("runs") / "replay") / name for name in names]


def _run_models(request: Asked, listed: Path) -> int:
    """Each model into a record of its own; then two tables, one row a score and one row per model."""
    from ontogeny.replay import missing_records, model_table, performance_and_alignment, read_models, replay_many

    models = read_models(listed)
    folder = request.work.record or Path("runs") / "models" / listed.stem
    problem_lines = [str(problem) for problem in models.problems]
    if request.work.dry_run:
        return _plan_models(request, models, folder)
    begun: list[str] = []

    def pairs() -> Iterator[tuple[Any, Any]]:
        for model in models.models:
            try:
                series = _finished(request, model)
                monitor = request.monitor(series, folder / model.folder)
            except OntogenyError as error:
                problem_lines.append(f"{model.name}: {error}")
                continue
            begun.append(model.name)
            yield series, monitor

    reports = replay_many(pairs(), **_how(request))
    problem_lines += [
        f"{name}: {r.reason}" for name, done in zip(begun, reports, strict=True) for r in done.results if r.reason
    ]
    lost = missing_records(folder, models)
    model_table(folder, models).to_csv(folder / "scores.csv", index=False)
    performance_and_alignment(folder, models).to_csv(folder / "models.csv", index=False)
    closing = f"{len(models) - len(lost)} of {len(models)} models have scores"
    tables = f"{folder / 'models.csv'}: one row per model; {folder / 'scores.csv'}: one row a score"
    say("\n".join([closing, *(f"  {line}" for line in problem_lines), tables, f"next: ontogeny report {folder}"]))
    return 0 if not lost and all(done.whole for done in reports) else 1


def _plan_models(request: Asked, models: Any, folder: Path) -> int:

    lost = 0
    for model in models.models:
        try:
            plan_text = _planned(_finished(request, model), folder / model.folder, request.benchmark)
        except OntogenyError as error:
            plan_text, lost = f"{model.name}: {error}", lost + 1
        say(plan_text)
    return 1 if lost else 0


def _finished(request: Asked, model: Any) -> Any:
    return model.series(**request.loading, trust_remote_code=request.checkpoints.trust_remote_code)


def _how(request: Asked) -> dict[str, Any]:
    from ontogeny.replay import DiskFeatureCache

    return {
        "engine": request.engine(),
        "keep": request.work.keep,
        "verify": request.work.verify,
        "device": request.place.device,
        "kept": DiskFeatureCache(folder=request.work.features) if request.work.features else None,
        "progress": True,
    }


def _planned(series: Any, record: Path, benchmarks: Sequence[str], engine: Any = None) -> str:
    from ontogeny.record import Record
    from ontogeny.replay import plan

    there = Record(record) if (record / "record.json").exists() else None
    planned = plan(series, there, benchmarks, places=engine.places() if engine else 1)
    unknown = "an unknown size" + (f" ({planned.unsized})" if planned.unsized else "")
    size = unknown if planned.bytes is None else f"about {planned.bytes / 1e9:.2f} GB"
    time = "not known before the first" if planned.seconds is None else f"about {planned.seconds / 60:.1f} minutes"
    steps = ", ".join(map(str, planned.steps[:12])) + (", ..." if len(planned.steps) > 12 else "")
    return (
        f"{series.name}: {len(planned.steps)} checkpoints would be scored ({steps or 'none'}), "
        f"{len(planned.known)} are in the record\ndownload: {size}; reading and scoring: {time}"
    )
