"""Weights out of files and into models: safe to read, strict to load, finite.

Only `torch.load(weights_only=True)` and safetensors, so that no code in a file is run.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ontogeny.errors import OntogenyError, WeightsError, nearest, require
from ontogeny.replay._loading.dtypes import remember
from ontogeny.replay._loading.key_mismatch import few, front_of, misfit, unwrapped

__all__ = [
    "DamagedError",
    "State",
    "all_finite",
    "damage",
    "fills",
    "load_into",
    "metadata",
    "read",
    "stranger",
    "stripped",
    "why",
]

State = Mapping[str, Tensor]

_STARTS = (b"PK", b"\x80")
_LFS = b"version https://git-lfs"


# What scripts put beside weights, and which runs no code when it is read: options, paths, numbers of numpy. Under the
# names that these have had in files: numpy moved its core, Python 3.13 its paths.
_NO_OBJECTS = [name for name in np.dtypes.__all__ if name not in ("ObjectDType", "StringDType", "VoidDType")]
_MOVED = {
    "numpy{}core.multiarray.scalar": (np.float64(0).__reduce__()[0], (".", "._")),
    "numpy{}core.multiarray._reconstruct": (np.zeros(0).__reduce__()[0], (".", "._")),
    **{f"pathlib{{}}{cls.__name__}": (cls, (".", "._local.")) for cls in (pathlib.PosixPath, pathlib.PurePosixPath)},
}
_HARMLESS: tuple[Any, ...] = (
    argparse.Namespace,
    np.dtype,
    np.ndarray,
    *(getattr(np.dtypes, name) for name in _NO_OBJECTS),
    *((what, name.format(place)) for name, (what, places) in _MOVED.items() for place in places),
)


class DamagedError(WeightsError):
    """A file that is cut off or corrupt, or weights that are not finite."""


def read(path: Path, *, allow: Sequence[Any] = ()) -> Mapping[str, Any]:
    """Content of a .safetensors file, or of one that `torch.save` wrote, on the CPU.

    Args:
        path: the file.
        allow: classes that may be in it beside tensors, plain Python, argparse.Namespace, paths and numbers of numpy
            (`torch.serialization.safe_globals`).

    Raises:
        DamagedError: cut off or corrupt.
        WeightsError: not there, no file of weights, or with objects in it that would have to run code.
    """
    if reason := stranger(path):
        raise WeightsError(f"{path}: {reason}")
    if reason := damage(path):
        raise DamagedError(f"{path}: {reason}")
    try:
        if path.suffix == ".safetensors":
            return dict(require("safetensors.torch", "hub").load_file(str(path)))
        with torch.serialization.safe_globals([*_HARMLESS, *allow]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OntogenyError:
        raise
    except Exception as error:
        if _needs_code(error):
            raise WeightsError(f"{path} {why(error)}") from error
        raise DamagedError(f"{path} is cut off or corrupt, it {why(error)}") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a mapping with weights; save a state_dict")
    return content


def metadata(path: Path) -> Mapping[str, str]:
    """What a .safetensors file says beside its weights; {} of any other file."""
    if path.suffix != ".safetensors" or damage(path):
        return {}
    with path.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    return dict(header.get("__metadata__") or {})


def stranger(path: Path) -> str | None:
    """Why a file is none of weights at all; None where it may be one.

    Args:
        path: .safetensors, or a file of `torch.save`.
    """
    if not path.is_file():
        return "is missing"
    with path.open("rb") as handle:
        begins = handle.read(64)
    if begins.startswith(_LFS):
        return "is a pointer of git-lfs in place of the file: get it by `git lfs pull`"
    if not begins or path.suffix == ".safetensors" or begins.startswith(_STARTS) or _is_tar(path):
        return None
    return f"is no file that torch.save wrote: it begins with {begins[:16]!r}; give the file of weights"


def _is_tar(path: Path) -> bool:
    """Whether it may be of the first torch.save, a tar file."""
    with path.open("rb") as handle:
        handle.seek(257)
        return handle.read(5) == b"ustar"


def damage(path: Path) -> str | None:
    """Why a weights file cannot be whole, seen from its size and directory alone; None if nothing shows."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if not size:
        return "is empty (half-written?)"
    if path.suffix == ".safetensors":
        return _torn_safetensors(path, size)
    with path.open("rb") as handle:
        zipped = handle.read(2) == b"PK"
    return "is cut off (half-written?): its directory is missing" if zipped and not zipfile.is_zipfile(path) else None


def _torn_safetensors(path: Path, size: int) -> str | None:
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if length > size:
            return f"is cut off (half-written?): its header has {length} bytes, the file {size}"
        try:
            header = json.loads(handle.read(length))
            ends = [int(about["data_offsets"][1]) for name, about in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            return "has no readable header; it is not a safetensors file"
    whole = 8 + length + max(ends, default=0)
    return None if size == whole else f"has {size} bytes, its header announces {whole} (half-written?)"


def stripped(state: State, prefix: str, where: str) -> State:
    """Only what begins with a prefix, without it; and without what wrappers add to names (`module.`, `_orig_mod.`).

    Raises:
        WeightsError: nothing begins with the prefix.
    """
    if not prefix:
        return unwrapped(state)
    for names in (state, unwrapped(state)):
        if kept := {name.removeprefix(prefix): value for name, value in names.items() if name.startswith(prefix)}:
            return unwrapped(kept)
    raise WeightsError(f"{where}: no weight's name begins with {prefix!r}. {nearest(prefix, state)}")


def fills(model: nn.Module, state: State) -> bool:
    """Whether a state has every weight of a model in its shape, and no other, so that nothing stays of those before."""
    want = model.state_dict()
    state = _named_alike(model, want, state)
    return set(state) == set(want) and all(
        isinstance(value, Tensor) and state[name].shape == value.shape for name, value in want.items()
    )


def load_into(model: nn.Module, state: State, where: str) -> nn.Module:
    """Put weights into a model, strictly, and set it to eval mode.

    Where an adapter was put on the model, the weights of the adapter alone are enough: the others are the model's own.
    Weights of a part that holds all weights of the model (the transformer of a sentence encoder) are put into that
    part, so that layers keep the names that they have in the whole.

    Raises:
        WeightsError: weights missing, left over, or of another shape.
        DamagedError: not finite.
    """
    want, called = model.state_dict(), type(model).__name__
    state = _named_alike(model, want, state)
    missing, extra = [n for n in want if n not in state], [n for n in state if n not in want]
    alone = bool(missing) and not extra and not any(_of_adapter(model, name) for name in missing)
    if extra or (missing and not (alone and any(_of_adapter(model, name) for name in state))):
        mismatch = misfit(missing, extra, common=len(want) - len(missing))
        raise WeightsError(f"{where} does not fit {called}: {mismatch}")
    shapes = [
        f"{n}: {tuple(state[n].shape)}, the model has {tuple(want[n].shape)}"
        for n in want
        if n in state and state[n].shape != want[n].shape
    ]
    if shapes:
        raise WeightsError(
            f"{where} does not fit {called}: other shapes: {few(shapes)}. Let model= make it in the size that was "
            "trained"
        )
    model.load_state_dict(state, strict=not alone)
    remember(model, (value.dtype for value in state.values()))
    return all_finite(model, where).eval()


def _named_alike(model: nn.Module, want: State, state: State) -> State:
    return _with_tied(want, _of_whole(want, _by_names_of(model, want, state)))


def _by_names_of(model: nn.Module, want: State, state: State) -> State:
    """A state by the names that the model has, whatever wrappers and adapters add to them."""
    if set(state) == set(want):
        return state
    real = dict(zip(unwrapped(want), want, strict=True)) if len(unwrapped(want)) == len(want) else {}
    for name in want:
        if (adapter := _of_adapter(model, name)) is not None:
            saved = ".".join(part for part in name.split(".") if part not in (adapter, "modules_to_save"))
            real.setdefault(saved, name)
    return {name if name in want else real.get(name, name): value for name, value in state.items()}


def _of_whole(want: State, state: State) -> State:
    """A state by the names of the whole model, where it is that of the part which holds all of its weights."""
    front = "" if any(name in want for name in state) else front_of(want, state)
    whole = {f"{front}{name}": value for name, value in state.items()}
    return whole if front and set(_with_tied(want, whole)) == set(want) else state


def _with_tied(want: State, state: State) -> State:
    """A state with the weights that are left out of a file because they are others' once more (tied embeddings)."""
    by_place = {(w.data_ptr(), w.shape, w.stride()): name for name, w in want.items() if name in state and w.numel()}
    tied = {n: by_place.get((w.data_ptr(), w.shape, w.stride())) for n, w in want.items() if n not in state}
    return {**state, **{name: state[other] for name, other in tied.items() if other is not None}}


def _of_adapter(model: nn.Module, name: str) -> str | None:
    """Which adapter of peft a weight belongs to; None for one of the base model."""
    for place, module in model.named_modules():
        adapters = getattr(module, "peft_config", None)
        if isinstance(adapters, dict) and name.startswith(f"{place}." if place else ""):
            return next((adapter for adapter in adapters if adapter in name.split(".")), None)
    return None


def all_finite(model: nn.Module, where: str) -> nn.Module:
    """The model, whose parameters are all finite and whose buffers have no NaN.

    One pass of `aminmax` over each tensor, without a copy: a NaN or an infinity shows in its extremes.

    Raises:
        DamagedError: one is not.
    """
    bad = [name for name, value in model.named_parameters() if not _finite(value, infinity=False)]
    bad += [name for name, value in model.named_buffers() if not _finite(value, infinity=True)]
    if bad:
        raise DamagedError(f"{where}: {len(bad)} weights are NaN or infinite: {few(bad)}; this checkpoint is left out")
    return model


def _finite(value: Tensor, *, infinity: bool) -> bool:
    if not value.is_floating_point() or not value.numel() or value.is_meta:
        return True
    low, high = (float(end) for end in torch.aminmax(value.detach()))
    return low == low and high == high and (infinity or abs(low) != float("inf") != abs(high))


def _needs_code(error: Exception) -> str:
    """What would have to be run to read a file; "" where it is something else that fails."""
    text = " ".join(str(error).split())
    found = re.search(r"GLOBAL (\S+)", text) or re.search(r"but got <class '([^']+)'>", text)
    return found[1] if found else ""


def why(error: Exception) -> str:
    """In our words: torch's own advise to load it unsafely."""
    if name := _needs_code(error):
        module, _, what = name.rpartition(".")
        flag = f" (--allow {module}:{what})" if module and what[:1].isupper() else ""
        return (
            f"holds {name}, for which code would have to be run; nothing was. Save only a state_dict, or name the "
            f"class in allow= if you know it{flag}"
        )
    return f"cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
