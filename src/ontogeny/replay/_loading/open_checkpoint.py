"""A checkpoint's folder -> a model: whole weights, or an adapter on its base. The process is left as it was."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ontogeny.replay._loading.adapters import load_adapter
from ontogeny.replay._loading.checkpoint_folder import adapters_in, defect
from ontogeny.replay._loading.pretrained import Loading, load_whole
from ontogeny.replay._loading.process_state import undisturbed

__all__ = ["load_folder"]


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
