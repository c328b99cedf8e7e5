"""How a model is to be read: what the user wants, and what the rehearsal found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from ontogeny.extraction._forward.calling import Call, find_module, module_to_read
from ontogeny.extraction._rehearsal.chosen_tensor import Chosen
from ontogeny.extraction.layers import SURPRISAL, Entrance, Layer, named_layers

__all__ = ["DEPENDS", "ReadingPlan", "Way"]

DEPENDS = "its features depend on what else is in the batch, and the model cannot read a stimulus alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the user wants a model to be read.

    Args:
        modality: of the stimuli.
        layers: names, globs, "auto".
        module: name of the submodule that is read; empty: chosen by the stimuli's modality.
        call: how it is called; None: by its signature.
        ids: of the stimuli, for errors.
    """

    modality: str
    layers: str | Sequence[str]
    module: str = ""
    call: Call | None = None
    ids: Sequence[str] = ()

    def part(self, model: nn.Module) -> nn.Module:
        """The module that is read."""
        if self.module:
            return find_module(model, self.module)
        return model if self.call is not None else module_to_read(model, self.modality)

    def named(self, model: nn.Module) -> dict[str, nn.Module]:
        """All layers there are, by name."""
        return named_layers(model, self.part(model), self.module)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPlan:
    """How a model is read, as a rehearsal found it.

    Args:
        call: how the module is called.
        autocast: type that its forward pass runs in; None: that of the weights.
        calls: name of a layer -> (name without the number of the call, that number), in the order of the model.
        modules: the former of these -> name of the module.
        entrances: the former of these that are what enters the module, not what it returns.
        outputs: name of a layer -> which tensor of its output is read, and what the axes of it are.
        refused: name of a layer -> why it is not read.
        alone: whether each stimulus is read by itself, since its features depend on what else is in a batch.
        late: whether that showed in a probe alone, and not in the rehearsal.
        draws: whether reading draws random numbers, which start from one seed then.
        changes: what reading changes in the model, all of it put back.
        precision: in words.
        seconds: that one stimulus takes.
        width: features of all layers together, per pooling.
        surprisal: whether surprisal is read.
        causal: whether no layer's output at a token depends on later tokens, so that texts which begin alike may be
            read together.
        last: the layer and the number of its call after which a forward pass is left; None: it is run to its end.
    """

    call: Call
    autocast: torch.dtype | None = None
    calls: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    entrances: frozenset[str] = frozenset()
    outputs: Mapping[str, Chosen] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    late: bool = False
    draws: bool = False
    changes: tuple[str, ...] = ()
    precision: str = ""
    seconds: float = 0.0
    width: int = 0
    surprisal: bool = False
    causal: bool = False
    last: tuple[str, int] | None = None

    def layers(self, named: Mapping[str, nn.Module]) -> dict[str, Layer]:
        """The layers in `named`, all modules by name."""
        return {
            name: Entrance(named[module]) if name in self.entrances else named[module]
            for name, module in self.modules.items()
        }

    def apart(self) -> ReadingPlan:
        """The same for single stimuli, since a probe found that features depend on what else is in a batch."""
        return replace(self, alone=True, late=True)

    def one_by_one(self) -> ReadingPlan:
        """The same for texts of their own, since a probe found that features at a token depend on what follows."""
        return replace(self, causal=False)

    def without(self, layers: Collection[str]) -> ReadingPlan:
        """The same without layers that depend on what else is in a batch, of a model that reads no single stimulus."""
        calls = {name: key for name, key in self.calls.items() if name not in layers}
        kept = {name for name, _ in calls.values()}
        return replace(
            self,
            calls=calls,
            modules={name: module for name, module in self.modules.items() if name in kept},
            refused={**self.refused, **dict.fromkeys(layers, DEPENDS)},
            surprisal=self.surprisal and SURPRISAL not in layers,
        )

    @property
    def readable(self) -> bool:
        """Whether any layer is left."""
        return bool(self.calls) or self.surprisal

    def summary(self, n: int, passes: int | None = None) -> str:
        """What a probe of `n` stimuli reads and costs, in a line; `passes`: the texts that hold them, where fewer."""
        memory = 4 * n * self.width / 2**20
        layers = f"{len(self.calls)} layers" if len(self.calls) != 1 else "1 layer"
        cost = f"about {self.seconds * (passes or n):.1f} s and {memory:.0f} MB per probe before scoring"
        together = "" if passes in (None, n) else f" in {passes} texts"
        return f"{layers} of {n} stimuli{together}, read in {self.precision or 'no float type'}; {cost}"

    def notes(self) -> list[str]:
        """What a reader of the scores should know, for the record."""
        found = [self.precision] if self.precision else []
        why = ", since features were others in large batches" if self.late else ""
        found += [f"one stimulus at a time{why}"] if self.alone else []
        found += ["a fixed random seed"] if self.draws else []
        return found

    def lines(self) -> list[str]:
        """The findings, a line each, for a report."""
        lines: list[str] = []
        if self.alone:
            lines.append("features depend on what else is in the batch: each stimulus is read alone")
        if self.draws:
            lines.append("random numbers are drawn in eval mode: every reading starts from one seed")
        if self.changes:
            lines.append(f"reading changes {_some(self.changes)}; it is put back each time")
        lines += [f"refused: {name}: {why}" for name, why in self.refused.items()]
        return lines


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
