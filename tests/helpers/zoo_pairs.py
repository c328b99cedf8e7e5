"""Pairs of a text and a vision tower, read by one or the other; parts of models; models that need more than a text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.helpers.zoo import Family
from tests.helpers.zoo_text import SIZES, family
from tests.helpers.zoo_vision import EFFICIENT, VIT

WIDER_VIT = VIT | {"hidden_size": 40}
PAIR = {"text_config": SIZES, "vision_config": WIDER_VIT, "projection_dim": 16}


def text_tower(model: nn.Module, x: Tensor, **options: Any) -> Any:
    return model.text_model(input_ids=x, **options)


def vision_tower(model: nn.Module, x: Tensor, **options: Any) -> Any:
    return model.vision_model(pixel_values=x, **options)


PAIRS = {
    "clip": ("text_model.encoder.layers", "vision_model.encoder.layers"),
    "siglip": ("text_model.encoder.layers", "vision_model.encoder.layers"),
    "altclip": ("text_model.roberta.encoder.layers", "vision_model.encoder.layers"),
    "chinese_clip": ("text_model.encoder.layer", "vision_model.encoder.layers"),
    "blip": ("text_model.encoder.layer", "vision_model.encoder.layers"),
    "metaclip_2": ("text_model.encoder.layers", "vision_model.encoder.layers"),
    "clipseg": ("text_model.encoder.layers", "vision_model.encoder.layers"),
    "owlvit": ("text_model.encoder.layers", "vision_model.encoder.layers"),
    "aimv2": ("text_model.encoder.layers", "vision_model.encoder.layers"),
    "vision-text-dual-encoder": ("text_model.encoder.layer", "vision_model.layers"),
}
"""Kind -> the stacks of its towers."""


def towers() -> list[Family]:
    """ "auto" reads the tower of the stimuli's modality."""
    found = []
    for kind, (texts, pictures) in PAIRS.items():
        options = PAIR | {"text_config": SIZES | {"model_type": "bert"}} if kind.startswith("vision") else PAIR
        if kind.startswith("vision"):
            options = options | {"vision_config": WIDER_VIT | {"model_type": "vit"}}
        reads = {"name": f"{kind} on texts", "forward": text_tower, "world": "sentences"}
        sees = {"name": f"{kind} on pictures", "forward": vision_tower, "world": "pictures"}
        found += [family(kind, texts, options, **reads), family(kind, pictures, options, **sees)]
    align = {"text_config": SIZES, "vision_config": EFFICIENT, "projection_dim": 640}
    return [
        *found,
        family(
            "align",
            "text_model.encoder.layer",
            align,
            name="align on texts",
            forward=text_tower,
            world="sentences",
        ),
        family(
            "align",
            "vision_model.encoder.blocks",
            align,
            name="align on pictures",
            forward=vision_tower,
            world="wide pictures",
            axes="bchw",
            n=4,
        ),
    ]


def of_the_only_input(batch: Mapping[str, Tensor]) -> Tensor:
    """The texts' token ids or the pictures, under whatever name."""
    return batch["input_ids"] if "input_ids" in batch else next(iter(batch.values()))


def pictures_alone(module: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    return module.get_image_features(pixel_values=of_the_only_input(batch))


def boxed(module: nn.Module, ids: Tensor, **options: Any) -> Any:
    return module(input_ids=ids, bbox=torch.zeros((*ids.shape, 8)), **options)


def parts() -> list[Family]:
    """`module=` names what is read, `call=` says how a model is run."""
    by_name = {family.name: family for family in towers()}
    stack = "vision_model.encoder.layers"
    vision = partial(family, "clip", stack, PAIR, forward=vision_tower, world="pictures")
    clip = by_name["clip on texts"]
    return [
        vision(name="clip, module=vision_model", options={"module": "vision_model"}),
        vision(name="clip, call=", options={"call": pictures_alone}),
        Family(
            name="clip, module=text_model",
            build=clip.build,
            blocks=clip.blocks,
            forward=text_tower,
            world="sentences",
            options={"module": "text_model"},
        ),
        family(
            "bros",
            "encoder.layer",
            SIZES | {"hidden_size": 128},
            forward=boxed,
            world="sentences",
            options={"call": lambda module, batch: boxed(module, of_the_only_input(batch))},
        ),
    ]
