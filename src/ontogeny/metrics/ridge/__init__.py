"""Ridge encoding: linear predictivity of voxels from features.

ridge.py                Ridge: the metric
unique_variance.py      UniqueVariance: what a layer explains beyond the stimuli's surface (banded ridge)
_outer_folds.py         one layer's fits of all outer folds
_weights.py             the penalties chosen, and the weights of a model to keep
_penalty_selection.py   how a penalty is chosen inside the training folds
_solve.py               one factorisation serves every penalty and every voxel
"""
