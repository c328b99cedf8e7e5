"""Tuckute et al. 2024: six-word sentences x the left language network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ontogeny.benchmarks import Benchmark
from ontogeny.brain import Assembly
from ontogeny.datasets.data_paths import find_file
from ontogeny.datasets.pinned_datasets import find_source
from ontogeny.errors import DataError
from ontogeny.metrics import CKA, Ridge, make_folds
from ontogeny.neuroimaging.table_files import read_sheet
from ontogeny.stimuli import StimulusSet

__all__ = ["CEILING", "load_tuckute", "read_sentences"]

ROI = "language network (LH)"
# Published noise ceiling of condition B, in Pearson r; standard error over split halves .0324.
CEILING = 0.5591545773071571
_CEILING_SOURCE = (
    "published with the data: NSD noise ceiling in Pearson r, sqrt(ncsnr^2 / (ncsnr^2 + 1/n)), of the mean over n = 5 "
    "participants, .559 +- .032 (standard error over split halves), condition B"
)
_COUNTS = {"B": 1000, "D": 500, "S": 500}
_CHOSEN = {
    "B": "1000 corpus sentences chosen for variety (condition B). The 500 D and 500 S sentences were chosen by a "
    "language model (an encoding model on GPT2-XL) to drive or suppress the response, which would favour language "
    "models, so they are left out.",
    "D": "500 sentences chosen by a language model (an encoding model on GPT2-XL) to DRIVE the response (condition D): "
    "not a fair sample for comparing language models.",
    "S": "500 sentences chosen by a language model (an encoding model on GPT2-XL) to SUPPRESS the response "
    "(condition S): not a fair sample for comparing language models.",
}
_MEASURED = (
    "Response: BOLD of the left-hemisphere language network to reading each sentence, z-scored within each session "
    "and voxel, mean over five functionally localised regions, then over participants: one value a sentence. "
    "Sentences are independent of each other, so folds are shuffled. An untrained model already carries sentence "
    "length, so read every curve beside the length and punctuation baseline."
)


def load_tuckute(*, condition: str = "B") -> Benchmark:
    """One condition's sentences, group-averaged language network.

    Args:
        condition: "B" (corpus sentences), "D" or "S" (chosen by a language model to drive or suppress).

    Raises:
        DataError: another condition, or a file that cannot be used.
        DatasetNotFoundError: the file is not on this machine.
    """
    if condition not in _COUNTS:
        raise DataError(f"tuckute2024: condition is 'B', 'D' or 'S', got {condition!r}")
    source = find_source("tuckute2024")
    sentences, responses = read_sentences(find_file(source, "tuckute_averaged.csv"), condition=condition)
    ids = tuple(f"{condition}-{hashlib.sha256(s.encode()).hexdigest()[:12]}" for s in sentences)
    name = source.name if condition == "B" else f"{source.name}-{condition}"
    return Benchmark(
        name=name,
        version="2",
        citation=source.citation,
        licence=source.licence,
        about=f"{_CHOSEN[condition]} {_MEASURED}",
        simulated=False,
        stimuli=StimulusSet(name=name, modality="text", ids=ids, inputs=sentences),
        assemblies=(_assembly(name, condition, ids, responses),),
        metrics=(Ridge(rule="gcv"), CKA(debiased=True)),
        folds=make_folds(len(ids), n_folds=5, seed=0),
    )


def _assembly(name: str, condition: str, ids: tuple[str, ...], responses: np.ndarray) -> Assembly:
    """The one voxel; a ceiling is published for condition B only."""
    known = condition == "B"
    return Assembly(
        name=f"{name}, BOLD (z)",
        subject="group",
        stimulus_ids=ids,
        responses=responses[:, None],
        roi=(ROI,),
        ceiling=np.array([CEILING]) if known else None,
        ceiling_source=_CEILING_SOURCE if known else f"not published for condition {condition}",
    )


def read_sentences(path: Path, *, condition: str = "B") -> tuple[tuple[str, ...], np.ndarray]:
    """Sentences of one condition and their responses (z-score, one a sentence), in the order of the file.

    Raises:
        DataError: a missing column, a line cut short, NaN, a doubled sentence, or another number of sentences; names
            the file.
    """
    sheet = read_sheet(path)
    rows = zip(sheet.texts("Sentence"), sheet.numbers("EffectSize"), sheet.labels("cond"), strict=True)
    found: dict[str, float] = {}
    for number, (sentence, value, cond) in enumerate(rows, 1):
        if cond not in _COUNTS:
            raise DataError(f"{path}, row {number}: cond should be B, D or S, got {cond!r}; is the line cut?")
        if cond != condition:
            continue
        if sentence in found:
            raise DataError(f"{path}, row {number}: sentence {sentence!r} appears twice in condition {condition}")
        found[sentence] = value
    if len(found) != _COUNTS[condition]:
        raise DataError(
            f"{path}: expected {_COUNTS[condition]} sentences of condition {condition}, got {len(found)}; "
            "it may be cut short, run `ontogeny data verify tuckute2024`"
        )
    return tuple(found), np.array(list(found.values()), dtype=np.float64)
