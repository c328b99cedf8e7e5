"""`ontogeny wandb register | spec | log | workspace`."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import Record

__all__ = ["app"]

app = App(
    name="wandb",
    help="""\
Alignment on the pages of Weights & Biases.

for example:
  ontogeny wandb register                      once an account: make both charts known there
  ontogeny wandb workspace --entity E --project P
                                               once a project: a page with alignment, task, pictures and table
  ontogeny wandb log runs/a --project P        a finished record as a run of its own
  ontogeny wandb spec ontogeny-lag             a chart's specification, to be pasted on a page by hand

the charts: ontogeny-alignment-band (the best layer over log steps, with ceiling and chance) and ontogeny-lag (alignment
and performance, each in units of its gain)

while you train:
  from ontogeny.sinks.wandb_sink import WandbSink
  monitor = ontogeny.watch(..., sinks=[WandbSink()])     # the run that is there; it never starts one

Curves stand on their own axis, alignment/step. At the end the run gets the table alignment/scores, the charts, and the
same charts as pictures. Needs no connection with WANDB_MODE=offline; `wandb sync` uploads later.
""",
)


def register(*, entity: str = "", access: Literal["private", "public"] = "private") -> None:
    """Make both charts known to a Weights & Biases account.

    Once; needs a connection and a key (`wandb login`).

      ontogeny wandb register                          your default entity, private
      ontogeny wandb register --entity my-team --access public

    Then tell runs to use them, offline ones too:  export ONTOGENY_WANDB_CHARTS=my-team
    Without that, a built-in line chart stands in. The pictures are there in any case.

    Args:
        entity: user or team; the account's own where not given.
        access: who may use them.
    """
    from ontogeny.sinks.wandb_account import register as make_known

    made = make_known(entity=entity, access=access)
    for name in made:
        say(f"made {name} ({access})")
    say(f"to draw runs with them: export ONTOGENY_WANDB_CHARTS={made[0].rpartition('/')[0] or entity}")


def spec(name: str, /) -> None:
    """Print a chart's specification (Vega-Lite, JSON).

    On a page of Weights & Biases: Add panels, Custom chart, Edit, paste. Choose the table of a run that was logged with
    ONTOGENY_WANDB_CHARTS set, and columns named as the fields.

      ontogeny wandb spec ontogeny-lag

    Args:
        name: ontogeny-alignment-band or ontogeny-lag.
    """
    from ontogeny.sinks.charts import spec_text

    say(spec_text(name).removesuffix("\n"))


def log(record: Record, /, *, project: str, entity: str | None = None, name: str | None = None) -> None:
    """Log a finished record into a new run.

    Every probe on the axis alignment/step, then table, charts, which moves first.

      ontogeny wandb log runs/a --project brains
      WANDB_MODE=offline ontogeny wandb log runs/a --project brains      later: wandb sync wandb/offline-run-*

    The record is only read. Run it twice and there are two runs.

    Args:
        project: where the run goes.
        entity: user or team; the account's own where not given.
        name: of the run; the record's where not given.
    """
    from ontogeny.lag import record_shares
    from ontogeny.record import Record as Scores
    from ontogeny.sinks.wandb_account import log_record

    opened = Scores.open(record)
    done = log_record(opened, leads=record_shares, project=project, entity=entity, name=name or opened.run)
    say(f"logged {done.probes} probes of {opened.folder}: {done.where}")


def workspace(*, entity: str, project: str) -> None:
    """Lay out a page.

    Save a page layout named "ontogeny" in a project: the best layer of each ROI and the held-out task over log steps,
    pictures, the table of scores, and every layer in a closed section below. Needs a connection and a key.

      ontogeny wandb workspace --entity my-team --project brains

    Args:
        entity: user or team.
        project: whose runs are shown.
    """
    from ontogeny.sinks.wandb_account import save_workspace

    say(f"saved {save_workspace(entity=entity, project=project)}")


for _verb in (register, spec, log, workspace):
    app.command(_verb)
