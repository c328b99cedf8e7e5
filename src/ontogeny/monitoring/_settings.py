"""Settings: how a monitor works, whatever it watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ontogeny.errors import ConfigError
from ontogeny.monitoring.heldout.loss import Task
from ontogeny.monitoring.schedule import Schedule
from ontogeny.sinks import Sink

__all__ = ["OnError", "Settings", "Weights"]

OnError = Literal["warn", "raise"]
Weights = Literal["raw", "ema"]

_LONGEST = 604_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a monitor works; each is explained in `ontogeny.monitoring.factory.Options`.

    Raises:
        ConfigError: a word that is none of the choices, or a timeout that is no positive number.
    """

    schedule: str | Schedule = "log"
    task: Task | Literal[False] | None = None
    sinks: Sequence[Sink] = ()
    budget: float | None = None
    say_every: int = 0
    background: bool = False
    on_error: OnError = "warn"
    weights: Weights = "raw"
    distributed: bool = True
    probe_timeout: float = 3600
    run: str = ""
    rehearsal: bool = True

    def __post_init__(self) -> None:
        for name, choices in (("on_error", ("warn", "raise")), ("weights", ("raw", "ema"))):
            if (value := getattr(self, name)) not in choices:
                raise ConfigError(f"{name} is {choices[0]!r} or {choices[1]!r}, got {value!r}")
        if not _is_timeout(seconds := self.probe_timeout):
            raise ConfigError(
                f"probe_timeout is a number of seconds above 0 and up to {_LONGEST} (a week), got {seconds!r}"
            )


def _is_timeout(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= _LONGEST
