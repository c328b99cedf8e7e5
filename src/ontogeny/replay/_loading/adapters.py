"""A checkpoint that holds an adapter alone (LoRA and its like): its base model, with the adapter put on, not merged.

peft stands behind this module. It is given weights that were read safely here; it downloads nothing, and what a
configuration names beside the base (other modules, files, tokenizers) is not followed.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import MissingExtraError, OntogenyError, WeightsError, require
from ontogeny.replay._loading.adapter_base import base_model, named_method
from ontogeny.replay._loading.checkpoint_folder import ADAPTER_CONFIG, adapters_in, defect, weight_files
from ontogeny.replay._loading.dtypes import drawn_in, remember
from ontogeny.replay._loading.key_mismatch import few, misfit
from ontogeny.replay._loading.pretrained import Loading
from ontogeny.replay._loading.state_dict import DamagedError, State, all_finite, read

__all__ = ["load_adapter"]

_FRONT = "base_model.model."
_PROMPTS = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "ADAPTION_PROMPT", "XLORA")
_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
_SETTINGS = ("peft_type", "r", "lora_alpha", "alpha_pattern", "rank_pattern", "use_rslora", "use_dora")


def load_adapter(folder: Path, loading: Loading, where: str) -> nn.Module:
    """The base model with the adapter that a folder holds, in eval mode.

    Args:
        folder: with adapter_config.json and adapter_model.safetensors, or one folder in it with them.
        loading: `model` gives the base.
        where: for messages.

    Raises:
        WeightsError: no base, a method that is not read, or weights that do not fit.
        DamagedError: cut off, corrupt or not finite.
        MissingExtraError: no peft.
    """
    if fault := defect(folder):
        raise (DamagedError if fault.kind == "damaged" else WeightsError)(f"{where}: {fault.reason}")
    name, place = next(iter(adapters_in(folder).items()))
    adapter_config = json.loads((place / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    method = named_method(adapter_config)
    try:
        peft = require("peft", "peft")
    except MissingExtraError as error:
        raise MissingExtraError(f"{where} holds an adapter ({method}) and no whole model: {error}") from error
    config = _config(peft, adapter_config, f"{where}: its adapter ({method})")
    state = read(place / weight_files(path.name for path in place.iterdir())[0])
    base = base_model(adapter_config, state, loading, where)
    model = base if getattr(base, "peft_config", None) else _put_on(peft, base, config, name, where)
    _fill(peft, model, name, adapter_config, state, f"{where}: its adapter ({method})")
    remember(model, (value.dtype for value in (*state.values(), *base.parameters())), drawn=drawn_in(base))
    return all_finite(model, where).eval()


def _config(peft: Any, adapter_config: Mapping[str, Any], which: str) -> Any:
    """The configuration as an object of peft, with nothing in it that is not read.

    Raises:
        WeightsError: a method or a setting that this peft does not have, or one that is not read.
    """
    named = str(adapter_config.get("peft_type"))
    known = {str(getattr(kind, "value", kind)): cls for kind, cls in peft.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    if named not in known:
        raise WeightsError(f"{which} is of a method that this peft ({peft.__version__}) does not have; upgrade peft")
    if named in _PROMPTS:
        raise WeightsError(
            f"{which} is not read: it puts tokens or states before the input, or names further files, in place of "
            "changing layers, and what is saved is not what training held. Read it live, in training"
        )
    if adapter_config.get("megatron_config"):
        raise WeightsError(f"{which} is of Megatron, whose modules are not imported by its name; give a function")
    start = adapter_config.get("init_lora_weights", True)
    if start not in _STARTS:
        raise WeightsError(
            f"{which} began with init_lora_weights={start!r}, which changes the base's own weights when training "
            "starts; they are not saved. Save it with path_initial_model_for_weight_conversion (see peft)"
        )
    fields = {field.name for field in dataclasses.fields(known[named])}
    if strange := [key for key, value in adapter_config.items() if key not in fields and value]:
        raise WeightsError(
            f"{which} has settings that this peft ({peft.__version__}) does not know: {few(strange)}; upgrade peft"
        )
    settings = {
        key: value
        for key, value in adapter_config.items()
        if key in fields and key not in ("peft_type", "auto_mapping")
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return known[named](**settings)
    except Exception as error:
        raise WeightsError(f"{which} has settings that cannot be: {type(error).__name__}: {error}") from error


def _put_on(peft: Any, base: nn.Module, config: Any, name: str, where: str) -> nn.Module:
    """The base with an empty adapter.

    peft's `save_pretrained` writes inference_mode true; where it is false, transformers' `add_adapter` had put the
    adapter into the model without a model of peft around it.
    """
    within = not config.inference_mode and hasattr(base, "add_adapter")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if within:
                base.add_adapter(config, name)  # type: ignore[operator]
                return base
            made: nn.Module = peft.get_peft_model(base, config, adapter_name=name, autocast_adapter_dtype=False)
            return made
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{where}: its adapter cannot be put on {type(base).__name__}: {type(error).__name__}: {text}. Give the "
            "base that was trained with model="
        ) from error


def _fill(peft: Any, model: nn.Module, name: str, adapter_config: Mapping[str, Any], state: State, which: str) -> None:
    """Put an adapter's weights into a model that has it, strictly and bit for bit."""
    configs: Any = model.peft_config
    name = name if name in configs else next(iter(configs))
    _same_settings(configs[name].to_dict(), adapter_config, which)
    state = {key: value for key, value in state.items() if not _once_more(key, value, state)}
    if not isinstance(model, peft.PeftModel):
        state = {key.removeprefix(_FRONT): value for key, value in state.items()}

    def holds(*, embeddings: bool) -> dict[str, Tensor]:
        held: dict[str, Tensor] = peft.get_peft_model_state_dict(
            model, adapter_name=name, save_embedding_layers=embeddings
        )
        return held

    missing = sorted(set(holds(embeddings=False)) - set(state))
    if missing:
        raise WeightsError(f"{which} does not fit {type(model).__name__}: {misfit(missing, ())}")
    _cast(model, name, state)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            left = peft.set_peft_model_state_dict(model, dict(state), adapter_name=name)
    except OntogenyError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{which} does not fit {type(model).__name__}: {text}. Give the base that was trained with model="
        ) from error
    if left.unexpected_keys:
        raise WeightsError(f"{which} does not fit {type(model).__name__}: {_unexpected(left.unexpected_keys)}")
    now = holds(embeddings=False)
    if other := sorted(key for key, value in now.items() if not _same(value, state[key])):
        raise WeightsError(f"{which} is stored in types that its layers cannot hold: {few(other)}; save it in one type")


def _once_more(key: str, value: Tensor, state: State) -> bool:
    """Where a vocabulary grew and its embedding was trained whole, peft saves that under two names."""
    other = state.get(key.replace(".modules_to_save.", "."))
    return other is not None and other is not value and torch.equal(other, value)


def _unexpected(names: list[str]) -> str:
    return f"unexpected {len(names)}: {few(names)}. Give the base that was trained with model="


def _same(value: Tensor, saved: Tensor) -> bool:
    return (
        value.dtype == saved.dtype and value.shape == saved.shape and bool((value == saved).all() | saved.isnan().any())
    )


def _cast(model: nn.Module, name: str, state: State) -> None:
    """Let an adapter's parameters have the one type that they are stored in; the base keeps its own."""
    stored = {value.dtype for value in state.values() if value.is_floating_point()}
    if len(stored) != 1:
        return
    for called, parameter in model.named_parameters():
        if name in called.split(".") and parameter.is_floating_point():
            parameter.data = parameter.data.to(next(iter(stored)))


def _same_settings(given_settings: Mapping[str, Any], adapter_config: Mapping[str, Any], which: str) -> None:
    """A model that the user put the adapter on has it as it was trained."""
    for key in _SETTINGS:
        if (
            key in adapter_config
            and key in given_settings
            and str(getattr(given_settings[key], "value", given_settings[key])) != str(adapter_config[key])
        ):
            raise WeightsError(
                f"{which} has {key} {adapter_config[key]!r}, the model that model= gave has {given_settings[key]!r}; "
                "put the adapter on as in training"
            )
