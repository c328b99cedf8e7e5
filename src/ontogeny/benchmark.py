"""Benchmark: stimulus set + assemblies + metrics + frozen folds + version + citation.

`prepare()` does all that depends on the brain side alone, once; what it returns scores any number of probes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ontogeny._arrays import digest
from ontogeny.assembly import Assembly, Geometry, Target, targets
from ontogeny.errors import AlignmentIdError, DataError, FeatureError
from ontogeny.features import Features, Site
from ontogeny.metrics import Folds, LayerView, Metric, NeedsStimuli, Value
from ontogeny.metrics.together import Outcome, PreparedAll, prepare_all
from ontogeny.scores import Kind, Score
from ontogeny.stimuli import StimulusSet, surface_features
from ontogeny.task import intrinsic_dimension, mean_norm, participation_ratio

__all__ = ["MIN_STIMULI", "Benchmark", "PreparedBenchmark"]

MIN_STIMULI = 10
_CONTROL_SEED = 20080092
_LAYERS_AT_ONCE = 8
_PAIRS_AT_ONCE = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What a model is compared with.

    Args:
        name: stable name; part of every score's key.
        version: grows when scores change, not when code does.
        citation: whom to cite.
        licence: under which terms the data come.
        about: how it was made, one paragraph.
        simulated: responses were computed, not measured.
        stimuli: what a model reads.
        assemblies: responses, one or several a subject; aligned to the stimuli by id.
        metrics: how features are compared with responses.
        folds: frozen, one fold number a stimulus in the order of `stimuli`.
        baseline: score the stimuli's own surface (length and punctuation, or pixels) beside every curve.

    Raises:
        DataError: fewer than 10 stimuli, no responses, or folds of another length.
        AlignmentIdError: a stimulus without a response.
    """

    name: str
    version: str
    citation: str
    licence: str
    about: str
    simulated: bool
    stimuli: StimulusSet
    assemblies: tuple[Assembly | Geometry, ...]
    metrics: tuple[Metric, ...]
    folds: Folds
    baseline: bool = True

    def __post_init__(self) -> None:
        n = len(self.stimuli)
        if n < MIN_STIMULI:
            raise DataError(
                f"benchmark {self.name!r} has {n} stimuli; no metric here means anything below {MIN_STIMULI}"
            )
        if not self.assemblies or not self.metrics:
            raise DataError(f"benchmark {self.name!r} needs at least one assembly and one metric")
        if len(self.folds.held_out) != n:
            raise DataError(f"benchmark {self.name!r}: {n} stimuli but folds for {len(self.folds.held_out)}")
        if len({metric.name for metric in self.metrics}) < len(self.metrics):
            raise DataError(f"benchmark {self.name!r} has two metrics of one name: {[m.name for m in self.metrics]}")
        targets(self.assemblies, self.stimuli.ids)

    def fingerprint(self) -> str:
        """Sixteen hex digits over all that scores depend on: stimuli, responses, folds, metrics, version."""
        return digest(
            self.name,
            self.version,
            self.stimuli.fingerprint(),
            [a.fingerprint() for a in self.assemblies],
            self.folds.held_out,
            [repr(m) for m in self.metrics],
        )

    def prepare(self, *, permutations: int = 0) -> PreparedBenchmark:
        """Do all that depends on the brain side alone.

        Args:
            permutations: score against this many copies of the responses with permuted stimuli too (frozen by a seed).
                They share the feature side with the real ones, so that this control costs little.

        Raises:
            MetricError: a metric cannot use these responses; says which and why.
        """
        cut = targets(self.assemblies, self.stimuli.ids)
        rng = np.random.default_rng(_CONTROL_SEED)
        orders = [rng.permutation(len(self.stimuli)) for _ in range(permutations)]
        every = [*cut, *(_permuted(t, order, i) for i, order in enumerate(orders) for t in cut)]
        return PreparedBenchmark(
            benchmark=self,
            fingerprint=self.fingerprint(),
            targets=cut,
            permutations=permutations,
            prepared=prepare_all(self._metrics(), every, self.folds),
        )

    def _metrics(self) -> tuple[Metric, ...]:
        return tuple(m.about(self.stimuli) if isinstance(m, NeedsStimuli) else m for m in self.metrics)

    def score(self, features: Features, *, run: str = "", step: int = 0) -> list[Score]:
        """Score one probe. For many probes call `prepare()` once and use what it returns."""
        return self.prepare().score(features, run=run, step=step)

    def describe(self, fingerprint: str) -> dict[str, Any]:
        """What a record says of this benchmark."""
        cut = targets(self.assemblies, self.stimuli.ids)
        sources = {a.ceiling_source for a in self.assemblies if isinstance(a, Assembly)}
        return {
            "name": self.name,
            "version": self.version,
            "fingerprint": fingerprint,
            "citation": self.citation,
            "licence": self.licence,
            "about": self.about,
            "simulated": self.simulated,
            "modality": self.stimuli.modality,
            "n_stimuli": len(self.stimuli),
            "subjects": sorted({t.subject for t in cut}),
            "rois": list(dict.fromkeys(t.roi for t in cut)),
            "metrics": [m.name for m in self.metrics],
            "folds": self.folds.how,
            "ceiling_source": "; ".join(sorted(sources)) or "bounds over subjects",
        }


def _permuted(target: Target, order: np.ndarray, number: int) -> Target:
    """The same responses, to other stimuli."""
    if target.rdm is not None:
        return replace(target, roi=f"{target.roi} permutation {number}", rdm=target.rdm[np.ix_(order, order)])
    assert target.responses is not None  # noqa: S101 - a target has one or the other
    return replace(target, roi=f"{target.roi} permutation {number}", responses=target.responses[order])


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBenchmark:
    """A benchmark with the brain side done."""

    benchmark: Benchmark
    fingerprint: str
    targets: tuple[Target, ...]
    permutations: int
    prepared: PreparedAll

    def score(self, features: Features, *, run: str = "", step: int = 0, weights: str = "") -> list[Score]:
        """Every layer against every target by every metric, with confounds, controls and named refusals.

        Returns:
            Rows of kind "alignment", "confound", "refusal"; and "control" (layer "permuted stimuli": mean over layers
            and permutations, one a pooling) where the benchmark was prepared with permutations.

        Raises:
            AlignmentIdError: the features are of other stimuli. (Another order is put right, by id.)
        """
        rows = self._rows(features.stimulus_ids)
        blank = Score(
            run=run,
            step=step,
            kind="alignment",
            benchmark=self.benchmark.name,
            fingerprint=self.fingerprint,
            n_stimuli=len(self.benchmark.stimuli),
            weights=weights,
        )
        out: list[Score] = []
        sites = iter(features.values.items())
        at_once = min(max(_PAIRS_AT_ONCE // len(rows) ** 2, 1), _LAYERS_AT_ONCE)
        while some := list(islice(sites, at_once)):
            blanks = [replace(blank, layer=s.layer, pooling=s.pooling, n_features=x.shape[1]) for s, x in some]
            out += self._score_sites([x[rows] for _, x in some], blanks)
        for site, why in features.refused.items():
            out.append(replace(blank, kind="refusal", layer=site.layer, pooling=site.pooling, note=why))
        return [*(s for s in out if s.kind != "control"), *_averaged([s for s in out if s.kind == "control"])]

    def constants(self, *, run: str, n_features: int) -> list[Score]:
        """Scores that no model moves: the stimuli's surface, and random features of the model's size. Step 0."""
        rng = np.random.default_rng(_CONTROL_SEED)
        noise = rng.standard_normal((len(self.benchmark.stimuli), n_features))
        parts: list[tuple[Kind, str, np.ndarray]] = [("control", "random features", noise)]
        if self.benchmark.baseline:
            parts.append(("baseline", *surface_features(self.benchmark.stimuli)))
        out: list[Score] = []
        for kind, name, x in parts:
            values = {Site(name, "stimuli"): torch.as_tensor(x, dtype=torch.float32)}
            features = Features(stimulus_ids=self.benchmark.stimuli.ids, values=values, refused={})
            scores = self.score(features, run=run)
            out += [replace(s, kind=kind) for s in scores if s.kind == "alignment"]
        return out

    def _rows(self, ids: Sequence[str]) -> list[int]:
        place = {stimulus: row for row, stimulus in enumerate(ids)}
        missing = [s for s in self.benchmark.stimuli.ids if s not in place]
        if missing:
            raise AlignmentIdError(
                f"the features lack {len(missing)} of {len(self.benchmark.stimuli)} stimuli of benchmark "
                f"{self.benchmark.name!r}, e.g. {missing[:3]}"
            )
        return [place[s] for s in self.benchmark.stimuli.ids]

    def _score_sites(self, features: Sequence[Tensor], blanks: Sequence[Score]) -> Iterator[Score]:
        views = [_view(x) for x in features]
        scored = iter(self.prepared.score([view for view in views if isinstance(view, LayerView)]))
        for view, blank in zip(views, blanks, strict=True):
            if isinstance(view, FeatureError):
                yield replace(blank, kind="refusal", note=str(view))
                continue
            yield from _confounds(view, blank)
            yield from self._rows_of(next(scored), blank)

    def _rows_of(self, outcomes: Sequence[Outcome], blank: Score) -> Iterator[Score]:
        for metric, values in zip(self.benchmark.metrics, outcomes, strict=True):
            named = replace(blank, metric=metric.name, unit=metric.unit)
            if not isinstance(values, list):
                yield replace(named, kind="refusal", note=str(values))
                continue
            for index, value in enumerate(values):
                target = self.targets[index % len(self.targets)]
                row = _with_value(named, target, value)
                yield row if index < len(self.targets) else replace(row, kind="control", layer="permuted stimuli")


def _view(x: Tensor) -> LayerView | FeatureError:
    try:
        return LayerView(x)
    except FeatureError as error:
        return error


def _with_value(blank: Score, target: Target, value: Value) -> Score:
    return replace(
        blank,
        subject=target.subject,
        roi=target.roi,
        n_voxels=target.n_voxels,
        value=value.value,
        chance=value.chance,
        ceiling=value.ceiling,
        ceiling_lower=value.ceiling_lower,
    )


def _averaged(controls: Sequence[Score]) -> list[Score]:
    """One row a key: the mean over layers and permutations, and what the mean is of."""
    groups: dict[tuple[Any, ...], list[Score]] = {}
    for score in controls:
        groups.setdefault(score.key, []).append(score)
    return [
        replace(
            group[0],
            value=float(np.mean([s.value for s in group if s.value is not None])),
            chance=float(np.mean([s.chance for s in group if s.chance is not None])),
            ceiling=None,
            ceiling_lower=None,
            n_features=max(s.n_features for s in group),
            note=f"mean over {len(group)} permutations and layers",
        )
        for group in groups.values()
    ]


def _confounds(view: LayerView, blank: Score) -> list[Score]:
    """What grows during training with no true alignment: effective dimensions and the size of the features."""
    common = replace(blank, kind="confound")
    ratio, norm = participation_ratio(view.gram), mean_norm(view.x) * view.scale
    surface = replace(common, metric="intrinsic dimension", unit="dimensions")
    try:
        surface = replace(surface, value=intrinsic_dimension(view.squared_distances))
    except FeatureError as error:
        surface = replace(surface, kind="refusal", note=str(error))
    return [
        replace(common, metric="participation ratio", unit="dimensions", value=ratio),
        surface,
        replace(common, metric="feature norm", unit="features' unit", value=norm),
    ]
