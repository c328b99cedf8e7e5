"""Isolation: whatever is done to a model inside, outside nothing is seen of it.

`preserved` keeps the state of any objects. `observing` gives the bare model as a probe reads it: in eval mode, without
gradients, eagerly, under fixed random states. Both put everything back at the end, also after an error or Ctrl-C.
"""

from __future__ import annotations

import sys
import threading
import types
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ontogeny.errors import ProbeError
from ontogeny.extraction._saved import SavedRandom
from ontogeny.extraction.interrupts import HeldInterrupts
from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.per_model import PerModel
from ontogeny.extraction.randomness import GlobalState, seed_everything
from ontogeny.extraction.ranks import ALONE, Ranks
from ontogeny.extraction.state import SavedState, first_uninitialised

__all__ = ["SEED", "LeftBehindError", "NotYetError", "Observed", "observing", "preserved", "what_reading_changes"]

SEED = 20080092
_SMALL = 256 * 2**20
_STATES = threading.local()
_MODES = ("training", "forward", "log", "log_dict", "_compiled_call_impl")


class LeftBehindError(ProbeError):
    """Reading a model changed something that cannot be put back."""


class NotYetError(ProbeError):
    """The model cannot be read before its first batch."""


@dataclass(slots=True)
class _Known:
    """What earlier readings of a model have shown.

    Args:
        tensors: ids of the parameters that reading changes.
        names: what reading changes beside the modes.
    """

    tensors: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


_KNOWN: PerModel[_Known] = PerModel()


def what_reading_changes(model: nn.Module) -> tuple[str, ...]:
    """Names of what reading this model has changed so far, all of it put back."""
    known = _KNOWN.get(plain_model(model))
    return tuple(sorted(known.names)) if known is not None else ()


class preserved:  # noqa: N801 - a context manager, used like a function
    """Whatever happens to these objects inside, at the end they are as before, to the bit.

    Ctrl-C is held back while the state is saved or put back, and raised after that.

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
        self._below: list[Any] = []
        self._interrupts = HeldInterrupts(self)

    def __enter__(self) -> preserved:
        self._interrupts.hold()
        try:
            around: list[SavedState] = _STATES.__dict__.setdefault("states", [])
            found = [state for state in around if all(root in state for root in self._roots)]
            self._state = found[0] if found else SavedState(*self._roots, copied=_which_are_copied(self._roots))
            self._below = self._state.stand_in()
            around.append(self._state)
        except BaseException:
            self._interrupts.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        state, done = self.state, False
        try:
            self.put_back()
            done = True
        finally:
            if not done:
                self.put_back()
            _STATES.states.remove(state)
            state.put(self._below)
            self._state, self._below, lost = None, [], state.lost
            del state
            self._interrupts.release()
        if lost:
            text = "; ".join(f"{name or 'the model'}: {why}" for name, why in list(lost.items())[:5])
            left = LeftBehindError(f"reading the model changed what cannot be put back: {text}")
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

    def put_back(self, *, light: bool = False) -> None:
        """Put everything back now.

        Args:
            light: leave out parameters that no reading has changed so far.
        """
        known = [k for root in self._roots if isinstance(root, nn.Module) and (k := _KNOWN.get(root)) is not None]
        tensors = {tensor for one in known for tensor in one.tensors}
        changed = self.state.restore(parameters=tensors if light else None)
        if light:
            self.state.stand_in(self._below)
        for one in known:
            one.names.update(name for name in changed if name.rpartition(".")[2] not in _MODES)
            one.tensors.update(self.state.changed_parameters)


def _which_are_copied(roots: tuple[Any, ...]) -> Callable[[Tensor], bool]:
    """Which tensors are copied: all at the first reading of a model; later its large parameters only if need be."""
    left_out: set[int] = set()
    if not any(isinstance(root, nn.Module) for root in roots):
        return lambda tensor: tensor.numel() * tensor.element_size() <= _SMALL
    for root in roots:
        if not isinstance(root, nn.Module):
            continue
        known = _KNOWN.get(root)
        tensors = [t for p in root.parameters() for t in (p, p.grad) if t is not None]
        size = sum(t.numel() * t.element_size() for t in tensors if not torch.nn.parameter.is_lazy(t))
        if size > (_SMALL if known is not None else _free_memory()):
            wanted = (known.tensors if known is not None else set()) | _renormalised(root)
            left_out.update(id(t) for t in tensors if id(t) not in wanted)
        if known is None:
            _KNOWN.set(root, _Known())
    return lambda tensor: id(tensor) not in left_out


def _renormalised(model: nn.Module) -> set[int]:
    """Embeddings whose rows a forward pass scales down once they have grown."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    return {id(m.weight) for m in model.modules() if isinstance(m, kinds) and m.max_norm is not None}


def _free_memory() -> float:
    """Bytes of host memory that can be had, where the system tells."""
    table = Path("/proc/meminfo")
    if not table.is_file():
        return float("inf")
    lines = dict(line.split(":", 1) for line in table.read_text().splitlines() if ":" in line)
    return float(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else float("inf")


@dataclass(slots=True)
class Observed:
    """A model as a probe reads it.

    Args:
        model: the bare model.
        again: puts it back to how it was when the reading began, so that no batch sees what another one left, and
            starts all random states anew.
        drew: whether random numbers were drawn since.
    """

    model: nn.Module
    again: Callable[[], None]
    drew: Callable[[], bool]


class observing:  # noqa: N801 - a context manager, used like a function
    """A model as a probe reads it: `with observing(model) as seen: seen.model(...)`.

    In eval mode, without gradients; compiled models and functions run eagerly; autocast is off unless asked for; what
    modules log is dropped; all random states start from one seed. At the end everything is put back.

    Args:
        model: any module; wrappers of DDP, weight averaging and `torch.compile` are looked through.
        ranks: where several read the model, all read it with the buffers of the first, which a checkpoint holds.
        autocast: type that the forward pass runs in, for a model that only runs under autocast.

    Raises:
        NotYetError: parameters that the first batch will make.
        LeftBehindError: at the end, something could not be put back; it is named.
    """

    def __init__(self, model: nn.Module, ranks: Ranks = ALONE, *, autocast: torch.dtype | None = None) -> None:
        self._model = plain_model(model)
        self._ranks, self._autocast = ranks, autocast
        self._kept = preserved(self._model)
        self._interrupts = HeldInterrupts(self)
        self._stack = ExitStack()

    def __enter__(self) -> Observed:
        if (name := first_uninitialised(self._model)) is not None:
            raise NotYetError(f"parameter {name!r} is made by the first batch, so that the model cannot be read yet")
        self._interrupts.hold()
        self._random = GlobalState()
        try:
            self._kept.__enter__()
        except BaseException:
            self._interrupts.release()
            raise
        try:
            self._stack.enter_context(torch.no_grad())
            self._stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")  # of the model's own, which training shows
            self._stack.enter_context(_Autocast(self._model, self._autocast))
            if hasattr(torch.compiler, "set_stance") and _compiler_is_loaded():
                self._stack.enter_context(torch.compiler.set_stance("force_eager"))
            torch.backends.mha.set_fastpath_enabled(False)  # fused layers would call no hook inside
            self._buffers = self._ranks.first_buffers(self._model)
            self._prepare()
            self._seed()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return Observed(self._model, self._again, self._drew)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self._stack.close()
            self._reshard()
        finally:
            try:
                self._kept.__exit__(kind, error, trace)
            finally:
                self._random.restore()
                self._interrupts.release()

    def _prepare(self) -> None:
        own = dict(self._model.named_buffers()) if self._buffers else {}
        for name, value in self._buffers.items():
            own[name].copy_(value)
        _run_eagerly_and_quietly(self._model)
        self._model.eval()

    def _seed(self) -> None:
        seed_everything(SEED)
        self._kept.seed()
        self._seeded = GlobalState(), [SavedRandom(generator.live) for generator in self._kept.state.generators]

    def _reshard(self) -> None:
        """FSDP2 keeps the last module's parameters whole after a forward pass."""
        for module in self._model.modules():
            if callable(reshard := getattr(module, "reshard", None)) and hasattr(module, "unshard"):
                reshard()

    def _again(self) -> None:
        self._reshard()
        if what_reading_changes(self._model) or self._kept.state.fragile:
            self._kept.put_back(light=True)
            self._prepare()
        self._seeded[0].restore()
        self._kept.seed()

    def _drew(self) -> bool:
        everybodys, own = self._seeded
        return everybodys.moved() or any([bool(generator.restore()) for generator in own])


class _Autocast(ExitStack):
    """Autocast off on every device of a model, or on with one type; what it casts is not kept for training."""

    def __init__(self, model: nn.Module, dtype: torch.dtype | None) -> None:
        super().__init__()
        for device in {p.device.type for p in model.parameters()} | {"cpu"}:
            if device == "meta":
                continue
            self.enter_context(torch.autocast(device, dtype, enabled=dtype is not None, cache_enabled=False))


def _compiler_is_loaded() -> bool:
    return "torch._dynamo" in sys.modules


def _run_eagerly_and_quietly(model: nn.Module) -> None:
    """Functions that were compiled onto a module are replaced by their own code, and loggers by nothing.

    What accelerate makes of `forward`, autocast around it, is looked through.
    """
    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):
            _uncompile(module)
        if any(cls.__name__ == "LightningModule" for cls in type(module).__mro__):
            module.__dict__["log"] = module.__dict__["log_dict"] = _log_nothing
    own = model.__dict__
    if "forward" in own and own.get("_original_forward") is not None:
        own["forward"] = own["_original_forward"]


def _uncompile(module: nn.Module) -> None:
    own = module.__dict__
    for name, value in list(own.items()):
        compiled = isinstance(value, types.FunctionType | types.MethodType)
        if compiled and (code := getattr(value, "_torchdynamo_orig_callable", None)) is not None:
            own[name] = code
    code = getattr(type(module).forward, "_torchdynamo_orig_callable", None)
    if code is not None and "forward" not in own:
        own["forward"] = types.MethodType(code, module)
    if own.get("_compiled_call_impl") is not None:
        own["_compiled_call_impl"] = None


def _log_nothing(*_args: Any, **_options: Any) -> None:
    """In place of `self.log`."""
