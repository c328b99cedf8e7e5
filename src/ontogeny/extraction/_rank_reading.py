"""What one rank reads: batch by batch, each layer pooled at once; and a few stimuli of the largest batches unpooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ontogeny.errors import FeatureError
from ontogeny.extraction._forward.hooked_pass import run
from ontogeny.extraction._forward.module_outputs import tensors, whole
from ontogeny.extraction._rehearsal.axes import batch_first
from ontogeny.extraction._rehearsal.reading_plan import ReadingPlan, Way
from ontogeny.extraction.features import Site
from ontogeny.extraction.isolation import Observed
from ontogeny.extraction.layers import SURPRISAL
from ontogeny.extraction.model_inputs import Batch
from ontogeny.extraction.pooling import Pooling, pool, pool_spans, pooling_name
from ontogeny.extraction.surprisal import picked_logits, surprisal, surprisal_site

__all__ = ["Excerpt", "Reading", "Share"]


@dataclass(slots=True)
class Share:
    """What one rank read.

    Args:
        vectors: site -> number of the batch -> stimuli x features.
        refused: site -> why it has none.
        rows: number of the batch -> places of its stimuli in the set.
        notes: on how they were read.
        order: of the sites.
        depending: layers whose features depend on what else is in a batch.
        ahead: layers whose features of a text are others where it is the beginning of a longer one.
        cannot: whether the model cannot read a stimulus alone, where any do.
    """

    vectors: dict[Site, dict[int, Tensor]] = field(default_factory=dict)
    refused: dict[Site, str] = field(default_factory=dict)
    rows: dict[int, tuple[int, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    order: list[Site] = field(default_factory=list)
    depending: set[str] = field(default_factory=set)
    ahead: set[str] = field(default_factory=set)
    cannot: bool = False


@dataclass(slots=True)
class Excerpt:
    """The middle and the last stimulus of a batch, and what the layers gave for each.

    Args:
        few: the two, on the model's device.
        places: of these in the batch.
        outputs: layer -> two outputs, without the axis of the batch.
    """

    few: Batch
    places: tuple[int, int]
    outputs: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: Batch) -> Excerpt:
        """Of a batch of two stimuli or more."""
        places = ((batch.size - 1) // 2, batch.size - 1)
        return cls(batch.only(places), places)

    def take(self, name: str, output: Tensor) -> None:
        """Keep two stimuli of a layer's output, whose first axis is the batch."""
        first, second = (output[place].clone() for place in self.places)
        self.outputs[name] = (first, second)


class Reading:
    """One batch: what the hooks give is pooled at once, so that no layer's whole output is kept.

    Args:
        poolings: of every layer.
        plan: how the model is read.
        batch: on the model's device.
        excerpt: takes some stimuli of each layer's output; None: not needed.
    """

    def __init__(
        self, poolings: Sequence[Pooling], plan: ReadingPlan, batch: Batch, share: Share, excerpt: Excerpt | None = None
    ) -> None:
        self.batch, self._plan, self._poolings = batch, plan, poolings
        self._share, self._excerpt = share, excerpt
        self._names = {key: name for name, key in plan.calls.items()}
        self._seen: set[str] = set()
        self._vectors: dict[Site, Tensor] = {}

    def take(self, module: str, number: int, output: Any) -> None:
        """Pool one call of a layer."""
        name = self._names.get((module, number))
        if name is None:
            return
        self._seen.add(name)
        try:
            x = self._tensor(name, output)
        except FeatureError as error:
            self._refuse(name, str(error))
            return
        axes = self._plan.outputs[name].axes
        if self._excerpt is not None:
            self._excerpt.take(name, batch_first(x, axes))
        mask = self.batch.inputs.get("attention_mask")
        for how in self._poolings:
            pooled = partial(pool, x, axes, how, mask=mask, special=self.batch.special)
            if self.batch.shared and self.batch.spans is not None:
                pooled = partial(pool_spans, x, axes, self.batch.spans)
            self._keep(Site(name, pooling_name(how)), pooled)

    def _tensor(self, name: str, output: Any) -> Tensor:
        chosen, n = self._plan.outputs[name], self.batch.n_tokens
        axes, found = chosen.axes, tensors(output).get(chosen.path)
        if found is None or found.ndim <= axes.batch or found.shape[axes.batch] != self.batch.size:
            shape = type(output).__name__ if found is None else tuple(found.shape)
            raise FeatureError(f"its output has no axis of the {self.batch.size} stimuli of a batch, got {shape}")
        if axes.per_token and n is not None and axes.positions and found.shape[axes.positions[0]] != n:
            raise FeatureError(f"it gives {found.shape[axes.positions[0]]} tokens for a text of {n}")
        return whole(found)

    def run(self, seen: Observed, way: Way) -> Any:
        """One forward pass, left after the last layer; run to its end where another one was the last this time.

        Returns:
            What the model returned, where it was run to its end.
        """
        part, layers = way.part(seen.model), self._plan.layers(way.named(seen.model))
        once = partial(run, part, self.batch, call=self._plan.call, layers=layers, take=self.take, ids=way.ids)
        seen.again()
        returned = once(last=self._plan.last)
        if self._plan.last is None or self._seen.issuperset(self._plan.calls):
            return returned
        seen.again()
        return once()

    def finish(self, output: Any, index: int, *, travels: bool) -> None:
        """What is computed from the output of the whole; layers that were not run this time are refused.

        Args:
            output: of the model.
            index: number of the batch.
            travels: whether the vectors will go to another process.
        """
        for name in self._plan.calls:
            if name not in self._seen:
                self._refuse(name, "it was not run for some of the stimuli")
        if self._plan.surprisal:
            logits = picked_logits(output, self.batch.inputs["input_ids"])
            if self._excerpt is not None and logits is not None:
                self._excerpt.take(SURPRISAL, whole(logits))
            self._keep(surprisal_site(tails=self.batch.tails), partial(surprisal, output, self.batch))
        for site, x in self._vectors.items():
            self._share.vectors.setdefault(site, {})[index] = x.cpu() if travels else x

    def _refuse(self, name: str, why: str) -> None:
        for how in self._poolings:
            self._share.refused.setdefault(Site(name, pooling_name(how)), why)

    def _keep(self, site: Site, vector: Callable[[], Tensor]) -> None:
        if site in self._share.refused:
            return
        try:
            self._vectors[site] = vector()
        except FeatureError as error:
            self._share.refused[site] = str(error)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            what = f"pooling {site.pooling!r} failed on its output, {type(error).__name__}: {error}"
            self._share.refused[site] = f"{what}; pass another pooling"
