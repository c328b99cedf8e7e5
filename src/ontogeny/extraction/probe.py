"""Probe: the model reads the stimulus set, its layers become stimuli x features, no trace is left.

A probe is a measurement, not a trained linear head.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny._arrays import digest_of
from ontogeny._display import one_line
from ontogeny._import_string import import_from_string
from ontogeny.errors import ProbeError
from ontogeny.extraction._batch_dependence import Largest, Longest, depending
from ontogeny.extraction._forward.calling import Call
from ontogeny.extraction._forward.hooked_pass import place
from ontogeny.extraction._interrupts import held
from ontogeny.extraction._per_model import PerModel
from ontogeny.extraction._rank_reading import Excerpt, Reading, Share
from ontogeny.extraction._rehearsal.reading_plan import ReadingPlan, Way
from ontogeny.extraction._rehearsal.rehearsal import rehearse
from ontogeny.extraction._tokens import Tokens
from ontogeny.extraction.features import Features, Site
from ontogeny.extraction.fsdp1 import gathered
from ontogeny.extraction.isolation import Observed, observing
from ontogeny.extraction.layers import SURPRISAL, choose_layers, plain_model
from ontogeny.extraction.model_inputs import Batch, ImageType, ModelInputs, make_inputs
from ontogeny.extraction.pooling import Pooling, pooling_name
from ontogeny.extraction.process_group import SINGLE_PROCESS, ProcessGroup, is_sharded
from ontogeny.extraction.random_state import same_randomness
from ontogeny.extraction.surprisal import surprisal_site
from ontogeny.metrics.layer_geometry import refusal
from ontogeny.stimuli import StimulusSet

__all__ = ["Probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How a model is read on one stimulus set.

    Before the first reading of a model comes a rehearsal on eight stimuli, see
    `ontogeny.extraction._rehearsal.rehearsal`.

    Args:
        stimuli: what it reads.
        reader: a Hugging Face tokenizer or a callable text -> token ids (text); a callable image -> tensor (images).
        layers: "auto" (blocks of a transformer with what enters the first of them, stages of a CNN), or names and
            globs. What enters the first block is called "embeddings"; where a module has this name and is asked for by
            it, that module's output is read, and what enters the first block is "block_input". "surprisal" adds each
            sentence's mean token surprisal in nats (causal language models, text).
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
    _reader: ModelInputs = field(init=False, repr=False)
    _plans: PerModel[ReadingPlan] = field(init=False, repr=False, compare=False, default_factory=PerModel)

    __repr__ = one_line

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ProbeError(f"batch_size should be at least 1, got {self.batch_size}")
        if self.truncation is not None and self.truncation < 1:
            raise ProbeError(f"truncation should be at least 1 token, got {self.truncation}")
        for pooling in self.poolings:
            pooling_name(pooling)
        reads_surprisal = SURPRISAL in ([self.layers] if isinstance(self.layers, str) else self.layers)
        stimuli = self.stimuli if reads_surprisal else replace(self.stimuli, tails=None)
        with same_randomness():
            made = make_inputs(stimuli, self.reader, truncation=self.truncation, image_type=self.image_type)
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
        call = import_from_string(self.call) if isinstance(self.call, str) else self.call
        return Way(
            modality=self.stimuli.modality, layers=self.layers, module=self.module, call=call, ids=self.stimuli.ids
        )

    def sites(self, model: nn.Module) -> tuple[str, ...]:
        """Names of the layers that this probe reads in `model`; before its rehearsal, as far as they are known.

        Raises:
            LayerNotFoundError: a name or glob that no layer has.
        """
        bare = plain_model(model)
        if (plan := self._plans.get(bare)) is not None:
            return tuple(plan.calls)
        way, text = self._way(), self.stimuli.modality == "text"
        return tuple(choose_layers(way.part(bare), self.layers, named=way.named(bare), text=text, around=model))

    @held
    def rehearse(self, model: nn.Module, ranks: ProcessGroup = SINGLE_PROCESS) -> ReadingPlan:
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
        with gathered(model, ranks.timeout):
            plan = rehearse(bare, self._reader, self._way(), ranks, batch_size=self.batch_size)
        return self._plans.set(bare, plan)

    def forget(self, model: nn.Module) -> None:
        """Rehearse this model anew before it is read again, as one that holds other weights now."""
        self._plans.forget(plain_model(model))

    def fingerprint(self, model: nn.Module) -> str | None:
        """Sixteen hex digits over all that features depend on beside the weights: inputs, layers, poolings.

        None where a pooling or the call is a function of the user's own.
        """
        if any(callable(pooling) for pooling in self.poolings) or self.call is not None:
            return None
        kind = type(plain_model(model)).__qualname__
        first = (kind, self.module, self.stimuli.ids, self.layers, self.poolings)
        batches = self._reader.batches(self.batch_size)
        inputs = (sorted({**b.inputs, **({} if b.spans is None else {"spans": b.spans})}.items()) for b in batches)
        flat = (part for pairs in inputs for name, tensor in pairs for part in (name, tensor.numpy()))
        return digest_of(itertools.chain(first, flat))

    @held
    def __call__(self, model: nn.Module, ranks: ProcessGroup = SINGLE_PROCESS) -> Features:
        """Read the stimulus set.

        A layer whose output cannot be used (NaN, no axis of the batch, the same for every stimulus, not run) is refused
        by name, the others go on; there may be none left. Two stimuli are read again alone: where they give something
        else than in their batch, all are read again, each alone, in this probe and in the later ones.

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
        if self._plans_otherwise(model, shares, ranks):
            shares = ranks.each(lambda: self._read(model, ranks))
        refused: dict[Site, str] = {}
        collected: dict[Site, dict[int, Tensor]] = {}
        for share in shares:
            refused.update(share.refused)
            for site, batches in share.vectors.items():
                collected.setdefault(site, {}).update(batches)
        first = next(iter(shares), Share())
        ordered = {site: collected[site] for site in first.order if site in collected}
        values = self._joined(ordered, refused, first.rows)
        for site, x in values.items():
            judged = x[~x.isnan().any(dim=1)] if site.layer == SURPRISAL else x  # texts of one token have none
            if (why := refusal(judged) if len(judged) else "texts of one token have no surprisal") is not None:
                refused[site] = why
            elif len(judged) < len(x) and self.stimuli.tails is not None:
                values[site] = torch.where(x.isnan(), judged.mean(dim=0), x)
                first.notes.append(f"{len(x) - len(judged)} words with nothing before them have the mean surprisal")
        return Features(
            stimulus_ids=self.stimuli.ids,
            values={site: x for site, x in values.items() if site not in refused},
            refused=refused,
            seconds=time.perf_counter() - start,
            notes=tuple(first.notes),
        )

    def _plans_otherwise(self, model: nn.Module, shares: Sequence[Share], ranks: ProcessGroup) -> bool:
        """Whether the model has to be read again, since features were found to depend on what else is in a batch."""
        found = ranks.once(
            lambda: (
                {n for s in shares for n in s.depending},
                any(s.cannot for s in shares),
                any(s.ahead for s in shares),
            )
        )
        layers, cannot, ahead = found or (set(), False, False)
        plan = self.rehearse(model, ranks)
        if ahead:
            plan = plan.one_by_one()
        if layers:
            plan = plan.without(layers) if cannot else plan.apart()
        self._plans.set(plain_model(model), plan)
        return bool(layers) or ahead

    def _joined(
        self, collected: dict[Site, dict[int, Tensor]], refused: dict[Site, str], rows: dict[int, tuple[int, ...]]
    ) -> dict[Site, Tensor]:
        """Stimuli x features of each site, in the order of the stimuli."""
        values: dict[Site, Tensor] = {}
        for site, batches in collected.items():
            widths = {x.shape[1] for x in batches.values()}
            if len(widths) > 1 and site not in refused:
                several = f"{min(widths)} to {max(widths)} features"
                refused[site] = f"{several}, since the texts differ in length; pool by mean or last"
            if site in refused:
                continue
            out = next(iter(batches.values())).new_empty(len(self.stimuli), *widths)
            values[site] = out
            for index, x in batches.items():
                out[list(rows[index])] = x.to(out.device)
        return values

    def _batches(self, plan: ReadingPlan) -> Iterator[Batch]:
        """All stimuli in batches that say which rows they are."""
        start, size = 0, 1 if plan.alone else self.batch_size
        read = self._reader.shared if self._shares(plan) else self._reader.batches  # type: ignore[attr-defined]
        for batch in read(size):
            mask = batch.inputs.get("attention_mask")
            if mask is not None and not bool(mask.all()):
                raise ProbeError("a batch should hold texts of one length without padding, but its mask has zeros")
            rows = batch.rows or tuple(range(start, start + batch.size))
            start += batch.size
            yield replace(batch, rows=rows)

    def _shares(self, plan: ReadingPlan) -> bool:
        return plan.causal and self.poolings == ("last",) and isinstance(self._reader, Tokens)

    def n_passes(self, plan: ReadingPlan) -> int:
        """How many texts or pictures a probe reads; fewer than stimuli where some lie in others."""
        return self._reader.n_shared() if self._shares(plan) else len(self.stimuli)  # type: ignore[attr-defined]

    def _read(self, model: nn.Module, ranks: ProcessGroup) -> Share:
        """This rank's batches, pooled; on the CPU where they will travel."""
        plan = self.rehearse(model, ranks)
        share = Share(notes=plan.notes(), order=self._order(plan))
        self._refuse(plan, share)
        with observing(model, ranks, autocast=plan.autocast) as seen:
            together, largest, longest = is_sharded(seen.model), Largest(), Longest()
            for index, batch in enumerate(self._batches(plan)):
                share.rows[index] = batch.rows
                if not together and index % ranks.size != ranks.rank:
                    continue
                placed = place(batch, seen.model)
                excerpt = None if plan.alone else largest.excerpt(placed)
                reading = Reading(self.poolings, plan, placed, share, excerpt)
                reading.finish(reading.run(seen, self._way()), index, travels=ranks.size > 1)
                longest.see(index, batch)
            share.depending, share.cannot = depending(largest, partial(self._excerpted, seen, plan))
            share.ahead = longest.ahead(share, lambda batch, own: self._alone(seen, plan, batch, own))
        return share if ranks.first or not together else Share()

    def _excerpted(self, seen: Observed, plan: ReadingPlan, batch: Batch, excerpt: Excerpt) -> None:
        reading = Reading((), plan, batch, Share(), excerpt)
        reading.finish(reading.run(seen, self._way()), 0, travels=False)

    def _alone(self, seen: Observed, plan: ReadingPlan, batch: Batch, share: Share) -> None:
        reading = Reading(self.poolings, plan, place(batch, seen.model), share)
        reading.finish(reading.run(seen, self._way()), 0, travels=True)

    def _order(self, plan: ReadingPlan) -> list[Site]:
        sites = [Site(name, pooling_name(how)) for name in plan.calls for how in self.poolings]
        return [*sites, surprisal_site(tails=self.stimuli.tails is not None)]

    def _refuse(self, plan: ReadingPlan, share: Share) -> None:
        for name, why in plan.refused.items():
            sites = [Site(name, pooling_name(how)) for how in self.poolings]
            sites = [surprisal_site(tails=self.stimuli.tails is not None)] if name == SURPRISAL else sites
            share.refused.update(dict.fromkeys(sites, why))
