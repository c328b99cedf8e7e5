"""Encoding: any regressor of scikit-learn's kind as a metric of voxels.

encoding.py     Encoding: fitted on the training stimuli of each fold, scored per voxel on those held out
_estimator.py   the user's estimator: checked before training, cloned for each fit, named by its parameters
_scores.py      Pearson r, R^2 and noise-normalised r^2 per voxel
_affine.py      weights of what was fitted, where its predictions are linear in the features
"""

from __future__ import annotations

from ontogeny.metrics.encoding_models._affine import (
    affine_of,
)

__all__ = ["affine_of"]
