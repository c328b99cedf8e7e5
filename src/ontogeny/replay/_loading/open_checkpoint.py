"""A checkpoint's folder -> a model: whole weights, or an adapter on its base. The process is left as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from ontogeny.errors import WeightsError
from ontogeny.replay._loading.adapters import load_adapter
from ontogeny.replay._loading.checkpoint_folder import adapters_in, defect
from ontogeny.replay._loading.pretrained import Loading, load_whole, own_factory, state_in
from ontogeny.replay._loading.process_state import undisturbed
from ontogeny.replay._loading.sentence_models import is_sentence_model
from ontogeny.replay._loading.state_dict import fills, load_into, same_types
from ontogeny.replay._loading.timm_models import is_timm

__all__ = ["load_folder", "reload_folder"]

_MADE_FROM: WeakKeyDictionary[nn.Module, dict[str, Any]] = WeakKeyDictionary()


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
        model = load_whole(folder, loading, where)
    if (made_from := _recipe(folder, loading)) is not None:
        _MADE_FROM[model] = made_from
    return model


def reload_folder(model: nn.Module, folder: Path, loading: Loading, where: str) -> bool:
    """Whether a model that `load_folder` made of another folder could be given the weights of this one.

    Only where the model would be made of the same configuration, and the folder has every weight of it under its name
    and in its type, so that no step of `from_pretrained` is left out that changes one.

    Args:
        model: as made; what was read of it since left no trace.
        folder: of another checkpoint.
        loading: how the model was made.
        where: for messages.

    Raises:
        WeightsError: weights that are not finite.
    """
    made_from = _MADE_FROM.get(model)
    if made_from is None or made_from != _recipe(folder, loading):
        return False
    try:
        state = state_in(folder, where)
    except WeightsError:
        return False  # said where it is loaded
    if not fills(model, state) or not same_types(model, state):
        return False
    with undisturbed():
        load_into(model, state, where)
    return True


def _recipe(folder: Path, loading: Loading) -> dict[str, Any] | None:
    """All but the weights that a model is made of; None where that is not known to be all."""
    if adapters_in(folder) or loading.device_map is not None or loading.trust_remote_code:
        return None
    own = own_factory(loading.model) is not None
    if defect(folder, config=not own) is not None:
        return None
    if own:
        return {}
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    others = is_timm(config) or is_sentence_model(folder) or "quantization_config" in config
    return None if others else config
