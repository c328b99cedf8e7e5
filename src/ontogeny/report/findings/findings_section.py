"""The study's other questions, asked of what a page shows: those that its records can answer, and why not the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ontogeny.errors import OntogenyError
from ontogeny.findings import (
    ORDERS,
    Cells,
    Finding,
    across_models,
    depth,
    hierarchy,
    modality_difference,
    models_of_records,
    regions,
    scale,
    when,
)
from ontogeny.findings.data.cells import is_biased
from ontogeny.findings.statistics.metric_scales import scale_of
from ontogeny.report.figures import Figure, file_stem
from ontogeny.report.findings import across_models_section as across_pictures
from ontogeny.report.findings import depth_section as depth_pictures
from ontogeny.report.findings import hierarchy_section as hierarchy_pictures
from ontogeny.report.findings import modality_section as modality_pictures
from ontogeny.report.findings import regions_section as regions_pictures
from ontogeny.report.findings import rise_order_section as when_pictures
from ontogeny.report.findings import scale_section as scale_pictures
from ontogeny.report.run_data import RunFacts

__all__ = ["Answers", "Asked", "answers_of"]

_MOST_ROIS = 60
Draw = Callable[[Finding], Sequence[Figure]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question that could be asked.

    Args:
        where: of which scores.
        finding: the answer.
        figures: that show it.
    """

    where: str
    finding: Finding
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What could be asked of some records, and what not.

    Args:
        asked: questions with their answers.
        unasked: question and reason, a sentence each.
        asked_of: which runs were asked, where not all were; a sentence.
    """

    asked: tuple[Asked, ...] = ()
    unasked: tuple[str, ...] = ()
    asked_of: str = ""

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Of all questions."""
        return tuple(figure for one in self.asked for figure in one.figures)


def answers_of(runs: Sequence[RunFacts]) -> Answers:
    """More questions to records: those to several models first, then those to each of them."""
    asked = _one_of_each_kind(runs)
    names = ", ".join(facts.name for facts in asked[:4]) + (", ..." if len(asked) > 4 else "")
    told = "" if len(asked) == len(runs) else f"Of several runs of one model the first is asked: {names}."
    return replace(_joined([_of_runs(runs), *map(_of_run, asked)]), asked_of=told)


def _one_of_each_kind(runs: Sequence[RunFacts]) -> list[RunFacts]:
    """The first of several seeds: each would give the same figures once more."""
    return list({_kind(facts): facts for facts in reversed(runs)}.values())[::-1]


def _kind(facts: RunFacts) -> tuple[object, ...]:
    """The same for seeds of one model: what it was scored with, its size and its layers."""
    layers = tuple(dict.fromkeys((p.benchmark, layer) for p in facts.panels for layer in p.layers))
    return (facts.record.header.get("parameters"), layers)


def _of_run(facts: RunFacts) -> Answers:
    """Regions, hierarchy, depth, scale and when, for every benchmark of a record by its first metric and pooling."""
    if not len(facts.alignment):
        return Answers()
    steps = facts.alignment.numbers["step"]
    few = len(facts.alignment.words["roi"]) <= _MOST_ROIS
    table = facts.alignment if few else facts.alignment.only(steps == steps.max())
    cells = Cells.of_columns([(table, facts.record.header)])
    parts = [_of_benchmark(cells.where(benchmark=name), f"{facts.name}-{name}") for name in cells.names("benchmark")]
    return _joined(parts)


def _of_benchmark(cells: Cells, stem: str) -> Answers:
    own = cells.where(metric=_metric(cells), pooling=cells.names("pooling")[0])
    last, where = own.at_last_step(), f"{own.benchmark[0]}, {own.metric[0]}"
    order = next((name for name, steps in ORDERS.items() if _placed(steps, own) > 2), None)
    asked: list[tuple[str, Callable[[], Finding], Draw]] = [
        ("which regions", lambda: regions(last), regions_pictures.figures),
        ("hierarchy", lambda: hierarchy(last, order or "ventral"), hierarchy_pictures.figures),
        ("depth", lambda: depth(last, source=str(own.model[0])), depth_pictures.figures),
        ("scale", lambda: _scale(cells.at_last_step()), scale_pictures.figures),
        ("when", lambda: _when(own, order), when_pictures.figures),
    ]
    return _joined([_ask(name, make, draw, where, stem) for name, make, draw in asked])


def _of_runs(runs: Sequence[RunFacts]) -> Answers:
    """Whether better models align better, and whether one modality aligns more; not asked of seeds of one model."""
    runs = [facts for facts in runs if len(facts.alignment)]
    if len({_kind(facts) for facts in runs}) < 2:
        return Answers()
    lasts = [
        facts.alignment.only(facts.alignment.numbers["step"] == facts.alignment.numbers["step"].max()) for facts in runs
    ]
    last = Cells.of_columns([(table, facts.record.header) for table, facts in zip(lasts, runs, strict=True)])
    records = [facts.record for facts in runs]
    asked: list[tuple[str, Callable[[], Finding], Draw]] = [
        (
            "better models",
            lambda: across_models(models_of_records(records, metric=_metric(last))),
            across_pictures.figures,
        ),
        ("modality", lambda: modality_difference(last.where(metric=_metric(last))), modality_pictures.figures),
    ]
    if len(set(last.names("modality"))) < 2:
        asked = asked[:1]
    return _joined([_ask(name, make, draw, "all runs", "all") for name, make, draw in asked])


def _metric(cells: Cells) -> str:
    """The first that is unbiased, or has its chance level: all of ours do."""
    names = [str(name) for name in cells.names("metric")]
    return next((name for name in names if not is_biased(name)), names[0])


def _placed(steps: Sequence[Sequence[str]], cells: Cells) -> int:
    have = set(cells.names("roi"))
    return sum(1 for step in steps if have & set(step))


def _when(cells: Cells, order: str | None) -> Finding:
    """Every curve is fitted, so of many regions it is left to be asked for."""
    if len(cells.names("roi")) > _MOST_ROIS:
        raise OntogenyError(f"more than {_MOST_ROIS} regions; ask `ontogeny findings when RECORD --roi ...` of some")
    return when(cells, order)


def _scale(cells: Cells) -> Finding:
    """Between the smallest and the largest width of the first kernel family that was scored at several."""
    widths: dict[str, list[float]] = {}
    for metric in cells.names("metric"):
        named = scale_of(str(metric))
        if named is not None and named[0].startswith("cka"):
            widths.setdefault(named[0], []).append(named[1])
    several = {family: sorted(set(found)) for family, found in widths.items() if len(set(found)) > 1}
    if not several:
        raise OntogenyError("one kernel width was scored, or none; add CKA(kind='rbf', width=...) at two")
    family = next(iter(several))
    found = several[family]
    low, high = (28.0, 68.0) if {28.0, 68.0} <= set(found) else (found[0], found[-1])
    return scale(cells.where(pooling=cells.names("pooling")[0]), low=low, high=high, family=family)


def _ask(name: str, make: Callable[[], Finding], draw: Draw, where: str, stem: str) -> Answers:
    try:
        finding = make()
        figures = tuple(_named(figure, stem, where) for figure in draw(finding))
    except OntogenyError as error:
        return Answers(unasked=(f"{where}, {name}: {error}",))
    return Answers(asked=(Asked(where=where, finding=finding, figures=figures),))


def _named(figure: Figure, stem: str, where: str) -> Figure:
    return replace(figure, name=file_stem(stem, figure.name), title=f"{figure.title} ({where})")


def _joined(parts: Sequence[Answers]) -> Answers:
    return Answers(
        asked=tuple(one for part in parts for one in part.asked),
        unasked=tuple(one for part in parts for one in part.unasked),
    )
