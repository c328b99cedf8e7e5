"""The forward passes of a rehearsal: one batch through the model, with what its layers gave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field

from torch import nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._forward.calling import Call
from ontogeny.extraction._forward.hooked_pass import place, run
from ontogeny.extraction._rehearsal.chosen_tensor import Entered
from ontogeny.extraction._rehearsal.pass_outputs import Key, Outputs
from ontogeny.extraction._rehearsal.reading_plan import Way
from ontogeny.extraction._rehearsal.spatial_axes import Maps
from ontogeny.extraction.isolation import Observed
from ontogeny.extraction.layers import SURPRISAL, Layer
from ontogeny.extraction.model_inputs import Batch
from ontogeny.extraction.surprisal import picked_logits

__all__ = ["LOGITS", "Passes"]

LOGITS: Key = (SURPRISAL, 0)


@dataclass(slots=True)
class Passes:
    """How the model is called, and what a first pass notes beside the layers' outputs.

    Args:
        seen: the model.
        way: how the user wants it to be read.
        call: how it is called.
        layers: that are read.
        shape: of the pictures, batch first; None for texts.
        entered: shapes of what enters the layers.
        maps: that pictures become.
    """

    seen: Observed
    way: Way
    call: Call
    layers: dict[str, Layer]
    shape: tuple[int, ...] | None
    entered: Entered = field(default_factory=Entered)
    maps: Maps = field(init=False)

    def __post_init__(self) -> None:
        self.maps = Maps(self.shape or ())

    @property
    def part(self) -> nn.Module:
        """The module that is read."""
        return self.way.part(self.seen.model)

    @property
    def surprisal(self) -> bool:
        """Whether the surprisal of texts is asked for."""
        return self.layers.get(SURPRISAL, self) is None

    def run(self, batch: Batch, call: Call | None = None, last: Key | None = None) -> Outputs:
        """One forward pass, or what of it gives all up to `last`; the model is put back before it.

        Raises:
            ProbeError: the model fails.
        """
        out = Outputs()
        self._fill(out, batch, call or self.call, last=last)
        return out

    def first(self, batch: Batch) -> Outputs:
        """The same; what enters the layers is noted, and the maps that pictures become."""
        out = Outputs()
        self._fill(out, batch, self.call, self._watching())
        return out

    def attempt(self, batch: Batch) -> Outputs:
        """As far as the model gets with inputs of another size."""
        out = Outputs(failed=True)
        with suppress(ProbeError):
            self._fill(out, batch, self.call)
            out.failed = False
        return out

    @contextmanager
    def _watching(self) -> Iterator[None]:
        maps: AbstractContextManager[None] = nullcontext() if self.shape is None else self.maps.watching(self.part)
        with maps, self.entered.watching(self.layers):
            yield

    def _fill(
        self,
        out: Outputs,
        batch: Batch,
        call: Call,
        around: AbstractContextManager[None] | None = None,
        last: Key | None = None,
    ) -> None:
        """Where surprisal is read, its logits are looked at as a layer's output is."""
        self.seen.again()
        placed = place(batch, self.seen.model)
        with around or nullcontext():
            out.returned = run(
                self.part, placed, call=call, layers=self.layers, take=out.take, ids=self.way.ids, last=last
            )
        if batch.n_tokens is not None and self.surprisal:
            logits = picked_logits(out.returned, batch.inputs["input_ids"])
            if logits is not None:
                out.take(*LOGITS, logits)
