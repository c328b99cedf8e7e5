"""What all questions print and write: the finding as text or JSON, its details as CSV, its picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from ontogeny._csv_files import write_csv
from ontogeny._display import labelled, wrapped
from ontogeny.cli._output import say
from ontogeny.cli._vocabulary import AsJson, Out

if TYPE_CHECKING:
    from ontogeny.findings import Finding
    from ontogeny.report import Figure

__all__ = ["Output", "deliver"]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where the answer goes.

    Args:
        out: write its tables (CSV), JSON and pictures (PNG) into this folder.
        no_pictures: with --out: tables only.
        details: every estimate and how it was made, too.
    """

    as_json: AsJson = False
    out: Out = None
    no_pictures: bool = False
    details: bool = False


def deliver(finding: Finding, figures: Callable[[Finding], Sequence[Figure]], output: Output) -> None:
    """Print the finding, and write its files where asked for.

    Args:
        finding: the answer.
        figures: draws its pictures; called where they are written.
    """
    say(_json(finding) if output.as_json else _text(finding, details=output.details))
    if output.out is not None:
        written = _write(finding, () if output.no_pictures else figures(finding), output.out)
        where = sys.stderr if output.as_json else sys.stdout
        where.write(f"\nWrote {', '.join(str(path) for path in written)}.\n")


def _json(finding: Finding) -> str:
    from ontogeny.report.figures import plain_json

    return json.dumps(plain_json(asdict(finding)), indent=1, ensure_ascii=False, allow_nan=False)


def _text(finding: Finding, *, details: bool) -> str:
    lines = [*wrapped(finding.answer), "", *labelled("asked", finding.question)]
    if details:
        lines += labelled("estimates", *(f"{one.name}: {one.text()}" for one in finding.estimates))
        lines += labelled("how", finding.headline.how)
    lines += labelled("else explains", *finding.else_explains)
    lines += labelled("cannot tell", *finding.cannot_tell) if finding.cannot_tell else []
    lines += labelled("source", finding.source)
    n = len(finding.estimates)
    more = f"--details shows {n} estimate{'' if n == 1 else 's'} and how they were made"
    return "\n".join(lines if details else [*lines, *labelled("next", more)])


def _write(finding: Finding, figures: Sequence[Figure], folder: Path) -> list[Path]:
    from ontogeny.report import write_figures
    from ontogeny.report.figures import plain_json

    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "finding.json"]
    written[0].write_text(_json(finding) + "\n", encoding="utf-8")
    for name, rows in finding.details.items():
        written.append(folder / f"{name}.csv")
        write_csv([plain_json(row) for row in rows], written[-1])
    return [*written, *write_figures(figures, folder)]
