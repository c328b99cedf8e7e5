"""Metrics: features x targets -> one value for each ROI of each subject.

ridge/          Ridge: cross-validated linear predictivity; UniqueVariance: what a layer adds   (voxels)
encoding_models/ Encoding: any regressor of scikit-learn's kind          (voxels)
                          variance_partition: what feature spaces share           (voxels)
rsa.py          RSA: dissimilarity matrices compared                    (voxels or geometry)
cka.py          CKA: centred kernels compared                           (voxels or geometry)
procrustes.py   Procrustes: shapes after the best rotation              (voxels or geometry)
cca.py          CCA: canonical correlations of held-out stimuli         (voxels or geometry)
neighbors.py    MutualKNN, CycleKNN: shared nearest neighbours          (voxels or geometry)
                          CKNNA: CKA over mutual nearest neighbours               (voxels)
metric.py                  what a metric is: Metric, Prepared, Value
on_arrays.py               a metric called on two arrays: RSA()(features, responses)
folds.py                   frozen, grouped or contiguous cross-validation folds; _splitters.py: those of scikit-learn
nuisance.py                what of the stimuli a layer should not be credited with
dimensionality.py          participation ratio, intrinsic dimension, norm: what grows beside alignment
layer_geometry.py          LayerGeometry: one Gram matrix a layer, shared by all metrics
resampled.py               scores of stimuli drawn anew, all draws at once
batching.py                metrics of one family prepared and scored together
memory_limits.py           what needs stimuli x stimuli is refused before it is allocated, where it does not fit
_intersubject_ceiling.py   what one subject's responses say about another's
_pairwise/                 dissimilarities (RSA), kernels (CKA), nearest neighbours and kernels over them (CKNNA)
_batched/                  a whole grid of kernels, or of k, in one pass

Each metric is a frozen object of options with `name`, `unit` and `prepare(targets, folds)`, which does all that
depends on the brain side alone; what it returns has `score(view)`. Pure functions on arrays stand below them. Metrics
that share an attribute `together` share their work where a benchmark has several of them; none needs it.
"""

from __future__ import annotations

from ontogeny._renamed import renamed
from ontogeny.metrics.cca import (
    CCA,
)
from ontogeny.metrics.cka import (
    CKA,
)
from ontogeny.metrics.encoding_models.encoding import (
    Encoding,
)
from ontogeny.metrics.encoding_models.variance_partition import (
    VariancePartition,
    variance_partition,
)
from ontogeny.metrics.folds import (
    Folds,
    Splits,
    make_folds,
)
from ontogeny.metrics.layer_geometry import (
    LayerGeometry,
)
from ontogeny.metrics.metric import (
    Metric,
    NeedsStimuli,
    Prepared,
    Value,
)
from ontogeny.metrics.neighbors import (
    CKNNA,
    CycleKNN,
    MutualKNN,
)
from ontogeny.metrics.on_arrays import (
    ArrayScore,
    score_arrays,
)
from ontogeny.metrics.procrustes import (
    Procrustes,
)
from ontogeny.metrics.ridge.ridge import (
    Ridge,
)
from ontogeny.metrics.ridge.unique_variance import (
    UniqueVariance,
)
from ontogeny.metrics.rsa import (
    RSA,
)

__all__ = [
    "CCA",
    "CKA",
    "CKNNA",
    "RSA",
    "ArrayScore",
    "CycleKNN",
    "Encoding",
    "Folds",
    "LayerGeometry",
    "Metric",
    "MutualKNN",
    "NeedsStimuli",
    "Prepared",
    "Procrustes",
    "Ridge",
    "Splits",
    "UniqueVariance",
    "Value",
    "VariancePartition",
    "make_folds",
    "score_arrays",
    "variance_partition",
]

__getattr__ = renamed(__name__, {"LayerView": "LayerGeometry"})
