"""What a record holds, read once for its report."""

from __future__ import annotations

from dataclasses import dataclass

from ontogeny.panels import Panel, panels
from ontogeny.scores import Score
from ontogeny.series import Record

__all__ = ["RunFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One record, read once for its report."""

    record: Record
    steps: tuple[int, ...]
    panels: tuple[Panel, ...]
    task: tuple[Score, ...]
    confounds: tuple[Score, ...]
    refusals: tuple[Score, ...]
    seconds: tuple[float, ...]
    share: float | None
    left_out: int

    @classmethod
    def of(cls, record: Record) -> RunFacts:
        """Read a record."""
        kinds: dict[str, list[Score]] = {}
        scores = record.scores
        for score in scores:
            kinds.setdefault(score.kind, []).append(score)
        return cls(
            record=record,
            steps=tuple(sorted({s.step for s in scores})),
            panels=panels(scores),
            task=tuple(s for s in kinds.get("task", []) if s.value is not None),
            confounds=tuple(s for s in kinds.get("confound", []) if s.value is not None),
            refusals=tuple(kinds.get("refusal", [])),
            seconds=tuple(s.value for s in kinds.get("probe", []) if s.value is not None),
            share=next((s.value for s in reversed(kinds.get("cost", [])) if s.value is not None), None),
            left_out=sum(s.metric == "left out" for s in kinds.get("cost", [])),
        )
