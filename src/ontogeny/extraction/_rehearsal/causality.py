"""Whether what a layer gives for a token depends on the tokens after it."""

from __future__ import annotations

from collections.abc import Mapping

from ontogeny.extraction._rehearsal.axes import arranged
from ontogeny.extraction._rehearsal.chosen_tensor import Chosen
from ontogeny.extraction._rehearsal.pass_outputs import Key, Outputs, alike

__all__ = ["is_causal"]


def is_causal(whole: Outputs, shorter: Outputs, read: Mapping[Key, Chosen]) -> bool:
    """Whether a text without its last token gives what its tokens give in the whole text, in every layer.

    Args:
        whole: of some texts.
        shorter: of the first of them, each without its last token.
        read: layers and logits, and which tensor of their output is read.
    """
    for key, chosen in read.items():
        a, b, axes = whole.tensor(key, chosen.path), shorter.tensor(key, chosen.path), chosen.axes
        if a is None or b is None or not axes.per_token or axes.positions is None or len(axes.positions) > 1:
            return False
        long, short = (arranged(x, axes) if axes.positions else x for x in (a, b))
        n, tokens = min(len(long), len(short)), min(long.shape[1], short.shape[1])
        if long.shape[1] == short.shape[1] or not alike(long[:n, :tokens], short[:n, :tokens]):
            return False
    return bool(read)
