"""A checkpoint's folder -> a model: whole weights, or an adapter on its base. The process is left as it was."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ontogeny.replay._loading.adapters import load_adapter
from ontogeny.replay._loading.checkpoint_folder import adapters_in, defect
from ontogeny.replay._loading.pretrained import Loading, load_whole, own_factory, state_in
from ontogeny.replay._loading.process_state import undisturbed
from ontogeny.replay._loading.state_dict import fills, load_into

__all__ = ["load_folder", "reload_folder"]


def load_folder(folder: Path, loading: Loading, where: str) -> nn.Module:
    """The model in a folder, in eval mode.

    Args:
        folder: with weights, and config.json where transformers or timm makes the model; or with an adapter alone.
        loading: how.
        where: for messages.

    Raises:
        WeightsError: half-written, weights missing or left over, not finite, or a class that is not known.
    """
    with undisturbed():
        if adapters_in(folder) and defect(folder, config=False) is None:
            return load_adapter(folder, loading, where)
        return load_whole(folder, loading, where)


def reload_folder(model: nn.Module, folder: Path, loading: Loading, where: str) -> bool:
    """Whether a model that a user's function made could be given the weights of another folder, which fill all of it.

    transformers makes its own without drawing weights, in a third of the time that putting weights into one takes.

    Args:
        model: of another checkpoint, as made; what was read of it since left no trace.
        folder: of this one.
        loading: how the model was made.
        where: for messages.

    Raises:
        WeightsError: weights that cannot be read, or are not finite.
    """
    if own_factory(loading.model) is None or adapters_in(folder) or defect(folder, config=False) is not None:
        return False
    state = state_in(folder, where)
    if not fills(model, state):
        return False
    with undisturbed():
        load_into(model, state, where)
    return True
