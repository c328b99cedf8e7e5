"""A model as a probe reads it, of which training sees nothing: in eval mode, without gradients, from fixed seeds."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ontogeny.errors import ProbeError
from ontogeny.extraction import _interrupts
from ontogeny.extraction.fsdp1 import gathered, reshard
from ontogeny.extraction.fsdp2 import end_forward
from ontogeny.extraction.layers import plain_model
from ontogeny.extraction.preserved import SEED, preserved, what_reading_changes
from ontogeny.extraction.process_group import SINGLE_PROCESS, ProcessGroup
from ontogeny.extraction.random_state import GlobalState, seed_everything
from ontogeny.extraction.state import SavedRandom, first_uninitialised

__all__ = ["NotYetError", "Observed", "observing"]


class NotYetError(ProbeError):
    """The model cannot be read before its first batch."""


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
        model: any module; wrappers of DDP, FSDP1, weight averaging and `torch.compile` are looked through.
        ranks: where several read the model, all read it with the buffers of the first, which a checkpoint holds.
        autocast: type that the forward pass runs in, for a model that only runs under autocast.

    Raises:
        NotYetError: parameters that the first batch will make.
        LeftBehindError: at the end, something could not be put back; it is named.
    """

    def __init__(
        self, model: nn.Module, ranks: ProcessGroup = SINGLE_PROCESS, *, autocast: torch.dtype | None = None
    ) -> None:
        self._model = plain_model(model)
        self._ranks, self._autocast = ranks, autocast
        self._gathered = gathered(model, ranks.timeout)
        self._kept = preserved(self._model)
        self._stack = ExitStack()

    @_interrupts.entering
    def __enter__(self) -> Observed:
        with ExitStack() as around:
            around.enter_context(self._gathered)
            seen = self._begin()
            around.pop_all()
        return seen

    def _begin(self) -> Observed:
        if (name := first_uninitialised(self._model)) is not None:
            raise NotYetError(f"parameter {name!r} is made by the first batch, so that the model cannot be read yet")
        self._random = GlobalState()
        self._kept.__enter__()
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
            self._leave(type(error), error, error.__traceback__)
            raise
        return Observed(self._model, self._again, self._drew)

    @_interrupts.leaving
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        with ExitStack() as around:
            around.push(self._gathered)
            self._leave(kind, error, trace)

    def _leave(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self._stack.close()
            self._reshard()
        finally:
            try:
                self._kept.__exit__(kind, error, trace)
            finally:
                self._random.restore()

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
        """FSDP2 keeps the last module's parameters whole after a forward pass, FSDP1 those of one that failed."""
        reshard(self._model)
        end_forward(self._model)
        for module in self._model.modules():
            if callable(free := getattr(module, "reshard", None)) and hasattr(module, "unshard"):
                free()

    def _again(self) -> None:
        self._begin_anew()
        _interrupts.deliver()

    @_interrupts.waits
    def _begin_anew(self) -> None:
        self._reshard()
        if what_reading_changes(self._model) or self._kept.state.fragile:
            self._kept.again()
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
