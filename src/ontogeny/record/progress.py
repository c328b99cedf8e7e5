"""Progress: how many tokens or epochs a probed step is, where the trainer knows; another ruler beside the steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ontogeny.errors import ConfigError, nearest
from ontogeny.record.event import Event

__all__ = [
    "UNITS",
    "Seen",
    "known_progress",
    "progress_events",
    "progress_of",
    "seen_at",
    "seen_text",
    "shared_progress",
]

UNITS = ("tokens", "epochs")
Seen = Mapping[str, float | None]
_ALIKE = 0.01


def known_progress(seen: Seen) -> dict[str, float]:
    """What a trainer knows, checked.

    Args:
        seen: "tokens" or "epochs" -> how many were seen; None where not known.

    Raises:
        ConfigError: another unit, or no number from 0 on.

    Example:
        >>> known_progress({"tokens": 4096, "epochs": None})
        {'tokens': 4096.0}
    """
    out = {}
    for unit, number in seen.items():
        if unit not in UNITS:
            raise ConfigError(f"seen counts {' or '.join(UNITS)}, got {unit!r}. {nearest(unit, UNITS)}")
        if number is None:
            continue
        if not isinstance(number, int | float | np.number) or not math.isfinite(number) or number < 0:
            raise ConfigError(f"seen[{unit!r}] is a number from 0 on, got {number!r}")
        out[unit] = float(number)
    return out


def progress_events(seen: Seen, *, run: str, step: int) -> list[Event]:
    """One event per unit that is known."""
    known = known_progress(seen).items()
    return [Event(run=run, step=step, kind="progress", metric=unit, value=n, unit=unit) for unit, n in known]


def progress_of(events: Iterable[Event]) -> dict[str, dict[int, float]]:
    """Unit -> step -> how many were seen; units of which two steps or more are known and that rise with the steps."""
    found: dict[str, dict[int, float]] = {}
    for event in events:
        if event.kind == "progress" and event.value is not None:
            found.setdefault(event.metric, {})[event.step] = event.value
    rising = {unit: dict(sorted(at.items())) for unit, at in found.items()}
    return {unit: at for unit, at in rising.items() if len(at) > 1 and (np.diff([*at.values()]) > 0).all()}


def shared_progress(runs: Sequence[Mapping[str, Mapping[int, float]]]) -> dict[str, dict[int, float]]:
    """What all runs know and count alike, within 1 %: only then has one axis of steps a second ruler."""
    first, *others = runs
    return {
        unit: dict(at) for unit, at in first.items() if all(unit in one and _alike(at, one[unit]) for one in others)
    }


def _alike(a: Mapping[int, float], b: Mapping[int, float]) -> bool:
    last = min(max(a), max(b))
    steps = [step for step in {*a, *b} if step <= last]
    pairs = ((seen_at(a, step), seen_at(b, step)) for step in steps)
    return all(abs(x - y) <= _ALIKE * max(x, y) for x, y in pairs)


def seen_at(at: Mapping[int, float], step: float) -> float:
    """How many were seen at a step, on a straight line between the two known ones beside it; NaN outside of them.

    Args:
        at: step -> seen, rising.
        step: optimizer updates done.

    Example:
        >>> seen_at({0: 0.0, 10: 5120.0}, 5)
        2560.0
    """
    return float(np.interp(step, [*at], [*at.values()], left=math.nan, right=math.nan))


def seen_text(progress: Mapping[str, Mapping[int, float]], steps: Sequence[float]) -> str:
    """Two steps or more in every unit that is known; "" where none is.

    Args:
        progress: of `progress_of`.
        steps: that are set against each other.

    Example:
        >>> seen_text({"tokens": {0: 0.0, 1000: 2_097_152_000.0}}, (767, 500))
        '1.6 billion against 1.0 billion tokens'
    """
    found = {unit: [seen_at(at, step) for step in steps] for unit, at in progress.items()}
    known = {unit: numbers for unit, numbers in found.items() if np.isfinite(numbers).all()}
    return "; ".join(f"{' against '.join(map(_large, numbers))} {unit}" for unit, numbers in known.items())


def _large(number: float) -> str:
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.2g}"
