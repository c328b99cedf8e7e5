"""What a record holds, read once for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ontogeny.errors import RecordError, in_words
from ontogeny.record import Event, Record, Score
from ontogeny.record.curve_groups import CurveGroup, groups_of_columns
from ontogeny.record.progress import progress_of
from ontogeny.record.score_columns import ScoreColumns

__all__ = ["CHOICES", "MOST_SCORES", "RunFacts"]

CHOICES = ("benchmark", "metric", "roi", "layer", "pooling", "subject")
_OF_LAYERS = ("layer", "pooling")  # baselines and controls have others
MOST_SCORES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunFacts:
    """One record, read once for its report.

    Args:
        record: of which.
        name: that the page calls it by: the run's own, or its folder's where two runs have one name.
        steps: all probed.
        panels: its curves.
        alignment: its scores as columns, those without a value left out.
        unmeasured: benchmark and ROI -> how many scores were tried, where not one has a value.
        task: held-out measures.
        confounds: effective dimensions, norms.
        refusals: what could not be measured.
        seconds: of each probe.
        share: of wall time, None where not known.
        left_out: due probes that were left out.
        progress: "tokens" or "epochs" -> step -> how many by then, where known.
    """

    record: Record
    name: str
    steps: tuple[int, ...]
    panels: tuple[CurveGroup, ...]
    alignment: ScoreColumns
    unmeasured: Mapping[tuple[str, str], int]
    task: tuple[Score, ...]
    confounds: tuple[Score, ...]
    refusals: tuple[Event, ...]
    seconds: tuple[float, ...]
    share: float | None
    left_out: int
    progress: Mapping[str, Mapping[int, float]]

    @classmethod
    def of(cls, record: Record, only: Mapping[str, Sequence[str]] | None = None, *, name: str = "") -> RunFacts:
        """Read a record.

        Args:
            record: all of it is read into memory, or what is chosen.
            only: column of `CHOICES` -> names; what is about the run itself (task, refusals, cost) is read anyway.
            name: see above; the run's own where not given.

        Raises:
            RecordError: more than `MOST_SCORES`, and nothing was chosen; or no such column.
        """
        table, events = _columns(record, dict(only or {})), record.events()
        beside = [s for s in _beside(record, dict(only or {})) if s.value is not None]
        own = table.only(table.is_one_of("kind", ["alignment"]))
        steps = np.unique(table.numbers["step"]).tolist()
        return cls(
            record=record,
            name=name or record.run,
            steps=tuple(sorted({*steps, *(s.step for s in beside), *(e.step for e in events)})),
            panels=groups_of_columns(table),
            alignment=own.only(np.isfinite(own.numbers["value"])),
            unmeasured=_unmeasured(own),
            task=tuple(s for s in beside if s.kind == "task"),
            confounds=tuple(s for s in beside if s.kind == "confound"),
            refusals=tuple(event for event in events if event.kind == "refusal"),
            seconds=tuple(e.value for e in events if e.kind == "probe" and e.value is not None),
            share=next((e.value for e in reversed(events) if e.kind == "cost" and e.value is not None), None),
            left_out=sum(e.kind == "cost" and e.metric == "left out" for e in events),
            progress=progress_of(events),
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """Held-out measures, the loss first."""
        found = dict.fromkeys(s.metric for s in self.task)
        return tuple(sorted(found, key=lambda name: name != "loss"))


def _unmeasured(own: ScoreColumns) -> dict[tuple[str, str], int]:
    """Regions of which no score has a value."""
    known = np.isfinite(own.numbers["value"])
    out: dict[tuple[str, str], int] = {}
    for benchmark in own.words["benchmark"]:
        here = own.is_one_of("benchmark", [benchmark])
        tried = np.bincount(own.codes["roi"][here], minlength=len(own.words["roi"]))
        found = np.bincount(own.codes["roi"][here & known], minlength=len(own.words["roi"]))
        out |= {(benchmark, own.words["roi"][i]): int(tried[i]) for i in np.flatnonzero((tried > 0) & (found == 0))}
    return out


def _columns(record: Record, only: dict[str, Sequence[str]]) -> ScoreColumns:
    if unknown := set(only) - set(CHOICES):
        raise RecordError(f"a report is chosen by {', '.join(CHOICES)}; got {sorted(unknown)}")
    if not only and len(record) > MOST_SCORES:
        raise RecordError(
            f"record {record.folder} holds {len(record):,} scores, a page draws up to {MOST_SCORES:,}; choose some "
            "of them by metric, roi, benchmark or subject (`ontogeny report --metric NAME --roi NAME ...`; "
            "`ontogeny record query` lists them)"
        )
    chosen = {name: list(names) for name, names in only.items()}
    table = record.columns(
        kind=["alignment", "baseline", "control"], **{n: v for n, v in chosen.items() if n not in _OF_LAYERS}
    )
    own = table.is_one_of("kind", ["alignment"])
    keep = ~own
    for_layers = own.copy()
    for name in (name for name in _OF_LAYERS if name in chosen):
        for_layers &= table.is_one_of(name, chosen[name])
    table = table.only(keep | for_layers)
    if only and not table.is_one_of("kind", ["alignment"]).any():
        raise RecordError(f"record {record.folder} holds no score with {in_words(chosen)}. {record.hint(chosen)}")
    return table


def _beside(record: Record, only: dict[str, Sequence[str]]) -> list[Score]:
    """Task and effective dimensions."""
    where = {"benchmark": list(only["benchmark"])} if "benchmark" in only else {}
    return [*record.select(kind="task"), *record.select(kind="confound", **where)]
