"""Features: what one probe read, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor
from typing_extensions import override

from ontogeny._display import one_line
from ontogeny.errors import FeatureError

__all__ = ["Features", "Site"]


class Site(NamedTuple):
    """Where in a model features come from: a layer, and how its output became one vector a stimulus."""

    layer: str
    pooling: str

    @override
    def __str__(self) -> str:
        return f"{self.layer}@{self.pooling}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """One probe's features.

    Args:
        stimulus_ids: one id a row, in the order of the rows.
        values: site -> stimuli x features (float32, on the model's device).
        refused: site -> why its features could not be used (NaN, constant over stimuli).
        seconds: how long the probe took.
        notes: how the model was read: its precision, and what was unusual.
    """

    stimulus_ids: tuple[str, ...]
    values: Mapping[Site, Tensor]
    refused: Mapping[Site, str]
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    __repr__ = one_line

    def __post_init__(self) -> None:
        n = len(self.stimulus_ids)
        for site, x in self.values.items():
            if x.ndim != 2 or x.shape[0] != n:
                raise FeatureError(
                    f"features of {site} should be stimuli x features with {n} rows, got {tuple(x.shape)}"
                )
