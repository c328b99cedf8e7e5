"""Whether features depend on what else is in a batch, looked at in every probe.

The rehearsal sees eight stimuli. What shows in larger batches alone, as in a mixture of experts with a fixed capacity,
is found here: one stimulus of the batch with most stimuli and one of the batch with most tokens are read again, each
alone. These are two forward passes of one stimulus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ontogeny.errors import ProbeError
from ontogeny.extraction._rank_reading import Excerpt, Share
from ontogeny.extraction._rehearsal.pass_outputs import alike
from ontogeny.extraction.model_inputs import Batch
from ontogeny.extraction.preserved import LeftBehindError

__all__ = ["Largest", "Longest", "depending"]

ReadAgain = Callable[[Batch, Excerpt], None]


@dataclass(slots=True)
class Largest:
    """Excerpts of the batch with most stimuli and of the one with most tokens, of all batches so far."""

    stimuli: tuple[int, Excerpt] | None = None
    tokens: tuple[int, Excerpt] | None = None

    def excerpt(self, batch: Batch) -> Excerpt | None:
        """A new excerpt, where the batch is larger than those before; of two stimuli or more."""
        n_stimuli, n_tokens = batch.size, batch.size * (batch.n_tokens or 1)
        more = self.stimuli is None or n_stimuli > self.stimuli[0]
        longer = self.tokens is None or n_tokens > self.tokens[0]
        if batch.size < 2 or not (more or longer):
            return None
        made = Excerpt.of(batch)
        if more:
            self.stimuli = n_stimuli, made
        if longer:
            self.tokens = n_tokens, made
        return made

    def two(self) -> list[tuple[Excerpt, int]]:
        """Excerpts and which of their stimuli are read again: the last of each batch, or two of one."""
        found = [one[1] for one in (self.stimuli, self.tokens) if one is not None]
        if len(found) == 2 and found[0] is found[1]:
            return [(found[0], 1), (found[0], 0)]
        return [(excerpt, 1) for excerpt in found]


@dataclass(slots=True)
class Longest:
    """Of texts that were read with a longer one, the one that has most tokens after it: it is read again by itself."""

    found: tuple[int, int, Batch] | None = None  # number of the batch, place among its stimuli, the batch
    after: int = 0

    def see(self, index: int, batch: Batch) -> None:
        """Look at one batch that was read."""
        if not batch.shared or batch.spans is None or batch.n_tokens is None:
            return
        rest = batch.n_tokens - 1 - batch.spans[:, 2]
        if int(rest.max()) > self.after:
            self.after, self.found = int(rest.max()), (index, int(rest.argmax()), batch)

    def ahead(self, share: Share, read: Callable[[Batch, Share], None]) -> set[str]:
        """The layers that give something else for it alone: what follows a token changes its features there.

        Args:
            share: what was read of all batches.
            read: reads a batch into another share.
        """
        if self.found is None:
            return set()
        index, place, batch = self.found
        own = Share()
        read(_alone(batch, place), own)
        return {
            site.layer
            for site, vectors in share.vectors.items()
            if site not in own.refused and not alike(vectors[index][place].cpu(), own.vectors[site][0][0])
        }


def _alone(batch: Batch, place: int) -> Batch:
    """One stimulus of a batch whose texts hold several, as a text of its own."""
    assert batch.spans is not None  # noqa: S101 - it is shared
    text, first, last = batch.spans[place].tolist()
    ids = batch.inputs["input_ids"][text : text + 1, : last + 1]
    return replace(
        batch,
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        size=1,
        rows=(batch.rows[place],),
        special=None if batch.special is None else batch.special[text : text + 1, : last + 1],
        spans=torch.tensor([[0, first, last]]),
    )


def depending(largest: Largest, read: ReadAgain) -> tuple[set[str], bool]:
    """The layers that give something else for a stimulus alone.

    Args:
        largest: of all batches that this process read.
        read: runs a batch, and gives what the layers give to an excerpt.

    Returns:
        Names of the layers; and whether the model, or one of these layers, cannot read a stimulus alone.

    Raises:
        LeftBehindError: reading changes what cannot be put back.
    """
    found: set[str] = set()
    cannot = False
    for excerpt, place in largest.two():
        again, where = Excerpt(excerpt.few.only([place]), (0, 0)), 0
        try:
            read(again.few, again)
        except LeftBehindError:
            raise
        except ProbeError:
            cannot = True
            again, where = Excerpt(excerpt.few, (0, 1)), place
            read(again.few, again)
        for name, together in excerpt.outputs.items():
            apart = again.outputs.get(name)
            cannot = cannot or apart is None
            if apart is None or not alike(together[place], apart[where]):
                found.add(name)
    return found, cannot
