"""LayerGeometry: one layer's features, with the Gram matrix that all metrics share."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny.errors import FeatureError
from ontogeny.metrics.memory_limits import check_squares

__all__ = ["LayerGeometry", "refusal", "z_scored"]

_CANCELLED = 1e-4
_SINGLE = ("mps",)  # devices without float64


def refusal(x: Float[Tensor, "stimuli features"]) -> str | None:
    """Why features cannot be scored, or None when they can."""
    low, high = x.amin(dim=0).cpu(), x.amax(dim=0).cpu()
    if not bool(torch.isfinite(low).all() & torch.isfinite(high).all()):
        rows = int((~torch.isfinite(x)).any(dim=1).sum())
        return f"the features hold NaN or infinity in {rows} of {x.shape[0]} stimuli"
    if bool((low == high).all()):
        return "the features are the same for every stimulus"
    return None


def z_scored(x: Float[Tensor, "stimuli features"]) -> Float[Tensor, "stimuli features"]:
    """Each column less its mean, over its standard deviation (n - 1); 0 where a column is constant."""
    constant = x.amax(dim=0) == x.amin(dim=0)
    spread = x.std(dim=0).masked_fill(constant, 1.0)
    return ((x - x.mean(dim=0)) / spread).masked_fill(constant, 0.0)


class LayerGeometry:
    """One layer's features and what is computed from them once for all metrics.

    Everything derived is float64, whatever the autocast around the call; features are divided by their overall scale
    first, so that features scaled by 1e-6 or 1e6 give the same numbers. Products of features are made on the features'
    device, and what is stimuli x stimuli is brought to the CPU; features themselves only where a metric asks for them.

    Args:
        x: stimuli x features, finite.

    Attributes:
        scale: largest absolute feature; `near` and `x` are the features divided by it.
        near: on the features' device (on the CPU where that device has no float64).

    Raises:
        FeatureError: NaN, infinity, or the same features for every stimulus.

    What is stimuli x stimuli raises TooLargeError where there is no memory for it, before it is made.
    """

    def __init__(self, x: Float[Tensor, "stimuli features"]) -> None:
        why = refusal(x)
        if why is not None:
            raise FeatureError(why)
        self.n_stimuli, self.n_features = x.shape
        near = (x.detach().cpu() if x.device.type in _SINGLE else x.detach()).to(torch.float64)
        self.scale = float(near.abs().amax().cpu())
        self.near: Float[Tensor, "stimuli features"] = near / self.scale

    @cached_property
    def x(self) -> Float[Tensor, "stimuli features"]:
        """Features on the CPU."""
        return self.near.cpu()

    @cached_property
    def _centred(self) -> Float[Tensor, "stimuli features"]:
        return self.near - self.near.mean(dim=0)

    @cached_property
    def centred(self) -> Float[Tensor, "stimuli features"]:
        """Features less their mean over stimuli, on the CPU."""
        return self._centred.cpu()

    @cached_property
    def standardised(self) -> LayerGeometry:
        """The same stimuli with each feature z-scored over them (n - 1 in the variance; a constant feature is 0)."""
        return LayerGeometry(z_scored(self.near))

    @cached_property
    def gram(self) -> Float[Tensor, "stimuli stimuli"]:
        """Inner products of the centred features."""
        return _products(self._centred)

    @property
    def spread(self) -> Float[Tensor, "rows rows"]:
        """A matrix with the Gram matrix's eigenvalues: itself where it is there, else the smaller side's products."""
        if self.n_stimuli <= self.n_features or "gram" in self.__dict__:
            return self.gram
        return _products(self._centred.T)

    @property
    def inner(self) -> Float[Tensor, "stimuli stimuli"]:
        """Inner products of the features as they are."""
        return _products(self.near)

    @cached_property
    def squared_distances(self) -> Float[Tensor, "stimuli stimuli"]:
        """Squared Euclidean distances between stimuli; the diagonal is exactly zero."""
        check_squares("squared distances", self.n_stimuli, 4)
        norms = self.gram.diagonal()
        out: Tensor = norms[:, None] + norms[None, :]
        return out.sub_(self.gram, alpha=2).clamp_min_(0).fill_diagonal_(0)

    @cached_property
    def correlations(self) -> Float[Tensor, "stimuli stimuli"]:
        """Pearson r between stimuli, over features.

        Raises:
            FeatureError: one feature only, or a stimulus whose features are all equal.
        """
        mean, level = self.near.mean(dim=0), self._centred.mean(dim=1).cpu()
        common = mean - mean.mean()
        products = self._around(common) - self.n_features * level[:, None] * level[None, :]
        found = self._cosines_of(products, common)
        if found is not None and self.n_features > 1:
            return found
        rows = self.near - self.near.mean(dim=1, keepdim=True)
        norms = rows.norm(dim=1).cpu()
        if self.n_features < 2 or bool((norms <= 1e-12 * self.near.norm(dim=1).cpu().clamp_min(1e-300)).any()):
            raise FeatureError(
                "a correlation between stimuli needs features that vary within each stimulus; "
                f"{self.n_features} feature(s), and {int((norms == 0).sum())} stimuli with equal features"
            )
        return _row_cosines(rows, norms)

    @cached_property
    def cosines(self) -> Float[Tensor, "stimuli stimuli"]:
        """Cosine between stimuli, of the features as they are.

        Raises:
            FeatureError: a stimulus whose features are all zero.
        """
        mean = self.near.mean(dim=0)
        found = self._cosines_of(self._around(mean), mean)
        if found is not None:
            return found
        norms = self.near.norm(dim=1).cpu()
        if bool((norms == 0).any()):
            raise FeatureError(f"a cosine needs a length; {int((norms == 0).sum())} stimuli have all features zero")
        return _row_cosines(self.near, norms)

    def _around(self, common: Float[Tensor, " features"]) -> Float[Tensor, "stimuli stimuli"]:
        """Inner products of the centred features with `common` added to each stimulus, by way of the Gram matrix."""
        check_squares("likenesses", self.n_stimuli, 4)
        along = (self._centred @ common + common @ common / 2).cpu()
        return self.gram + along[:, None] + along[None, :]

    def _cosines_of(
        self, products: Float[Tensor, "stimuli stimuli"], common: Float[Tensor, " features"]
    ) -> Float[Tensor, "stimuli stimuli"] | None:
        """Inner products over lengths; None where a length is a small difference of large numbers."""
        squares = products.diagonal().clone()
        if bool((squares <= _CANCELLED * (self.gram.diagonal() + (common @ common).cpu())).any()):
            return None
        lengths = squares.sqrt()
        products /= lengths[:, None]
        products /= lengths[None, :]
        return products.fill_diagonal_(1)


def _row_cosines(
    rows: Float[Tensor, "stimuli features"], norms: Float[Tensor, " stimuli"]
) -> Float[Tensor, "stimuli stimuli"]:
    lengths = _products(rows)
    lengths /= norms[:, None]
    lengths /= norms[None, :]
    return lengths.fill_diagonal_(1)


def _products(rows: Float[Tensor, "stimuli features"]) -> Float[Tensor, "stimuli stimuli"]:
    """Inner products of the rows, made where the rows are and brought to the CPU (numpy's is twice as fast there)."""
    check_squares("inner products", len(rows), 1)
    if rows.device.type != "cpu":
        return (rows @ rows.T).cpu()
    host = rows.numpy()
    return torch.from_numpy(host @ host.T)
