"""Recording: which record a training writes into, the same for every trainer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from ontogeny._atomic_write import by_number, new_folder
from ontogeny._messages import say
from ontogeny.benchmarks import Benchmark
from ontogeny.errors import OntogenyError
from ontogeny.monitoring.factory import check_options
from ontogeny.monitoring.monitor import Monitor
from ontogeny.monitoring.record_session import read_hash
from ontogeny.record import Record

__all__ = ["Recording", "Training"]

NAME = "alignment"


class Training:
    """A training that begins.

    Args:
        model: its weights are those of `step`.
        step: optimizer updates done; above 0 it was resumed.
        optimizers: of the model.
        base: the trainer's own log folder.
        near: folders in which the record of a resumed run may lie, with the log folder.
        named: the record that the checkpoint names.
    """

    def __init__(
        self,
        model: nn.Module,
        step: int,
        *,
        optimizers: Sequence[Any] = (),
        base: str | os.PathLike[str],
        near: Sequence[Path] = (),
        named: str = "",
    ) -> None:
        self.model = model
        self.step = step
        self.optimizers = optimizers
        self.base = Path(base)
        self.near = near
        self.named = named

    def candidates(self) -> list[Path]:
        """Records of which this may be a part, the likeliest first."""
        named = [Path(self.named)] if self.named else []
        found = [folder for place in (self.base, *self.near) for folder in by_number(place.glob(f"{NAME}*"))[::-1]]
        return list(dict.fromkeys([*named, *found]))


class Recording:
    """The monitor of a callback, and the records that it opens, one a training.

    Args:
        benchmark: name, object, several, or a `Monitor` built by hand.
        record: folder of the record; None: chosen when training begins, in the trainer's own log folder.
        options: see `ontogeny.monitoring.factory.Options`.

    Raises:
        TypeError: options beside a `Monitor`, which brings its own.
    """

    def __init__(self, benchmark: Any, record: str | os.PathLike[str] | None, options: dict[str, Any]) -> None:
        if isinstance(benchmark, Monitor) and options:
            raise TypeError(f"a Monitor brings its own options; got {sorted(options)} beside it")
        check_options(options)
        self.monitor: Monitor | None = benchmark if isinstance(benchmark, Monitor) else None
        self.chosen = record is None and self.monitor is None
        self._make = (benchmark, record, options)
        self._used = False
        self._first: Path | None = None

    @property
    def key(self) -> str:
        """What tells callbacks of one trainer apart, the same in a resumed run."""
        benchmark, record, _ = self._make
        if record is not None or isinstance(benchmark, Monitor):
            return str(record)
        several = benchmark if isinstance(benchmark, list | tuple) else [benchmark]
        return ", ".join(one.name if isinstance(one, Benchmark) else str(one) for one in several)

    def made(self, **defaults: Any) -> Monitor:
        """The monitor; made when first asked for.

        Args:
            **defaults: options that were not given.
        """
        if self.monitor is None:
            benchmark, record, options = self._make
            given = {name: value for name, value in defaults.items() if not options.get(name)}
            self.monitor = Monitor(benchmark, record=record, **{**options, **given})
        return self.monitor

    def begin(self, training: Training) -> Monitor:
        """The monitor of a training that begins; every rank calls this.

        The first one goes into the record that was given. A further one has a record of its own, unless it was resumed
        from weights that the record has at this step. Where no record was given it is chosen: see `_choose`.
        """
        monitor, again, self._used = self.made(), self._used, True
        if again and training.step > 0 and self._goes_on(monitor, training):
            monitor.session.begin()
        elif self.chosen:
            folder = self._choose(monitor, training)
            if again:
                monitor = monitor.another(folder)
            else:
                monitor.open(folder)
        elif again and self._first is not None:
            monitor = monitor.another(monitor.ranks().once(partial(new_folder, self._first)) or self._first)
        self._first = self._first or monitor.folder
        self.monitor = monitor
        return monitor

    def _goes_on(self, monitor: Monitor, training: Training) -> bool:
        """Whether the monitor's record has these weights at this step, or nothing that says otherwise."""
        ranks = monitor.ranks()
        return not monitor.session.other_run(training.model, training.step, ranks, training.optimizers)

    def _choose(self, monitor: Monitor, training: Training) -> Path:
        """Of a resumed run the record that has its weights at this step; else a new one in the trainer's log folder."""
        ranks = monitor.ranks()
        kinds = ranks.once(lambda: _kinds_of_hashes(training)) if training.step > 0 else ()
        weights = {read_hash(training.model, ranks, training.optimizers, like=one) for one in kinds or ()}

        def choose() -> Path:
            found = _record_of(monitor, training, weights) if training.step > 0 else None
            folder = found or new_folder(training.base / NAME)
            if training.step > 0 and found is None:
                say(f"resumed at step {training.step}; no record near {training.base} has its weights: {folder} begins")
            return folder

        chosen = ranks.once(choose)
        assert chosen is not None  # noqa: S101 - the first rank gave it
        return chosen


def _known(folder: Path, step: int) -> set[str]:
    """Hashes of the weights that a record has of a step."""
    try:
        return {event.weights for event in Record(folder).events(kind=["probe", "checkpoint"], step=step)}
    except OntogenyError:
        return set()


def _kinds_of_hashes(training: Training) -> tuple[str, ...]:
    """A hash of each kind that the records at hand have of this step."""
    found = {len(known): known for folder in training.candidates() for known in _known(folder, training.step)}
    return tuple(found.values())


def _record_of(monitor: Monitor, training: Training, weights: set[str]) -> Path | None:
    matches: Callable[[Path], bool] = partial(_matches, monitor, training, weights)
    return next(filter(matches, training.candidates()), None)


def _matches(monitor: Monitor, training: Training, weights: set[str], folder: Path) -> bool:
    """Whether it is a record of these benchmarks and weights; one that the checkpoint names may not know the step."""
    try:
        record = Record(folder)
    except OntogenyError:
        return False
    prints = {w.benchmark.benchmark.name: w.benchmark.fingerprint for w in monitor.watched}
    about = record.header["benchmarks"]
    if {name: about.get(name, {}).get("fingerprint") for name in prints} != prints:
        return False
    if record.header.get("weights", monitor.weights) != monitor.weights:
        return False
    known = _known(folder, training.step)
    return bool(weights & known) or (not known and folder == Path(training.named or os.devnull))
