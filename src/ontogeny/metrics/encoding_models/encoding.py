"""Encoding: how well a regressor of scikit-learn's kind predicts voxels from features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from typing_extensions import override

from ontogeny._arrays import digest_of
from ontogeny._import_string import import_from_string
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._splitters import check_splitter, takes_groups
from ontogeny.metrics.encoding_models._estimator import check, separable, takes_several, text_of
from ontogeny.metrics.encoding_models._prepared import PreparedEncoding
from ontogeny.metrics.encoding_models._scores import Score
from ontogeny.metrics.folds import Folds, Splits, freeze
from ontogeny.metrics.nuisance import Nuisance
from ontogeny.metrics.on_arrays import score_arrays
from ontogeny.stimuli import StimulusSet

__all__ = ["Encoding"]

OverVoxels = Literal["mean", "median", "fold-median"]
_UNITS = {"pearson": "Pearson r", "r2": "R^2", "r2-by-fold": "R^2", "noise-normalised": "r^2 / ceiling^2"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Any regressor or pipeline of scikit-learn's kind, fitted and scored on the benchmark's frozen folds.

    It is cloned for each fold and target (ROI of one subject), and fitted to all voxels of the target at once where it
    takes several outputs, else voxel by voxel; ridges with a penalty per voxel to those of all targets at once. A
    `random_state` of None is one fixed seed.

    `Ridge` gives the numbers of `RidgeCV(alpha_per_target=True)` 11 to 17 times faster; see `tests/timings/README.md`.
    Partial least squares are scikit-learn's numbers by a faster way.

    Chance is 0: for Pearson r within held-out folds exactly, over permutations of the stimuli; R^2 of what is unrelated
    is not above 0 in expectation. Ceiling: mean of the voxels' own ceilings, squared for "r2"; 1 if "noise-normalised".

    Args:
        estimator: with `fit(X, y)` and `predict(X)`; or its address with its parameters, for YAML and the command line:
            "sklearn.cross_decomposition:PLSRegression(n_components=25)".
        score: per voxel: "pearson" (r within each held-out fold, mean over folds), "r2" (1 - squared errors over
            squares about the training mean, each summed over folds), "r2-by-fold" (`r2_score` of each fold, mean over
            folds) or "noise-normalised" (r^2 over the squared ceiling, from 0 to 1; Algonauts 2023), which needs
            ceilings.
        over_voxels: "mean" or "median" of a ROI's voxels; or "fold-median", their median within each fold, mean over
            folds (Brain-Score), of "pearson" and "r2-by-fold" alone.
        cv: a splitter of scikit-learn (`ShuffleSplit(10, test_size=.1, random_state=0)`), its address, or a list of
            index arrays (train, test), in place of the benchmark's folds; see `make_folds`. Of a benchmark, one that
            asks for groups (`GroupKFold`) gets those of the stimuli.
        unconverged: "refuse" a layer where a fit does not converge, or "keep" what it predicts.
        beside: feature spaces of your own, matched to stimuli by id; the estimator gets their columns before the
            layer's (banded ridge: `ontogeny.metrics.encoding_models.banded_ridge`).
        n_jobs: processes for voxels, where the estimator takes one at a time; see joblib.

    Raises:
        MetricError: options that do not exist.

    Example:
        >>> from sklearn.cross_decomposition import PLSRegression
        >>> Encoding(PLSRegression(n_components=25)).name
        'encoding-PLSRegression(n_components=25)'
    """

    estimator: Any
    _: KW_ONLY
    score: Score = "pearson"
    over_voxels: OverVoxels = "mean"
    cv: Any = None
    unconverged: Literal["refuse", "keep"] = "refuse"
    beside: Sequence[Nuisance] = ()
    n_jobs: int = 1
    takes_splits: ClassVar = True

    __call__ = score_arrays

    def __post_init__(self) -> None:
        for name in ("estimator", "cv"):
            object.__setattr__(self, name, import_from_string(getattr(self, name)))
        if self.score not in get_args(Score):
            raise MetricError(f"Encoding: score is one of {', '.join(get_args(Score))}, got {self.score!r}")
        if self.over_voxels not in get_args(OverVoxels):
            raise MetricError(f"Encoding: over_voxels is 'mean', 'median' or 'fold-median', got {self.over_voxels!r}")
        if self.unconverged not in ("refuse", "keep"):
            raise MetricError(f"Encoding: unconverged is 'refuse' or 'keep', got {self.unconverged!r}")
        if self.over_voxels == "fold-median" and self.score not in ("pearson", "r2-by-fold"):
            raise MetricError(f"Encoding: over_voxels='fold-median' is of score='pearson', got {self.score!r}")
        if not isinstance(self.beside, list | tuple) or not all(isinstance(space, Nuisance) for space in self.beside):
            raise MetricError(
                f"Encoding: beside is a list of Nuisance(name=, stimulus_ids=, values=), got {self.beside!r}"
            )
        object.__setattr__(self, "beside", tuple(self.beside))
        if self.cv is not None and not isinstance(self.cv, Folds | Splits):
            check_splitter(self.cv, "Encoding")

    @override
    def __repr__(self) -> str:
        """All that scores depend on: part of a benchmark's fingerprint."""
        return f"Encoding({self.name!r}{f', beside={self.beside!r}' if self.beside else ''})"

    @property
    def name(self) -> str:
        """E.g. "encoding-PLSRegression(n_components=25)", with what differs from the defaults behind it."""
        parts = ["encoding", text_of(self.estimator), *(f"beside {space.name}" for space in self.beside)]
        parts += [option for option in (self.score, self.over_voxels) if option not in ("pearson", "mean")]
        if self.cv is not None:
            parts.append(self._how)
        return "-".join([*parts, *(["unconverged kept"] if self.unconverged == "keep" else [])])

    @property
    def _how(self) -> str:
        """Its own splits in words."""
        if isinstance(self.cv, list | tuple):
            return f"splits {digest_of(np.asarray(part) for split in self.cv for part in split)[:6]}"
        return self.cv.how if isinstance(self.cv, Splits | Folds) else text_of(self.cv)

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return _UNITS[self.score]

    def about(self, stimuli: StimulusSet) -> Encoding:
        """The same metric with the splits and feature spaces of these stimuli, where it has its own.

        Raises:
            MetricError: splits that do not fit these stimuli.
            AlignmentIdError: a stimulus that a feature space lacks.
        """
        groups = stimuli.groups if self.cv is not None and takes_groups(self.cv) else None
        cv = None if self.cv is None else self._frozen(len(stimuli), groups)
        return replace(self, cv=cv, beside=tuple(space.about(stimuli) for space in self.beside))

    def only(self, rows: np.ndarray, n_stimuli: int) -> Encoding:
        """The same metric for some of so many stimuli: splits given as row numbers keep those; a splitter splits anew.

        Raises:
            MetricError: a split trains on none of these stimuli, or holds out fewer than 2.
        """
        if not isinstance(self.cv, Splits | Folds | list | tuple):
            return self
        try:
            return replace(self, cv=replace(self._frozen(n_stimuli).only(rows, ""), how=self._how))
        except MetricError as error:
            raise MetricError(f"the splits of {self.name}: {error}") from error

    def _frozen(self, n: int, groups: Sequence[str] | None = None) -> Folds | Splits:
        if not isinstance(self.cv, Folds | Splits):
            return freeze(self.cv, n, groups=groups, strata=None, owner=self.name)
        if self.cv.n_stimuli != n:
            raise MetricError(f"{self.name}: its splits are of {self.cv.n_stimuli} stimuli, not of {n}")
        return self.cv

    def prepare(self, targets: Sequence[Target], folds: Folds | Splits) -> PreparedEncoding:
        """Freeze the splits, and try the estimator on random features.

        Raises:
            MetricError: a geometry; no ceilings where the score needs them; an estimator that changes its input, draws
                from a global random state, or has no fit or predict; splits of other stimuli.
        """
        for target in targets:
            if target.responses is None:
                raise MetricError(
                    f"{self.name} needs voxels, but ROI {target.roi!r} of subject {target.subject!r} is a geometry "
                    "(dissimilarities only); use RSA, CKA or MutualKNN there"
                )
            finite, varies = np.isfinite(target.responses), target.responses != target.responses[:1]
            if unusable := int((~(finite.all(axis=0) & varies.any(axis=0))).sum()):
                raise MetricError(
                    f"{self.name}: {unusable} of {target.n_voxels} voxels of ROI {target.roi!r} of subject "
                    f"{target.subject!r} are constant or hold NaN or infinity; drop them with usable_voxels()"
                )
            if self.score == "noise-normalised" and target.ceiling is None:
                raise MetricError(
                    f"{self.name} divides by the voxels' ceilings, but ROI {target.roi!r} of subject "
                    f"{target.subject!r} has none; use score='pearson'"
                )
        splits = tuple(folds if self.cv is None else self._frozen(folds.n_stimuli))
        first = next((t.responses for t in targets if t.responses is not None), None)
        if first is not None:
            check(self.estimator, np.asarray(first[splits[0][0], :3], dtype=np.float64))
        return PreparedEncoding(
            metric=self,
            targets=tuple(targets),
            splits=splits,
            together=takes_several(self.estimator),
            separable=separable(self.estimator),
        )
