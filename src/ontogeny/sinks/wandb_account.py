"""What is done on a Weights & Biases account: charts registered, a page laid out, a record logged as a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from ontogeny.errors import ConfigError, require
from ontogeny.record import Record
from ontogeny.sinks._chart_data import HalfWay
from ontogeny.sinks.charts import TITLES, spec_text
from ontogeny.sinks.sink import metric_keys
from ontogeny.sinks.wandb_sink import AXIS, PICTURES, SCORES, WandbSink

__all__ = ["Logged", "log_record", "register", "save_workspace"]

T = TypeVar("T")

_SECONDS = 20
_HEADLINES = r"^alignment(_ema)?/(?!step$)[^.]+$"
_DETAILS = r"^alignment(_ema)?/[^.]+\..+$"
_TASK = r"^task(_ema)?/"


def register(*, entity: str = "", access: Literal["private", "public"] = "private") -> list[str]:
    """Make both charts of ours known to a Weights & Biases account, so that runs can be drawn with them.

    Args:
        entity: user or team; the account's default where not given.
        access: who may use them: "private" for the entity alone, or "public".

    Returns:
        Their names there, "entity/name".

    Raises:
        ConfigError: no key, no connection, no such entity, or the server refuses.
        MissingExtraError: wandb is not installed.
    """
    wandb = require("wandb", "wandb")
    api = _request(lambda: wandb.Api(timeout=_SECONDS))
    owner = entity or _request(lambda: api.default_entity)
    if not owner:
        raise ConfigError("this Weights & Biases account has no default entity; name a user or team with --entity")
    return [_request(partial(_create, api, owner, name, access)) for name in TITLES]


def _create(api: Any, entity: str, name: str, access: str) -> str:
    made: str = api.create_custom_chart(
        entity=entity,
        name=name,
        display_name=TITLES[name],
        spec_type="vega2",
        access=access,
        spec=spec_text(name),
    )
    return made


def save_workspace(*, entity: str, project: str) -> str:
    """Save a page layout "ontogeny" in a project: best layers over log steps, task, pictures, table, single layers.

    Args:
        entity: user or team.
        project: whose runs are shown.

    Returns:
        The page's address.

    Raises:
        ConfigError: no key, no connection, no such project, or the server refuses.
        MissingExtraError: wandb-workspaces is not installed.
    """
    panels = require("wandb_workspaces.reports.v2", "wandb")
    pages = require("wandb_workspaces.workspaces", "wandb")

    def curves(title: str, pattern: str) -> Any:
        return panels.LinePlot(title=title, x=AXIS, metric_regex=pattern, log_x=True)

    shown = [
        curves("alignment, best layer of each ROI", _HEADLINES),
        curves("held-out task at the same weights", _TASK),
        *(panels.MediaBrowser(media_keys=[key]) for key in PICTURES.values()),
        panels.WeavePanelSummaryTable(table_name=SCORES),
    ]
    page = pages.Workspace(
        entity=entity,
        project=project,
        name="ontogeny",
        sections=[
            pages.Section(name="alignment", is_open=True, pinned=True, panels=shown),
            pages.Section(name="alignment of single layers", panels=[curves("every layer", _DETAILS)]),
        ],
    )
    return _request(lambda: str(page.save().url))


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A record that was logged: how many probes, and where it is to be seen."""

    probes: int
    where: str


def log_record(record: Record, *, leads: Callable[[Record], Sequence[HalfWay]] | None = None, **where: Any) -> Logged:
    """Log a finished record into a run of its own: a row per probe, then table, charts and summary.

    Args:
        record: it is only read.
        leads: see `WandbSink`.
        **where: of `wandb.init`: project, entity, name.

    Raises:
        ConfigError: the record holds no score, or no run could be started.
        MissingExtraError: wandb is not installed.
    """
    steps = sorted({score.step for score in record.scores})
    if not steps:
        raise ConfigError(
            f"record {record.folder} holds no score, so there is nothing to log; the first probe writes some"
        )
    wandb = require("wandb", "wandb")
    about = {"ontogeny": {name: record.header.get(name) for name in ("run", "weights", "benchmarks", "versions")}}
    run = _request(lambda: wandb.init(job_type="ontogeny", config=about, reinit="create_new", **where))
    with run:
        sink = WandbSink(run, leads=leads)
        for step in steps:
            sink.write(step, metric_keys(record.select(step=step), record.header.get("weights", "raw")))
        sink.finish(record)
        here = f"{Path(run.dir).parent}, to be uploaded with `wandb sync`"
        place = here if run.offline else str(run.url)
    return Logged(probes=len(steps), where=place)


def _request(ask: Callable[[], T]) -> T:
    """What the server answers, or why it did not."""
    try:
        return ask()
    except Exception as error:
        raise ConfigError(
            f"request to Weights & Biases failed: {error}. It needs a connection and a key (`wandb login`, or the "
            "variable WANDB_API_KEY). Without them paste a chart on its page: Add panels, Custom chart, Edit; "
            "`ontogeny wandb spec NAME` prints it"
        ) from error
