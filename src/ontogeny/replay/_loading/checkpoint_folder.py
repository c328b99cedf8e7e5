"""What a checkpoint's folder holds: which files are its weights, and in words why they cannot be loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ontogeny.errors import WeightsError
from ontogeny.replay._loading.key_mismatch import few
from ontogeny.replay._loading.state_dict import damage, stranger

__all__ = [
    "ADAPTER_CONFIG",
    "Fault",
    "adapters_in",
    "defect",
    "no_json",
    "parts",
    "side_files",
    "weight_files",
]

_SAFE = ("model.safetensors", "model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors")
_TORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json", r"pytorch_model-\d+-of-\d+\.bin")
ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
_SIDE = re.compile(
    r"(config|generation_config|preprocessor_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)"
    r"\.json|merges\.txt|vocab\.txt|(tokenizer|spiece|sentencepiece\.bpe)\.model|adapter_config\.json"
)
_TOKENIZER = re.compile(r"tokenizer.*|special_tokens_map\.json|vocab\.(json|txt)|merges\.txt|spiece\.model")
_TRAINING = re.compile(r"(optimizer|scheduler|scaler|rng_state|random_states).*|trainer_state\.json|training_args\.bin")
_FOREIGN = (
    (r"pytorch_model_fsdp.*|.*\.distcp|\.metadata", "shards of FSDP", "merge them by `accelerate merge-weights`"),
    (r"global_step\d+|zero_to_fp32\.py", "partitions of DeepSpeed", "write whole weights by its zero_to_fp32.py"),
    (r"tf_model\.h5|flax_model.*|.*\.gguf|.*\.onnx", "weights of another framework", "save them from torch"),
    (
        r".*\.(safetensors|bin|pt|pth|ckpt|tar)",
        "other files",
        "read plain files of weights by files('FOLDER/NAME{step}...', model=...)",
    ),
)
_EXPECTED = "model.safetensors, pytorch_model.bin or an adapter's adapter_model.safetensors"


class Fault(NamedTuple):
    """Why a checkpoint cannot be loaded: cut off or corrupt, or whole but not to be used as it is."""

    kind: Literal["damaged", "unusable"]
    reason: str


def weight_files(names: Iterable[str]) -> tuple[str, ...]:
    """Which of a folder's files hold the weights: one safetensors file, or its shards, or the same as .bin, or none.

    Where there are no weights of a whole model, those of an adapter.
    """
    have = sorted(names)
    for whole, index, shard in (_SAFE, _TORCH):
        if whole in have:
            return (whole,)
        if index in have:
            return (index, *(name for name in have if re.fullmatch(shard, name)))
    return next(((name,) for name in _ADAPTER if name in have), ())


def side_files(names: Iterable[str]) -> tuple[str, ...]:
    """Which of a folder's files say what the model and its tokenizer are."""
    return tuple(sorted(name for name in names if _SIDE.fullmatch(name)))


def adapters_in(folder: Path) -> dict[str, Path]:
    """Adapter's name -> folder that holds it: peft writes "default" at the top, others into folders of their names."""
    found = {"default": folder} if _is_adapter(folder) else {}
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    return found | {path.name: path for path in below if _is_adapter(path)}


def _is_adapter(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (ADAPTER_CONFIG, *_ADAPTER))


def defect(folder: Path, *, config: bool = True) -> Fault | None:
    """Why a folder cannot be loaded, as far as can be seen without reading the weights; None if nothing shows.

    Args:
        folder: a checkpoint.
        config: whether config.json is needed.
    """
    names = sorted(path.name for path in folder.iterdir())
    whole, adapters = [n for n in weight_files(names) if n not in _ADAPTER], adapters_in(folder)
    if whole and adapters:
        return Fault(
            "unusable",
            f"has whole weights ({whole[0]}) and an adapter beside them: which of the two was trained is not known; "
            "move one of them away",
        )
    if adapters:
        return _adapter_defect(adapters)
    if not whole:
        return Fault("unusable", _instead(names))
    if config and (fault := no_json(folder / "config.json", "which says what model the weights belong to")):
        return fault
    try:
        lying = parts(folder, tuple(whole))
    except WeightsError as error:
        return no_json(folder / whole[0], "") or Fault("unusable", str(error))
    return _lacking(whole[0], lying) or next((f for part in lying if (f := _torn(part))), None)


def _adapter_defect(adapters: dict[str, Path]) -> Fault | None:
    if len(adapters) > 1:
        listed_files = ", ".join(sorted(adapters))
        return Fault(
            "unusable",
            f"holds several adapters ({listed_files}); which of them was active is not written: give a folder that has "
            "one",
        )
    place = next(iter(adapters.values()))
    if fault := no_json(place / ADAPTER_CONFIG, "which says how the adapter (LoRA or the like) is put on its base"):
        return fault
    names = weight_files(path.name for path in place.iterdir())
    if not names:
        return Fault(
            "unusable",
            f"has the adapter_config.json of an adapter but no weights of it; expected {' or '.join(_ADAPTER)}",
        )
    return _torn(place / names[0])


def _torn(part: Path) -> Fault | None:
    if reason := stranger(part):
        return Fault("unusable", f"{part.name} {reason}")
    reason = damage(part)
    return Fault("damaged", f"{part.name} {reason}") if reason else None


def _lacking(index: str, lying: Sequence[Path]) -> Fault | None:
    missing_parts = [part.name for part in lying if not part.is_file()]
    if not missing_parts or not index.endswith(".index.json"):
        return None
    return Fault(
        "unusable",
        f"{index} names {len(lying)} files, of which {len(missing_parts)} are missing: {few(missing_parts)}; copy or "
        "save all of them",
    )


def _instead(names: Sequence[str]) -> str:
    """What lies in a folder that has no weights."""
    if not names:
        return f"is empty: was the run ended while it saved? Expected {_EXPECTED}"
    for pattern, what, todo in _FOREIGN:
        found = [name for name in names if re.fullmatch(pattern, name) and not _TRAINING.fullmatch(name)]
        if found:
            return f"has no {_EXPECTED}, but {what} ({few(found)}): {todo}"
    for kind, what in ((_TRAINING, "the state of training"), (_TOKENIZER, "a tokenizer")):
        if found := [name for name in names if kind.fullmatch(name)]:
            return f"has no weights of a model, only {what} ({few(found)}); expected {_EXPECTED}"
    return f"has no weights: it has {few(names)}; expected {_EXPECTED}"


def no_json(path: Path, purpose: str) -> Fault | None:
    """Why a JSON file cannot be used.

    Args:
        path: the file.
        purpose: what it is needed for, as the end of a sentence.
    """
    if not path.is_file():
        todo = "copy it from another checkpoint of the run" + (
            ", or name what makes the model with model=" if path.name == "config.json" else ""
        )
        return Fault("unusable", f"has no {path.name}, {purpose}: {todo}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Fault("damaged", f"{path.name} cannot be read as JSON (half-written?)")
    if isinstance(content, dict):
        return None
    return Fault("unusable", f"{path.name} holds a {type(content).__name__}, expected an object of names and values")


def parts(folder: Path, names: Sequence[str]) -> list[Path]:
    """The weight files themselves; those that an index names have to lie in the folder.

    Raises:
        WeightsError: the index cannot be used.
    """
    if not names[0].endswith(".index.json"):
        return [folder / names[0]]
    if fault := no_json(folder / names[0], "which names the files of weights"):
        raise WeightsError(fault.reason)
    listed_files = json.loads((folder / names[0]).read_text(encoding="utf-8")).get("weight_map")
    if not isinstance(listed_files, dict) or not listed_files:
        raise WeightsError(f"{names[0]} has no weight_map, which says in which file each weight is; save it again")
    pattern = _SAFE[2] if names[0] == _SAFE[1] else _TORCH[2]
    for name in listed_files.values():
        if not isinstance(name, str) or not re.fullmatch(pattern, name):
            raise WeightsError(f"{names[0]} names {name!r}, which is no file beside it; it is not read")
    return [folder / name for name in sorted(set(listed_files.values()))]
