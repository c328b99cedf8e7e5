"""One forward pass with hooks on the layers that are read; what it fails on is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._forward.calling import Call
from ontogeny.extraction._interrupts import at_once
from ontogeny.extraction.layers import Entrance, Layer, module_of
from ontogeny.extraction.model_inputs import Batch
from ontogeny.extraction.preserved import LeftBehindError
from ontogeny.extraction.state import CannotRestoreError

__all__ = ["Key", "Take", "can_be_left", "place", "run"]

Take = Callable[[str, int, Any], None]
Key = tuple[str, int]
"""A layer's name and the number of its call."""


class _EnoughRead(BaseException):
    """All that is read has been given; the rest of the forward pass is left out."""


class _EmbeddingError(Exception):
    """An embedding was asked for a row that it does not have."""


def place(batch: Batch, model: nn.Module) -> Batch:
    """The batch on the model's device; pictures in the type of its weights."""
    first = next((p for p in model.parameters() if p.is_floating_point() and not p.is_meta), None)
    placed = batch.to(first.device if first is not None else torch.device("cpu"))
    if first is None or "pixels" not in placed.inputs:
        return placed
    pixels = placed.inputs["pixels"].to(first.dtype)
    return Batch(inputs={"pixels": pixels}, size=batch.size, rows=batch.rows)


def run(
    part: nn.Module,
    batch: Batch,
    *,
    call: Call,
    layers: Mapping[str, Layer],
    take: Take,
    ids: Sequence[str] = (),
    last: Key | None = None,
) -> Any:
    """Run one batch.

    Args:
        part: the module that is read.
        batch: on its device.
        call: how it is called.
        layers: name -> layer.
        take: called with the layer's name, the number of the call, and what the layer returned (its own memory: to be
            copied or pooled at once).
        ids: of the stimuli, for errors.
        last: the layer and the number of its call after which nothing is read, where the rest may be left out.

    Returns:
        What the module returned; None where the rest was left out.

    Raises:
        ProbeError: the forward pass failed; the stimuli are named.
    """

    def take_until_last(name: str, number: int, output: Any) -> None:
        take(name, number, output)
        if (name, number) == last:
            raise _EnoughRead

    with _listening(part, layers, take_until_last):
        try:
            return at_once(call, part, batch.inputs)
        except _EnoughRead:
            return None
        except ProbeError:
            raise
        except CannotRestoreError as error:
            raise LeftBehindError(f"{type(part).__name__} cannot be read without a trace: {error}") from error
        except Exception as error:
            raise ProbeError(_what_failed(part, batch, ids, error)) from error


def can_be_left(part: nn.Module) -> bool:
    """Whether a forward pass may end in the middle: hooks of others, which may put something back, would not be run."""
    if torch.nn.modules.module._global_forward_hooks:
        return False
    return not any(m._forward_hooks or hasattr(m, "_hf_hook") for m in part.modules())


@contextmanager
def _listening(part: nn.Module, layers: Mapping[str, Layer], take: Take) -> Iterator[None]:
    """Hooks on the layers, and on embeddings, whose missing rows would end the process on a GPU."""
    scripted = torch.jit.ScriptModule  # calls no hooks
    silent = (type(None), scripted)
    handles = [_listen(name, one, take) for name, one in layers.items() if not isinstance(module_of(one), silent)]
    for name, module in part.named_modules():
        if isinstance(module, nn.Embedding) and type(module).forward is nn.Embedding.forward:
            handles.append(module.register_forward_pre_hook(_checks_rows(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _listen(name: str, layer: Layer, take: Take) -> torch.utils.hooks.RemovableHandle:
    calls = 0

    def take_output(_module: nn.Module, _args: Any, output: Any) -> None:
        nonlocal calls
        take(name, calls, output)
        calls += 1

    def take_input(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal calls
        if calls == 0:
            take(name, 0, (*args, kwargs))
        calls += 1

    if isinstance(layer, Entrance):
        return layer.block.register_forward_pre_hook(take_input, with_kwargs=True)
    assert layer is not None  # noqa: S101 - it has a module
    return layer.register_forward_hook(take_output)


def _checks_rows(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def check(module: nn.Module, args: tuple[Any, ...]) -> None:
        first_argument = args[0] if args and isinstance(args[0], Tensor) else None
        rows: int = module.num_embeddings  # type: ignore[assignment]
        if first_argument is None or first_argument.is_meta or not first_argument.numel():
            return
        low, high = (int(bound) for bound in torch.aminmax(first_argument))
        if low < 0 or high >= rows:
            wrong = high if high >= rows else low
            raise _EmbeddingError(f"{name or 'the embedding'!r} has {rows} rows, and row {wrong}")

    return check


def _what_failed(part: nn.Module, batch: Batch, ids: Sequence[str], error: Exception) -> str:
    rows = list(dict.fromkeys(batch.rows))
    who = ", ".join(repr(ids[row]) for row in rows[:3] if row < len(ids))
    who += ", ..." if len(rows) > 3 else ""
    stimuli = f"stimul{'us' if len(rows) == 1 else 'i'} {who}" if who else f"a batch of {batch.size} stimuli"
    n = batch.n_tokens
    length = f" of {n} tokens" if n is not None else ""
    name = type(part).__name__
    if isinstance(error, _EmbeddingError):
        known = int(batch.inputs["input_ids"].max()) if n is not None else -1
        if n is not None and f"row {known}" in str(error) and known >= n:
            return (
                f"{name} cannot read {stimuli}{length}: {error} was asked for by a token id: the tokenizer has more "
                "tokens than the model has embeddings. Pass the tokenizer that the model was made for"
            )
        return (
            f"{name} cannot read {stimuli}{length}: {error} was asked for: the text is longer than the model's "
            "context. Pass truncation= (a number of tokens), or leave the stimulus out"
        )
    if isinstance(error, torch.OutOfMemoryError):
        return f"{name} has no memory for {stimuli} ({batch.shapes()}); pass a smaller batch_size= than {batch.size}"
    longer = "" if n is None else "If the text is longer than the model's context, pass truncation= (tokens). "
    return (
        f"{name} failed on {stimuli}{length} ({batch.shapes()}): {type(error).__name__}: {error}. {longer}If it is not "
        "called like this, name the part that is read with module=, or pass call=, a function of the model and a batch"
    )
