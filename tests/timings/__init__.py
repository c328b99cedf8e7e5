"""What the parts share: one thread (set before numpy is imported), what a row is, and a stopwatch."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

Row = tuple[str, float, str]
"""What was timed, seconds, and what stands beside it."""


def timed(work: Callable[[], object], repeats: int = 3) -> float:
    """Least seconds of a few repeats."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best
