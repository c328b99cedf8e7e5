"""Calling: which module of a model is read, and how its forward pass is called with a batch.

Both can be said (`module=`, `call=`). Otherwise a model of two towers is read by that of the stimuli's modality, an
encoder-decoder by its encoder, and arguments are given by the names in the signature of `forward`, looked for through
wrappers that take `*args, **kwargs`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import LayerNotFoundError, ProbeError, nearest
from ontogeny.extraction.forward_signature import NAMED, insides, parameters
from ontogeny.extraction.layers import plain_name
from ontogeny.extraction.model_inputs import Batch

__all__ = ["Call", "TextCall", "find_module", "module_to_read", "ways_to_call"]

Call = Callable[[nn.Module, Mapping[str, Tensor]], Any]
Make = Callable[[Tensor], Any]


@dataclass(frozen=True, slots=True)
class TextCall:
    """A forward pass of texts, by the names in its signature.

    Args:
        rest: name of an argument -> how it is made of the token ids.
        masks: those of them that are masks of which it has to be tried out whether 1 keeps a token.
        given: parts of the batch that are given by name; none: the token ids alone, by place.
        extra: further arguments.
    """

    rest: Mapping[str, Make]
    masks: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, module: nn.Module, batch: Mapping[str, Tensor]) -> Any:
        """What the module returns."""
        ids = batch["input_ids"]
        rest = {name: make(ids) for name, make in self.rest.items()}
        if not self.given:
            return module(ids, **rest, **self.extra)
        return module(**{name: batch[name] for name in self.given}, **rest, **self.extra)

    def masked_by(self, make: Make) -> TextCall:
        """The same with other masks."""
        return replace(self, rest={**self.rest, **dict.fromkeys(self.masks, make)})


_TOWERS = {
    "text": ("text_model", "text_encoder", "text_branch", "text_decoder", "language_model"),
    "image": ("vision_model", "visual", "visual_model", "vision_encoder", "vision_tower", "image_encoder"),
}
_PIXELS = ("pixel_values", "input_values", "input_features")
_KEEP_ALL = re.compile(r"^(attention_mask|input_mask|attn_mask|mask)$")
_MADE: tuple[tuple[re.Pattern[str], Make], ...] = (
    (re.compile(r"pad"), lambda ids: torch.zeros_like(ids, dtype=torch.bool)),
    (
        re.compile(r"^(lengths?|seq_lens?|seq_lengths?|input_lengths?)$"),
        lambda ids: torch.full((len(ids),), ids.shape[1], device="cpu"),
    ),
    (
        re.compile(r"^(position_ids|positions?|pos|pos_ids)$"),
        lambda ids: torch.arange(ids.shape[1], device=ids.device).expand_as(ids),
    ),
    (re.compile(r"^(token_type_ids|segment_ids|segments?|segment_label|token_types)$"), torch.zeros_like),
    (re.compile(r"^attention_mask$"), torch.ones_like),
)


def _unknown(_ids: Tensor) -> None:
    """For an argument that cannot be made of token ids."""


def find_module(model: nn.Module, name: str) -> nn.Module:
    """The submodule of a dotted name; "model[0].auto_model" is taken too.

    Raises:
        LayerNotFoundError: there is none; the nearest names are suggested.
    """
    dotted = re.sub(r"\[(\w+)\]", r".\1", name).removeprefix("model.") if "[" in name else name
    for candidate in dict.fromkeys((dotted, re.sub(r"\[(\w+)\]", r".\1", name), name)):
        found: Any = model
        for part in candidate.split("."):
            found = getattr(found, part, None) if found is not None else None
        if isinstance(found, nn.Module):
            return found
    raise LayerNotFoundError(
        f"the model has no submodule {name!r} to be read. {nearest(name, [n for n, _ in model.named_modules()])}"
    )


def module_to_read(model: nn.Module, modality: str) -> nn.Module:
    """The model itself, its tower for this modality, or its encoder."""
    own_tower = _tower(model, _TOWERS[modality])
    others = _tower(model, _TOWERS["image" if modality == "text" else "text"])
    if own_tower is not None and others is not None:
        return own_tower
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False) and hasattr(model, "get_encoder"):
        encoder = model.get_encoder()  # type: ignore[operator]
        if isinstance(encoder, nn.Module):
            return encoder
    return model


def _tower(model: nn.Module, names: tuple[str, ...]) -> nn.Module | None:
    for holder in (model, getattr(model, "model", None), getattr(model, "base_model", None)):
        for name in names:
            found = getattr(holder, name, None)
            if isinstance(found, nn.Module):
                return found
    return None


def _signature(module: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Parameters of `forward`; where these are `*args, **kwargs` alone, those of the module inside."""
    found = [parameters(inner) for inner in insides(module)]
    return {p.name: p for p in next((some for some in found if any(p.kind in NAMED for p in some)), found[0])}


def ways_to_call(module: nn.Module, batch: Batch) -> Iterator[Call]:
    """How `module` can be called with such a batch, the likeliest first.

    Raises:
        ProbeError: it has no forward pass of its own, or one that needs more than a batch has.
    """
    takes = _signature(module)
    if _has_no_forward(module):
        raise ProbeError(
            f"{type(module).__name__} has no forward pass of its own. Name the part that is read with module=: "
            f"{_children(module)}; or pass call=, a function of the model and a batch"
        )
    named = [n for n, p in takes.items() if p.kind in NAMED]
    if "input_ids" in batch.inputs:
        yield from _text_calls(module, takes, named)
    else:
        yield from _pixel_calls(module, takes, named)


def _text_calls(module: nn.Module, takes: Mapping[str, inspect.Parameter], named: list[str]) -> Iterator[Call]:
    takes_any = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    needed = [name for name in named if takes[name].default is inspect.Parameter.empty]
    if "input_ids" in named:
        masked = "attention_mask" in named or takes_any
        extra = {"use_cache": False} if "use_cache" in named else {}
        more = [name for name in needed if name not in ("input_ids", "attention_mask")]
        for rest, masks in _needed(module, more):
            yield TextCall(
                rest, masks, given=("input_ids", "attention_mask") if masked else ("input_ids",), extra=extra
            )
        return
    first = takes[named[0]] if named else None
    if first is not None and re.search(r"dict|mapping", str(first.annotation), re.IGNORECASE):
        yield lambda m, b: m(dict(b))
    for rest, masks in _needed(module, [name for name in needed if name not in named[:1]]):
        yield TextCall(rest, masks)
    yield lambda m, b: m(dict(b))


def _needed(module: nn.Module, names: Sequence[str]) -> Iterator[tuple[dict[str, Make], tuple[str, ...]]]:
    """Masks, lengths, places and kinds of tokens that have no default, for texts without padding.

    A mask whose polarity its name does not tell is None, which cannot be wrong; where the model fails on that, one that
    keeps every token, as transformers have it; its name is given beside, to be tried out in the rehearsal.
    """
    unclear = [name for name in names if _KEEP_ALL.search(name) and name != "attention_mask"]
    made: dict[str, Make] = dict.fromkeys(unclear, lambda _: None)
    for name in names:
        made.setdefault(name, next((make for pattern, make in _MADE if pattern.search(name)), _unknown))
        if made[name] is _unknown:
            raise ProbeError(
                f"the forward pass of {type(module).__name__} needs {name!r} beside a batch of texts; pass call=, a "
                "function of the model and a batch, or name the part that is read with module="
            )
    yield made, ()
    if unclear:
        yield {**made, **dict.fromkeys(unclear, torch.ones_like)}, tuple(unclear)


def _pixel_calls(module: nn.Module, takes: Mapping[str, inspect.Parameter], named: list[str]) -> Iterator[Call]:
    by_name = next((name for name in _PIXELS if name in named), None)
    if by_name is not None:
        yield lambda m, b: m(**{by_name: b["pixels"]})
        return
    more = [n for n in named[1:] if takes[n].default is inspect.Parameter.empty]
    more = [n for n in more if takes[n].kind is not inspect.Parameter.VAR_KEYWORD]
    if more:
        raise ProbeError(
            f"the forward pass of {type(module).__name__} needs {', '.join(map(repr, more))} beside a batch of "
            f"pictures; name the part that is read with module= ({_children(module)}), or pass call=, a function of "
            "the model and a batch"
        )
    yield lambda m, b: m(b["pixels"])


def _has_no_forward(module: nn.Module) -> bool:
    if "forward" in module.__dict__:
        return False
    owner = next((cls for cls in type(module).__mro__ if "forward" in vars(cls)), nn.Module)
    return owner is nn.Module or owner.__name__ == "LightningModule"


def _children(module: nn.Module) -> str:
    names = [repr(plain_name(n)) for n, child in module.named_children() if list(child.parameters())]
    return " or ".join(names[:6]) or "it has no submodules with parameters"
