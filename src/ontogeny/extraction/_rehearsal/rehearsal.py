"""Rehearsal: before a model is read on all stimuli, it is read on eight, several times, to find out how.

How it is called and in which precision; which layers run, and how often; what the axes of their outputs are; whether a
stimulus read alone gives what it gives in a batch; whether two readings are alike; whether everything is put back.
What is found becomes a `ReadingPlan`. A layer that cannot be read rightly is refused by name in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from ontogeny.extraction._forward.calling import Call, TextCall
from ontogeny.extraction._forward.hooked_pass import can_be_left
from ontogeny.extraction._forward.module_outputs import Path
from ontogeny.extraction._rehearsal.axes import Axes, batch_axis, batch_first, token_axes
from ontogeny.extraction._rehearsal.call_trials import first_that_runs, precision
from ontogeny.extraction._rehearsal.causality import is_causal
from ontogeny.extraction._rehearsal.chosen_tensor import Chosen, choose
from ontogeny.extraction._rehearsal.mask_polarity import try_masks
from ontogeny.extraction._rehearsal.pass_outputs import Key, Outputs, alike, width
from ontogeny.extraction._rehearsal.passes import LOGITS, Passes
from ontogeny.extraction._rehearsal.reading_plan import DEPENDS, ReadingPlan, Way
from ontogeny.extraction._rehearsal.samples import longest, sample, several, texts, varied
from ontogeny.extraction._rehearsal.spatial_axes import space_axes
from ontogeny.extraction.isolation import Observed, observing
from ontogeny.extraction.layers import SURPRISAL, Entrance, choose_layers, module_of, plain_model
from ontogeny.extraction.model_inputs import Batch, ModelInputs
from ontogeny.extraction.preserved import LeftBehindError, what_reading_changes
from ontogeny.extraction.process_group import SINGLE_PROCESS, ProcessGroup, is_sharded
from ontogeny.extraction.state import SavedState
from ontogeny.extraction.surprisal import looks_ahead, picked_logits

__all__ = ["rehearse"]

_MOST_CALLS = 64


def rehearse(
    model: nn.Module, reader: ModelInputs, way: Way, ranks: ProcessGroup = SINGLE_PROCESS, *, batch_size: int = 8
) -> ReadingPlan:
    """Find out how a model is read.

    Args:
        model: any module; it is left as it was.
        reader: the stimuli as batches.
        way: how the user wants it to be read.
        ranks: who read together.
        batch_size: stimuli that the model takes at once; 1: each is read alone.

    Raises:
        ProbeError: the model cannot be read at all.
        LayerNotFoundError: no such layer or submodule.
        LeftBehindError: reading changes what cannot be put back; it is named.
    """
    bare = plain_model(model)
    base = sample(reader, batch_size)
    before = SavedState(bare, copied=lambda _: False)
    call, autocast, alone, counts = first_that_runs(bare, base, way, ranks, alone=batch_size == 1)
    stimuli = several(base) if not alone else base.only([0])
    with observing(bare, ranks, autocast=autocast) as seen:
        passes = _passes(seen, way, call, stimuli, counts)
        plan = _Rehearsal(passes, stimuli).plan(alone=alone)
        text = longest(reader)
        if text is not None and (text.n_tokens or 0) > (stimuli.n_tokens or 0):  # it may be beyond the model's context
            passes.run(text.only([0] * stimuli.size))
    left = {**dict.fromkeys(before.restore(), "not as before"), **before.lost}
    if left:
        raise LeftBehindError(
            "reading the model changes what cannot be put back: "
            + "; ".join(f"{name or 'the model'}: {why}" for name, why in list(left.items())[:5])
        )
    return replace(plan, autocast=autocast, changes=what_reading_changes(bare), precision=precision(bare, autocast))


@dataclass(slots=True)
class _Rehearsal:
    """What is concluded from the passes."""

    passes: Passes
    base: Batch
    refused: dict[str, str] = field(default_factory=dict)

    def plan(self, *, alone: bool) -> ReadingPlan:
        """Read several times; the plan, as far as it is found here."""
        passes, base = self.passes, self.base
        start = time.perf_counter()
        whole = passes.first(base)
        seconds = (time.perf_counter() - start) / base.size
        draws = passes.seen.drew()
        fewer = passes.run(base if alone else base.only(range(base.size - 1)))
        other = passes.attempt(varied(base.only(range(min(2, base.size)))))
        calls = self._calls(whole, fewer)
        found = self._outputs(calls, whole, fewer, other)
        again, last = self._again({calls[name]: chosen for name, chosen in found.items()}, whole)
        if surprisal := passes.surprisal and self._has_surprisal(whole):
            calls[SURPRISAL], found[SURPRISAL] = LOGITS, Chosen(path=(), axes=Axes())
        self._refuse_unlike(calls, found, whole, again)
        self._try_masks({calls[name]: chosen for name, chosen in found.items()})
        if not alone:
            alone = self._depends_on_batch(whole, {n: (calls[n], c) for n, c in found.items() if n not in self.refused})
        kept = {n: key for n, key in calls.items() if n not in self.refused and n != SURPRISAL}
        named = passes.way.named(passes.seen.model)
        names = {id(module): name for name, module in named.items()}
        return ReadingPlan(
            call=passes.call,
            calls=kept,
            modules={name: names[id(module_of(passes.layers[name]))] for name, _ in kept.values()},
            entrances=frozenset(name for name, layer in passes.layers.items() if isinstance(layer, Entrance)),
            outputs=found,
            refused=self.refused,
            alone=alone,
            draws=draws,
            seconds=seconds,
            width=sum(width(whole.tensor(key, found[name].path), found[name]) for name, key in kept.items()),
            surprisal=surprisal and SURPRISAL not in self.refused,
            causal=base.n_tokens is not None
            and is_causal(whole, other, {calls[n]: c for n, c in found.items() if n not in self.refused}),
            last=last,
        )

    def _again(self, read: Mapping[Key, Chosen], whole: Outputs) -> tuple[Outputs, Key | None]:
        """A second reading, left after the last layer where that gives the same; and this layer."""
        passes, order = self.passes, [key for key in whole.caught if key in read]
        if order and not passes.surprisal and can_be_left(passes.part) and not is_sharded(passes.seen.model):
            early = passes.run(self.base, last=order[-1])
            if all(alike(whole.tensor(key, c.path), early.tensor(key, c.path)) for key, c in read.items()):
                return early, order[-1]
        return passes.run(self.base), None

    def _outputs(self, calls: Mapping[str, Key], whole: Outputs, fewer: Outputs, other: Outputs) -> dict[str, Chosen]:
        """Which tensor of each layer's output is read; a layer without any is refused."""
        found: dict[str, Chosen] = {}
        for name, key in calls.items():
            chosen = self._chosen(key, whole, fewer, other)
            if isinstance(chosen, str):
                self.refused[name] = chosen
            else:
                found[name] = chosen
        return found

    def _refuse_unlike(
        self, calls: Mapping[str, Key], found: Mapping[str, Chosen], whole: Outputs, again: Outputs
    ) -> None:
        """Layers that two readings of the same weights differ in."""
        for name, chosen in found.items():
            if not alike(whole.tensor(calls[name], chosen.path), again.tensor(calls[name], chosen.path)):
                self.refused[name] = (
                    "two readings of the same weights differ; it draws numbers that no seed reaches, or keeps state "
                    "where it is not found"
                )

    def _try_masks(self, read: Mapping[Key, Chosen]) -> None:
        """See whether 1 in a mask that the model needs keeps a token."""
        call = self.passes.call
        if isinstance(call, TextCall) and call.masks:
            try_masks(lambda other, batch: self.passes.run(batch, other), call, self.base, read)

    def _calls(self, whole: Outputs, fewer: Outputs) -> dict[str, Key]:
        """Name -> (module, number of the call) of all that ran; the others are refused."""
        layers = self.passes.way.layers
        names_given = [layers] if isinstance(layers, str) else list(layers)
        calls: dict[str, Key] = {}
        refused = self.refused
        for name, module in ((name, module_of(layer)) for name, layer in self.passes.layers.items()):
            if module is None:
                continue
            n = sum(key[0] == name for key in whole.caught)
            if name == SURPRISAL:
                refused[name] = "a module of this name would be taken for the surprisal of texts; choose one around it"
            elif not n:
                scripted = isinstance(module, torch.jit.ScriptModule)
                refused[name] = "TorchScript calls no hooks" if scripted else "it was not run in the forward pass"
            elif n > _MOST_CALLS:
                refused[name] = f"it is run {n} times in one forward pass; at most {_MOST_CALLS} calls are read"
            elif n != sum(key[0] == name for key in fewer.caught):
                refused[name] = "how often it is run depends on the batch"
            else:
                names = {f"{name}[{i}]" if n > 1 else name: (name, i) for i in range(n)}
                by_key = {numbered: key for numbered, key in names.items() if numbered in names_given}
                calls.update(by_key or names)
        return calls

    def _chosen(self, key: Key, whole: Outputs, fewer: Outputs, other: Outputs) -> Chosen | str:
        """Which tensor of one layer's output is read, or why there is none."""
        if not whole.caught[key]:
            return f"the layer returned {whole.kinds[key]} without a tensor in it"
        axes = partial(self._axes, key, whole, fewer, other)
        entered = self.passes.entered.shapes.get(key[0])
        return choose(whole.caught[key], axes, entered, text=self.base.n_tokens is not None)

    def _axes(self, key: Key, whole: Outputs, fewer: Outputs, other: Outputs, path: Path) -> Axes | str:
        """The axes of one tensor, or why it has none that could be read."""
        a, b, c = whole.tensor(key, path), fewer.tensor(key, path), other.tensor(key, path)
        n = self.base.size
        if a is None or b is None:
            return "which tensors are in its output depends on the batch"
        if not a.is_floating_point() or a.layout is not torch.strided:
            kind = str(a.dtype if not a.is_floating_point() else a.layout).removeprefix("torch.")
            return f"the layer's output is {kind}, and features are floating-point numbers; choose another layer"
        batch = batch_axis(a.shape, b.shape, n, n - 1 if n > 1 else 1)
        if batch is None:
            return (
                f"the layer's output should have one axis of the batch ({n} stimuli), got shape {tuple(a.shape)}; "
                "choose another layer, or the module around it"
            )
        shape = None if c is None else c.shape
        tokens = self.base.n_tokens
        if tokens is not None:
            shorter = varied(self.base).n_tokens or 0
            return token_axes(a.shape, shape, (tokens, shorter), batch)
        module = module_of(self.passes.layers[key[0]])
        assert module is not None  # noqa: S101 - it was run
        found = space_axes(a.shape, shape, batch, module, self.passes.maps)
        return Axes(batch=batch, positions=found.positions, prefix=self._prefix(a, found), why=found.why)

    def _prefix(self, x: Tensor, axes: Axes) -> int:
        """Class and register tokens, of a layer of tokens in a model that says how many it has.

        A layer that has as many tokens as there are patches has none of them yet.
        """
        if axes.positions is None or len(axes.positions) != 1:
            return 0
        part = self.passes.part
        prefix = next(iter(_declared_size(part, "num_prefix_tokens")), 0)
        n = x.shape[axes.positions[0]]
        places = _declared_size(part, "num_patches") or [k * k for k in range(1, 200)]
        return prefix if n - prefix in places and n not in places else 0

    def _depends_on_batch(self, whole: Outputs, read: Mapping[str, tuple[Key, Chosen]]) -> bool:
        """Whether each has to be read alone, since it gives something else than in the batch.

        Where none can be, the layers that depend on the batch are refused.
        """
        depending: set[str] = set()
        can_be_alone = True
        for i in sorted({0, self.base.size // 2, self.base.size - 1}):
            few = self.passes.attempt(self.base.only([i]))
            can_be_alone = can_be_alone and not few.failed
            if not can_be_alone:
                few = self.passes.attempt(self.base.only([i, (i + 1) % self.base.size]))
            for name, (key, found) in read.items():
                together, apart = whole.tensor(key, found.path), few.tensor(key, found.path)
                if (
                    together is None
                    or apart is None
                    or apart.ndim != together.ndim
                    or not alike(batch_first(together, found.axes)[i], batch_first(apart, found.axes)[0])
                ):
                    depending.add(name)
        if not can_be_alone:
            self.refused.update({name: DEPENDS for name in read if name in depending})
        return can_be_alone and bool(depending)

    def _has_surprisal(self, whole: Outputs) -> bool:
        """Else it is refused."""
        ids = self.base.inputs["input_ids"] if self.base.n_tokens is not None else None
        before = picked_logits(whole.returned, ids) if ids is not None else None
        if ids is None:
            why = "'surprisal' is for text"
        elif before is None:
            why = "'surprisal' needs logits of shape batch x tokens x vocabulary, and the model gives none"
        elif ids.shape[1] < 2:
            why = "'surprisal' needs texts of two tokens or more"
        elif self._looks_ahead(ids, before):
            why = "'surprisal' is for causal language models, and this one's logits at a token depend on later tokens"
        else:
            return True
        self.refused[SURPRISAL] = why
        return False

    def _looks_ahead(self, ids: Tensor, before: Tensor) -> bool:
        """Whether logits move with a later token."""
        changed = ids.clone()
        changed[:, -1] = (changed[:, -1] + 1) % before.shape[-1]
        after = picked_logits(self.passes.run(texts(changed, self.base.rows)).returned, ids)
        return after is None or looks_ahead(before, after)


def _passes(seen: Observed, way: Way, call: Call, stimuli: Batch, counts: Mapping[str, int]) -> Passes:
    """Of the layers that the user wants."""
    text = way.modality == "text"
    layers = choose_layers(way.part(seen.model), way.layers, named=way.named(seen.model), ran=counts, text=text)
    shape = tuple(stimuli.inputs["pixels"].shape) if stimuli.n_tokens is None else None
    return Passes(seen, way, call, layers, shape)


def _declared_size(model: nn.Module, attribute: str) -> tuple[int, ...]:
    """What its modules say of themselves."""
    found = (getattr(module, attribute, None) for module in model.modules())
    return tuple(n for n in found if isinstance(n, int))
