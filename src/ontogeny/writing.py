"""Writing: what the first rank does with a probe. The record, the cost, the plain line, the sinks."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace

from tqdm import tqdm

from ontogeny.cost import Cost
from ontogeny.errors import RecordError
from ontogeny.reading import Reading
from ontogeny.saying import plain_line
from ontogeny.scores import Score
from ontogeny.series import Record
from ontogeny.sinks import Sink, finish, short_names, write
from ontogeny.watched import Watched

__all__ = ["Writer", "seconds_row"]

_LOG = logging.getLogger("ontogeny")
_LIBRARIES = ("ontogeny", "torch", "numpy", "scipy", "transformers", "lightning")


class Writer:
    """Keeps the record of one run.

    Args:
        watched: benchmarks, described in the record's header.
        record: folder of the record; made when missing, continued when there.
        run: name of the run; the record folder's name where empty.
        weights: "raw" or "ema": which weights the run's probes are of.
        sinks: where the numbers go beside the record; a list that may grow.
        budget: largest share of wall time for probes.
        say_every: print and log one plain line after every so many probes; 0: none.

    Raises:
        RecordError: the record holds another benchmark under the same name, or other weights than raw or averaged ones.
    """

    def __init__(
        self,
        watched: Sequence[Watched],
        record: str | os.PathLike[str],
        *,
        run: str,
        weights: str,
        sinks: list[Sink],
        budget: float | None,
        say_every: int,
    ) -> None:
        self.record = Record.open(record, create=True, run=run)
        known = self.record.header.get("weights", weights)
        if known != weights:
            raise RecordError(
                f"record {self.record.folder} is of {known} weights, these are {weights}: give them their own folder"
            )
        for w in watched:
            name = w.benchmark.benchmark.name
            self.record.describe(name, w.benchmark.benchmark.describe(w.benchmark.fingerprint))
        self.record.note("versions", _versions())
        self.record.note("weights", weights)
        self.cost = Cost.continued(budget, [*self.record.select(kind="probe"), *self.record.select(kind="cost")])
        self.weights = weights
        self.sinks = sinks
        self.say_every = say_every
        self._finished = False
        self._task_refused = False

    def verdict(self, step: int, *, force: bool) -> str:
        """What to do at a due step: "probe", "known" or "over the budget".

        A step over the budget is recorded as left out once it is past, since the last one is read whatever it costs.
        """
        if self.cost.pending not in (None, step):
            past, self.cost.pending = self.cost.pending or 0, None
            note = f"left out to stay within {self.cost.budget:.1%} of wall time"
            row = Score(run=self.record.run, step=past, kind="cost", metric="left out", note=note)
            self.cost.skipped += len(self.record.append([row]))
        if self._known(step) is not None:
            return "known"
        if not (force or step == 0 or self.cost.affords_another()):
            self.cost.pending = step
            return "over the budget"
        self.cost.pending = None
        return "probe"

    def other_weights(self, step: int, weights: str) -> str:
        """A sentence where the record holds this step of other weights than those of this hash; else nothing."""
        known = self._known(step)
        if known is None or known.weights == weights:
            return ""
        return (
            f"record {self.record.folder} already holds step {step}, of other weights ({known.weights}, now {weights})"
        )

    def write(self, reading: Reading, rows: Sequence[Score], seconds: float) -> list[Score]:
        """The rows on disk, in one piece; then the line, then the sinks.

        Args:
            reading: what was scored.
            rows: its scores.
            seconds: for which it held the training up.

        Returns:
            The rows that were written.
        """
        self.cost.seconds.append(seconds)
        if reading.task_failed and not self._task_refused:
            tqdm.write(f"ontogeny: the task is refused at step {reading.step}: {reading.task_failed}", file=sys.stderr)
        self._task_refused = bool(reading.task_failed)
        blank = Score(run=self.record.run, step=reading.step, kind="cost", metric="share of wall time", unit="share")
        share = [replace(blank, value=self.cost.share)] if self.cost.running else []
        closing = seconds_row(reading, seconds, run=self.record.run, weights=self.weights)
        written = self.record.append([*share, *rows, closing])
        if self.say_every and len(self.cost.seconds) % self.say_every == 0:
            line = plain_line(written)
            tqdm.write(f"ontogeny: {line}", file=sys.stderr)
            _LOG.info(line)
        write(self.sinks, reading.step, short_names(written, self.weights))
        return written

    def rehearsed(self, lines: Sequence[str]) -> None:
        """Report what a rehearsal found, before training, and keep it in record.json."""
        for line in lines:
            tqdm.write(f"ontogeny: {line}", file=sys.stderr)
        self.record.note("rehearsal", list(lines))

    def said(self, line: str) -> None:
        """Say a line about the task, and keep it in record.json."""
        tqdm.write(f"ontogeny: {line}", file=sys.stderr)
        self.record.note("task", line)

    def waits(self, step: int, why: Exception) -> None:
        """Say that this step cannot be read, and record it."""
        tqdm.write(f"ontogeny: step {step} is not read: {why}", file=sys.stderr)
        self.record.append([Score(run=self.record.run, step=step, kind="cost", metric="left out", note=str(why))])

    def failed(self, step: int, error: Exception) -> None:
        """Warn of a probe that failed, and record it."""
        reason = f"{type(error).__name__}: {error}"
        warnings.warn(f"the probe at step {step} failed and training goes on: {reason}", stacklevel=4)
        row = Score(run=self.record.run, step=step, kind="refusal", layer="(whole probe)", note=reason)
        try:
            self.record.append([row])
        except Exception as second:  # noqa: BLE001 - the record of a failure must not end training either
            warnings.warn(f"nor could that be recorded: {second}", stacklevel=4)

    def finish(self) -> None:
        """Let the sinks finish, and say in a line what watching cost; once."""
        if self._finished or not self.cost.seconds:
            return
        self._finished = True
        finish(self.sinks, self.record)
        tqdm.write(f"ontogeny: {self.cost.line()}; record {self.record.folder}", file=sys.stderr)

    def _known(self, step: int) -> Score | None:
        return self.record.get(Score(run=self.record.run, step=step, kind="probe", metric="seconds").key)


def seconds_row(reading: Reading, seconds: float, *, run: str, weights: str) -> Score:
    """The row that closes a probe."""
    deployed = [", as a schedule-free optimizer deploys them"] if reading.deployed else []
    note = ", ".join([f"{weights} weights" + "".join(deployed), *reading.notes()])
    blank = Score(run=run, step=reading.step, kind="probe", metric="seconds", unit="s", note=note)
    return replace(blank, weights=reading.weights, value=seconds)


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
