"""Whatever is done to some objects inside, at the end they are as before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny._memory import available
from ontogeny.errors import ProbeError
from ontogeny.extraction import _interrupts
from ontogeny.extraction._per_model import PerModel
from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.state import SavedState

__all__ = ["SEED", "LeftBehindError", "forget_readings", "preserved", "what_reading_changes"]

SEED = 20080092
_SMALL = 256 * 2**20
_STATES = threading.local()
_MODES = ("training", "forward", "log", "log_dict", "_compiled_call_impl")


class LeftBehindError(ProbeError):
    """Reading a model changed something that cannot be put back."""


@dataclass(slots=True)
class _Known:
    """What earlier readings of a model have shown.

    Args:
        tensors: ids of the parameters, other tensors and arrays that reading changes.
        names: what reading changes beside the modes.
    """

    tensors: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


_KNOWN: PerModel[_Known] = PerModel()


def what_reading_changes(model: nn.Module) -> tuple[str, ...]:
    """Names of what reading this model has changed so far, all of it put back."""
    known = _KNOWN.get(plain_model(model))
    return tuple(sorted(known.names)) if known is not None else ()


def forget_readings(model: nn.Module) -> None:
    """Take the next reading of this model for its first one."""
    _KNOWN.forget(plain_model(model))


class preserved:  # noqa: N801 - a context manager, used like a function
    """Whatever happens to these objects inside, at the end they are as before, to the bit.

    Inside another one that has saved the same objects nothing is saved anew, and what no reading has changed so far is
    looked at by the next one that begins inside, or by the outer one at its end: once for all, since that takes as long
    as reading all weights. Ctrl-C is held back while the state is saved or put back, and raised after that.

    Args:
        *roots: models, loaders or other objects; see `ontogeny.extraction.state` for what is reached from them.

    Raises:
        LeftBehindError: at the end, something could not be put back; it is named.

    Example:
        >>> layer = nn.BatchNorm1d(2)
        >>> with preserved(layer):
        ...     _ = layer(torch.rand(4, 2))
        >>> layer.num_batches_tracked.item()
        0
    """

    def __init__(self, *roots: Any) -> None:
        self._roots = roots
        self._state: SavedState | None = None
        self._is_inner = False
        self._below: list[Any] = []

    @_interrupts.entering
    def __enter__(self) -> preserved:
        around: list[SavedState] = _STATES.__dict__.setdefault("states", [])
        found = [state for state in around if all(root in state for root in self._roots)]
        self._is_inner = bool(found)
        self._state = found[0] if found else SavedState(*self._roots, copied=_which_are_copied(self._roots))
        if self._state.unchecked:
            self._put_back(light=True, rest=True)
            if self._state.lost:
                raise _left_behind(self._state.lost)
        self._below = self._state.stand_in()
        around.append(self._state)
        return self

    @_interrupts.leaving
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        state, done = self.state, False
        try:
            self._put_back(light=self._is_inner)
            done = True
        finally:
            if not done:
                self._put_back(light=self._is_inner)
            _STATES.states.remove(state)
            state.put(self._below)
            self._state, self._below, lost = None, [], state.lost
            del state
        if lost:
            left = _left_behind(lost)
            if error is None:
                raise left
            error.add_note(str(left))

    @property
    def state(self) -> SavedState:
        """What was saved."""
        assert self._state is not None  # noqa: S101 - it was entered
        return self._state

    def seed(self) -> None:
        """Begin all random number generators that the objects hold anew, as every process would."""
        for generator in self.state.generators:
            generator.seed(SEED)

    def again(self) -> None:
        """Begin anew inside: all that readings were seen to change is as at the beginning."""
        self._put_back(light=True)
        self.state.stand_in(self._below)

    def _put_back(self, *, light: bool, rest: bool = False) -> None:
        """Put everything back now.

        Args:
            light: leave out parameters that no reading has changed so far.
            rest: put these back alone.
        """
        known = [k for root in self._roots if isinstance(root, nn.Module) and (k := _KNOWN.get(root)) is not None]
        tensors = self.state.changed.union(*(one.tensors for one in known))
        changed = self.state.restore(parameters=tensors if light else None, rest=rest)
        self.state.unchecked = light and not rest
        for one in known:
            one.names.update(name for name in changed if name.rpartition(".")[2] not in _MODES)
            one.tensors.update(self.state.changed)


def _left_behind(lost: Mapping[str, str]) -> LeftBehindError:
    text = "; ".join(f"{name or 'the model'}: {why}" for name, why in list(lost.items())[:5])
    return LeftBehindError(f"reading the model changed what cannot be put back: {text}")


def _which_are_copied(roots: tuple[Any, ...]) -> Callable[[Any], bool]:
    """Which tensors and arrays are copied: at the first reading of a model all that memory has room for.

    Later buffers, what readings were seen to change, and of parameters and of all else 256 MB each.
    """
    models = [root for root in roots if isinstance(root, nn.Module)]
    if not models:
        return lambda item: _bytes_of(item) <= _SMALL
    known = [_KNOWN.get(model) for model in models]
    room = available() if None in known else _SMALL
    changed = {one for seen in known if seen is not None for one in seen.tensors}
    to_copy = changed.union(*({id(b) for b in model.buffers()} | _renormalised(model) for model in models))
    parameters = {id(t): t for model in models for p in model.parameters() for t in (p, p.grad) if t is not None}
    whole = sum(map(_bytes_of, parameters.values())) <= room
    left = room
    for model, seen in zip(models, known, strict=True):
        if seen is None:
            _KNOWN.set(model, _Known())

    def copied(item: Any) -> bool:
        nonlocal left
        if id(item) in to_copy:
            return True
        if id(item) in parameters:
            return whole
        left -= _bytes_of(item)
        return left >= 0

    return copied


def _bytes_of(item: Any) -> int:
    if isinstance(item, Tensor):
        return 0 if torch.nn.parameter.is_lazy(item) else item.numel() * item.element_size()
    return int(item.nbytes)


def _renormalised(model: nn.Module) -> set[int]:
    """Embeddings whose rows a forward pass scales down once they have grown."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    return {id(m.weight) for m in model.modules() if isinstance(m, kinds) and m.max_norm is not None}
