"""Benchmark: stimulus set + assemblies + metrics + frozen folds + version + citation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ontogeny._arrays import digest
from ontogeny._display import Table, one_line, table_html, table_text
from ontogeny.benchmarks.controls import PERMUTED, SEED, WITHIN, circular_shifts, orders, within_groups
from ontogeny.benchmarks.fitted import FittedEncoding, fit_encoding
from ontogeny.benchmarks.prepared import PreparedBenchmark
from ontogeny.benchmarks.stimulus_mapping import StimulusMapping
from ontogeny.brain import Assembly, Geometry, Target, targets
from ontogeny.errors import AlignmentIdError, DataError, MetricError, nearest
from ontogeny.extraction import Features
from ontogeny.metrics import Encoding, Folds, Metric, NeedsStimuli, Splits, make_folds
from ontogeny.metrics.batching import prepare_all
from ontogeny.metrics.permutations import Permutations
from ontogeny.record import Row
from ontogeny.stimuli import StimulusSet, surface_features

__all__ = ["MIN_STIMULI", "Benchmark"]

MIN_STIMULI = 10


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
        stimuli: what responses are of, and what a model reads unless there are pieces.
        assemblies: responses, one or several a subject; aligned to the stimuli by id.
        metrics: how features are compared with responses.
        folds: frozen row numbers in the order of `stimuli`: each held out once, or `Splits`, which only `Encoding` and
            metrics without folds take.
        baseline: score the stimuli's own surface (length and punctuation, or pixels) beside every curve.
        pieces: what a model reads in place of the stimuli (words of a story), and the frozen way to the stimuli
            (volumes); see `ontogeny.neuroimaging.story_words`.
        own_stimuli: subjects saw different stimuli, and each is scored on those that it saw. Folds are the same for
            all, so that a stimulus which several saw is on one side of the split.
        primary: the curve that was declared beforehand, "ROI", "ROI:metric" or "ROI:metric:layer"; "": none was.

    Raises:
        DataError: fewer than 10 stimuli, no responses, folds of another length, a ROI of one subject twice, or pieces
            of other stimuli.
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
    folds: Folds | Splits
    baseline: bool = True
    pieces: StimulusMapping | None = None
    own_stimuli: bool = False
    primary: str = ""

    def __post_init__(self) -> None:
        if (n := len(self.stimuli)) < MIN_STIMULI:
            raise DataError(f"benchmark {self.name!r} has {n} stimuli; metrics mean nothing below {MIN_STIMULI}")
        if not self.assemblies or not self.metrics:
            raise DataError(f"benchmark {self.name!r} needs at least one assembly and one metric")
        if self.folds.n_stimuli != n:
            raise DataError(f"benchmark {self.name!r}: {n} stimuli but folds for {self.folds.n_stimuli}")
        if len({metric.name for metric in self.metrics}) < len(self.metrics):
            raise DataError(f"benchmark {self.name!r} has two metrics of one name: {[m.name for m in self.metrics]}")
        if self.own_stimuli:
            self._check_own()
        self._check_targets(self._targets())
        if self.pieces is not None and self.pieces.stimuli.ids != self.stimuli.ids:
            raise DataError(f"benchmark {self.name!r}: the pieces are of other stimuli; give stimuli=pieces.stimuli")

    def _check_targets(self, cut: Sequence[Target]) -> None:
        counted = Counter(f"{t.roi!r} of subject {t.subject!r}" for t in cut)
        if doubled := [target for target, count in counted.items() if count > 1]:
            raise DataError(
                f"benchmark {self.name!r} has {', '.join(doubled)} twice, of which a record would keep one; put its "
                "voxels into one assembly, or give the two other names (hemispheres: 'L ...', 'R ...')"
            )
        if (roi := self.primary.partition(":")[0]) not in (known := {"", *(t.roi for t in cut)}):
            raise DataError(f"benchmark {self.name!r} has no ROI {roi!r} to be primary. {nearest(roi, known)}")

    __repr__ = one_line
    __str__ = table_text
    _repr_html_ = table_html

    def _table(self) -> Table:
        """What it compares with: one row per subject and ROI."""
        kind = f"{'simulated' if self.simulated else 'measured'}: {len(self.stimuli)} stimuli ({self.stimuli.modality})"
        sizes = [(t, "geometry" if t.rdm is not None else str(t.n_voxels)) for t in self._targets()]
        return Table(
            title=f"{self.name}, version {self.version}, {kind}, {self.folds.how}",
            columns=("subject", "ROI", "voxels", "ceiling"),
            rows=[(t.subject, t.roi, size, _ceiling(t)) for t, size in sizes],
            notes=("metrics: " + ", ".join(m.name for m in self.metrics), self.citation, f"licence: {self.licence}"),
        )

    def _targets(self) -> list[Target]:
        return [t for one in self.parts() for t in targets(one.assemblies, one.stimuli.ids)]

    def _check_own(self) -> None:
        known, seen = set(self.stimuli.ids), set[str]()
        for one in self.assemblies:
            if strange := [stimulus for stimulus in one.stimulus_ids if stimulus not in known]:
                raise AlignmentIdError(
                    f"benchmark {self.name!r}: subject {one.subject!r} has responses to {len(strange)} stimuli that "
                    f"the set lacks, e.g. {strange[:3]}"
                )
            seen |= set(one.stimulus_ids)
        if never := [stimulus for stimulus in self.stimuli.ids if stimulus not in seen]:
            raise AlignmentIdError(f"benchmark {self.name!r}: no subject saw {len(never)} stimuli, e.g. {never[:3]}")

    def parts(self) -> tuple[Benchmark, ...]:
        """One benchmark for each group of subjects that saw the same stimuli; itself where all saw all.

        Raises:
            DataError: subjects with fewer than 10 stimuli, or stimuli of one fold.
        """
        if not self.own_stimuli:
            return (self,)
        groups: dict[tuple[int, ...], list[Assembly | Geometry]] = {}
        place = {stimulus: row for row, stimulus in enumerate(self.stimuli.ids)}
        for one in self.assemblies:
            groups.setdefault(tuple(sorted(place[s] for s in one.stimulus_ids)), []).append(one)
        return tuple(
            self._only(np.array(rows), " and ".join(dict.fromkeys(a.subject for a in group)), group)
            for rows, group in groups.items()
        )

    @property
    def read(self) -> StimulusSet:
        """What a model reads."""
        return self.stimuli if self.pieces is None else self.pieces.read

    def fingerprint(self) -> str:
        """Sixteen hex digits over all that scores depend on: stimuli, responses, folds, metrics, version."""
        return digest(
            self.name,
            self.version,
            self.stimuli.fingerprint(),
            [a.fingerprint() for a in self.assemblies],
            self.folds.frozen,
            [repr(m).replace("local_alpha=False", "alpha='roi'") for m in self.metrics],  # its name of before
            *([] if self.pieces is None else [self.pieces.fingerprint()]),
            *(["own stimuli"] if self.own_stimuli else []),
            *(m.about(self.stimuli).cv.frozen for m in self.metrics if isinstance(m, Encoding) and m.cv is not None),
        )

    def prepare(self, *, permutations: int = 0, within: int = 0, halves: bool = False) -> PreparedBenchmark:
        """Do all that depends on the brain side alone.

        Args:
            permutations: score against responses to permuted stimuli too, in this many orders (frozen by a seed).
                They share what is made of features and responses with the real ones, and where a value is a mean over
                voxels a sample of them is permuted (`ontogeny.metrics.permutations`), so that this control costs
                little. Where neighbours are not independent (a story), each group is shifted in a circle instead.
            within: against this many whose stimuli are permuted within their groups alone, so that what a group's
                stimuli share is kept.
            halves: score each half of the stimuli too: the layer is chosen on other stimuli than it is scored on.

        Raises:
            MetricError: a metric cannot use these responses; says which and why.
            TooLargeError: no memory for what a metric keeps, or for the permuted copies.
            DataError: there are no groups, or too few stimuli for halves.
        """
        if self.own_stimuli:
            parts = [p.prepare(permutations=permutations, within=within, halves=halves) for p in self.parts()]
            return PreparedBenchmark.of_parts(self, self.fingerprint(), parts)
        cut = targets(self.assemblies, self.stimuli.ids)
        anywhere = self._orders(permutations)
        grouped = within_groups(self.stimuli.groups, within, owner=f"benchmark {self.name!r}") if within else []
        permuted = Permutations(orders=(*anywhere, *grouped), sampled=(True,) * len(anywhere) + (False,) * len(grouped))
        return PreparedBenchmark(
            benchmark=self,
            fingerprint=self.fingerprint(),
            targets=cut,
            copies=(PERMUTED,) * len(anywhere) + (WITHIN,) * len(grouped),
            prepared=prepare_all(self._metrics(), cut, self.folds, permutations=permuted),
            halves=tuple(half.prepare() for half in self.halves()) if halves else (),
        )

    def _orders(self, n: int) -> list[np.ndarray]:
        """Of the stimuli, for copies that hold nothing but chance."""
        about, size = self.stimuli, len(self.stimuli)
        return circular_shifts(about.groups, size, n) if about.contiguous else orders(size, n)

    def _metrics(self) -> tuple[Metric, ...]:
        return tuple(m.about(self.stimuli) if isinstance(m, NeedsStimuli) else m for m in self.metrics)

    def halves(self) -> tuple[Benchmark, Benchmark]:
        """The same benchmark on each half of its stimuli (frozen): groups stay whole, contiguous stimuli are cut once.

        Folds are the benchmark's own, less the stimuli of the other half.

        Raises:
            DataError: a half has fewer than 10 stimuli, or all its stimuli are in one fold.
            MetricError: there is one group only.
        """
        about = self.stimuli
        parted = make_folds(len(about), n_folds=2, groups=about.groups, contiguous=about.contiguous, seed=SEED)
        first, second = (self._only(rows, f"half {i + 1}") for i, (_, rows) in enumerate(parted))
        return first, second

    def _only(self, rows: np.ndarray, which: str, assemblies: Sequence[Assembly | Geometry] | None = None) -> Benchmark:
        stimuli = self.stimuli.only(rows)
        try:
            folds = self.folds.only(np.asarray(rows), which)
            metrics = [m.only(rows, self.folds.n_stimuli) if isinstance(m, Encoding) else m for m in self.metrics]
        except MetricError as error:
            raise DataError(
                f"{which} of benchmark {self.name!r}: {error}; use more folds or groups"
                + ", or leave the control 'held-out layer' out" * (assemblies is None)
            ) from error
        return replace(
            self,
            name=f"{self.name}, {which}",
            stimuli=stimuli,
            assemblies=tuple(a.align(stimuli.ids) for a in assemblies or self.assemblies),
            own_stimuli=False,
            metrics=tuple(metrics),
            folds=folds,
            pieces=None if self.pieces is None else self.pieces.only(rows),
        )

    def score(self, features: Features, *, run: str = "", step: int = 0) -> list[Row]:
        """Score one probe. For many probes call `prepare()` once and use what it returns."""
        return self.prepare().score(features, run=run, step=step)

    def fit(
        self, features: Features | np.ndarray | Tensor, metric: Any, *, layer: str = "", pooling: str = ""
    ) -> FittedEncoding:
        """An encoding model to keep: weights, predictions of held-out stimuli, residuals, scores per voxel.

        Args:
            features: of one probe, or stimuli x features in the order of the stimuli.
            metric: a `Ridge`, an `Encoding`, or a regressor of scikit-learn's kind.
            layer: which, where a probe read several.
            pooling: which, where it pooled in several ways.

        Raises:
            MetricError: another metric, or one that cannot use these responses or features.
            FeatureError: no layer or several, or another number of rows.
            AlignmentIdError: features of other stimuli; or DataError, subjects saw different ones.

        Example:
            >>> import numpy as np, ontogeny
            >>> from sklearn.linear_model import RidgeCV
            >>> benchmark = ontogeny.load("planted-vision")
            >>> x = np.random.default_rng(0).normal(size=(len(benchmark.stimuli), 5))
            >>> benchmark.fit(x, RidgeCV()).coef_.shape[1]
            5
        """
        return fit_encoding(self, features, metric, layer=layer, pooling=pooling)

    def surface(self) -> tuple[str, Float[np.ndarray, "stimuli features"]]:
        """What of the stimuli can be read without a model: its name, and stimuli x features."""
        return surface_features(self.stimuli) if self.pieces is None else self.pieces.baseline()

    def describe(self, fingerprint: str) -> dict[str, Any]:
        """What a record says of this benchmark."""
        cut, same = self._targets(), ("name", "version", "citation", "licence", "about", "simulated")
        sources = {a.ceiling_source for a in self.assemblies if isinstance(a, Assembly)}
        return {
            **{name: getattr(self, name) for name in same},
            "fingerprint": fingerprint,
            "modality": self.stimuli.modality,
            "n_stimuli": len(self.stimuli),
            "subjects": sorted({t.subject for t in cut}),
            "rois": list(dict.fromkeys(t.roi for t in cut)),
            "metrics": [m.name for m in self.metrics],
            "folds": self.folds.how,
            "ceiling_source": "; ".join(sorted(sources)) or "bounds over subjects",
            **({"primary": self.primary} if self.primary else {}),
            **({} if self.pieces is None else {"pieces": self.pieces.how}),
            **({"own_stimuli": {a.subject: len(a.stimulus_ids) for a in self.assemblies}} if self.own_stimuli else {}),
        }


def _ceiling(target: Target) -> str:
    return "" if target.ceiling is None else f"r = {float(np.mean(target.ceiling)):.3f}"
