"""Published tables of arXiv 2507.01966 as cells; their files are read where `Published.read` finds them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ontogeny.findings.cells import Cells
from ontogeny.published import load_published

__all__ = ["published_depth", "published_regions"]

_MODALITY = {"language": "text", "vision": "image"}


def published_depth() -> Cells:
    """Alignment of language and vision models over 8 bins of depth, 7 networks, 4 subjects; means over models.

    Biased CKA; chance is not known. What of a network's regions a score is has to be guessed: over depth, vision's
    scores are twice the best region's at width 36 (`published_regions`), language's are not, nor any other such form
    of one width. So levels of the two do not compare.

    Raises:
        DatasetNotFoundError: the table is not on this machine; says where to get it.
    """
    table = load_published("shen2026").read("yeo7_depth")
    modality = table["modality"]
    return Cells.of_table(
        {
            "model": np.char.add("mean of all models, ", modality),
            "modality": [_MODALITY[word] for word in modality.tolist()],
            "benchmark": "NSD",
            "subject": table["subject"],
            "roi": table["yeo7"],
            "layer": table["depth"],
            "depth": (table["bin"] + 0.5) / 8,
            "metric": "cka_as_released",
            "value": table["score"],
        }
    )


def published_regions(modality: Literal["language", "vision"]) -> tuple[Cells, dict[str, str]]:
    """Alignment by metric, HCP-MMP1 area and subject, and area -> Yeo-7 network; chance is not known.

    Raises:
        DatasetNotFoundError: the table is not on this machine; says where to get it.
    """
    table = load_published("shen2026").read(f"regions_{modality}")
    rois = [str(area) for area in table["tgt_feature"].tolist()]
    cells = Cells.of_table(
        {
            "model": f"mean of all {modality} models",
            "modality": _MODALITY[modality],
            "benchmark": "NSD",
            "subject": table["tgt_model"],
            "roi": rois,
            "metric": table["metric"],
            "value": table["score"],
        }
    )
    return cells, dict(zip(rois, table["yeo7"].tolist(), strict=True))
