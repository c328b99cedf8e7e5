"""Figures as files: PNG, SVG and PDF of each, and a CSV of what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ontogeny._csv_files import write_csv
from ontogeny.errors import require
from ontogeny.report.figures import Figure, Picture, data_of

__all__ = ["write_figures"]


def write_figures(figures: Sequence[Figure | Picture], folder: Path, *, progress: bool = False) -> tuple[Path, ...]:
    """Write every figure by its name: NAME.png, .svg and .pdf, NAME-data.csv; a picture of pixels as PNG alone.

    Args:
        figures: drawn at 183 mm or less, so that their text is readable at one or two columns of a journal.
        folder: is made where it is missing.
        progress: show a bar.

    Returns:
        The PNG files, in the order of the figures.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for figure in tqdm(figures, desc="figures", unit="figure", disable=not progress):
        out.append(folder / f"{figure.name}.png")
        out[-1].write_bytes(figure.png)
        if isinstance(figure, Picture):
            continue
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
        (folder / f"{figure.name}.pdf").write_bytes(bytes(require("vl_convert", "report").svg_to_pdf(figure.svg)))
        rows = [{"part": i, **row} for i, part in enumerate(data_of(figure.spec)) for row in part]
        write_csv(rows, folder / f"{figure.name}-data.csv")
    return tuple(out)
