"""The Natural Scenes Dataset (Allen et al. 2022): photographs x 7 T fMRI betas, of files that users get themselves.

design.py   which image each trial showed; all numbers 0-based from there on
captions.py the captions of COCO that belong to the images
betas.py    one session's betas of some voxels (HDF5 or NIfTI), ROI labels
reader.py   z-scored within session, repeats averaged, ceilings: a Benchmark
"""

from ontogeny.datasets.nsd.reader import load_nsd

__all__ = ["load_nsd"]
