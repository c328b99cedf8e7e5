"""Held-out batches: a list as it is; a loader read once, leaving no trace on it or on any random state."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ontogeny._import_string import import_from_string
from ontogeny.errors import ProbeError
from ontogeny.extraction._interrupts import at_once, held
from ontogeny.extraction.preserved import SEED, preserved
from ontogeny.extraction.random_state import same_randomness, seed_everything
from ontogeny.extraction.state import CannotRestoreError
from ontogeny.monitoring.heldout._plain_datasets import reading_copies

__all__ = ["as_tensor", "kept_batches", "mapped"]


@held
def kept_batches(source: Any, max_batches: int) -> tuple[Any, ...]:
    """All batches of a list or tuple; of a loader, the first `max_batches`, detached, on the CPU.

    A loader is read under fixed seeds, its own generators included, so that every process gets the same batches.

    Args:
        source: see `HeldOutLoss`.
        max_batches: of a loader.

    Raises:
        ProbeError: no batches, or something that is not batches or that reading would use up.
    """
    if max_batches < 1:
        raise ProbeError(f"max_batches should be at least 1, got {max_batches}")
    with same_randomness(seed=SEED):
        batches = _batches(source, max_batches)
    if not batches:
        raise ProbeError("HeldOutLoss got no batches; hold some data out")
    return batches


def _batches(source: Any, max_batches: int) -> tuple[Any, ...]:
    found = import_from_string(source) if isinstance(source, str) else source
    if callable(found) and not hasattr(found, "__iter__"):
        return _made(found, max_batches)
    return tuple(found) if isinstance(found, list | tuple) else _read(found, max_batches)


def _made(make: Callable[[], Any], max_batches: int) -> tuple[Any, ...]:
    """Of a function; what it draws from or counts is put back."""
    with preserved(make) as kept:
        kept.seed()
        made = at_once(make)
        if inspect.isgenerator(made):  # it is ours alone, to use up
            return at_once(_first, made, max_batches)
    return _batches(made, max_batches)


def _first(batches: Iterator[Any], most: int) -> tuple[Any, ...]:
    return tuple(mapped(batch, _kept) for batch in itertools.islice(batches, most))


def _read(loader: Any, max_batches: int) -> tuple[Any, ...]:
    _refuse_what_is_no_loader(loader)
    with reading_copies(loader), preserved(loader) as kept:
        _start_no_lasting_workers(kept.state.reached())
        kept.seed()
        seed_everything(SEED)
        running = at_once(iter, loader)
        try:
            return at_once(_first, running, max_batches)
        except CannotRestoreError as error:
            raise ProbeError(
                f"HeldOutLoss cannot read this {type(loader).__name__} without a trace: the loader.{error}. Pass a "
                "list of batches instead"
            ) from error
        finally:
            for stop in ("_shutdown_workers", "close"):
                if callable(ends := getattr(running, stop, None)):
                    ends()
            del running


def _refuse_what_is_no_loader(source: Any) -> None:
    kind = type(source).__name__
    if isinstance(source, Iterator):
        raise ProbeError(
            f"HeldOutLoss got a {kind}, which can be read once: reading it here would use it up. Pass what it is made "
            "from (a DataLoader), or a list of batches: list(itertools.islice(..., 16))"
        )
    if isinstance(source, Mapping | Tensor | np.ndarray):
        raise ProbeError(f"HeldOutLoss got a {kind}, expected several batches; put a single batch in a list: [batch]")
    if not isinstance(source, Iterable):
        hint = "; put the data set in a DataLoader" if hasattr(source, "__getitem__") else ""
        raise ProbeError(f"HeldOutLoss got a {kind}, expected a list of batches or a loader{hint}")


def _start_no_lasting_workers(reached: list[Any]) -> None:
    """Loaders start workers of their own for this reading; those of a training that is under way go on unharmed."""
    aside = {"_iterator": None, "persistent_workers": False, "pin_memory": False}
    for item in reached:
        own = getattr(item, "__dict__", None)
        if isinstance(own, dict) and {"_iterator", "persistent_workers"} <= own.keys():
            own.update({name: value for name, value in aside.items() if name in own})


def _kept(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    try:
        return copy.deepcopy(value)
    except (TypeError, RuntimeError, NotImplementedError):
        return value


def as_tensor(value: Any) -> Any:
    """Arrays of numpy as tensors, their integers as token ids are; anything else as it is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        return value
    return torch.from_numpy(value.astype(np.int64 if value.dtype.kind in "iu" else value.dtype))


def mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The batch with every tensor, and every other value that is no container, changed; mappings become dicts."""
    if isinstance(batch, Mapping):
        return {name: mapped(value, change) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(value, change) for value in batch))
    if isinstance(batch, tuple | list):
        return tuple(mapped(value, change) for value in batch)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        other = copy.copy(batch)
        for each in dataclasses.fields(batch):
            object.__setattr__(other, each.name, mapped(getattr(batch, each.name), change))
        return other
    return change(batch)
