"""Models of timm, by the config.json that timm writes: the architecture, and how images are prepared for it.

timm stands behind this module. It only makes a model: nothing is downloaded by it, no weights are loaded by it, and no
code of a repository is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ontogeny.errors import WeightsError, nearest, require
from ontogeny.replay._loading.state_dict import State, load_into

__all__ = ["ImageTransform", "is_timm", "load_timm", "timm_transform"]

# What of timm's create_model and of its own cfg says where weights come from: never taken from a repository.
_SOURCES = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")
_WEIGHTS = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTransform:
    """timm's own transform for evaluation, of PIL images and of arrays, in the colours that the model takes.

    Args:
        inner: PIL image -> tensor (channels x height x width).
        mode: "RGB", or "L" for a model of one channel; other images are converted, as timm does when it reads files.
    """

    inner: Callable[[Any], Tensor]
    mode: str

    def __call__(self, image: Any) -> Tensor:
        """A PIL image, or a uint8 array height x width (x 3), as channels x height x width."""
        pil = require("PIL.Image", "timm")
        picture = image if isinstance(image, pil.Image) else pil.fromarray(np.asarray(image))
        return self.inner(picture.convert(self.mode))


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a config.json is one of timm: it names one `architecture`, where transformers lists `architectures`."""
    return isinstance(config.get("architecture"), str) and "architectures" not in config


def load_timm(
    config: Mapping[str, Any], state: State, where: str, *, dtype: torch.dtype | Literal["auto"] = "auto"
) -> nn.Module:
    """The model that a config.json describes, with these weights, in eval mode.

    Args:
        config: of timm: architecture, num_classes, pretrained_cfg, and model_args where there are any.
        state: the weights.
        where: for messages.
        dtype: of the model's weights; "auto": as they are stored, where all have one.

    Raises:
        WeightsError: an architecture that this timm does not have or cannot make like that, or weights that do not fit.
        MissingExtraError: no timm.
    """
    stored = {value.dtype for value in state.values() if value.is_floating_point()}
    chosen_dtype = next(iter(stored)) if dtype == "auto" and len(stored) == 1 else dtype
    model = _made(config, where)
    return load_into(model if chosen_dtype == "auto" else model.to(chosen_dtype), state, where)


def _made(config: Mapping[str, Any], where: str) -> nn.Module:
    """With weights that are to be replaced."""
    timm = require("timm", "timm")
    name, options = config["architecture"], config.get("model_args") or {}
    if not timm.is_model(name) or "." in name:
        raise WeightsError(
            f"{where}: config.json names the architecture {name!r}, which this timm ({timm.__version__}) does not "
            f"have. {nearest(name, timm.list_models())} Upgrade timm, or name what makes the model with model="
        )
    if foreign := [key for key in _SOURCES if key in options]:
        raise WeightsError(
            f"{where}: model_args in config.json has {', '.join(foreign)}; weights come from the repository's own file"
        )
    resolved = {"num_classes": config.get("num_classes"), **options}
    try:
        return timm.create_model(name, pretrained=False, pretrained_cfg=_cfg(config), **resolved)  # type: ignore[no-any-return]
    except Exception as error:
        raise WeightsError(
            f"{where}: timm {timm.__version__} cannot make {name} with {resolved}: {type(error).__name__}: {error}"
        ) from error


def timm_transform(config: Mapping[str, Any]) -> ImageTransform:
    """How images are prepared for evaluation: size, crop, interpolation, mean and deviation of the config.

    Args:
        config: of timm.

    Raises:
        MissingExtraError: no timm.
    """
    data = require("timm.data", "timm")
    resolved = data.resolve_data_config({}, pretrained_cfg=_cfg(config))
    mode = "L" if resolved["input_size"][0] == 1 else "RGB"
    return ImageTransform(inner=data.create_transform(**resolved, is_training=False), mode=mode)


def _cfg(config: Mapping[str, Any]) -> dict[str, Any]:
    """The pretrained_cfg of timm (once the whole config), without the places of weights and keys of a newer timm."""
    known = {f.name for f in fields(require("timm.models", "timm").PretrainedCfg)} - set(_WEIGHTS)
    resolved = config.get("pretrained_cfg") or config
    cfg = {key: value for key, value in resolved.items() if key in known}
    return {**cfg, "architecture": config["architecture"]}
