"""Published series and tables, retyped from figures and released results, with their source and caveats.

They are numbers to analyse, not data that were measured here: `ontogeny.load_published("shen2026")`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from ontogeny._display import one_line
from ontogeny.datasets import data_folders
from ontogeny.errors import DatasetNotFoundError, nearest, require

__all__ = ["Published", "load_published"]

Table = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Published:
    """Tables of one publication.

    Args:
        name: short name.
        citation: of the study, and of whoever released the numbers.
        about: table -> what a row is, and where it comes from.
        caveats: what a reader has to know before using them.
        tables: table -> column -> values, one per row; missing numbers are NaN.
        elsewhere: table -> what a row is, of tables that are not part of this package; `read` finds their files.
        address: where those come from.
    """

    name: str
    citation: str
    about: Mapping[str, str]
    caveats: tuple[str, ...]
    tables: Mapping[str, Table]
    elsewhere: Mapping[str, str]
    address: str

    __repr__ = one_line

    def read(self, table: str) -> Table:
        """A table that is not part of this package: `published/<table>.csv` in `ONTOGENY_DATA` or the cache folder.

        Returns:
            Column -> values, one per row, as `tables` has them; columns without a name are left out.

        Raises:
            DatasetNotFoundError: no such table, or its file is not on this machine; says where to get it.
        """
        if table not in self.elsewhere:
            raise DatasetNotFoundError(f"{self.name} has no table {table!r} to read. {nearest(table, self.elsewhere)}")
        places = [folder / "published" / f"{table}.csv" for folder in data_folders()]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise DatasetNotFoundError(
                f"{table}.csv is not on this machine; looked at {' and '.join(str(path) for path in places)}. "
                f"It is made from {self.address}; set ONTOGENY_DATA to a folder that has published/{table}.csv"
            )
        return {name: values for name, values in _table(found.read_text(encoding="utf-8")).items() if name}

    def to_pandas(self, table: str) -> Any:
        """One table as a `pandas.DataFrame`.

        Raises:
            DatasetNotFoundError: no such table.
        """
        if table not in self.tables:
            raise DatasetNotFoundError(f"{self.name} has no table {table!r}. {nearest(table, self.tables)}")
        return require("pandas", "tables").DataFrame(dict(self.tables[table]))


_SHEN2026 = {
    "citation": (
        "Shen, G., Zhao, D., Dong, Y., Zhang, Q., Zeng, Y. Alignment between Brains and AI: Evidence for Convergent "
        "Evolution across Modalities, Scales and Training Trajectories. arXiv:2507.01966. Zero-shot evaluations: "
        "EleutherAI/pythia (Biderman et al. 2023, arXiv:2304.01373). ImageNet results: timm (Wightman 2019)."
    ),
    "about": {
        "pythia_alignment": (
            "6 Pythia-deduped sizes x 18 steps: `alignment`, the best region's RBF-CKA (sigma 36), mean over layers "
            "and 4 subjects; `plotted`, what the figure shows: twice that. `ci95`: half-width over layers x subjects"
        ),
        "pythia_benchmarks": "6 sizes x 27 steps x 7 tasks, zero-shot: acc, acc_norm, and ppl for LAMBADA",
        "mixnet_alignment": (
            "4 MixNet sizes x 8 epochs, EMA weights: `plotted`, the best region's mean over layers and subjects plus "
            "four times the mean of all raw scores of the epoch"
        ),
        "mixnet_performance": "ImageNet top-1 and top-5 in percent; `use_ema` says of which weights",
        "models_language_wide": "36 language models: Open LLM Leaderboard v2, Elo, 1e9 parameters, alignment by width",
        "models_vision": "594 timm models: millions of parameters, accuracies (0 to 1), alignment",
    },
    "elsewhere": {
        "regions_language": "26 metrics x HCP-MMP1 areas (`tgt_feature`, `yeo7`) x 4 subjects (`tgt_model`): `score`",
        "regions_vision": "the same for vision",
        "yeo7_depth": "8 bins of layer depth x 4 subjects x modality x 7 networks: `score`",
        "pythia_layers": "every layer of 6 sizes x steps: best region, best of 4 subjects",
        "mixnet_layers": "every layer of 4 sizes x 8 epochs: `alignment` as plotted",
        "models_vision_align_all_kernels": "594 timm models x 11 widths: `brain_align_<width>`",
    },
    "address": "the figures and released files of github.com/FloyedShen/BrainAlign at commit e2c1257",
    "caveats": (
        "Alignment is biased CKA: part of it is its chance level, which rises with the features' effective dimension.",
        "Language features are those of one template token after a caption; no cross-validation, ceiling or null.",
        "ci95 is a spread between layers and subjects, not measurement error of a checkpoint.",
        "Alignment and benchmarks share 11 steps, 0 to 1000: 0.7 % of training.",
        "MixNet's plotted alignment has the epoch's grand mean added, the same for all four sizes; it cannot be "
        "removed from this table. EMA weights are near chance until epoch 4 to 8, while the raw weights are not.",
        "Read from vector figures and released files at commit e2c1257; seven digits kept.",
    ),
}
_SETS: Mapping[str, Mapping[str, Any]] = {"shen2026": _SHEN2026}


def load_published(name: str) -> Published:
    """Tables of one publication.

    Args:
        name: "shen2026".

    Raises:
        DatasetNotFoundError: no such publication.
    """
    if name not in _SETS:
        raise DatasetNotFoundError(f"there is no publication {name!r}. {nearest(name, _SETS)}")
    about = _SETS[name]
    folder = resources.files("ontogeny.findings.published") / name
    tables = {table: _table((folder / f"{table}.csv").read_text(encoding="utf-8")) for table in about["about"]}
    return Published(
        name=name,
        citation=about["citation"],
        about=about["about"],
        caveats=about["caveats"],
        tables=tables,
        elsewhere=about["elsewhere"],
        address=about["address"],
    )


def _table(text: str) -> dict[str, np.ndarray]:
    head, *rows = list(csv.reader(text.splitlines()))
    return {column: _column([row[i] for row in rows]) for i, column in enumerate(head)}


def _column(values: list[str]) -> np.ndarray:
    """Numbers where all are, truth values where all are, else text."""
    if set(values) <= {"True", "False"}:
        return np.asarray([value == "True" for value in values])
    try:
        numbers = np.asarray([float(value) if value else np.nan for value in values])
    except ValueError:
        return np.asarray(values)
    return numbers.astype(np.int64) if all(value.lstrip("-").isdigit() for value in values) else numbers
