"""Probe: the model reads the stimulus set, its layers become stimuli x features, no trace is left.

A probe is a measurement, not a trained linear head.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from ontogeny._arrays import digest_of
from ontogeny.addresses import object_at
from ontogeny.errors import FeatureError, ProbeError
from ontogeny.extraction.calling import Call
from ontogeny.extraction.features import Features, Site
from ontogeny.extraction.forward import place, run
from ontogeny.extraction.inputs import Batch, ImageType, Reader, make_reader
from ontogeny.extraction.isolation import observing
from ontogeny.extraction.layers import SURPRISAL, choose_layers, plain_model
from ontogeny.extraction.outputs import tensors, whole
from ontogeny.extraction.per_model import PerModel
from ontogeny.extraction.plan import Plan, Way
from ontogeny.extraction.pooling import Pooling, pool, pooling_name
from ontogeny.extraction.randomness import same_randomness
from ontogeny.extraction.ranks import ALONE, Ranks, is_sharded
from ontogeny.extraction.rehearsal import rehearse
from ontogeny.extraction.surprisal import mean_surprisal
from ontogeny.metrics.view import refusal
from ontogeny.stimuli import StimulusSet

__all__ = ["Probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How a model is read on one stimulus set.

    Before the first reading of a model comes a rehearsal on eight stimuli, see `ontogeny.extraction.rehearsal`.

    Args:
        stimuli: what it reads.
        reader: a Hugging Face tokenizer or a callable text -> token ids (text); a callable image -> tensor (images).
        layers: "auto" (blocks of a transformer with what enters the first of them, stages of a CNN), or names and
            globs. What enters the first block is called "embeddings", or "block_input" where a module of the model is
            named embeddings, which is then read by its output; "surprisal" adds each sentence's mean token surprisal in
            nats (causal language models, text).
        pooling: one or several, see `ontogeny.extraction.pooling`.
        batch_size: stimuli per forward pass.
        module: name of the submodule that is read ("backbone", "model[0].auto_model"); empty: the model, or its tower
            or encoder for the stimuli's modality.
        call: how it is called, a function of the module and a batch (a mapping of tensors: "input_ids" and
            "attention_mask", or "pixels"), or its address "module:attribute"; None: by the signature of `forward`.
        truncation: longest text in tokens; what is longer is cut at its end. None: nothing is cut.
        image_type: what a transform is given: "pil" (RGB pictures of PIL) or "array" (height x width x 3, uint8).
    """

    stimuli: StimulusSet
    reader: Any
    layers: str | Sequence[str] = "auto"
    pooling: Pooling | Sequence[Pooling] = ""
    batch_size: int = 64
    module: str = ""
    call: Call | str | None = None
    truncation: int | None = None
    image_type: ImageType = "pil"
    _reader: Reader = field(init=False, repr=False)
    _plans: PerModel[Plan] = field(init=False, repr=False, compare=False, default_factory=PerModel)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ProbeError(f"batch_size should be at least 1, got {self.batch_size}")
        if self.truncation is not None and self.truncation < 1:
            raise ProbeError(f"truncation should be at least 1 token, got {self.truncation}")
        for pooling in self.poolings:
            pooling_name(pooling)
        with same_randomness():
            made = make_reader(self.stimuli, self.reader, truncation=self.truncation, image_type=self.image_type)
            object.__setattr__(self, "_reader", made)

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """The poolings; where none is given, "last" for text and "spatial_mean" for images."""
        if not self.pooling:
            return ("last",) if self.stimuli.modality == "text" else ("spatial_mean",)
        if isinstance(self.pooling, str) or callable(self.pooling):
            return (self.pooling,)
        return tuple(self.pooling)

    def _way(self) -> Way:
        call = object_at(self.call) if isinstance(self.call, str) else self.call
        return Way(
            modality=self.stimuli.modality, layers=self.layers, module=self.module, call=call, ids=self.stimuli.ids
        )

    def sites(self, model: nn.Module) -> tuple[str, ...]:
        """Names of the layers that this probe reads in `model`; before its rehearsal, as far as they can be told.

        Raises:
            LayerNotFoundError: a name or glob that no layer has.
        """
        bare = plain_model(model)
        if (plan := self._plans.get(bare)) is not None:
            return tuple(plan.calls)
        way = self._way()
        return tuple(choose_layers(way.part(bare), self.layers, named=way.named(bare), text=way.modality == "text"))

    def rehearse(self, model: nn.Module, ranks: Ranks = ALONE) -> Plan:
        """How `model` is read: found by reading eight stimuli several times, once for each model.

        Args:
            model: any module; it is left as it was.
            ranks: every rank has to call.

        Raises:
            ProbeError: the model cannot be read at all, or not without a trace.
            LayerNotFoundError: no such layer or submodule.
        """
        bare = plain_model(model)
        if (known := self._plans.get(bare)) is not None:
            return known
        return self._plans.set(bare, rehearse(bare, self._reader, self._way(), ranks, batch_size=self.batch_size))

    def fingerprint(self, model: nn.Module) -> str | None:
        """Sixteen hex digits over all that features depend on beside the weights: inputs, layers, poolings.

        None where a pooling or the call is a function of the user's own.
        """
        if any(callable(pooling) for pooling in self.poolings) or self.call is not None:
            return None
        kind = type(plain_model(model)).__qualname__
        first = (kind, self.module, self.stimuli.ids, self.layers, self.poolings)
        inputs = (sorted(batch.inputs.items()) for batch in self._reader.batches(self.batch_size))
        flat = (part for pairs in inputs for name, tensor in pairs for part in (name, tensor.numpy()))
        return digest_of(itertools.chain(first, flat))

    def __call__(self, model: nn.Module, ranks: Ranks = ALONE) -> Features:
        """Read the stimulus set.

        A layer whose output cannot be used (NaN, no axis of the batch, the same for every stimulus, not run) is refused
        by name, the others go on; there may be none left.

        Args:
            model: at the weights to be read.
            ranks: batch i is read by rank i modulo their number, and the first gathers; a sharded model is read by all
                together. Every rank has to call.

        Returns:
            The features; on the other ranks none.

        Raises:
            LayerNotFoundError: no such layer.
            ProbeError: the model cannot be run on the stimuli; on every rank, also where another one failed.
        """
        start = time.perf_counter()
        shares = ranks.each(lambda: self._read(model, ranks))
        refused: dict[Site, str] = {}
        collected: dict[Site, dict[int, Tensor]] = {}
        for share in shares:
            refused.update(share.refused)
            for site, batches in share.vectors.items():
                collected.setdefault(site, {}).update(batches)
        first = next(iter(shares), _Share())
        ordered = {site: collected[site] for site in first.order if site in collected}
        values = self._joined(ordered, refused, first.rows)
        for site, x in values.items():
            judged = x[~x.isnan().any(dim=1)] if site.layer == SURPRISAL else x  # texts of one token have none
            if (why := refusal(judged) if len(judged) else "texts of one token have no surprisal") is not None:
                refused[site] = why
        return Features(
            stimulus_ids=self.stimuli.ids,
            values={site: x for site, x in values.items() if site not in refused},
            refused=refused,
            seconds=time.perf_counter() - start,
            notes=tuple(first.notes),
        )

    def _joined(
        self, collected: dict[Site, dict[int, Tensor]], refused: dict[Site, str], rows: dict[int, tuple[int, ...]]
    ) -> dict[Site, Tensor]:
        """Stimuli x features of each site, in the order of the stimuli."""
        values: dict[Site, Tensor] = {}
        for site, batches in collected.items():
            widths = {x.shape[1] for x in batches.values()}
            if len(widths) > 1 and site not in refused:
                refused[site] = (
                    f"{min(widths)} to {max(widths)} features, since the texts differ in length; pool by mean or last"
                )
            if site in refused:
                continue
            first = next(iter(batches.values()))
            out = first.new_empty(len(self.stimuli), first.shape[1])
            for index, x in batches.items():
                out[list(rows[index])] = x.to(out.device)
            values[site] = out
        return values

    def _batches(self, plan: Plan) -> Iterator[Batch]:
        """All stimuli in batches that say which rows they are."""
        start = 0
        for batch in self._reader.batches(1 if plan.alone else self.batch_size):
            mask = batch.inputs.get("attention_mask")
            if mask is not None and not bool(mask.all()):
                raise ProbeError("a batch should hold texts of one length without padding, but its mask has zeros")
            rows = batch.rows or tuple(range(start, start + batch.size))
            start += batch.size
            yield Batch(inputs=batch.inputs, size=batch.size, rows=rows, special=batch.special)

    def _read(self, model: nn.Module, ranks: Ranks) -> _Share:
        """This rank's batches, pooled; on the CPU where they will travel."""
        plan = self.rehearse(model, ranks)
        way = self._way()
        share = _Share(notes=plan.notes(), order=self._order(plan))
        self._refuse(plan, share)
        with observing(model, ranks, autocast=plan.autocast) as seen:
            together = is_sharded(seen.model)
            for index, batch in enumerate(self._batches(plan)):
                share.rows[index] = batch.rows
                if not together and index % ranks.size != ranks.rank:
                    continue
                seen.again()
                part, named = way.part(seen.model), way.named(seen.model)
                reading = _Reading(self.poolings, plan, place(batch, seen.model), share, index, ranks.size > 1)
                output = run(
                    part,
                    reading.batch,
                    call=plan.call,
                    layers=plan.layers(named),
                    take=reading.take,
                    ids=self.stimuli.ids,
                )
                reading.finish(output)
        return share if ranks.first or not together else _Share()

    def _order(self, plan: Plan) -> list[Site]:
        sites = [Site(name, pooling_name(how)) for name in plan.calls for how in self.poolings]
        return [*sites, Site(SURPRISAL, "mean")]

    def _refuse(self, plan: Plan, share: _Share) -> None:
        for name, why in plan.refused.items():
            poolings: tuple[Pooling, ...] = ("mean",) if name == SURPRISAL else self.poolings
            share.refused.update({Site(name, pooling_name(how)): why for how in poolings})


@dataclass(slots=True)
class _Share:
    """What one rank read: site -> number of the batch -> stimuli x features, with rows, refusals, notes and order."""

    vectors: dict[Site, dict[int, Tensor]] = field(default_factory=dict)
    refused: dict[Site, str] = field(default_factory=dict)
    rows: dict[int, tuple[int, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    order: list[Site] = field(default_factory=list)


class _Reading:
    """One batch: what the hooks give is pooled at once, so that no layer's whole output is kept."""

    def __init__(
        self, poolings: Sequence[Pooling], plan: Plan, batch: Batch, share: _Share, index: int, travels: bool
    ) -> None:
        self.batch, self._plan, self._poolings = batch, plan, poolings
        self._share, self._index, self._travels = share, index, travels
        self._names = {key: name for name, key in plan.calls.items()}
        self._seen: set[str] = set()

    def take(self, module: str, number: int, output: Any) -> None:
        """Pool one call of a layer."""
        name = self._names.get((module, number))
        if name is None:
            return
        self._seen.add(name)
        for how in self._poolings:
            self._keep(Site(name, pooling_name(how)), partial(self._pooled, name, output, how))

    def _pooled(self, name: str, output: Any, how: Pooling) -> Tensor:
        chosen = self._plan.outputs[name]
        axes, found = chosen.axes, tensors(output).get(chosen.path)
        if found is None or found.ndim <= axes.batch or found.shape[axes.batch] != self.batch.size:
            shape = type(output).__name__ if found is None else tuple(found.shape)
            raise FeatureError(f"its output has no axis of the {self.batch.size} stimuli of a batch, got {shape}")
        output = whole(found)
        if axes.per_token:
            self._check_tokens(output, axes.positions)
        mask = self.batch.inputs.get("attention_mask")
        return pool(output, axes, how, mask=mask, special=self.batch.special)

    def _check_tokens(self, output: Tensor, positions: tuple[int, ...] | None) -> None:
        n = self.batch.n_tokens
        if n is not None and positions and output.shape[positions[0]] != n:
            raise FeatureError(f"it gives {output.shape[positions[0]]} tokens for a text of {n}")

    def finish(self, output: Any) -> None:
        """What is computed from the output of the whole; layers that were not run this time are refused."""
        for name in self._plan.calls:
            if name not in self._seen:
                for how in self._poolings:
                    self._share.refused[Site(name, pooling_name(how))] = "it was not run for some of the stimuli"
        if self._plan.surprisal:
            self._keep(Site(SURPRISAL, "mean"), lambda: mean_surprisal(output, self.batch))

    def _keep(self, site: Site, vector: Callable[[], Tensor]) -> None:
        if site in self._share.refused:
            return
        try:
            pooled = vector()
        except FeatureError as error:
            self._share.refused[site] = str(error)
            return
        self._share.vectors.setdefault(site, {})[self._index] = pooled.cpu() if self._travels else pooled
