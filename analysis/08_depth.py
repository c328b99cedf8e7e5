"""Do deeper layers converge across modalities? The published table `yeo7_depth`; writes depth.md, a table and pictures.

python analysis/08_depth.py     (needs the table, and those of regions, in ONTOGENY_DATA; else it says where
                                they come from)
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ontogeny.errors import DatasetNotFoundError
from ontogeny.findings import Cells, Finding, depth, published_depth, published_regions
from ontogeny.report import write_figures
from ontogeny.report.findings.depth_section import figures

HERE = Path(__file__).parent
PLACES = 8
SOURCE = "shen2026, table yeo7_depth (language and vision not in one unit, see published_depth)"


def write(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    (HERE / "tables").mkdir(exist_ok=True)
    with (HERE / "tables" / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def asked(cells: Cells) -> dict[str, Finding]:
    """The planned question, and the same without one end: a trend should not rest on the first or the last place."""
    last = (PLACES - 0.5) / PLACES
    first = 0.5 / PLACES
    ways = {
        "all depths (planned)": (cells, PLACES),
        "without the first depth": (cells.only(cells.depth > first), PLACES - 1),
        "without the last depth": (cells.only(cells.depth < last), PLACES - 1),
    }
    return {
        name: depth(squeezed(part, bins), bins=bins, raw=True, source=SOURCE) for name, (part, bins) in ways.items()
    }


def squeezed(cells: Cells, bins: int) -> Cells:
    """The same places, numbered anew as the middles of so many equal parts."""
    columns = {name: getattr(cells, name) for name in cells.__dataclass_fields__}
    places = sorted(set(cells.depth.tolist()))
    middle = {place: (i + 0.5) / bins for i, place in enumerate(places)}
    return Cells(**{**columns, "depth": cells.depth * 0 + [middle[place] for place in cells.depth.tolist()]})


def what_it_is(cells: Cells) -> list[str]:
    """Not planned: the table's scores, mean over depth, against the best and the mean of a network's regions."""
    out = []
    for modality, read in (("text", "language"), ("image", "vision")):
        regions, groups = published_regions(read)
        for width in (28, 36):
            own = regions.where(metric=f"cka_{width}")
            networks = np.array([groups[roi] for roi in own.roi.tolist()])
            table, best, mean = [], [], []
            for subject in own.names("subject"):
                for network in cells.names("roi"):
                    values = own.value[(own.subject == subject) & (networks == network)]
                    best.append(values.max())
                    mean.append(values.mean())
                    table.append(cells.where(modality=modality, subject=subject, roi=network).value.mean())
            said = []
            for name, other in (("best", best), ("mean", mean)):
                ratios, r = np.divide(table, other), np.corrcoef(table, other)[0, 1]
                said.append(f"{ratios.min():.2f} to {ratios.max():.2f} times the {name} region (r = {r:.3f})")
            out.append(f"- {read}, against width {width}: {', '.join(said)}")
    return out


def table_lines(finding: Finding) -> list[str]:
    out = ["| estimate | value | 95 % interval | p | q | n |", "|---|---|---|---|---|---|"]
    for one in finding.estimates:
        interval = "" if one.low is None else f"[{one.low:+.4f}, {one.high:+.4f}]"
        p, q = ("" if x is None else f"{x:.3f}" for x in (one.p, one.q))
        out.append(f"| {one.name} | {one.value:+.4f} | {interval} | {p} | {q} | {one.n} {one.of} |")
    return out


def lines(found: Mapping[str, Finding], seen: Sequence[str]) -> list[str]:
    planned = next(iter(found.values()))
    out = [
        "# Do deeper layers converge across modalities?",
        "",
        f"Made by `python analysis/08_depth.py`. {planned.source}.",
        "",
        *(f"- **{name}**: {finding.answer}" for name, finding in found.items()),
        "",
        *table_lines(planned),
    ]
    return [
        *out,
        "",
        "![Alignment over depth](figures/depth-curves.png)",
        "",
        "![Distances over depth](figures/depth-distances.png)",
        "",
        "## Seen on the way, not planned: what a score of the table is",
        "",
        "Mean over depth of every subject and network (28) against the tables of regions:",
        "",
        *seen,
        "",
        "Vision's scores are twice the best region's at width 36; language's are no such form of one width. So the "
        "levels of the two do not compare, and profiles do only as far as the best region stands for its network.",
        "",
        "## What else would explain it",
        "",
        *(f"- {sentence}" for sentence in planned.else_explains),
        "",
        "## What the table cannot tell",
        "",
        *(f"- {sentence}" for sentence in planned.cannot_tell),
        "- Whether single models converge: the table holds means over all models of a modality.",
        "- Whether layers themselves become alike: only their scores against brains are compared.",
        "",
    ]


def main() -> None:
    try:
        cells = published_depth()
        seen = what_it_is(cells)
    except DatasetNotFoundError as missing:
        print(f"skipped: {missing}")
        return
    found = asked(cells)
    rows = [
        {"depths": name, **{k: v for k, v in asdict(one).items() if k != "how"}}
        for name, finding in found.items()
        for one in finding.estimates
    ]
    write("depth.csv", rows)
    (HERE / "figures").mkdir(exist_ok=True)
    write_figures(figures(next(iter(found.values()))), HERE / "figures")
    text = "\n".join(lines(found, seen))
    (HERE / "depth.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
