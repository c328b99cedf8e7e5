"""PreparedBenchmark: a benchmark with the brain side done scores any number of probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ontogeny._display import one_line
from ontogeny.benchmarks._confounds import confounds
from ontogeny.benchmarks.controls import DEFAULT, PERMUTED, SEED, averaged, held_out_layer
from ontogeny.benchmarks.stimulus_mapping import StimulusMapping
from ontogeny.brain import Target
from ontogeny.errors import AlignmentIdError, FeatureError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import LayerGeometry, Metric, Value
from ontogeny.metrics.batching import Outcome, PreparedMetrics
from ontogeny.metrics.permutations import sampled_voxels
from ontogeny.record import Row, Score
from ontogeny.record.event import refusal_of
from ontogeny.record.score import OWN_STIMULI, Kind
from ontogeny.stimuli import StimulusSet, position_features

if TYPE_CHECKING:
    from ontogeny.benchmarks.benchmark import Benchmark

__all__ = ["PreparedBenchmark"]

_LAYERS_AT_ONCE = 8
_PAIRS_AT_ONCE = 8_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBenchmark:
    """A benchmark with the brain side done.

    Args:
        benchmark: that was prepared.
        fingerprint: of it.
        targets: one per subject and ROI.
        copies: names of the permutations, each of all targets.
        prepared: all metrics, of the targets and, after them, of every permutation.
        halves: of its stimuli; none where not asked for.
        parts: where subjects saw different stimuli, one for each group that saw the same ones; they score, and
            `prepared` is that of none.
    """

    benchmark: Benchmark
    fingerprint: str
    targets: tuple[Target, ...]
    copies: tuple[str, ...]
    prepared: PreparedMetrics
    halves: tuple[PreparedBenchmark, ...] = ()
    parts: tuple[PreparedBenchmark, ...] = ()

    @classmethod
    def of_parts(cls, benchmark: Benchmark, fingerprint: str, parts: Sequence[PreparedBenchmark]) -> PreparedBenchmark:
        """Of subjects who saw different stimuli."""
        return cls(
            benchmark=benchmark,
            fingerprint=fingerprint,
            targets=tuple(target for part in parts for target in part.targets),
            copies=parts[0].copies,
            prepared=parts[0].prepared,
            parts=tuple(parts),
        )

    __repr__ = one_line

    def score(self, features: Features, *, run: str = "", step: int = 0, weights: str = "") -> list[Row]:
        """Every layer against every target by every metric, with confounds, controls and named refusals.

        Returns:
            Scores of kind "alignment" and "confound", events of kind "refusal"; and scores of kind "control" where the
            benchmark was prepared so: layers "permuted stimuli" and "permuted within groups" (mean over layers and
            permutations) and "held-out layer", one per pooling.

        Raises:
            AlignmentIdError: the features are of other stimuli. (Another order is put right, by id.)
        """
        pieces = self.benchmark.pieces
        return self._score(features, pieces, run=run, step=step, weights=weights)

    def _score(
        self, features: Features, pieces: StimulusMapping | None, *, run: str, step: int, weights: str
    ) -> list[Row]:
        rows = self._rows(features.stimulus_ids, self.benchmark.stimuli if pieces is None else pieces.read)
        in_order = rows == list(range(len(features.stimulus_ids)))
        blank = Score(
            run=run,
            step=step,
            kind="alignment",
            benchmark=self.benchmark.name,
            fingerprint=self.fingerprint,
            n_stimuli=len(self.benchmark.stimuli),
            weights=weights,
        )
        if self.parts:
            return self._of_parts(features, blank, pieces is not None)
        out: list[Row] = []
        sites = iter(features.values.items())
        at_once = min(max(_PAIRS_AT_ONCE // blank.n_stimuli**2, 1), _LAYERS_AT_ONCE)
        while some := list(islice(sites, at_once)):
            read = [x if in_order else x[rows] for _, x in some]
            values = read if pieces is None else [pieces.joined(x) for x in read]
            named = [replace(blank, layer=site.layer, pooling=site.pooling) for site, _ in some]
            out += self._score_sites(
                values, [replace(b, n_features=x.shape[1]) for b, x in zip(named, values, strict=True)]
            )
        for site, why in features.refused.items():
            out.append(refusal_of(replace(blank, layer=site.layer, pooling=site.pooling), why))
        how = "circular shifts" if self.benchmark.stimuli.contiguous else "permutations"
        permuted = _of_kind(out, "control")
        controls = averaged([s for s in permuted if s.layer == PERMUTED], f"{how} and layers")
        controls += averaged([s for s in permuted if s.layer != PERMUTED], "permutations and layers")
        return [*(row for row in out if row.kind != "control"), *controls, *self._held_out(features, blank)]

    def _of_parts(self, features: Features, blank: Score, in_pieces: bool) -> list[Row]:
        """Each group of subjects on its own stimuli; what is said of a layer as a whole is of all stimuli."""
        out: dict[tuple[Any, ...], Row] = {}
        everybody = len(set.intersection(*(set(part.benchmark.stimuli.ids) for part in self.parts)))
        for part in self.parts:
            own_note = (
                f"{OWN_STIMULI}: {len(part.benchmark.stimuli)} of {blank.n_stimuli}, {everybody} of them seen by all"
            )
            at: dict[str, Any] = {"run": blank.run, "step": blank.step, "weights": blank.weights}
            for row in part._score(features, part.benchmark.pieces if in_pieces else None, **at):
                own = replace(row, benchmark=blank.benchmark, fingerprint=blank.fingerprint)
                if isinstance(own, Score) and own.kind == "alignment":
                    own = replace(own, note=own_note)
                if own.kind != "confound":
                    out.setdefault(own.key, own)
        for site, x in features.values.items():
            rows = self._rows(features.stimulus_ids, self.benchmark.read if in_pieces else self.benchmark.stimuli)
            joined = self.benchmark.pieces.joined(x[rows]) if in_pieces and self.benchmark.pieces else x[rows]
            named = replace(blank, layer=site.layer, pooling=site.pooling, n_features=joined.shape[1])
            if isinstance(view := _view(joined), LayerGeometry):
                out |= {row.key: row for row in confounds(view, named)}
        return list(out.values())

    def scoring_seconds(self, n_features: int) -> dict[str, float]:
        """Name of a metric -> what scoring a layer of so many features by it takes, of metrics that can tell.

        Raises:
            MetricError: a metric cannot be tried.
        """
        out: dict[str, float] = {}
        for one in (*(self.parts or (self,)), *self.halves):
            for place, each in one.prepared.scoring_seconds(n_features).items():
                name = self.benchmark.metrics[place].name
                out[name] = out.get(name, 0.0) + each
        return out

    def without_halves(self) -> PreparedBenchmark:
        """The same, scored on all stimuli alone."""
        return replace(self, halves=(), parts=tuple(part.without_halves() for part in self.parts))

    def _held_out(self, features: Features, blank: Score) -> list[Score]:
        if not self.halves:
            return []
        parts = [half.score(features, run=blank.run, step=blank.step, weights=blank.weights) for half in self.halves]
        found = held_out_layer(*(_of_kind(part, "alignment") for part in parts))
        return [replace(s, benchmark=blank.benchmark, fingerprint=blank.fingerprint) for s in found]

    def control(self, features: Features, name: str, *, run: str, step: int, weights: str) -> list[Score]:
        """One row per subject, ROI, metric and pooling: the mean over layers of features that should hold nothing.

        Args:
            features: of the same stimulus ids.
            name: of the control.
            run: name of the run.
            step: optimizer updates done.
            weights: hash of the weights that were read.
        """
        rows = self.without_halves().score(features, run=run, step=step, weights=weights)
        named = [replace(s, kind="control", layer=name, note="") for s in _of_kind(rows, "alignment")]
        return averaged(named, "layers")

    def constants(self, *, run: str, n_features: int, names: Sequence[str] = DEFAULT) -> list[Score]:
        """Scores that no model moves, step 0: of random features as wide as the model, the surface, position alone.

        Args:
            run: name of the run.
            n_features: of the model's widest layer.
            names: which controls; those that a model moves are passed over.
        """
        stimuli = self.benchmark.stimuli
        parts: list[tuple[Kind, str, np.ndarray]] = []
        if "random features" in names:
            noise = np.random.default_rng(SEED).standard_normal((len(stimuli), n_features))
            parts.append(("control", "random features", noise))
        if "surface" in names and self.benchmark.baseline:
            parts.append(("baseline", *self.benchmark.surface()))
        if "split leak" in names:
            parts.append(("control", "split leak", position_features(stimuli)))
        return [replace(s, kind=kind) for kind, name, x in parts for s in self.known({name: x}, run=run)]

    def known(self, values: Mapping[str, Float[np.ndarray, "stimuli _"]], *, run: str = "") -> list[Score]:
        """Rows of kind "alignment" of features that no model made, by name; one row per stimulus, in their order."""
        made = {Site(name, "stimuli"): torch.as_tensor(x, dtype=torch.float32) for name, x in values.items()}
        features = Features(stimulus_ids=self.benchmark.stimuli.ids, values=made, refused={})
        rows = self.without_halves()._score(features, None, run=run, step=0, weights="")
        return _of_kind(rows, "alignment")

    def _rows(self, ids: Sequence[str], read: StimulusSet) -> list[int]:
        place = {stimulus: row for row, stimulus in enumerate(ids)}
        missing = [s for s in read.ids if s not in place]
        if missing:
            raise AlignmentIdError(
                f"the features lack {len(missing)} of {len(read)} stimuli of benchmark "
                f"{self.benchmark.name!r}, e.g. {missing[:3]}"
            )
        return [place[s] for s in read.ids]

    def _score_sites(self, features: Sequence[Tensor], blanks: Sequence[Score]) -> Iterator[Row]:
        views = [_view(x) for x in features]
        scored = iter(self.prepared.score([view for view in views if isinstance(view, LayerGeometry)]))
        for view, blank in zip(views, blanks, strict=True):
            if isinstance(view, FeatureError):
                yield refusal_of(blank, str(view))
                continue
            yield from confounds(view, blank)
            yield from self._rows_of(next(scored), blank)

    def _rows_of(self, outcomes: Sequence[Outcome], blank: Score) -> Iterator[Row]:
        for metric, values in zip(self.benchmark.metrics, outcomes, strict=True):
            named = replace(blank, metric=metric.name, unit=metric.unit)
            if not isinstance(values, list):
                yield refusal_of(named, str(values))
                continue
            for index, value in enumerate(values):
                target = self.targets[index % len(self.targets)]
                row = _with_value(named, target, value)
                copy = index // len(self.targets)
                yield row if copy == 0 else self._control(row, metric, copy - 1)

    def _control(self, row: Score, metric: Metric, which: int) -> Score:
        name, note = self.copies[which], ""
        if name == PERMUTED and getattr(metric, "permuted", None) == "voxels":
            used = len(sampled_voxels(row.n_voxels, which))
            note = f"of {used} of {row.n_voxels} voxels each" if used < row.n_voxels else ""
        return replace(row, kind="control", layer=name, note=note)


def _of_kind(rows: Sequence[Row], kind: Kind) -> list[Score]:
    return [row for row in rows if isinstance(row, Score) and row.kind == kind]


def _view(x: Tensor) -> LayerGeometry | FeatureError:
    try:
        return LayerGeometry(x)
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
