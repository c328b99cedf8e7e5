"""What a rehearsal finds, in lines for whoever trains: how each benchmark reads the model, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import nn

from ontogeny.errors import MetricError, ProbeError
from ontogeny.extraction import Probe
from ontogeny.extraction.isolation import NotYetError
from ontogeny.extraction.preserved import LeftBehindError
from ontogeny.extraction.process_group import ProcessGroup
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe

__all__ = ["rehearse"]

_SLOW = 1.0


def rehearse(watched: Sequence[BenchmarkProbe], model: nn.Module, ranks: ProcessGroup) -> tuple[list[str], bool]:
    """Find out how every benchmark reads the model, before training.

    Args:
        watched: what is read.
        model: any module; it is left as it was.
        ranks: every rank has to call.

    Returns:
        The findings, a line each, and whether any row can come of them.

    Raises:
        NotYetError: the first batch has to come first.
    """
    lines: list[str] = []
    readable = False
    for w in watched:
        for probe in w.probes:
            name = w.benchmark.benchmark.name + (" (random tokens)" if probe is w.random else "")
            try:
                ranks.each(partial(_is_rehearsed, probe, model, ranks))  # what fails on one rank fails on all
                plan = probe.rehearse(model, ranks)
            except NotYetError:
                raise
            except LeftBehindError as error:
                return [f"{name}: {error}"], False
            except ProbeError as error:
                lines.append(f"{name}: {error}")
                continue
            readable = readable or plan.readable
            lines += [
                f"{name}: {plan.summary(len(probe.stimuli), probe.n_passes(plan))}",
                *(f"  {line}" for line in plan.lines()),
            ]
            if ranks.first and probe is not w.random and (n_layers := len(plan.outputs)):
                lines += [f"  {line}" for line in _slow_metrics(w, probe, n_layers, plan.width // n_layers)]
    return lines, readable


def _is_rehearsed(probe: Probe, model: nn.Module, ranks: ProcessGroup) -> bool:
    return bool(probe.rehearse(model, ranks))


def _slow_metrics(watched: BenchmarkProbe, probe: Probe, n_layers: int, n_features: int) -> list[str]:
    """What scoring so many layers, in each pooling, takes by metrics that may be slow, tried on random numbers."""
    try:
        seconds = watched.benchmark.scoring_seconds(max(n_features, 1))
    except MetricError as error:
        return [str(error)]
    n_poolings = len(probe.poolings)
    several = f" in {n_poolings} poolings" * (n_poolings > 1)
    return [
        f"{name}: about {each * n_layers * n_poolings:.3g} s of scoring per probe ({n_layers} layers of {n_features} "
        f"features{several}, controls included); less by schedule=, layers= or controls=False"
        for name, each in seconds.items()
        if each * n_layers * n_poolings > _SLOW
    ]
