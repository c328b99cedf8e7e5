"""One folder per benchmark: plain Parquet, safetensors and JSON, the same bytes from the same inputs. Format version 1.

    my-benchmark/
      benchmark.json                       what it is, whom to cite, how it was made, metrics, sha256 of all other files
      stimuli.parquet                      stimulus_id, text | image {bytes: PNG, path}, fold | splits [, group] [, ...]
      responses/<subject>.safetensors      `responses` (stimuli x voxels) [, `repeats` (repeats x stimuli x voxels)]
      voxels/<subject>.parquet             roi [, ceiling] [, your columns: x, y, z, index | hemisphere, vertex]
      geometry/<subject>-<roi>.safetensors `rdm` (stimuli x stimuli), where there are RDMs in place of voxels
      space/<subject>.json                 the volume (shape, affine) or surface (vertices) that they are places of
      pieces.parquet, pieces.safetensors   what a model reads in place of the stimuli (windows of a story's words), and
                                           the sparse matrix that leads from their features to those of the stimuli

Folders with pieces, of subjects who saw different stimuli, or with `splits` in place of `fold` (one list per stimulus:
of each split 1 trained on, -1 held out, 0 neither) have format version 2: older readers would take them for something
else.

Every array file names its subject and the stimulus of each row in its own header (metadata `ontogeny`, JSON: name,
subject, stimulus_ids), so that rows are matched by id and a swapped file is seen. Arrays are float32 or float64. A
repeat that a stimulus lacks is NaN. `index` is the voxel's place in the volume (C order), so that the mask is the
table itself. Folds are frozen: numbers, not a recipe. Arrays may also be Parquet (one list per stimulus), as
`ontogeny data export --to datasets` writes them. Nothing in a folder is ever run.

benchmark_json.py       benchmark.json, checked; files found and hashed
metrics_json.py         metrics <-> JSON
_stimulus_tables.py     stimuli and voxels
_response_arrays.py     responses and RDMs
_pieces.py              what a model reads in place of the stimuli, and the way to them
voxel_extras.py         what a folder keeps that scores do not need
voxel_coordinates.py    where voxels lie: from images to columns, and back
read_folder.py          a folder -> a benchmark; write_folder.py: back; _verify_folder.py: all that is wrong
integrity.py            hashes, single repeats, voxels left out
"""

from __future__ import annotations

from ontogeny._renamed import renamed
from ontogeny.datasets.folder._verify_folder import FolderProblem, verify_folder
from ontogeny.datasets.folder.benchmark_json import FORMAT_VERSION, MANIFEST, is_benchmark_folder
from ontogeny.datasets.folder.read_folder import read_benchmark, read_extras, read_stimulus_columns
from ontogeny.datasets.folder.voxel_coordinates import read_spaces
from ontogeny.datasets.folder.voxel_extras import Extras, FolderSpace
from ontogeny.datasets.folder.write_folder import write_benchmark

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "Extras",
    "FolderProblem",
    "FolderSpace",
    "is_benchmark_folder",
    "read_benchmark",
    "read_extras",
    "read_spaces",
    "read_stimulus_columns",
    "verify_folder",
    "write_benchmark",
]

__getattr__ = renamed(__name__, {"Problem": "FolderProblem", "Space": "FolderSpace"})
