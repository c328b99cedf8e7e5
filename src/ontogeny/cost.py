"""Cost: what watching takes of the wall time, and a budget that thins the schedule by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median

from ontogeny.errors import ConfigError

__all__ = ["Cost"]


@dataclass(slots=True, kw_only=True)
class Cost:
    """Seconds spent on probes, in this process, beside the seconds since training began.

    Args:
        budget: largest share of wall time that probes may take, .02 for 2 %; None for no limit. Step 0 and the last
            step are read whatever they cost.
        seconds: of every probe.
        skipped: due probes that were left out.
        pending: a step that was just left out, and may still turn out to be the last.
    """

    budget: float | None = None
    seconds: list[float] = field(default_factory=list)
    skipped: int = 0
    pending: int | None = None
    _began: float | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not 0 < self.budget <= 1:
            raise ConfigError(f"budget is a share of wall time above 0 and up to 1 (.02 for 2 %), got {self.budget}")

    def begin(self) -> None:
        """Start the clock, at the first call."""
        if self._began is None:
            self._began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the clock started."""
        return 0.0 if self._began is None else time.perf_counter() - self._began

    @property
    def share(self) -> float:
        """Share of the wall time that probes took so far."""
        return sum(self.seconds) / self.elapsed if self.elapsed > 0 else 0.0

    def affords_another(self) -> bool:
        """Whether one more probe, of the median length so far, stays within the budget."""
        if self.budget is None or not self.seconds:
            return True
        expected = median(self.seconds)
        return sum(self.seconds) + expected <= self.budget * (self.elapsed + expected)

    def line(self) -> str:
        """The closing line: "31 probes, 1.8 % of wall time (12.3 s)"."""
        count = f"{len(self.seconds)} probe{'' if len(self.seconds) == 1 else 's'}"
        thinned = f"; {self.skipped} left out to stay within {self.budget:.1%}" if self.skipped and self.budget else ""
        return f"{count}, {self.share:.1%} of wall time ({sum(self.seconds):.1f} s){thinned}"
