"""Published tables of arXiv 2507.01966 as cells; their files are read where `Published.read` finds them."""

from __future__ import annotations

import math
import re
from typing import Literal

from ontogeny.findings.data.cells import Cells
from ontogeny.findings.published import load_published

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
            "model": [f"mean of all {word} models" for word in modality.tolist()],
            "modality": [_MODALITY[word] for word in modality.tolist()],
            "benchmark": "nsd",
            "subject": table["subject"],
            "roi": table["yeo7"],
            "layer": table["depth"],
            "depth": (table["bin"] + 0.5) / 8,
            "metric": "cka_as_released",
            "value": table["score"],
        }
    )


def published_regions(modality: Literal["language", "vision"], *, stimuli: int = 8850) -> tuple[Cells, dict[str, str]]:
    """Alignment by metric, HCP-MMP1 area and subject, mean over models; and area -> Yeo-7 network.

    Chance is k / (stimuli - 1) of mutual_knn_k, and not known of any other metric.

    Args:
        modality: of the models; `Cells.joined` makes one of both.
        stimuli: of a subject, about 8850; it moves chance, alike for both modalities.

    Raises:
        DatasetNotFoundError: the table is not on this machine; says where to get it.
    """
    table = load_published("shen2026").read(f"regions_{modality}")
    rois = [str(area) for area in table["tgt_feature"].tolist()]
    neighbours = [re.fullmatch(r"mutual_knn_(\d+)", metric) for metric in table["metric"].tolist()]
    cells = Cells.of_table(
        {
            "model": f"mean of all {modality} models",
            "modality": _MODALITY[modality],
            "benchmark": "nsd",
            "subject": table["tgt_model"],
            "roi": rois,
            "metric": table["metric"],
            "value": table["score"],
            "chance": [int(k[1]) / (stimuli - 1) if k else math.nan for k in neighbours],
        }
    )
    return cells, dict(zip(rois, table["yeo7"].tolist(), strict=True))
