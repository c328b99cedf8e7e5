"""Encoding: any regressor of scikit-learn's kind as a metric of voxels.

encoding.py     Encoding: fitted on the training stimuli of each fold, scored per voxel on those held out
_prepared.py     PreparedEncoding: an Encoding with its splits frozen
_estimator.py   the user's estimator: checked before training, cloned for each fit, named by its parameters
_scores.py      Pearson r, R^2 and noise-normalised r^2 per voxel
_affine.py      weights of what was fitted, where its predictions are linear in the features
_banded.py      himalaya's banded ridge over several feature spaces
variance_partition.py   what feature spaces explain alone and together
"""

from __future__ import annotations

from ontogeny.metrics.encoding_models._affine import (
    affine_of,
)
from ontogeny.metrics.encoding_models._banded import (
    VOXELWISE_ALPHAS,
    banded_ridge,
)

__all__ = ["VOXELWISE_ALPHAS", "affine_of", "banded_ridge"]
