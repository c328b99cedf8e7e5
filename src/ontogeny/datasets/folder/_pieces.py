"""What a model reads in place of the stimuli (windows of a story's words), and the way to them, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ontogeny.benchmarks import StimulusMapping
from ontogeny.datasets.folder._response_arrays import read_tensors, write_tensors
from ontogeny.datasets.folder._stimulus_tables import read_parquet, strings, write_parquet
from ontogeny.datasets.folder.benchmark_json import MANIFEST, BenchmarkManifest, fact
from ontogeny.errors import DataError
from ontogeny.record.arrow import arrow
from ontogeny.stimuli import StimulusSet

__all__ = ["read_pieces", "write_pieces"]

_TEXTS, _WEIGHTS = "pieces.parquet", "pieces.safetensors"
_ARRAYS = ("data", "indices", "indptr", "surface")


def write_pieces(folder: Path, pieces: StimulusMapping) -> dict[str, Any]:
    """Write the texts and the weights; the entry of benchmark.json."""
    pa, read = arrow(), pieces.read
    columns = {"piece_id": pa.array(read.ids, pa.string()), "text": pa.array(list(read.inputs), pa.string())}
    if read.tails is not None:
        columns["tail"] = pa.array(read.tails, pa.string())
    write_parquet(folder / _TEXTS, columns)
    weights = pieces.weights.sorted_indices()
    write_tensors(
        folder / _WEIGHTS,
        {
            "data": weights.data.astype(np.float64),
            "indices": weights.indices.astype(np.int64),
            "indptr": weights.indptr.astype(np.int64),
            "surface": np.asarray(pieces.surface[1], dtype=np.float64),
        },
    )
    return {
        "name": read.name,
        "texts": _TEXTS,
        "weights": _WEIGHTS,
        "delays": pieces.delays,
        "zscore": pieces.zscore,
        "surface": pieces.surface[0],
        "how": pieces.how,
        "made_of": pieces.made_of,
    }


def read_pieces(manifest: BenchmarkManifest, stimuli: StimulusSet, *, check: bool) -> StimulusMapping | None:
    """What `write_pieces` wrote; None where the model reads the stimuli themselves.

    Raises:
        DataError: names the file and what is wrong with it.
    """
    facts, owner = manifest.facts.get("pieces"), f"{manifest.folder / MANIFEST}, pieces"
    if facts is None:
        return None
    path = manifest.find(fact(facts, "texts", str, owner), check=check)
    table = read_parquet(path)
    read = StimulusSet(
        name=fact(facts, "name", str, owner),
        modality="text",
        ids=strings(path, table, "piece_id"),
        inputs=strings(path, table, "text"),
        tails=strings(path, table, "tail") if "tail" in table.column_names else None,
    )
    path = manifest.find(fact(facts, "weights", str, owner), check=check)
    delays = fact(facts, "delays", int, owner)
    arrays, _ = read_tensors(path)
    if missing := [name for name in _ARRAYS if name not in arrays]:
        raise DataError(f"{path}: the tensors {missing} are missing, got {sorted(arrays)}")
    return StimulusMapping(
        read=read,
        stimuli=stimuli,
        weights=_sparse(path, arrays, (len(stimuli) * delays, len(read))),
        delays=delays,
        zscore=fact(facts, "zscore", bool, owner),
        surface=(fact(facts, "surface", str, owner), arrays["surface"]),
        how=fact(facts, "how", str, owner),
        made_of=fact(facts, "made_of", str, owner),
    )


def _sparse(path: Path, arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> csr_array:
    data, indices, indptr = (np.array(arrays[name]) for name in _ARRAYS[:3])
    try:
        made = csr_array((data, indices, indptr), shape=shape)
        made.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path}: the weights are no sparse matrix of shape {shape} ({error})") from error
    return made
