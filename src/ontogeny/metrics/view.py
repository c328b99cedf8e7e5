"""LayerView: one layer's features, with the Gram matrix that all metrics share."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny.errors import FeatureError

__all__ = ["LayerView", "refusal", "z_scored"]


def refusal(x: Float[Tensor, "stimuli features"]) -> str | None:
    """Why features cannot be scored, or None when they can."""
    finite = torch.isfinite(x)
    if not bool(finite.all()):
        rows = int((~finite).any(dim=1).sum())
        return f"the features hold NaN or infinity in {rows} of {x.shape[0]} stimuli"
    if bool((x.amax(dim=0) == x.amin(dim=0)).all()):
        return "the features are the same for every stimulus"
    return None


def z_scored(x: Float[Tensor, "stimuli features"]) -> Float[Tensor, "stimuli features"]:
    """Each column less its mean, over its standard deviation (n - 1); 0 where a column is constant."""
    constant = x.amax(dim=0) == x.amin(dim=0)
    spread = x.std(dim=0).masked_fill(constant, 1.0)
    return ((x - x.mean(dim=0)) / spread).masked_fill(constant, 0.0)


class LayerView:
    """One layer's features and what is computed from them once for all metrics.

    Everything derived is float64 on the CPU, whatever the features' device and the autocast around the call; features
    are divided by their overall scale first, so that features scaled by 1e-6 or 1e6 give the same numbers.

    Args:
        x: stimuli x features, finite.

    Attributes:
        scale: largest absolute feature; `x` is the features divided by it.

    Raises:
        FeatureError: NaN, infinity, or the same features for every stimulus.
    """

    def __init__(self, x: Float[Tensor, "stimuli features"]) -> None:
        why = refusal(x)
        if why is not None:
            raise FeatureError(why)
        self.n_stimuli, self.n_features = x.shape
        host = x.detach().to("cpu", torch.float64)
        self.scale = float(host.abs().max())
        self.x: Float[Tensor, "stimuli features"] = host / self.scale

    @cached_property
    def centred(self) -> Float[Tensor, "stimuli features"]:
        """Features less their mean over stimuli."""
        return self.x - self.x.mean(dim=0)

    @cached_property
    def standardised(self) -> LayerView:
        """The same stimuli with each feature z-scored over them (n - 1 in the variance; a constant feature is 0)."""
        return LayerView(z_scored(self.x))

    @cached_property
    def gram(self) -> Float[Tensor, "stimuli stimuli"]:
        """Inner products of the centred features."""
        rows = self.centred.numpy()
        return torch.from_numpy(rows @ rows.T)

    @cached_property
    def squared_distances(self) -> Float[Tensor, "stimuli stimuli"]:
        """Squared Euclidean distances between stimuli; the diagonal is exactly zero."""
        norms = self.gram.diagonal()
        out: Tensor = (norms[:, None] + norms[None, :] - 2 * self.gram).clamp_min(0)
        out.fill_diagonal_(0)
        return out

    @cached_property
    def correlations(self) -> Float[Tensor, "stimuli stimuli"]:
        """Pearson r between stimuli, over features.

        Raises:
            FeatureError: one feature only, or a stimulus whose features are all equal.
        """
        rows = self.x - self.x.mean(dim=1, keepdim=True)
        norms = rows.norm(dim=1)
        if self.n_features < 2 or bool((norms <= 1e-12 * self.x.norm(dim=1).clamp_min(1e-300)).any()):
            raise FeatureError(
                "a correlation between stimuli needs features that vary within each stimulus; "
                f"{self.n_features} feature(s), and {int((norms == 0).sum())} stimuli with equal features"
            )
        unit: Tensor = rows / norms[:, None]
        return unit @ unit.T
