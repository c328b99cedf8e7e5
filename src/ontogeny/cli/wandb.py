"""`ontogeny wandb register | spec | log | workspace`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ontogeny.sinks.charts import TITLES

__all__ = ["add_parser"]

_ABOUT = f"""\
Alignment on the pages of Weights & Biases.

  ontogeny wandb register                      once an account: make both charts known there
  ontogeny wandb workspace --entity E --project P
                                               once a project: a page with alignment, task, pictures and table
  ontogeny wandb log runs/a --project P        a finished record as a run of its own
  ontogeny wandb spec ontogeny-lag             a chart's specification, to be pasted on a page by hand

the charts:
  ontogeny-alignment-band   {TITLES["ontogeny-alignment-band"].removeprefix("ontogeny: ")}
  ontogeny-lag              {TITLES["ontogeny-lag"].removeprefix("ontogeny: ")}

while you train:
  from ontogeny.sinks.wandb_sink import WandbSink
  monitor = ontogeny.watch(..., sinks=[WandbSink()])     # the run that is there; it never starts one

Curves stand on their own axis, alignment/step. At the end the run gets the table alignment/scores, the charts, and the
same charts as pictures. Needs no connection with WANDB_MODE=offline; `wandb sync` uploads later.
"""
_REGISTER = """\
Make both charts known to a Weights & Biases account. Once; needs a connection and a key (`wandb login`).

  ontogeny wandb register                          your default entity, private
  ontogeny wandb register --entity my-team --access public

Then tell runs to use them, offline ones too:  export ONTOGENY_WANDB_CHARTS=my-team
Without that, a built-in line chart stands in. The pictures are there in any case.
"""
_SPEC = """\
Print a chart's specification (Vega-Lite, JSON). On a page of Weights & Biases: Add panels, Custom chart, Edit, paste.
Choose the table of a run that was logged with ONTOGENY_WANDB_CHARTS set, and columns named as the fields.
"""
_LOG = """\
Log a finished record into a new run: every probe on the axis alignment/step, then table, charts, which moves first.

  ontogeny wandb log runs/a --project brains
  WANDB_MODE=offline ontogeny wandb log runs/a --project brains      later: wandb sync wandb/offline-run-*

The record is only read. Run it twice and there are two runs.
"""
_WORKSPACE = """\
Save a page layout named "ontogeny" in a project: the best layer of each ROI and the held-out task over log steps,
pictures, the table of scores, and every layer in a closed section below. Needs a connection and a key.
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "wandb", help="charts, pages and records on Weights & Biases", description=_ABOUT, formatter_class=shape
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    register = verbs.add_parser("register", help="make both charts known", description=_REGISTER, formatter_class=shape)
    register.add_argument("--entity", default="", help="user or team (default: the account's own)")
    register.add_argument("--access", choices=("private", "public"), default="private", help="(default: %(default)s)")
    register.set_defaults(run=_register)
    spec = verbs.add_parser("spec", help="print a chart's specification", description=_SPEC, formatter_class=shape)
    spec.add_argument("name", metavar="NAME", help=" or ".join(TITLES))
    spec.set_defaults(run=_spec)
    log = verbs.add_parser("log", help="a finished record as a run", description=_LOG, formatter_class=shape)
    log.add_argument("record", type=Path, metavar="RECORD", help="a record's folder")
    log.add_argument("--project", required=True, help="where the run goes")
    log.add_argument("--entity", default=None, help="user or team (default: the account's own)")
    log.add_argument("--name", default=None, help="of the run (default: the record's)")
    log.set_defaults(run=_log)
    page = verbs.add_parser("workspace", help="lay out a page", description=_WORKSPACE, formatter_class=shape)
    page.add_argument("--entity", required=True, help="user or team")
    page.add_argument("--project", required=True, help="whose runs are shown")
    page.set_defaults(run=_workspace)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _register(arguments: argparse.Namespace) -> int:
    from ontogeny.sinks.wandb_account import register

    made = register(entity=arguments.entity, access=arguments.access)
    for name in made:
        _say(f"made {name} ({arguments.access})")
    entity = made[0].rpartition("/")[0] or arguments.entity
    _say(f"to draw runs with them: export ONTOGENY_WANDB_CHARTS={entity}")
    return 0


def _spec(arguments: argparse.Namespace) -> int:
    from ontogeny.sinks.charts import spec_text

    sys.stdout.write(spec_text(arguments.name))
    return 0


def _log(arguments: argparse.Namespace) -> int:
    from ontogeny.lag import record_shares
    from ontogeny.record import Record
    from ontogeny.sinks.wandb_account import log_record

    record = Record(arguments.record)
    where = {"project": arguments.project, "entity": arguments.entity, "name": arguments.name or record.run}
    done = log_record(record, leads=record_shares, **where)
    _say(f"logged {done.probes} probes of {record.folder}: {done.where}")
    return 0


def _workspace(arguments: argparse.Namespace) -> int:
    from ontogeny.sinks.wandb_account import save_workspace

    _say(f"saved {save_workspace(entity=arguments.entity, project=arguments.project)}")
    return 0
