"""Whether 1 in a mask keeps a token, tried out: names of masks do not tell, and some models hide what is 1.

One token in the middle of each text is masked by 0. Where 1 keeps a token, what it is makes no difference to the last
one; where 1 hides a token, it is the only one that is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ontogeny.errors import ProbeError
from ontogeny.extraction._forward.calling import Call, TextCall
from ontogeny.extraction._rehearsal.chosen_tensor import Chosen
from ontogeny.extraction._rehearsal.pass_outputs import Key, Outputs, alike
from ontogeny.extraction._rehearsal.samples import texts
from ontogeny.extraction.model_inputs import Batch

__all__ = ["try_masks"]

Run = Callable[[Call, Batch], Outputs]


def try_masks(run: Run, call: TextCall, base: Batch, read: Mapping[Key, Chosen]) -> None:
    """See whether 1 in the masks of a call keeps a token, or the masks make no difference at all.

    Args:
        run: a forward pass.
        call: with masks.
        base: a few texts.
        read: the layers, of which those with one position a token are looked at.

    Raises:
        ProbeError: neither, or it is not clear.
    """
    if not _one_keeps_a_token(run, call, base, read):
        raise ProbeError(
            f"the model's forward pass needs {' and '.join(map(repr, call.masks))}, and it is not clear whether 1 in "
            "it keeps a token; pass call=, a function of the model and a batch"
        )


def _one_keeps_a_token(run: Run, call: TextCall, base: Batch, read: Mapping[Key, Chosen]) -> bool:
    ids = base.inputs["input_ids"]
    middle = ids.shape[1] // 2
    changed = ids.clone()
    changed[:, middle] = ids.roll(1, 0)[:, middle]
    kept, hidden = run(call, base), run(call.masked_by(torch.zeros_like), base)
    if all(alike(kept.tensor(key, one.path), hidden.tensor(key, one.path)) for key, one in read.items()):
        return True
    if ids.shape[1] < 3 or torch.equal(ids, changed):
        return False

    def without(of: Tensor) -> Tensor:
        mask = torch.ones_like(of)
        mask[:, middle] = 0
        return mask

    first, second = (run(call.masked_by(without), texts(each, base.rows)) for each in (ids, changed))
    pairs = [
        (_last(first.tensor(key, one.path), one), _last(second.tensor(key, one.path), one))
        for key, one in read.items()
        if one.axes.per_token and one.axes.positions
    ]
    return bool(pairs) and all(alike(a, b) for a, b in pairs)


def _last(x: Tensor | None, chosen: Chosen) -> Tensor | None:
    """At the last token."""
    return None if x is None or not chosen.axes.positions else x.select(chosen.axes.positions[0], -1)
