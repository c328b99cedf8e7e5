"""Encoding: how well a regressor of scikit-learn's kind predicts voxels from features."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Float
from typing_extensions import override

from ontogeny._arrays import PerVoxel, Responses, digest_of
from ontogeny._import_string import import_from_string
from ontogeny.brain import Target
from ontogeny.errors import MetricError
from ontogeny.metrics._splitters import check_splitter, takes_groups
from ontogeny.metrics.encoding_models._estimator import HeldOut, Rows, Voxels, check, predict, takes_several, text_of
from ontogeny.metrics.encoding_models._scores import Fold, Score, correlations, per_voxel
from ontogeny.metrics.folds import Folds, Splits, freeze
from ontogeny.metrics.layer_geometry import LayerGeometry
from ontogeny.metrics.metric import Value
from ontogeny.metrics.on_arrays import score_arrays
from ontogeny.stimuli import StimulusSet

__all__ = ["Encoding", "PreparedEncoding"]

Split = tuple[np.ndarray, np.ndarray]
OverVoxels = Literal["mean", "median", "fold-median"]
_FITTED = 2048
_UNITS = {"pearson": "Pearson r", "r2": "R^2", "noise-normalised": "r^2 / ceiling^2"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Any regressor or pipeline of scikit-learn's kind, fitted and scored on the benchmark's frozen folds.

    It is cloned for each fold and target (ROI of one subject), and fitted to all voxels of the target at once where it
    takes several outputs, else voxel by voxel. A `random_state` of None is one fixed seed.

    `Ridge` gives the numbers of `make_pipeline(StandardScaler(with_std=False), RidgeCV(...))` per voxel many times
    faster; see `tests/timings/README.md`.

    Chance is 0: for Pearson r within held-out folds exactly, over permutations of the stimuli; R^2 of what is unrelated
    is not above 0 in expectation. Ceiling: mean of the voxels' own ceilings, squared for "r2"; 1 if "noise-normalised".

    Args:
        estimator: with `fit(X, y)` and `predict(X)`; or its address with its parameters, for YAML and the command line:
            "sklearn.cross_decomposition:PLSRegression(n_components=25)".
        score: per voxel: "pearson" (r within each held-out fold, mean over folds), "r2" (1 - squared errors over
            squares about the training mean, each summed over folds) or "noise-normalised" (r^2 over the squared
            ceiling, from 0 to 1; Algonauts 2023), which needs ceilings.
        over_voxels: "mean" or "median" of a ROI's voxels; or "fold-median", their median within each fold, mean over
            folds (Brain-Score), of "pearson" alone.
        cv: a splitter of scikit-learn (`ShuffleSplit(10, test_size=.1, random_state=0)`) or a list of index arrays
            (train, test), in place of the benchmark's folds; see `make_folds`. Of a benchmark, one that asks for groups
            (`GroupKFold`) gets those of the stimuli.
        unconverged: "refuse" a layer where a fit does not converge, or "keep" what it predicts.
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
    n_jobs: int = 1
    takes_splits: ClassVar = True

    __call__ = score_arrays

    def __post_init__(self) -> None:
        object.__setattr__(self, "estimator", import_from_string(self.estimator))
        if self.score not in get_args(Score):
            raise MetricError(f"Encoding: score is one of {', '.join(get_args(Score))}, got {self.score!r}")
        if self.over_voxels not in get_args(OverVoxels):
            raise MetricError(f"Encoding: over_voxels is 'mean', 'median' or 'fold-median', got {self.over_voxels!r}")
        if self.unconverged not in ("refuse", "keep"):
            raise MetricError(f"Encoding: unconverged is 'refuse' or 'keep', got {self.unconverged!r}")
        if self.over_voxels == "fold-median" and self.score != "pearson":
            raise MetricError(f"Encoding: over_voxels='fold-median' is of score='pearson', got {self.score!r}")
        if self.cv is not None and not isinstance(self.cv, Folds | Splits):
            check_splitter(self.cv, "Encoding")

    @override
    def __repr__(self) -> str:
        """All that scores depend on: part of a benchmark's fingerprint."""
        return f"Encoding({self.name!r})"

    @property
    def name(self) -> str:
        """E.g. "encoding-PLSRegression(n_components=25)", with what differs from the defaults behind it."""
        parts = ["encoding", text_of(self.estimator)]
        parts += [option for option in (self.score, self.over_voxels) if option not in ("pearson", "mean")]
        if isinstance(self.cv, Splits | Folds):
            parts.append(self.cv.how)
        elif isinstance(self.cv, list | tuple):
            parts.append(f"splits {digest_of(np.asarray(part) for split in self.cv for part in split)[:6]}")
        elif self.cv is not None:
            parts.append(text_of(self.cv))
        return "-".join([*parts, *(["unconverged kept"] if self.unconverged == "keep" else [])])

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return _UNITS[self.score]

    def about(self, stimuli: StimulusSet) -> Encoding:
        """The same metric with the splits of these stimuli, where it has its own.

        Raises:
            MetricError: they do not fit these stimuli.
        """
        if self.cv is None:
            return self
        groups = stimuli.groups if takes_groups(self.cv) else None
        return replace(self, cv=self._frozen(len(stimuli), groups))

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
            metric=self, targets=tuple(targets), splits=splits, together=takes_several(self.estimator)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEncoding:
    """Encoding with its splits frozen.

    Args:
        metric: the options.
        targets: one per subject and ROI.
        splits: rows to train on and rows held out.
        together: whether the estimator is fitted to all voxels of a target at once.
    """

    metric: Encoding
    targets: tuple[Target, ...]
    splits: tuple[Split, ...]
    together: bool

    def per_voxel(self, view: LayerGeometry) -> PerVoxel:
        """One value per voxel, of all targets side by side.

        Raises:
            MetricError: see `score`.
        """
        return self.score_voxels(view)[1]

    def score(self, view: LayerGeometry) -> list[Value]:
        """One value per target, over its voxels.

        Raises:
            MetricError: the estimator fails, does not converge, or predicts NaN; names it and the fold. Or the features
                are of other stimuli.
        """
        return self.score_voxels(view)[0]

    def score_voxels(self, view: LayerGeometry) -> tuple[list[Value], PerVoxel]:
        """One value per target, and one per voxel.

        Raises:
            MetricError: see `score`.
        """
        n = max(int(max(train.max(), test.max())) for train, test in self.splits) + 1
        if view.n_stimuli < n:
            raise MetricError(f"the features have {view.n_stimuli} stimuli, the splits need {n}")
        x, score = view.x.numpy() * view.scale, self.metric.score
        values, voxels = [], []
        for target in self.targets:
            folds = self._folds(x, target)
            voxels.append(per_voxel(folds, score, target.ceiling))
            by_fold = correlations(folds) if self.metric.over_voxels == "fold-median" else voxels[-1][None]
            value = float(np.mean([self._over(each) for each in by_fold]))
            values.append(Value(value=value, chance=0.0, ceiling=self._ceiling(target)))
        return values, np.concatenate(voxels)

    def scoring_seconds(self, n_features: int) -> float:
        """What scoring a layer of so many features takes, by one fit to random numbers.

        Of more than 2,048 features as many are fitted, and the rest is taken to cost as much each.

        Raises:
            MetricError: see `score`.
        """
        target, (train, test) = self.targets[0], self.splits[0]
        assert target.responses is not None  # noqa: S101 - checked when it was prepared
        few = min(n_features, _FITTED)
        x = np.random.default_rng(0).standard_normal((int(max(train.max(), test.max())) + 1, few))
        voxels = target.n_voxels if self.together else 1
        y = np.asarray(target.responses[:, :voxels], dtype=np.float64)
        start = time.perf_counter()
        predict(self.metric.estimator, x[train], y[train], x[test], where="fold 0", keep=True)
        each = (time.perf_counter() - start) * n_features / few / voxels
        return each * len(self.splits) * sum(t.n_voxels for t in self.targets)

    def held_out(self, view: LayerGeometry) -> tuple[PerVoxel, Responses]:
        """One score per voxel; and predictions of stimuli when they were held out, their mean over such splits.

        Of stimuli that no split holds out predictions are NaN.

        Raises:
            MetricError: see `score`.
        """
        x, scores, predictions = view.x.numpy() * view.scale, [], []
        for target in self.targets:
            folds = self._folds(x, target)
            sums, counts = np.zeros((len(x), target.n_voxels)), np.zeros((len(x), 1))
            for (predicted, *_), (_, test) in zip(folds, self.splits, strict=True):
                sums[test] += predicted
                counts[test] += 1
            scores.append(per_voxel(folds, self.metric.score, target.ceiling))
            predictions.append(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
        return np.concatenate(scores), np.concatenate(predictions, axis=1)

    def _folds(self, x: Rows, target: Target) -> list[Fold]:
        assert target.responses is not None  # noqa: S101 - checked when it was prepared
        y = np.asarray(target.responses, dtype=np.float64)
        folds: list[Fold] = []
        for number, (train, test) in enumerate(self.splits):
            predicted = self._predicted(x[train], y[train], x[test], where=f"fold {number}")
            folds.append((predicted, y[test], y[train].mean(axis=0)))
        return folds

    def _predicted(self, x: Rows, y: Voxels, held_out: HeldOut, *, where: str) -> Float[np.ndarray, "held_out voxels"]:
        estimator, keep = self.metric.estimator, self.metric.unconverged == "keep"
        if self.together:
            return predict(estimator, x, y, held_out, where=where, keep=keep)
        from joblib import Parallel, delayed

        one = delayed(predict)
        fits = (one(estimator, x, v, held_out, where=where, keep=keep) for v in y.T.copy())
        columns = Parallel(n_jobs=self.metric.n_jobs)(fits)
        return np.stack(columns, axis=1)

    def _over(self, values: PerVoxel) -> float:
        return float(np.mean(values) if self.metric.over_voxels == "mean" else np.median(values))

    def _ceiling(self, target: Target) -> float | None:
        if self.metric.score == "noise-normalised":
            return 1.0
        if target.ceiling is None:
            return None
        return self._over(target.ceiling if self.metric.score == "pearson" else np.square(target.ceiling))
