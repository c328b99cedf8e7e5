"""Images of the brain: from NIfTI, CIFTI and GIFTI to assemblies, and scores back to the brain (extra `imaging`).

    space = read_space("atlas_dseg.nii.gz", like="betas.nii.gz")          which voxels, their ROIs, the way back
    betas = read_betas("betas.nii.gz", table="stimuli.tsv", space=space, subject="01")
    assembly = betas.zscored().assembly("my lab, betas")                 -> a Benchmark
    score_map(record, betas.space, step=1000, metric="ridge-gcv").to_filename("map.nii.gz")

grids.py            volumes, brain-model axes, surfaces: nibabel stands behind this one
space.py            Space: voxels of a grid with their ROIs, read from an atlas or masks
sheets.py           tables as labs have them: an empty cell is an error with its row
tables.py           which stimulus each volume is of; names of labels
bids.py             names of BIDS derivatives, and RunKey: which run something is of
pairing.py          rows of tables and volumes of images, each held against the other
betas.py            read_betas(): one volume a presentation
bold.py             a time series: block averages, a simple GLM
presentations.py    Presentations: responses before repeats are averaged
runs.py             z-scores within run, drifts, repeats, on arrays
stories.py          word-timed features to volumes, delays, the Glover response, trimming
words.py            stories that a model reads word by word: windows, and the frozen way to the volumes
atlases.py          fetch_atlas(): atlases by name, through nilearn, only when asked
maps.py             score_map(), score_series(): scores of any step of a record as an image
"""

from __future__ import annotations

from ontogeny.imaging.atlases import fetch_atlas
from ontogeny.imaging.betas import read_betas, read_values
from ontogeny.imaging.bids import BidsName, RunKey, bids_files, bids_name
from ontogeny.imaging.bold import block_average, find_blocks, glm_betas, volume_labels
from ontogeny.imaging.maps import score_map, score_series, score_values
from ontogeny.imaging.pairing import RowRules
from ontogeny.imaging.presentations import Presentations, voxelwise
from ontogeny.imaging.runs import average_repeats, detrend_runs, keep_repeats, zscore_runs
from ontogeny.imaging.space import Space, read_space
from ontogeny.imaging.stories import convolve_glover, fir_delays, glover_hrf, to_volumes, trimmed
from ontogeny.imaging.tables import read_rows
from ontogeny.imaging.words import Story, story_pieces

__all__ = [
    "BidsName",
    "Presentations",
    "RowRules",
    "RunKey",
    "Space",
    "Story",
    "average_repeats",
    "bids_files",
    "bids_name",
    "block_average",
    "convolve_glover",
    "detrend_runs",
    "fetch_atlas",
    "find_blocks",
    "fir_delays",
    "glm_betas",
    "glover_hrf",
    "keep_repeats",
    "read_betas",
    "read_rows",
    "read_space",
    "read_values",
    "score_map",
    "score_series",
    "score_values",
    "story_pieces",
    "to_volumes",
    "trimmed",
    "volume_labels",
    "voxelwise",
    "zscore_runs",
]
