"""OverheadBudget: what watching takes of the wall time, and a budget that thins the schedule by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ontogeny.errors import ConfigError
from ontogeny.record import Event

__all__ = ["OverheadBudget"]

_SHARE = "share of wall time"
_SHOWN = 0.05  # seconds, rounded to one place


@dataclass(slots=True, kw_only=True)
class OverheadBudget:
    """Seconds spent on probes and hashes beside the seconds since training began.

    Args:
        budget: largest share of wall time that probes may take, .02 for 2 %; None for no limit. Step 0 and the last
            step are read whatever they cost.
        seconds: of every probe.
        skipped: due probes that were left out.
        pending: a step that was just left out, and may still turn out to be the last.
        earlier: wall time of this run in former processes.
        hashing: seconds in which weights were hashed outside of probes: of checkpoints, and where a run was resumed.
        drawing: seconds in which sinks drew the record while it grew.
        stages: seconds of the probes of this process by what they were for.
    """

    budget: float | None = None
    seconds: list[float] = field(default_factory=list)
    skipped: int = 0
    pending: int | None = None
    earlier: float = 0.0
    hashing: float = 0.0
    drawing: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    _began: float | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not 0 < self.budget <= 1:
            raise ConfigError(f"budget is a share of wall time above 0 and up to 1 (.02 for 2 %), got {self.budget}")

    @classmethod
    def continued(cls, budget: float | None, events: Sequence[Event]) -> OverheadBudget:
        """The cost of a run so far, from its record: a resumed run goes on counting.

        Args:
            budget: see `OverheadBudget`.
            events: of the record; the wall time until its last probe is what was spent until then over its share.
        """
        seconds = [s.value for s in events if s.kind == "probe" and s.value is not None]
        last = max((s.step for s in events if s.kind == "probe"), default=0)
        hashing = {s.step: s.value for s in events if s.kind == "checkpoint" and s.value is not None}
        until = sum(seconds) + sum(took for step, took in hashing.items() if step < last)
        shares = [s.value for s in events if s.kind == "cost" and s.metric == _SHARE and s.value]
        skipped = sum(s.kind == "cost" and s.metric == "left out" for s in events)
        earlier = until / shares[-1] if shares else 0.0
        return cls(budget=budget, seconds=seconds, skipped=skipped, earlier=earlier, hashing=sum(hashing.values()))

    def went_back(self, live: OverheadBudget, until: OverheadBudget) -> None:
        """Count on without what was left behind.

        Args:
            live: of all rows that are still the run's.
            until: of those up to the step that it went back to.
        """
        self.seconds, self.skipped, self.hashing = live.seconds, live.skipped, live.hashing
        self.earlier = until.earlier

    def count(self, stages: Mapping[str, float]) -> None:
        """Add what a probe took, by what it was for."""
        for name, seconds in stages.items():
            self.stages[name] = self.stages.get(name, 0.0) + seconds

    def begin(self) -> None:
        """Start the clock, at the first call."""
        if self._began is None:
            self._began = time.perf_counter()

    @property
    def running(self) -> bool:
        """Whether something is being trained, of whose wall time probes can take a share."""
        return self._began is not None

    @property
    def elapsed(self) -> float:
        """Seconds since the clock started, and those of former processes."""
        return self.earlier + (0.0 if self._began is None else time.perf_counter() - self._began)

    @property
    def spent(self) -> float:
        """Seconds that watching took so far: probes, and hashes and drawings outside of them."""
        return sum(self.seconds) + self.hashing + self.drawing

    @property
    def share(self) -> float:
        """Share of the wall time that watching took so far."""
        return self.spent / self.elapsed if self.elapsed > 0 else 0.0

    def allows_probe(self) -> bool:
        """Whether one more probe, of the median length so far, stays within the budget."""
        if self.budget is None or not self.seconds:
            return True
        expected = median(self.seconds)
        return self.spent + expected <= self.budget * (self.elapsed + expected)

    def line(self) -> str:
        """The closing line: "31 probes, 1.8% of wall time (12.3 s: hash 0.4, forward 4.1, score 7.0)"."""
        count = f"{len(self.seconds)} probe{'' if len(self.seconds) == 1 else 's'}"
        thinned = f"; {self.skipped} left out to stay within {self.budget:.1%}" if self.skipped and self.budget else ""
        if not self.running:
            return f"{count} in the record ({sum(self.seconds):.1f} s)"
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.stages.items() if seconds >= _SHOWN)
        stages = f": {parts}{' in this process' if self.earlier else ''}" if parts else ""
        hashes = f"; {self.hashing:.1f} s of them to hash weights at checkpoints" if self.hashing >= _SHOWN else ""
        return f"{count}, {self.share:.1%} of wall time ({self.spent:.1f} s{stages}{hashes}){thinned}"
