"""What of a layer grows during training with no true alignment: effective dimensions and the size of the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ontogeny.brain.assembly import spread
from ontogeny.errors import FeatureError, TooLargeError
from ontogeny.metrics import LayerGeometry
from ontogeny.metrics.dimensionality import intrinsic_dimension, mean_norm, participation_ratio
from ontogeny.record import Row, Score
from ontogeny.record.event import refusal_of

__all__ = ["confounds"]

_MOST = 2000


def confounds(view: LayerGeometry, blank: Score) -> list[Row]:
    """Participation ratio, intrinsic dimension and norm of one layer, or why there is none.

    The intrinsic dimension is that of at most 2,000 stimuli, evenly spread.
    """
    common = replace(blank, kind="confound")
    ratio = replace(common, metric="participation ratio", unit="dimensions")
    surface = replace(common, metric="intrinsic dimension", unit="dimensions", n_stimuli=min(view.n_stimuli, _MOST))
    norm = mean_norm(view.near) * view.scale
    return [
        _measured(ratio, lambda: participation_ratio(view.spread)),
        _measured(surface, lambda: intrinsic_dimension(_some(view).squared_distances)),
        replace(common, metric="feature norm", unit="features' unit", value=norm),
    ]


def _some(view: LayerGeometry) -> LayerGeometry:
    return view if view.n_stimuli <= _MOST else LayerGeometry(view.near[spread(view.n_stimuli, _MOST)])


def _measured(row: Score, measure: Callable[[], float]) -> Row:
    """The row with its value, or why there is none."""
    try:
        return replace(row, value=measure())
    except (FeatureError, TooLargeError) as error:
        return refusal_of(row, str(error))
