"""Rehearsal: before a model is read on all stimuli, it is read on eight, several times, to find out how.

How it is called and in which precision; which layers run, and how often; what the axes of their outputs are; whether a
stimulus read alone gives what it gives in a batch; whether two readings are alike; whether everything is put back.
What is found becomes a `ReadingPlan`. A layer that cannot be read rightly is refused by name in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._forward.calling import Call, TextCall
from ontogeny.extraction._forward.hooked_pass import place, run
from ontogeny.extraction._forward.module_outputs import Path
from ontogeny.extraction._rehearsal.axes import Axes, batch_axis, batch_first, token_axes
from ontogeny.extraction._rehearsal.call_trials import first_that_runs, precision
from ontogeny.extraction._rehearsal.chosen_tensor import Chosen, Entered, choose
from ontogeny.extraction._rehearsal.mask_polarity import try_masks
from ontogeny.extraction._rehearsal.pass_outputs import Key, Outputs, alike, width
from ontogeny.extraction._rehearsal.reading_plan import DEPENDS, ReadingPlan, Way
from ontogeny.extraction._rehearsal.samples import sample, several, texts, varied
from ontogeny.extraction._rehearsal.spatial_axes import Maps, space_axes
from ontogeny.extraction.isolation import Observed, observing
from ontogeny.extraction.layers import SURPRISAL, Entrance, Layer, choose_layers, module_of, plain_model
from ontogeny.extraction.model_inputs import Batch, ModelInputs
from ontogeny.extraction.preserved import LeftBehindError, what_reading_changes
from ontogeny.extraction.process_group import SINGLE_PROCESS, ProcessGroup
from ontogeny.extraction.state import SavedState
from ontogeny.extraction.surprisal import looks_ahead, picked_logits

__all__ = ["rehearse"]

_MOST_CALLS = 64
_LOGITS = (SURPRISAL, 0)


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
    one = _Rehearsal(way, call, several(base) if not alone else base.only([0]))
    with observing(bare, ranks, autocast=autocast) as seen:
        plan = one.plan(seen, counts, alone=alone)
    left = {**dict.fromkeys(before.restore(), "not as before"), **before.lost}
    if left:
        raise LeftBehindError(
            "reading the model changes what cannot be put back: "
            + "; ".join(f"{name or 'the model'}: {why}" for name, why in list(left.items())[:5])
        )
    return replace(plan, autocast=autocast, changes=what_reading_changes(bare), precision=precision(bare, autocast))


@dataclass(slots=True)
class _Rehearsal:
    """The forward passes of a rehearsal, and what is concluded from them."""

    way: Way
    call: Call
    base: Batch
    layers: dict[str, Layer] = field(default_factory=dict)
    prefix: int = 0
    patches: tuple[int, ...] = ()
    entered: Entered = field(default_factory=Entered)
    maps: Maps = field(default_factory=lambda: Maps(()))

    def plan(self, seen: Observed, counts: Mapping[str, int], *, alone: bool) -> ReadingPlan:
        """Read several times; the plan, as far as it is found here."""
        way, model = self.way, seen.model
        self.layers = choose_layers(
            way.part(model), way.layers, named=way.named(model), ran=counts, text=way.modality == "text"
        )
        self.prefix = next(iter(_said(way.part(model), "num_prefix_tokens")), 0)
        self.patches = _said(way.part(model), "num_patches")
        start = time.perf_counter()
        whole = self._run(seen, self.base, around=self._watching(way.part(model)))
        seconds = (time.perf_counter() - start) / self.base.size
        draws = seen.drew()
        fewer = self._run(seen, self.base if alone else self.base.only(range(self.base.size - 1)))
        other = self._try(seen, varied(self.base.only(range(min(2, self.base.size)))))
        calls, refused = self._calls(whole, fewer)
        outputs: dict[str, Chosen] = {}
        for name, key in calls.items():
            found = self._chosen(key, whole, fewer, other)
            if isinstance(found, str):
                refused[name] = found
            else:
                outputs[name] = found
        again = self._run(seen, self.base)
        surprisal = self.layers.get(SURPRISAL, self) is None
        if surprisal and (why := self._no_surprisal(seen, whole)):
            refused[SURPRISAL] = why
        asked = dict(calls)
        if surprisal and SURPRISAL not in refused:
            asked[SURPRISAL], outputs[SURPRISAL] = _LOGITS, Chosen(path=(), axes=Axes())
        for name, chosen in outputs.items():
            key = asked[name]
            if not alike(whole.tensor(key, chosen.path), again.tensor(key, chosen.path)):
                refused[name] = (
                    "two readings of the same weights differ; it draws numbers that no seed reaches, or keeps state "
                    "where it is not found"
                )
        self._try_masks(seen, {asked[name]: chosen for name, chosen in outputs.items()})
        if not alone:
            usable = {asked[name]: found for name, found in outputs.items() if name not in refused}
            alone, depending = self._depends_on_batch(seen, whole, usable)
            refused.update({name: DEPENDS for name, key in asked.items() if key in depending})
        kept = {name: key for name, key in calls.items() if name not in refused}
        names = {id(module): name for name, module in way.named(model).items()}
        return ReadingPlan(
            call=self.call,
            calls=kept,
            modules={name: names[id(module_of(self.layers[name]))] for name, _ in kept.values()},
            entrances=frozenset(name for name, layer in self.layers.items() if isinstance(layer, Entrance)),
            outputs=outputs,
            refused=refused,
            alone=alone,
            draws=draws,
            seconds=seconds,
            width=sum(width(whole.tensor(key, outputs[name].path), outputs[name]) for name, key in kept.items()),
            surprisal=surprisal and SURPRISAL not in refused,
        )

    @contextmanager
    def _watching(self, part: nn.Module) -> Iterator[None]:
        """What enters the layers is noted, and the maps that pictures become."""
        maps: AbstractContextManager[None] = nullcontext()
        if self.base.n_tokens is None:
            self.maps = Maps(tuple(self.base.inputs["pixels"].shape))
            maps = self.maps.watching(part)
        with maps, self.entered.watching(self.layers):
            yield

    def _try_masks(self, seen: Observed, read: Mapping[Key, Chosen]) -> None:
        """See whether 1 in a mask that the model needs keeps a token."""
        if isinstance(self.call, TextCall) and self.call.masks:
            try_masks(lambda call, batch: self._run(seen, batch, call), self.call, self.base, read)

    def _run(
        self,
        seen: Observed,
        batch: Batch,
        call: Call | None = None,
        *,
        around: AbstractContextManager[None] = nullcontext(),  # noqa: B008 - it has no state
    ) -> Outputs:
        out = Outputs()
        self._fill(out, seen, batch, call or self.call, around)
        return out

    def _try(self, seen: Observed, batch: Batch) -> Outputs:
        """As far as the model gets with inputs of another size."""
        out = Outputs(failed=True)
        with suppress(ProbeError):
            self._fill(out, seen, batch, self.call, nullcontext())
            out.failed = False
        return out

    def _fill(
        self, out: Outputs, seen: Observed, batch: Batch, call: Call, around: AbstractContextManager[None]
    ) -> None:
        """One forward pass; where surprisal is read, its logits are looked at as a layer's output is."""
        seen.again()
        part, placed = self.way.part(seen.model), place(batch, seen.model)
        with around:
            out.returned = run(part, placed, call=call, layers=self.layers, take=out.take, ids=self.way.ids)
        if batch.n_tokens is not None and self.layers.get(SURPRISAL, self) is None:
            logits = picked_logits(out.returned, batch.inputs["input_ids"])
            if logits is not None:
                out.take(*_LOGITS, logits)

    def _calls(self, whole: Outputs, fewer: Outputs) -> tuple[dict[str, Key], dict[str, str]]:
        """Name -> (module, number of the call) of all that ran, and why the others are refused."""
        wanted = [self.way.layers] if isinstance(self.way.layers, str) else list(self.way.layers)
        calls: dict[str, Key] = {}
        refused: dict[str, str] = {}
        for name, module in ((name, module_of(layer)) for name, layer in self.layers.items()):
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
                asked = {numbered: key for numbered, key in names.items() if numbered in wanted}
                calls.update(asked or names)
        return calls, refused

    def _chosen(self, key: Key, whole: Outputs, fewer: Outputs, other: Outputs) -> Chosen | str:
        """Which tensor of one layer's output is read, or why there is none."""
        if not whole.caught[key]:
            return f"the layer returned {whole.kinds[key]} without a tensor in it"
        axes = partial(self._axes, key, whole, fewer, other)
        entered = self.entered.shapes.get(key[0])
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
        module = module_of(self.layers[key[0]])
        assert module is not None  # noqa: S101 - it was run
        found = space_axes(a.shape, shape, batch, module, self.maps)
        return Axes(batch=batch, positions=found.positions, prefix=self._prefix(a, found), why=found.why)

    def _prefix(self, x: Tensor, axes: Axes) -> int:
        """Class and register tokens, of a layer of tokens in a model that says how many it has.

        A layer that has as many tokens as there are patches has none of them yet.
        """
        if axes.positions is None or len(axes.positions) != 1:
            return 0
        n = x.shape[axes.positions[0]]
        places = self.patches or [k * k for k in range(1, 200)]
        return self.prefix if n - self.prefix in places and n not in places else 0

    def _depends_on_batch(self, seen: Observed, whole: Outputs, axes: Mapping[Key, Chosen]) -> tuple[bool, set[Key]]:
        """Whether a stimulus alone gives something else than in the batch.

        Returns:
            Whether each has to be read alone; and, where none can be, the layers that depend on the batch.
        """
        depending: set[Key] = set()
        can_be_alone = True
        for i in sorted({0, self.base.size // 2, self.base.size - 1}):
            few = self._try(seen, self.base.only([i]))
            if can_be_alone and few.failed:
                can_be_alone = False
            if not can_be_alone:
                few = self._try(seen, self.base.only([i, (i + 1) % self.base.size]))
            for key, found in axes.items():
                together, apart = whole.tensor(key, found.path), few.tensor(key, found.path)
                if (
                    together is None
                    or apart is None
                    or apart.ndim != together.ndim
                    or not alike(batch_first(together, found.axes)[i], batch_first(apart, found.axes)[0])
                ):
                    depending.add(key)
        return (bool(depending), set()) if can_be_alone else (False, depending)

    def _no_surprisal(self, seen: Observed, whole: Outputs) -> str:
        ids = self.base.inputs["input_ids"] if self.base.n_tokens is not None else None
        if ids is None:
            return "'surprisal' is for text"
        before = picked_logits(whole.returned, ids)
        if before is None:
            return "'surprisal' needs logits of shape batch x tokens x vocabulary, and the model gives none"
        if ids.shape[1] < 2:
            return "'surprisal' needs texts of two tokens or more"
        changed = ids.clone()
        changed[:, -1] = (changed[:, -1] + 1) % before.shape[-1]
        after = picked_logits(self._run(seen, texts(changed, self.base.rows)).returned, ids)
        if after is None or looks_ahead(before, after):
            return "'surprisal' is for causal language models, and this one's logits at a token depend on later tokens"
        return ""


def _said(model: nn.Module, attribute: str) -> tuple[int, ...]:
    """What its modules say of themselves."""
    found = (getattr(module, attribute, None) for module in model.modules())
    return tuple(n for n in found if isinstance(n, int))
