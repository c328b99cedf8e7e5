"""WandbSink: alignment in a Weights & Biases run, on its own step axis; at the end a table of scores and charts.

    monitor = ontogeny.watch(..., sinks=[WandbSink()])        # the run that is there; nothing where there is none
    WandbSink(leads=ontogeny.lag.record_shares)               # and which moves first, at the end

Weights & Biases is imported here and in `wandb_account` alone, and `wandb.init` is never called.
"""

from __future__ import annotations

import io
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ontogeny._messages import say
from ontogeny.errors import MissingExtraError, require
from ontogeny.record import Record, Score
from ontogeny.record.curve_groups import CurveGroup
from ontogeny.record.row import to_row
from ontogeny.sinks._record_charts import MOST_CHARTS, Leads, bands, named_groups, pairs_of
from ontogeny.sinks.charts import Chart, as_lines, png

__all__ = ["AXIS", "MOST_ROWS", "PICTURES", "SCORES", "WandbSink", "newest_probes"]

AXIS = "alignment/step"
MOST_ROWS = 10_000
_FEWEST = 2
_MOST_DRAWN = 1_000_000
_MOST_SUMMARIES = 20
_CHARTS_FROM = "ONTOGENY_WANDB_CHARTS"
_COLUMNS = tuple(f.name for f in fields(Score) if f.name != "run")
SCORES = "alignment/scores"
PICTURES = {"curves": "alignment/pictures", "lag": "alignment/which_first"}


class WandbSink:
    """Writes to a Weights & Biases run: one row per probe on the axis `alignment/step`, never with `step=`.

    Every curve is tied to that axis by its exact name: where a trainer has tied "*" to its own axis, which of two
    matching patterns holds is left to chance by Weights & Biases.

    `refresh` logs charts and pictures while training runs, what is first with the words "so far"; `finish` adds the
    table `alignment/scores`, charts and summary values.

    Args:
        run: a run, or anything with `log(dict)`; the run that is there (`wandb.run`) where not given.
        charts: entity whose charts `ontogeny wandb register` has made; the environment variable ONTOGENY_WANDB_CHARTS
            where not given; without either, a built-in line chart stands in. Pictures are logged in any case.
        leads: record -> pairs to be drawn, `ontogeny.lag.record_shares`; none are drawn where not given.
        also: other axes that get the same step in each row, "trainer/global_step" or "train/global_step".
        most_details: with more curves of single layers than this, only the best layer of each ROI becomes a curve.
    """

    name = "Weights & Biases"
    first_refresh = 3.0

    def __init__(
        self,
        run: Any = None,
        *,
        charts: str = "",
        leads: Leads | None = None,
        also: Sequence[str] = (),
        most_details: int = 60,
    ) -> None:
        self._run = run
        self._charts = charts or os.environ.get(_CHARTS_FROM, "")
        self._leads = leads
        self._also = tuple(also)
        self._most_details = most_details
        self._told: Any = None
        self._defined: set[str] = set()
        self._keys: dict[str, str] = {}
        self._said: set[str] = set()

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one probe as one row.

        A number that is not finite is logged as it is: Weights & Biases leaves a gap and says NaN in the summary.

        Args:
            step: optimizer updates.
            metrics: `alignment/<roi>`, `alignment/<roi>.<metric>.<layer>.<pooling>`, `task/<metric>` -> value.
        """
        run = self._current()
        if run is None:
            return
        row = {self._key(name): metrics[name] for name in self._shown(metrics)}
        self._define(run, row)
        run.log({**row, AXIS: step, **dict.fromkeys(self._also, step)})

    def refresh(self, record: Record) -> None:
        """Log charts and pictures of the record so far, from the second probe on.

        Args:
            record: of the run by now.
        """
        run, probes = self._current(), len(record.events(kind="probe"))
        if run is None or not hasattr(run, "define_metric") or probes < _FEWEST or len(record) > _MOST_DRAWN:
            return
        named = named_groups(record)
        if not named:
            return
        self._define(run, PICTURES.values())
        at = {AXIS: max(panel.steps[-1] for panel in named.values())}
        self._draw(run, "curves", bands(named), at)
        if self._leads is not None:
            self._draw(run, "lag", pairs_of(self._leads(record), running=True), at)

    def finish(self, record: Record) -> None:
        """Log the table of scores, charts and summary values; called once, at the end.

        A tracker that has `log` alone is left as it is. Each part is logged before the next is made.

        Args:
            record: of the whole run.
        """
        run = self._current()
        if run is None or not hasattr(run, "define_metric") or not len(record):
            return
        if len(record) > _MOST_DRAWN:
            self._log_message(
                "size",
                f"{len(record)} scores are more than are drawn or tabled at the end of a run (up to {_MOST_DRAWN}); "
                f"`ontogeny record best {record.folder}` and `query` answer from them",
            )
            return
        scores = record.scores
        self._define(run, (SCORES, *PICTURES.values()))
        at = {AXIS: max(score.step for score in scores)}
        run.log({SCORES: self._table(scores), **at})
        named = named_groups(record)
        run.summary.update(self._best(named))
        self._draw(run, "curves", bands(named), at)
        if self._leads is not None:
            pairs = self._leads(record)
            run.summary.update({self._key(f"alignment/lag.{p.key}.says"): p.says for p in pairs[:_MOST_SUMMARIES]})
            self._draw(run, "lag", pairs_of(pairs, running=False), at)

    def _current(self) -> Any:
        return self._run if self._run is not None else getattr(sys.modules.get("wandb"), "run", None)

    def _define(self, run: Any, keys: Iterable[str]) -> None:
        """Tie keys to our axis, each once a run. A tracker without axes has no `define_metric`."""
        define = getattr(run, "define_metric", None)
        if define is None:
            return
        if run is not self._told:
            self._told, self._defined = run, set()
            define(AXIS, hidden=True)
            define("alignment/*", step_metric=AXIS)
        for key in keys:
            if key not in self._defined:
                self._defined.add(key)
                define(key, step_metric=AXIS)

    def _key(self, name: str) -> str:
        """A readable key of one section: letters, digits, "_", "." and "-"; another one for each name."""
        if name not in self._keys:
            section, _, rest = unicodedata.normalize("NFC", name).partition("/")
            rest = re.sub(r"[^\w.-]+", "_", rest).strip("_")
            key = f"{section}/{rest or 'unnamed'}"
            taken, number = {AXIS, SCORES, *PICTURES.values(), *self._keys.values(), *self._also}, 1
            while (numbered := key if number == 1 else f"{key}_{number}") in taken:
                number += 1
            self._keys[name] = numbered
        return self._keys[name]

    def _shown(self, metrics: Mapping[str, float]) -> list[str]:
        details = _details(metrics)
        if len(details) <= self._most_details:
            return list(metrics)
        self._log_message(
            "details",
            f"{len(details)} curves of single layers are too many for one page of Weights & Biases: it gets the best "
            f"layer of each ROI as a curve, and every layer in the table alignment/scores at the end "
            f"(WandbSink(most_details={len(details)}) logs them all)",
        )
        return [name for name in metrics if name not in details]

    def _log_message(self, about: str, text: str) -> None:
        """Once."""
        if about not in self._said:
            self._said.add(about)
            say(text)

    def _table(self, scores: Sequence[Score]) -> Any:
        kept, left_out = newest_probes(scores)
        if left_out:
            self._log_message("table", f"the table alignment/scores {left_out}; the record has all")
        rows = [[row[name] for name in _COLUMNS] for row in map(to_row, kept)]
        return _wandb().Table(columns=list(_COLUMNS), data=rows)

    def _best(self, named: Mapping[str, CurveGroup]) -> dict[str, Any]:
        """The best layer at the last step of the first panels, with what is needed to read its value."""
        out: dict[str, Any] = {}
        for name, panel in list(named.items())[:_MOST_SUMMARIES]:
            at = panel.at(panel.steps[-1])
            layer = max(at, key=lambda one: at[one])
            facts = {"layer": layer, "value": at[layer], "ceiling": panel.ceiling, "chance": panel.chance}
            out |= {self._key(f"alignment/best.{name}.{k}"): v for k, v in facts.items() if v is not None}
        return out

    def _draw(self, run: Any, kind: str, makers: Sequence[Callable[[], Chart]], at: Mapping[str, int]) -> None:
        """Panels and pictures of the first charts of a kind."""
        charts = [make() for make in makers[:MOST_CHARTS]]
        if len(charts) < len(makers):
            self._log_message(
                kind, f"{len(charts)} of {len(makers)} charts ({kind}) were logged; `ontogeny report` draws all"
            )
        if not charts:
            return
        run.log({**{self._key(f"alignment/{kind}.{chart.name}"): self._panel(chart) for chart in charts}, **at})
        try:
            run.log({PICTURES[kind]: [_picture(chart) for chart in charts], **at})
        except MissingExtraError as error:
            self._log_message("pictures", f"no pictures were logged: {error}")

    def _panel(self, chart: Chart) -> Any:
        """The chart as a panel: by the registered specification, or as plain lines by a built-in one."""
        wandb, split = _wandb(), {"split_table": True}
        if self._charts:
            table = wandb.Table(columns=chart.columns, data=[list(row.values()) for row in chart.rows])
            return wandb.plot_table(f"{self._charts}/{chart.spec}", table, chart.fields, dict(chart.strings), **split)
        table = wandb.Table(columns=["step", "line", "value"], data=as_lines(chart))
        named = {"step": "step", "lineKey": "line", "lineVal": "value"}
        texts = {"title": chart.strings["title"], "xname": "step (optimizer updates)"}
        return wandb.plot_table("wandb/lineseries/v0", table, named, texts, **split)


def newest_probes(scores: Sequence[Score], most: int = MOST_ROWS) -> tuple[list[Score], str]:
    """As many whole probes as fit, the newest first to be kept; by step, and what was left out in words.

    A single probe that does not fit is cut.
    """
    at: dict[int, list[Score]] = {}
    for score in scores:
        at.setdefault(score.step, []).append(score)
    kept, steps = 0, sorted(at)
    while steps and kept + len(at[steps[-1]]) <= most:
        kept += len(at[steps.pop()])
    whole = [score for step in sorted(at) if step not in steps for score in at[step]]
    if not steps:
        return whole, ""
    if not whole:
        return at[steps[-1]][:most], f"holds {most} of {len(scores)} rows, all of step {steps[-1]}"
    return (
        whole,
        f"holds {kept} of {len(scores)} rows: {len(steps)} of {len(at)} probes, up to step {steps[-1]}, are left out",
    )


def _details(names: Iterable[str]) -> set[str]:
    """Names that stand under the name of a ROI, as "alignment/IT.rsa.head" under "alignment/IT".

    Names of ROIs and layers may hold dots. "V1.dorsal" under "V1" is a ROI, for the same metrics and layers stand
    under both; "h.1" above "h.1.attn" is a layer.
    """
    known = {name for name in names if name.startswith("alignment")}
    above: dict[str, list[str]] = {}
    under: dict[str, set[str]] = {}
    for name in known:
        for prefix in (name[: dot.start()] for dot in re.finditer(r"\.", name)):
            if prefix in known:
                above.setdefault(name, []).append(prefix)
                under.setdefault(prefix, set()).add(name[len(prefix) :])
    return {name for name, roi in above.items() if not (name in under and under[name] <= under[roi[0]])}


def _wandb() -> Any:
    return require("wandb", "wandb")


def _picture(chart: Chart) -> Any:
    opened = require("PIL.Image", "wandb").open(io.BytesIO(png(chart)))
    return _wandb().Image(opened, caption=chart.caption)
