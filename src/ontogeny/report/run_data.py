"""What a record holds, read once for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ontogeny.errors import RecordError
from ontogeny.record import Event, Record, Score
from ontogeny.record.curve_groups import CurveGroup, curve_groups

__all__ = ["CHOICES", "MOST_SCORES", "RunFacts"]

CHOICES = ("benchmark", "metric", "roi", "layer", "pooling", "subject")
_OF_LAYERS = ("layer", "pooling")  # baselines and controls have others
MOST_SCORES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One record, read once for its report."""

    record: Record
    steps: tuple[int, ...]
    panels: tuple[CurveGroup, ...]
    alignment: tuple[Score, ...]
    task: tuple[Score, ...]
    confounds: tuple[Score, ...]
    refusals: tuple[Event, ...]
    seconds: tuple[float, ...]
    share: float | None
    left_out: int

    @classmethod
    def of(cls, record: Record, only: Mapping[str, Sequence[str]] | None = None) -> RunFacts:
        """Read a record.

        Args:
            record: all of it is read into memory, or what is chosen.
            only: column of `CHOICES` -> names; what is about the run itself (task, refusals, cost) is read anyway.

        Raises:
            RecordError: more than `MOST_SCORES`, and nothing was chosen; or no such column.
        """
        kinds: dict[str, list[Score]] = {}
        scores, events = _scores(record, dict(only or {})), record.events()
        for score in scores:
            kinds.setdefault(score.kind, []).append(score)
        return cls(
            record=record,
            steps=tuple(sorted({s.step for s in scores} | {e.step for e in events})),
            panels=curve_groups(scores),
            alignment=tuple(s for s in kinds.get("alignment", []) if s.value is not None),
            task=tuple(s for s in kinds.get("task", []) if s.value is not None),
            confounds=tuple(s for s in kinds.get("confound", []) if s.value is not None),
            refusals=tuple(event for event in events if event.kind == "refusal"),
            seconds=tuple(e.value for e in events if e.kind == "probe" and e.value is not None),
            share=next((e.value for e in reversed(events) if e.kind == "cost" and e.value is not None), None),
            left_out=sum(e.kind == "cost" and e.metric == "left out" for e in events),
        )


def _scores(record: Record, only: dict[str, Sequence[str]]) -> Sequence[Score]:
    if unknown := set(only) - set(CHOICES):
        raise RecordError(f"a report is chosen by {', '.join(CHOICES)}; got {sorted(unknown)}")
    if not only:
        if len(record) > MOST_SCORES:
            raise RecordError(
                f"record {record.folder} holds {len(record):,} scores, a page draws up to {MOST_SCORES:,}; choose some "
                "of them by metric, roi, benchmark or subject (`ontogeny report --metric NAME --roi NAME ...`; "
                "`ontogeny record query` lists them)"
            )
        return record.scores
    chosen = {name: list(names) for name, names in only.items()}
    beside = {name: names for name, names in chosen.items() if name not in _OF_LAYERS}
    found = record.select(kind="alignment", **chosen)
    if not found:
        raise RecordError(f"record {record.folder} holds no score with {chosen}. {record.hint(chosen)}")
    found += record.select(kind=["baseline", "control"], **beside)
    where = {"benchmark": chosen["benchmark"]} if "benchmark" in chosen else {}
    return [*record.select(kind="task"), *record.select(kind="confound", **where), *found]
