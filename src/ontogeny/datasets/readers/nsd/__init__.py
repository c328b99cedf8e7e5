"""The Natural Scenes Dataset (Allen et al. 2022): photographs x 7 T fMRI betas, of files that users get themselves.

_nsd_design.py      which image each trial showed; all numbers 0-based from there on
_coco_captions.py   the captions of COCO that belong to the images
_nsd_betas.py       one session's betas of some voxels (HDF5 or NIfTI), ROI labels
nsd.py              z-scored within session, repeats averaged, ceilings: a Benchmark
"""

from ontogeny.datasets.readers.nsd.nsd import load_nsd

__all__ = ["load_nsd"]
