"""`ontogeny record show | best | query | compact`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ontogeny._display import labelled, wrapped
from ontogeny.cli._output import print_json, say
from ontogeny.cli._vocabulary import AsJson, Columns, Out, Record, Selection
from ontogeny.errors import ConfigError

__all__ = ["app"]

app = App(
    name="record",
    help="""\
What a record holds, and questions to it, however large it is.

for example:
  ontogeny record show runs/a                                       scores, bytes, steps, benchmarks
  ontogeny record best runs/a --metric rsa-correlation-spearman     best layer of each region at each step
  ontogeny record query runs/a "SELECT step, value FROM scores WHERE kind = 'task' AND metric = 'loss' ORDER BY step"
  ontogeny record compact runs/a                                    all rows into Parquet

A record is a folder. New rows are lines of scores.jsonl; beyond 20,000 lines they move into Parquet files in scores/
by themselves (with pyarrow: pip install '.[tables]'). Questions (pip install '.[query]') read both.
""",
)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Where an answer goes.

    Args:
        memory: most that DuckDB may take.
        out: a .csv or .parquet file; printed where not given.
        as_json: print the rows as JSON.
    """

    memory: str = "4GB"
    out: Out = None
    as_json: AsJson = False


def show(record: Record, /, *, details: bool = False, as_json: AsJson = False) -> None:
    """Scores, steps, benchmarks.

    How many scores of which steps, benchmarks and tasks a record holds, and its branches: rows that the run left behind
    when it was rolled back and went on differently. Reads no more than the rows about probes, and those.

      ontogeny record show runs/a

    Args:
        details: identity, fingerprints, events, bytes on disk.
    """
    facts = _open(record).facts()
    if as_json:
        print_json(facts)
        return
    shown = {name: fact for name, fact in facts.items() if details or name not in _STATISTICS}
    if not details:
        shown["benchmarks"] = re.sub(r" \(fingerprint [^)]*\)", "", shown["benchmarks"])
    lines = [line for name, fact in shown.items() for line in labelled(name, fact, indent=12)]
    command = [] if details else [f"{'next':<12}ontogeny report {record}", *labelled("", _MORE, indent=12)]
    say("\n".join([*wrapped(_summary(shown)), "", *lines, *command]))


_STATISTICS = ("identity", "events", "bytes")
_MORE = "--details shows identity, fingerprints, events, bytes on disk"


def _summary(facts: dict[str, str]) -> str:
    """What can be asked of it, first."""
    if facts["probes"] == "none":
        return "Nothing was probed yet: the first probe writes the first scores."
    refusals = "" if facts["refusals"] == "0" else f", {facts['refusals']} refusals"
    task = "no task, so nothing can be said of which is first" if facts["tasks"] == "none" else facts["tasks"]
    return f"{facts['scores']} scores of {facts['probes']} against {facts['benchmarks']}; task: {task}{refusals}."


def _files(folder: Path, pattern: str) -> tuple[int, int]:
    found = list(folder.glob(pattern))
    return len(found), sum(path.stat().st_size for path in found)


def best(
    record: Record,
    /,
    *,
    of: Annotated[str, Parameter(metavar="COLUMN")] = "layer",
    by: Columns = ("roi", "step"),
    which: Selection = Selection(),
    step: int | None = None,
    kind: str | None = None,
    answer: Answer = Answer(),
) -> None:
    """Best layer of each region and step.

    Which layer (or metric, pooling, ROI) scores highest in each group, averaged over subjects. One row per group: what
    it is grouped by, which is best, its mean value, and n, the rows that this is a mean of.

      ontogeny record best runs/a --metric ridge-gcv                         best layer of each ROI at each step
      ontogeny record best runs/a --metric ridge-gcv --by roi --step 1000    ... at one step
      ontogeny record best runs/a --by step metric --roi V1                  ... of one ROI, for each metric
      ontogeny record best runs/a --of pooling --by roi layer step --metric ridge-gcv

    Scores of different metrics or benchmarks do not compare: name one, or group by it. The best of several is a little
    too high as an estimate.

    Args:
        of: what is compared.
        by: what makes a group.
        step: only this step.
        kind: only this kind of rows; alignment where not given.
    """
    where = {"kind": kind, "step": step, **which.where}
    named = {name: value for name, value in where.items() if value is not None}
    _answer(_open(record).best(of, by=by, memory=answer.memory, **named), answer)


def query(
    record: Record,
    sql: Annotated[str, Parameter(metavar="SQL")],
    /,
    *,
    files: bool = False,
    answer: Answer = Answer(),
) -> None:
    """A question in SQL.

    Any question in SQL (DuckDB) about the tables scores and events: one SELECT, which reads the record alone and writes
    nothing. With --files a statement of any kind may read and write files, as you may. Memory stays within --memory.

    columns:
      what is scored    run, step, kind, benchmark, fingerprint, subject, roi, layer, pooling, metric  (one row each)
      the score         value, unit, ceiling, ceiling_lower, chance, n_stimuli, n_voxels, n_features
      more              weights, source, note; written (0, 1, 2, ...: order of writing)
    kinds: alignment, baseline, control, task, confound. What is no score (kinds probe, refusal, cost, checkpoint,
    branch, progress) is in the table events: the columns of what is scored, value, unit, weights, n_events, note

      ontogeny record query runs/a "SELECT kind, count(*) FROM scores GROUP BY kind"
      ontogeny record query runs/a "SELECT layer, avg(value / ceiling) AS share FROM scores
          WHERE kind = 'alignment' AND step = 1000 AND ceiling > 0.1 GROUP BY layer ORDER BY share DESC"
      ontogeny record query runs/a "SELECT * FROM scores WHERE roi = 'V1'" --out v1.parquet      (or .csv)

    Args:
        sql: one statement about the tables scores and events.
        files: let it read and write files, too.
    """
    _answer(_open(record).query(sql, memory=answer.memory, files=files), answer)


def compact(record: Record, /) -> None:
    """Move all rows into Parquet.

    Move the rows in scores.jsonl into a Parquet file: some 50 times smaller, and read only when asked for. No answer
    changes. Killed at any byte it loses and doubles nothing. Refused while a run writes there.

      ontogeny record compact runs/a
    """
    from ontogeny._atomic_write import by_number

    opened = _open(record)
    before = _files(opened.folder, "scores.jsonl")[1]
    if moved := opened.compact():
        made = by_number((opened.folder / "scores").glob("*.parquet"))[-1]
        after = made.stat().st_size
        say(f"Moved {moved:,} rows into {made}: {before:,} bytes of JSON lines became {after:,}.")
    else:
        say("All rows are in Parquet already.")


def _open(folder: Path) -> Any:
    from ontogeny.record import Record

    return Record(folder)


def _answer(found: Any, answer: Answer) -> None:
    out = answer.out
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--out takes a .csv or a .parquet file, got {out}")
    if out is not None:
        found.to_parquet(out, index=False) if out.suffix == ".parquet" else found.to_csv(out, index=False)
        say(f"Wrote {len(found):,} rows to {out}.")
    elif answer.as_json:
        print_json(found.to_dict(orient="records"))
    else:
        say(found.to_string(index=False))


for _verb in (show, best, query, compact):
    app.command(_verb)
