"""`ontogeny record show | best | query | compact`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_ABOUT = """\
What a record holds, and questions to it, however large it is.

  ontogeny record show runs/a                                       scores, bytes, steps, benchmarks
  ontogeny record best runs/a --metric rsa-correlation-spearman     best layer of each region at each step
  ontogeny record query runs/a "SELECT step, value FROM scores WHERE kind = 'task' AND metric = 'loss' ORDER BY step"
  ontogeny record compact runs/a                                    all rows into Parquet

A record is a folder. New rows are lines of scores.jsonl; beyond 200 000 lines they move into Parquet files in scores/
by themselves (with pyarrow: pip install '.[tables]'). Questions (pip install '.[query]') read both.
"""
_SHOW = """\
Identity, rows, bytes on disk, steps, probes, tasks and benchmarks of a record, and its branches: rows that the run left
behind when it was rolled back and went on differently. Reads no more than the rows about probes, and those.

  ontogeny record show runs/a
"""
_BEST = """\
Which layer (or metric, pooling, ROI) scores highest in each group, averaged over subjects. One row a group: what it is
grouped by, which is best, its mean value, and n, the rows that this is a mean of.

  ontogeny record best runs/a --metric ridge-gcv                         best layer of each ROI at each step
  ontogeny record best runs/a --metric ridge-gcv --by roi --step 1000    ... at one step
  ontogeny record best runs/a --by step metric --roi V1                  ... of one ROI, for each metric
  ontogeny record best runs/a --of pooling --by roi layer step --metric ridge-gcv

Scores of different metrics or benchmarks do not compare: name one, or group by it. The best of several is a little too
high as an estimate.
"""
_QUERY = """\
Any question in SQL (DuckDB) about the tables scores and events: one SELECT, which reads the record alone and writes
nothing. With --files a statement of any kind may read and write files, as you may. Memory stays within --memory.

columns:
  what is scored    run, step, kind, benchmark, fingerprint, subject, roi, layer, pooling, metric    (one row each)
  the score         value, unit, ceiling, ceiling_lower, chance, n_stimuli, n_voxels, n_features
  more              weights, source, note; written (0, 1, 2, ...: order of writing)
kinds: alignment, baseline, control, task, confound. What is no score (kinds probe, refusal, cost, checkpoint, branch)
is in the table events: the columns of what is scored, value, unit, weights, n_events, note

  ontogeny record query runs/a "SELECT kind, count(*) FROM scores GROUP BY kind"
  ontogeny record query runs/a "SELECT layer, avg(value / ceiling) AS share FROM scores
      WHERE kind = 'alignment' AND step = 1000 AND ceiling > 0.1 GROUP BY layer ORDER BY share DESC"
  ontogeny record query runs/a "SELECT * FROM scores WHERE roi = 'V1'" --out v1.parquet      (or .csv)
"""
_COMPACT = """\
Move the rows in scores.jsonl into a Parquet file: some 50 times smaller, and read only when asked for. No answer
changes. Killed at any byte it loses and doubles nothing. Refused while a run writes there.

  ontogeny record compact runs/a
"""


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    shape = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "record", help="what a record holds, and questions to it", description=_ABOUT, formatter_class=shape
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = {}
    for name, about, text, run in (
        ("show", "scores, bytes, steps, benchmarks", _SHOW, _show),
        ("best", "best layer of each region and step", _BEST, _best),
        ("query", "a question in SQL", _QUERY, _query),
        ("compact", "move all rows into Parquet", _COMPACT, _compact),
    ):
        made[name] = verbs.add_parser(name, help=about, description=text, formatter_class=shape)
        made[name].add_argument("record", type=Path, metavar="RECORD", help="a record's folder")
        made[name].set_defaults(run=run)
    made["query"].add_argument("sql", metavar="SQL", help="one statement about the table scores")
    made["query"].add_argument("--files", action="store_true", help="let it read and write files, too")
    made["best"].add_argument("--of", default="layer", metavar="COLUMN", help="what is compared (default: %(default)s)")
    made["best"].add_argument(
        "--by", nargs="+", default=["roi", "step"], metavar="COLUMN", help="what makes a group (default: roi step)"
    )
    for name in ("kind", "benchmark", "subject", "roi", "layer", "pooling", "metric"):
        made["best"].add_argument(f"--{name}", default=None, help="only this, as written in the record")
    made["best"].add_argument("--step", type=int, default=None, help="only this")
    for name in ("best", "query"):
        made[name].add_argument("--memory", default="4GB", help="most that DuckDB may take (default: %(default)s)")
        made[name].add_argument("--out", type=Path, default=None, help="a .csv or .parquet file (default: print)")


def _open(arguments: argparse.Namespace) -> Any:
    from ontogeny.record import Record

    return Record(arguments.record)


def _show(arguments: argparse.Namespace) -> int:
    facts = _open(arguments).facts()
    sys.stdout.write("".join(f"{name:<12}{' '.join(fact.split())}\n" for name, fact in facts.items()))
    return 0


def _files(folder: Path, pattern: str) -> tuple[int, int]:
    found = list(folder.glob(pattern))
    return len(found), sum(path.stat().st_size for path in found)


def _best(arguments: argparse.Namespace) -> int:
    names = ("kind", "benchmark", "subject", "roi", "layer", "pooling", "metric", "step")
    where = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    found = _open(arguments).best(arguments.of, by=arguments.by, memory=arguments.memory, **where)
    return _write(found, arguments.out)


def _query(arguments: argparse.Namespace) -> int:
    found = _open(arguments).query(arguments.sql, memory=arguments.memory, files=arguments.files)
    return _write(found, arguments.out)


def _write(found: Any, out: Path | None) -> int:
    from ontogeny.errors import ConfigError

    if out is None:
        sys.stdout.write(f"{found.to_string(index=False)}\n")
        return 0
    if out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--out takes a .csv or a .parquet file, got {out}")
    found.to_parquet(out, index=False) if out.suffix == ".parquet" else found.to_csv(out, index=False)
    sys.stdout.write(f"Wrote {len(found):,} rows to {out}.\n")
    return 0


def _compact(arguments: argparse.Namespace) -> int:
    from ontogeny._atomic_write import by_number

    record = _open(arguments)
    before = _files(record.folder, "scores.jsonl")[1]
    if moved := record.compact():
        made = by_number((record.folder / "scores").glob("*.parquet"))[-1]
        after = made.stat().st_size
        sys.stdout.write(f"Moved {moved:,} rows into {made}: {before:,} bytes of JSON lines became {after:,}.\n")
    else:
        sys.stdout.write("All rows are in Parquet already.\n")
    return 0
