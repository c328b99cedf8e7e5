"""The first way of calling a model that gives no error."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._forward.calling import Call, ways_to_call
from ontogeny.extraction._forward.hooked_pass import place, run
from ontogeny.extraction._rehearsal.reading_plan import Way
from ontogeny.extraction.isolation import observing
from ontogeny.extraction.layers import Layer
from ontogeny.extraction.model_inputs import Batch
from ontogeny.extraction.preserved import LeftBehindError
from ontogeny.extraction.process_group import ProcessGroup

__all__ = ["first_that_runs", "precision"]

_HALF = (torch.bfloat16, torch.float16)


def first_that_runs(
    model: nn.Module, base: Batch, way: Way, ranks: ProcessGroup, *, alone: bool = False
) -> tuple[Call, torch.dtype | None, bool, dict[str, int]]:
    """The first way of calling that gives no error.

    Args:
        model: the bare model.
        base: a few stimuli.
        way: how the user wants it to be read.
        ranks: who read together.
        alone: whether two stimuli together are not tried.

    Returns:
        The call, its precision, whether for single stimuli alone, and how often it ran each module.
    """
    part = way.part(model)
    calls = [way.call] if way.call is not None else list(ways_to_call(part, base))
    failed: list[ProbeError] = []
    two = base.only([0, min(1, base.size - 1)])
    for batch, single in ((base.only([0]), True),) if alone else ((two, False), (base.only([0]), True)):
        for autocast in (None, *_half_types(model)):
            for call in calls:
                counts: dict[str, int] = {}

                def count(name: str, number: int, _output: Any, counts: dict[str, int] = counts) -> None:
                    counts[name] = number + 1

                try:
                    with observing(model, ranks, autocast=autocast) as seen:
                        named: dict[str, Layer] = dict(way.named(seen.model))
                        placed = place(batch, seen.model)
                        run(way.part(seen.model), placed, call=call, layers=named, take=count, ids=way.ids)
                except LeftBehindError:
                    raise
                except ProbeError as error:
                    failed.append(error)
                else:
                    failed.clear()
                    return call, autocast, single, counts
    try:
        raise failed[0]
    finally:
        failed.clear()  # an error that is kept by the frame it came from would keep the saved state alive


def _half_types(model: nn.Module) -> list[torch.dtype]:
    """Types that autocast could be meant to run the model in: those around us, those of its own weights."""
    found = [p.dtype for p in model.parameters() if p.dtype in _HALF]
    kinds = {p.device.type for p in model.parameters()} | {"cpu"}
    around = [torch.get_autocast_dtype(kind) for kind in kinds - {"meta"} if torch.is_autocast_enabled(kind)]
    return list(dict.fromkeys((*around, *found)))


def precision(model: nn.Module, autocast: torch.dtype | None) -> str:
    """Types of the weights, and under what they are read, in words."""
    types = dict.fromkeys(str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.is_floating_point())
    weights = " and ".join(types)
    return f"{weights} under autocast {str(autocast).removeprefix('torch.')}" if autocast is not None else weights
