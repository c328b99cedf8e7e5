"""The protocol of Shen et al., "Alignment between Brains and AI" (arXiv 2507.01966), as objects of this package.

    study = shen2026("text")
    benchmark = dataclasses.replace(benchmark, metrics=study.metrics_for(len(benchmark.stimuli)))
    monitor = ontogeny.watch(benchmark, layers=study.layers, pooling=study.pooling, record="runs/a")
    ...
    study.curve(ontogeny.Record("runs/a").scores)  # step -> the number that the study plots

Every feature and voxel is z-scored over stimuli (n - 1); every layer is compared with every region by 12 Gaussian
kernels of fixed width (biased CKA), three k of CKNNA and six each of mutual and cycle kNN with inner products. The
number of a step is the best region's score, mean over layers and subjects. Added to every score, and not in the study:
chance level and ceiling; and the debiased form of the headline metric. Its stimuli (one caption in a chat template,
left padded, so that the last token is one of the template's) are not part of this. A layer that is the same for every
stimulus, such as the embedding of that token, is refused here; in the study it counts with what rounding makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ontogeny.metrics import CKA, CKNNA, CycleKNN, Metric, MutualKNN
from ontogeny.record import Row

__all__ = ["StudyProtocol", "best_region_mean", "shen2026"]

_WIDTHS = tuple(range(12, 101, 8))
_LOCAL = (10, 12, 50)
_MUTUAL = (20, 40, 60, 80, 200, 400)
_CYCLE = (40, 60, 80, 100, 200, 400)
_DAMPING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyProtocol:
    """What a published study computes.

    Args:
        name: short name.
        citation: whom to cite.
        by_name: the study's own name of a metric -> the metric, z-scoring included.
        headline: the study's name of the metric whose curve it plots.
        layers: which layers it reads.
        pooling: how a layer's output becomes one vector a stimulus.
    """

    name: str
    citation: str
    by_name: Mapping[str, Metric]
    headline: str
    layers: str
    pooling: str

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics."""
        return tuple(self.by_name.values())

    def metrics_for(self, n_stimuli: int) -> tuple[Metric, ...]:
        """Those that can be had from so many stimuli: a metric of k neighbours needs more than k."""
        return tuple(metric for metric in self.metrics if getattr(metric, "k", 0) < n_stimuli)

    def curve(self, rows: Iterable[Row], metric: str = "") -> dict[int, float]:
        """Step -> best region's score, mean over layers and subjects.

        Args:
            rows: of one run, as a monitor returns or a record holds them; what is no alignment is passed over.
            metric: the study's name of it; "": the headline.
        """
        return best_region_mean(rows, self.by_name[metric or self.headline].name)


def shen2026(modality: Literal["text", "image"] = "text") -> StudyProtocol:
    """Metrics, layers, pooling and summary of arXiv 2507.01966.

    Args:
        modality: of the stimuli. Text: the last token of every hidden state; images: mean over space or tokens.
    """
    metrics: dict[str, Metric] = {}
    for width in _WIDTHS:
        metrics[f"cka_{width}"] = CKA(
            kind="rbf", width=float(width), debiased=False, standardise=True, damping=_DAMPING
        )
    metrics["unbiased_cka_36"] = CKA(kind="rbf", width=36.0, standardise=True, damping=_DAMPING)
    for k in _LOCAL:
        metrics[f"cknna_{k}"] = CKNNA(k=k, likeness="inner", standardise=True, damping=_DAMPING)
    for k in _MUTUAL:
        metrics[f"mutual_knn_{k}"] = MutualKNN(k=k, likeness="inner", standardise=True)
    for k in _CYCLE:
        metrics[f"cycle_knn_{k}"] = CycleKNN(k=k, likeness="inner", standardise=True)
    return StudyProtocol(
        name="shen2026",
        citation=(
            "Shen, G., Zhao, D., Dong, Y., Zhang, Q., Zeng, Y. Alignment between Brains and AI: Evidence for "
            "Convergent Evolution across Modalities, Scales and Training Trajectories. arXiv:2507.01966."
        ),
        by_name=metrics,
        headline="cka_36",
        layers="auto",
        pooling="last" if modality == "text" else "spatial_mean",
    )


def best_region_mean(rows: Iterable[Row], metric: str) -> dict[int, float]:
    """Step -> mean over layers (and poolings) and subjects of the highest score over regions.

    The highest of many regions is above their truth by chance alone; the study's number, not an estimate of any region.
    """
    best: dict[int, dict[tuple[str, str, str], float]] = {}
    for score in rows:
        if score.kind != "alignment" or score.metric != metric or score.value is None:
            continue
        of_step = best.setdefault(score.step, {})
        place = score.layer, score.pooling, score.subject
        of_step[place] = max(score.value, of_step.get(place, -float("inf")))
    return {step: sum(values.values()) / len(values) for step, values in sorted(best.items())}
