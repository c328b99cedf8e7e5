"""Protocols of published studies, by name: their metrics, and what of a layer they read.

    monitor = ontogeny.watch("planted-vision", protocol="brainscore-vision", transform=tf, record="runs/a")

Each gives the number of the study's own code on the same features and responses; where that was run, its number stands
in `tests/oracles/test_protocols.py`. What a study does besides (its stimuli, screens, context, choice of layers) is not
part of it. Ceilings stand beside every score and are not divided by, except where the metric says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ontogeny.benchmarks.shen2026 import shen2026
from ontogeny.errors import ConfigError, nearest, require
from ontogeny.metrics import Encoding, Metric
from ontogeny.metrics.encoding_models import banded_ridge
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.stimuli import StimulusSet

__all__ = ["PROTOCOLS", "PublishedProtocol", "leave_one_out_r", "protocol"]

_STORIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedProtocol:
    """What a published study computes, for one set of stimuli.

    Args:
        name: short name.
        citation: whom to cite.
        metrics: in the study's order.
        reading: options that the study fixes: "layers", "pooling".
    """

    name: str
    citation: str
    metrics: tuple[Metric, ...]
    reading: Mapping[str, str]


def protocol(name: str, stimuli: StimulusSet) -> PublishedProtocol:
    """A protocol by its name.

    Args:
        name: see `PROTOCOLS`.
        stimuli: of the benchmark, for modality, number and groups.

    Raises:
        ConfigError: there is none of this name, or it is not for these stimuli.

    Example:
        >>> import ontogeny
        >>> stimuli = ontogeny.load("planted-vision").stimuli
        >>> protocol("brainscore-vision", stimuli).metrics[0].over_voxels
        'fold-median'
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"there is no protocol {name!r}. {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name](stimuli)


def _shen2026(stimuli: StimulusSet) -> PublishedProtocol:
    study = shen2026(stimuli.modality)
    return PublishedProtocol(
        name=study.name,
        citation=study.citation,
        metrics=study.metrics_for(len(stimuli)),
        reading={"layers": study.layers, "pooling": study.pooling},
    )


def _brainscore_vision(stimuli: StimulusSet) -> PublishedProtocol:
    """PLS on 25 components; the median over voxels in each of ten 90/10 splits."""
    _only("brainscore-vision", "image", stimuli)
    pls = _sklearn("cross_decomposition").PLSRegression(n_components=25, scale=False)
    return PublishedProtocol(
        name="brainscore-vision",
        citation="Schrimpf, M. et al. (2018). Brain-Score: Which artificial neural network for object recognition is "
        "most brain-like? bioRxiv 407007.",
        metrics=(Encoding(pls, over_voxels="fold-median", cv=_ten_splits(), unconverged="keep"),),
        reading={"pooling": "flatten"},
    )


def _brainscore_language(stimuli: StimulusSet) -> PublishedProtocol:
    """Linear regression on ten 90/10 splits; ridge on folds of whole stories, or on the same splits."""
    _only("brainscore-language", "text", stimuli)
    linear = _sklearn("linear_model")
    stories = min(len(set(stimuli.groups or ())), _STORIES)
    folds = _ten_splits()
    if stories > 1:
        folds = _sklearn("model_selection").GroupKFold(stories, shuffle=True, random_state=1234)
    return PublishedProtocol(
        name="brainscore-language",
        citation="Schrimpf, M. et al. (2021). The neural architecture of language. PNAS 118 (45), e2105646118.",
        metrics=(
            Encoding(linear.LinearRegression(), over_voxels="fold-median", cv=_ten_splits()),
            Encoding(linear.RidgeCV(alphas=np.logspace(-3, 3, 7).tolist()), over_voxels="fold-median", cv=folds),
        ),
        reading={"pooling": "last"},
    )


def _algonauts2023(stimuli: StimulusSet) -> PublishedProtocol:
    """100 principal components of z-scored features, linear regression, mean r^2 over the ceiling's square."""
    _only("algonauts2023", "image", stimuli)
    steps = (
        _sklearn("preprocessing").StandardScaler(),
        _sklearn("decomposition").PCA(n_components=100, random_state=20200220),
        _sklearn("linear_model").LinearRegression(),
    )
    return PublishedProtocol(
        name="algonauts2023",
        citation="Gifford, A. T. et al. (2023). The Algonauts Project 2023 Challenge. arXiv:2301.03198.",
        metrics=(Encoding(_sklearn("pipeline").make_pipeline(*steps), score="noise-normalised"),),
        reading={"pooling": "flatten"},
    )


def _deepnsd(stimuli: StimulusSet) -> PublishedProtocol:
    """Sparse random projection; ridge per voxel by the r of leave-one-out predictions; trained on every other image.

    The study's code hands `copy_X` to an argument that was `normalize` up to scikit-learn 1.3: z-scored features are
    scaled to a norm of 1, so that penalties are .1 to 100,000 times the number of training stimuli.
    """
    _only("deepnsd", "image", stimuli)
    n, projections = len(stimuli), _sklearn("random_projection")
    size = int(projections.johnson_lindenstrauss_min_dim(n, eps=0.1))
    even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
    alphas = (np.logspace(-1, 5, 7) * len(even)).tolist()
    ridge = _sklearn("linear_model").RidgeCV(alphas=alphas, alpha_per_target=True, scoring=leave_one_out_r)
    steps = projections.SparseRandomProjection(size, random_state=0), _sklearn("preprocessing").StandardScaler(), ridge
    return PublishedProtocol(
        name="deepnsd",
        citation="Conwell, C., Prince, J. S., Kay, K. N., Alvarez, G. A., Konkle, T. (2024). A large-scale examination "
        "of inductive biases shaping high-level visual representation. Nature Communications 15, 9383.",
        metrics=(Encoding(_sklearn("pipeline").make_pipeline(*steps), cv=[(even, odd)]),),
        reading={"pooling": "flatten"},
    )


def _himalaya_banded(stimuli: StimulusSet) -> PublishedProtocol:
    """Banded ridge on the stimuli's own surface and a layer; R^2 of each fold."""
    surface = Nuisance.surface(stimuli)
    ridge = banded_ridge({"surface": surface.values.shape[1], "layer": None})
    return PublishedProtocol(
        name="himalaya-banded",
        citation="Dupré la Tour, T., Eickenberg, M., Nunez-Elizalde, A. O., Gallant, J. L. (2022). Feature-space "
        "selection with banded ridge regression. NeuroImage 264, 119728.",
        metrics=(Encoding(ridge, score="r2-by-fold", beside=[surface]),),
        reading={},
    )


PROTOCOLS: Mapping[str, Callable[[StimulusSet], PublishedProtocol]] = {
    "shen2026": _shen2026,
    "brainscore-vision": _brainscore_vision,
    "brainscore-language": _brainscore_language,
    "algonauts2023": _algonauts2023,
    "deepnsd": _deepnsd,
    "himalaya-banded": _himalaya_banded,
}


def leave_one_out_r(_: Any, predicted: Float[np.ndarray, " stimuli"], measured: Float[np.ndarray, " stimuli"]) -> float:
    """Pearson r of one voxel's leave-one-out predictions, as a scorer of scikit-learn's `RidgeCV`."""
    a, b = predicted - predicted.mean(), measured - measured.mean()
    return float(a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-300))


def _ten_splits() -> Any:
    return _sklearn("model_selection").ShuffleSplit(10, train_size=0.9, random_state=1)


def _sklearn(module: str) -> Any:
    return require(f"sklearn.{module}", "encoding")


def _only(name: str, modality: str, stimuli: StimulusSet) -> None:
    if stimuli.modality != modality:
        raise ConfigError(f"protocol {name!r} is for {modality}s, but {stimuli.name!r} is of {stimuli.modality}s")
