"""Probe: the model reads the stimulus set, its layers become stimuli x features, no trace is left.

A probe is a measurement, not a trained linear head.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ontogeny._arrays import digest
from ontogeny.errors import FeatureError, ProbeError
from ontogeny.extraction.features import Features, Site
from ontogeny.extraction.inputs import Batch, Reader, make_reader
from ontogeny.extraction.layers import EMBEDDINGS, SURPRISAL, choose_layers, plain_model
from ontogeny.extraction.pooling import Pooling, first_tensor, pool, pooling_name
from ontogeny.extraction.ranks import ALONE, Ranks, is_sharded
from ontogeny.metrics.view import refusal
from ontogeny.stimuli import StimulusSet

__all__ = ["Probe", "observing", "same_randomness"]


@contextmanager
def same_randomness(*, gpu: bool = True) -> Iterator[None]:
    """Put the random states of Python, numpy and torch back at the end.

    Args:
        gpu: the GPUs' too, which waits for what they are doing: not to be asked at every step.
    """
    python, legacy, generator = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    devices = torch.cuda.get_rng_state_all() if gpu and torch.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.set_rng_state(generator)
        if devices is not None:
            torch.cuda.set_rng_state_all(devices)


def _is_compiled(model: nn.Module) -> bool:
    return any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) for m in model.modules())


@contextmanager
def _without_autocast(bare: nn.Module) -> Iterator[None]:
    """Read in the weights' own precision; accelerate wraps `forward` itself in autocast, which is looked through."""
    patched, original = bare.__dict__.get("forward"), bare.__dict__.get("_original_forward")
    with ExitStack() as stack:
        for device in {p.device.type for p in bare.parameters()} | {"cpu"}:
            stack.enter_context(torch.autocast(device, enabled=False))
        try:
            if patched is not None and original is not None:
                bare.forward = original
            yield
        finally:
            if patched is not None and original is not None:
                bare.forward = patched


@contextmanager
def observing(model: nn.Module, ranks: Ranks = ALONE) -> Iterator[nn.Module]:
    """The bare model in eval mode, without gradients; everything is put back at the end, also after an error.

    Put back: each submodule's mode, every buffer, the random states of Python, numpy and torch (CPU and GPU), FSDP2's
    sharding. Hooks that a probe adds are its own to remove. Compiled models are run eagerly, autocast is off.

    Args:
        model: any module; wrappers of DDP, weight averaging and `torch.compile` are looked through.
        ranks: where several read the model, all read it with the buffers of the first, which a checkpoint holds.
    """
    bare = plain_model(model)
    modes = [(module, module.training) for module in bare.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in bare.buffers()]
    try:
        with ExitStack() as stack:
            stack.enter_context(same_randomness())
            stack.enter_context(torch.no_grad())
            stack.enter_context(_without_autocast(bare))
            if _is_compiled(model) and hasattr(torch.compiler, "set_stance"):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            ranks.same_buffers(bare)
            bare.eval()
            yield bare
    finally:
        for module, mode in modes:
            module.training = mode
            if callable(reshard := getattr(module, "reshard", None)) and hasattr(module, "unshard"):  # FSDP2
                reshard()
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How a model is read on one stimulus set.

    Args:
        stimuli: what it reads.
        reader: a Hugging Face tokenizer or a callable text -> token ids (text); a callable image -> tensor (images).
        layers: "auto" (blocks of a transformer with the embedding output, stages of a CNN), or names and globs;
            "surprisal" adds each sentence's mean token surprisal in nats (language models, text).
        pooling: one or several, see `ontogeny.extraction.pooling`.
        batch_size: stimuli a forward pass.
    """

    stimuli: StimulusSet
    reader: Any
    layers: str | Sequence[str] = "auto"
    pooling: Pooling | Sequence[Pooling] = ""
    batch_size: int = 64
    _reader: Reader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ProbeError(f"batch_size should be at least 1, got {self.batch_size}")
        for pooling in self.poolings:
            pooling_name(pooling)
        with same_randomness():
            object.__setattr__(self, "_reader", make_reader(self.stimuli, self.reader))

    @property
    def poolings(self) -> tuple[Pooling, ...]:
        """The poolings; where none is given, "last" for text and "spatial_mean" for images."""
        if not self.pooling:
            return ("last",) if self.stimuli.modality == "text" else ("spatial_mean",)
        if isinstance(self.pooling, str) or callable(self.pooling):
            return (self.pooling,)
        return tuple(self.pooling)

    def sites(self, model: nn.Module) -> tuple[str, ...]:
        """Names of the layers that this probe reads in `model`.

        Raises:
            LayerNotFoundError: a name or glob that no layer has.
        """
        return tuple(choose_layers(plain_model(model), self.layers))

    def fingerprint(self, model: nn.Module) -> str | None:
        """Sixteen hex digits over all that features depend on beside the weights: inputs, layers, poolings.

        None where a pooling is a function of the user's own.
        """
        if any(callable(pooling) for pooling in self.poolings):
            return None
        inputs = [
            (name, tensor.numpy())
            for batch in self._reader.batches(self.batch_size)
            for name, tensor in sorted(batch.inputs.items())
        ]
        flat = [part for pair in inputs for part in pair]
        return digest(type(plain_model(model)).__qualname__, self.stimuli.ids, self.sites(model), self.poolings, *flat)

    def __call__(self, model: nn.Module, ranks: Ranks = ALONE) -> Features:
        """Read the stimulus set.

        A layer whose output cannot be used (NaN, another batch size, the same for every stimulus) is refused by name,
        the others go on.

        Args:
            model: at the weights to be read.
            ranks: batch i is read by rank i modulo their number, and the first gathers; a sharded model is read by all
                together. Every rank has to call.

        Returns:
            The features; on the other ranks none.

        Raises:
            LayerNotFoundError: no such layer.
            ProbeError: the model cannot be run on the stimuli; on every rank, also where another one failed.
        """
        start = time.perf_counter()
        device = next((p.device for p in plain_model(model).parameters()), torch.device("cpu"))
        shares = ranks.each(lambda: self._read(model, ranks))
        collected: dict[Site, dict[int, Tensor]] = {}
        refused: dict[Site, str] = {}
        for share in shares:
            for site, batches in share.vectors.items():
                collected.setdefault(site, {}).update(batches)
            refused.update(share.refused)
        values = {
            site: torch.cat([batches[i].to(device) for i in sorted(batches)])
            for site, batches in collected.items()
            if site not in refused
        }
        refused.update({site: why for site, x in values.items() if (why := refusal(x)) is not None})
        return Features(
            stimulus_ids=self.stimuli.ids,
            values={site: x for site, x in values.items() if site not in refused},
            refused=refused,
            seconds=time.perf_counter() - start,
        )

    def _read(self, model: nn.Module, ranks: Ranks) -> _Share:
        """This rank's batches, pooled; on the CPU where they will travel."""
        share = _Share()
        with observing(model, ranks) as bare:
            chosen = choose_layers(bare, self.layers)
            together = is_sharded(bare)
            device = next((p.device for p in bare.parameters()), torch.device("cpu"))
            for index, batch in enumerate(self._reader.batches(self.batch_size)):
                if not together and index % ranks.size != ranks.rank:
                    continue
                placed = batch.to(device)
                caught, output = _forward(bare, chosen, placed)
                for site, vector in self._vectors(caught, output, placed, surprisal=SURPRISAL in chosen):
                    try:
                        pooled = vector()
                    except FeatureError as error:
                        share.refused.setdefault(site, str(error))
                        continue
                    share.vectors.setdefault(site, {})[index] = pooled if ranks.size == 1 else pooled.cpu()
        return share if ranks.first or not together else _Share()

    def _vectors(
        self, caught: Mapping[str, Any], output: Any, batch: Batch, *, surprisal: bool
    ) -> Iterator[tuple[Site, Callable[[], Tensor]]]:
        mask = batch.inputs.get("attention_mask")
        for layer, value in caught.items():
            for how in self.poolings:
                yield Site(layer, pooling_name(how)), partial(pool, value, mask, how, n_stimuli=batch.size)
        if surprisal:
            yield Site(SURPRISAL, "mean"), partial(_surprisal, output, batch)


@dataclass(slots=True)
class _Share:
    """What one rank read: site -> number of the batch -> stimuli x features, and what it had to refuse."""

    vectors: dict[Site, dict[int, Tensor]] = field(default_factory=dict)
    refused: dict[Site, str] = field(default_factory=dict)


def _forward(model: nn.Module, chosen: Mapping[str, nn.Module | None], batch: Batch) -> tuple[dict[str, Any], Any]:
    """Run one batch with hooks on the chosen layers; the hooks are removed whatever happens."""
    caught: dict[str, Any] = {}
    with ExitStack() as hooks:
        for name, module in chosen.items():
            if module is not None:
                handle = _listen(name, module, caught)
                hooks.callback(handle.remove)
        try:
            output = batch.run(model)
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            raise ProbeError(
                f"{type(model).__name__} failed on a batch of {batch.size} stimuli ({batch.shapes()}): {error}; check "
                "the tokenizer or transform"
            ) from error
    silent = [name for name, module in chosen.items() if module is not None and name not in caught]
    if silent:
        raise ProbeError(f"layers {silent} were not run in the forward pass, so that they have no features")
    return caught, output


def _listen(name: str, module: nn.Module, caught: dict[str, Any]) -> torch.utils.hooks.RemovableHandle:
    def keep_output(_module: nn.Module, _args: Any, output: Any) -> None:
        caught[name] = _copy(output)

    def keep_input(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught[name] = _copy(args if args else kwargs)

    if name == EMBEDDINGS:
        return module.register_forward_pre_hook(keep_input, with_kwargs=True)
    return module.register_forward_hook(keep_output)


def _copy(output: Any) -> Any:
    """Copied at once: later in-place operations of the model would overwrite it."""
    tensor = first_tensor(output)
    if tensor is None:
        return output
    whole = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return whole.detach().clone()


def _surprisal(output: Any, batch: Batch) -> Tensor:
    """Mean over tokens of -log p(token | tokens before), nats, stimuli x 1."""
    logits = output.get("logits") if isinstance(output, Mapping) else first_tensor(output)
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    if logits is None or logits.ndim != 3 or logits.shape[:2] != ids.shape:
        shape = None if logits is None else tuple(logits.shape)
        raise FeatureError(f"'surprisal' needs logits of shape batch x tokens x vocabulary, got {shape}")
    losses = nn.functional.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")
    weights = mask[:, 1:].float()
    return ((losses * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1))[:, None]
