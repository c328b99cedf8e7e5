"""Images of the brain: from NIfTI, CIFTI and GIFTI to assemblies, and scores back to the brain (extra `imaging`).

    space = read_space("atlas_dseg.nii.gz", like="betas.nii.gz")          which voxels, their ROIs, the way back
    betas = read_betas("betas.nii.gz", table="stimuli.tsv", space=space, subject="01")
    assembly = betas.zscored().assembly("my lab, betas")                 -> a Benchmark
    score_map(record, betas.space, step=1000, metric="ridge-gcv").to_filename("map.nii.gz")

image_grids.py         volumes, brain-model axes, surfaces: nibabel stands behind this one
image_opening.py       headers of images of all kinds; values when they are asked for
voxel_masks.py         Space: voxels of a grid with their ROIs, read from an atlas or masks
glmsingle.py           GLMsingle's betas and design: .npy (parsed, not loaded), .mat, .hdf5
hdf5_files.py          h5py stands behind this one
table_files.py         tables as labs have them: an empty cell is an error with its row
event_tables.py        which stimulus each volume is of
label_tables.py        names of an atlas's labels
bids_names.py          names of BIDS derivatives, and RunKey: which run something is of
volume_names.py        names of files and maps, held against the rows they are matched to
volume_matching.py     rows of tables and volumes of images, each held against the other
betas.py               read_betas(): one volume a presentation
bold_blocks.py         a time series: block averages, a simple GLM
presentations.py       Presentations: responses before repeats are averaged
run_preprocessing.py   z-scores within run, drifts, repeats, on arrays
story_features.py      word-timed features to volumes, delays, the Glover response, trimming
story_words.py         stories that a model reads word by word: windows, and the frozen way to the volumes
atlases.py             fetch_atlas(): atlases by name, through nilearn, only when asked
packaged_atlases.py    HCP-MMP1 and Yeo's networks on the surface, which a package ships
score_maps.py          score_map(), score_series(): scores of any step of a record as an image
"""

from __future__ import annotations

from ontogeny.neuroimaging.atlases import fetch_atlas
from ontogeny.neuroimaging.betas import read_betas, read_values
from ontogeny.neuroimaging.bids_names import BidsName, RunKey, bids_files, bids_name
from ontogeny.neuroimaging.bold_blocks import block_average, find_blocks, glm_betas, volume_labels
from ontogeny.neuroimaging.event_tables import read_rows
from ontogeny.neuroimaging.presentations import Presentations, voxelwise
from ontogeny.neuroimaging.run_preprocessing import average_repeats, detrend_runs, keep_repeats, zscore_runs
from ontogeny.neuroimaging.score_maps import score_map, score_series, score_values
from ontogeny.neuroimaging.story_features import convolve_glover, fir_delays, glover_hrf, to_volumes, trimmed
from ontogeny.neuroimaging.story_words import Story, story_pieces
from ontogeny.neuroimaging.volume_matching import RowRules
from ontogeny.neuroimaging.voxel_masks import Space, read_space

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
