"""One folder a benchmark: plain Parquet, safetensors and JSON, the same bytes from the same inputs. Format version 1.

    my-benchmark/
      benchmark.json                       what it is, whom to cite, how it was made, metrics, sha256 of all other files
      stimuli.parquet                      stimulus_id, text | image {bytes: PNG, path}, fold [, group] [, your columns]
      responses/<subject>.safetensors      `responses` (stimuli x voxels) [, `repeats` (repeats x stimuli x voxels)]
      voxels/<subject>.parquet             roi [, ceiling] [, your columns: x, y, z, index | hemisphere, vertex]
      geometry/<subject>-<roi>.safetensors `rdm` (stimuli x stimuli), where there are RDMs in place of voxels
      space/<subject>.json                 the volume (shape, affine) or surface (vertices) that they are places of

Every array file names its subject and the stimulus of each row in its own header (metadata `ontogeny`, JSON: name,
subject, stimulus_ids), so that rows are matched by id and a swapped file is seen. Arrays are float32 or float64. A
repeat that a stimulus lacks is NaN. `index` is the voxel's place in the volume (C order), so that the mask is the
table itself. Folds are frozen: numbers, not a recipe. Arrays may also be Parquet (one list a stimulus), as
`ontogeny data export --to datasets` writes them. Nothing in a folder is ever run.

layout.py      benchmark.json, checked; files found and hashed      metrics.py    metrics <-> JSON
tables.py      stimuli and voxels                                   arrays.py     responses and RDMs
extras.py      what a folder keeps that scores do not need          writing.py, reading.py, verifying.py
places.py      where voxels lie: from images to columns, and back
"""

from __future__ import annotations

from ontogeny.datasets.folder.extras import Extras, Space
from ontogeny.datasets.folder.layout import FORMAT_VERSION, MANIFEST, is_benchmark_folder
from ontogeny.datasets.folder.places import read_spaces
from ontogeny.datasets.folder.reading import read_benchmark, read_extras, read_stimulus_columns
from ontogeny.datasets.folder.verifying import Problem, verify_folder
from ontogeny.datasets.folder.writing import write_benchmark

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "Extras",
    "Problem",
    "Space",
    "is_benchmark_folder",
    "read_benchmark",
    "read_extras",
    "read_spaces",
    "read_stimulus_columns",
    "verify_folder",
    "write_benchmark",
]
