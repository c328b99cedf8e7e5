"""A folder with config.json and weights, as transformers or timm writes it -> a model. transformers stands behind this.

Only local files are read. Safetensors where there are any, else `pytorch_model.bin` by `weights_only=True`. Code that a
repository brings is run only with trust_remote_code=True.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ontogeny.errors import ConfigError, WeightsError, nearest, require
from ontogeny.replay.state import (
    Factory,
    State,
    all_finite,
    damage,
    load_into,
    make,
    misfit,
    read,
    resolve,
    stripped,
    why,
)
from ontogeny.replay.timm_models import ImageTransform, is_timm, load_timm, timm_transform

__all__ = [
    "Loading",
    "check_vocabulary",
    "defect",
    "load_folder",
    "load_tokenizer",
    "load_transform",
    "side_files",
    "weight_files",
]

_SAFE = ("model.safetensors", "model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors")
_TORCH = ("pytorch_model.bin", "pytorch_model.bin.index.json", r"pytorch_model-\d+-of-\d+\.bin")
_SIDE = re.compile(
    r"(config|generation_config|preprocessor_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)"
    r"\.json|merges\.txt|vocab\.txt|(tokenizer|spiece|sentencepiece\.bpe)\.model"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How a model is made of a folder.

    Args:
        model: "auto": what config.json names, a class of transformers or an architecture of timm; a class of
            transformers by name ("AutoModel"); a class with `from_pretrained`; or a function or "module:attr" that
            makes a torch module.
        trust_remote_code: run code from the repository.
        device_map: see transformers; "auto" spreads a model over devices (needs accelerate).
        dtype: "float32", ...; None: as stored, bit for bit.
    """

    model: Factory = "auto"
    trust_remote_code: bool = False
    device_map: Any = None
    dtype: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Loading:
        """From keyword arguments.

        Raises:
            ConfigError: an unknown one.
        """
        for name in options:
            if name not in cls.__slots__:
                raise ConfigError(f"there is no option {name!r}. {nearest(name, cls.__slots__)}")
        return cls(**options)


def weight_files(names: Iterable[str]) -> tuple[str, ...]:
    """Which of a folder's files hold the weights: one safetensors file, or its shards, or the same as .bin, or none."""
    have = sorted(names)
    for whole, index, shard in (_SAFE, _TORCH):
        if whole in have:
            return (whole,)
        if index in have:
            return (index, *(name for name in have if re.fullmatch(shard, name)))
    return ()


def side_files(names: Iterable[str]) -> tuple[str, ...]:
    """Which of a folder's files say what the model and its tokenizer are."""
    return tuple(sorted(name for name in names if _SIDE.fullmatch(name)))


def defect(folder: Path, *, config: bool = True) -> str | None:
    """Why a folder cannot be loaded, as far as can be told without reading the weights; None if nothing shows.

    Args:
        folder: a checkpoint.
        config: whether config.json is needed.
    """
    if config and (reason := _no_json(folder / "config.json")):
        return f"config.json {reason}"
    names = weight_files(path.name for path in folder.iterdir())
    if not names:
        return "has no weights (model.safetensors or pytorch_model.bin)"
    try:
        parts = _parts(folder, names)
    except WeightsError as error:
        return str(error)
    return next((f"{part.name} {reason}" for part in parts if (reason := damage(part))), None)


def _no_json(path: Path) -> str | None:
    if not path.is_file():
        return "is missing"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "cannot be read as JSON (half-written?)"
    return None if isinstance(content, dict) else "is not a JSON object"


def _parts(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The weight files themselves; those that an index names have to lie in the folder."""
    if not names[0].endswith(".index.json"):
        return [folder / names[0]]
    if reason := _no_json(folder / names[0]):
        raise WeightsError(f"{names[0]} {reason}")
    told = json.loads((folder / names[0]).read_text(encoding="utf-8")).get("weight_map")
    if not isinstance(told, dict) or not told:
        raise WeightsError(f"{names[0]} has no weight_map")
    pattern = _SAFE[2] if names[0] == _SAFE[1] else _TORCH[2]
    for name in told.values():
        if not isinstance(name, str) or not re.fullmatch(pattern, name):
            raise WeightsError(f"{names[0]} names {name!r}, which is no file beside it; it is not read")
    return [folder / name for name in sorted(set(told.values()))]


def load_folder(folder: Path, loading: Loading, where: str) -> nn.Module:
    """The model in a folder, in eval mode.

    Args:
        folder: with weights, and config.json where transformers or timm makes the model.
        loading: how.
        where: for messages.

    Raises:
        WeightsError: half-written, weights missing or left over, not finite, or a class that is not known.
    """
    own = _own_factory(loading.model)
    if reason := defect(folder, config=own is None):
        raise WeightsError(f"{where}: {reason}")
    if own is not None:
        return load_into(make(own, {}, where), _state(folder, where), where)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if loading.model == "auto" and is_timm(config):
        if loading.device_map is not None:
            raise ConfigError(f"{where}: device_map is for models of transformers, this is one of timm; leave it out")
        return load_timm(config, _state(folder, where), where, dtype=_dtype(loading.dtype))
    return all_finite(_from_pretrained(folder, _class(config, loading, where), loading, where), where).eval()


def _own_factory(model: Factory) -> Callable[..., nn.Module] | None:
    """What makes the model, where transformers does not."""
    if isinstance(model, str) and ":" not in model:
        return None
    factory = resolve(model)
    return None if hasattr(factory, "from_pretrained") else factory


def _state(folder: Path, where: str) -> State:
    state: dict[str, Any] = {}
    for part in _parts(folder, weight_files(path.name for path in folder.iterdir())):
        state.update(read(part))
    return stripped(state, "", where)


def _class(config: Mapping[str, Any], loading: Loading, where: str) -> Any:
    if not isinstance(loading.model, str) or ":" in loading.model:
        return resolve(loading.model)
    transformers = require("transformers", "transformers")
    if loading.model != "auto":
        if not hasattr(transformers, loading.model):
            raise ConfigError(f"transformers has no {loading.model!r}. {nearest(loading.model, dir(transformers))}")
        return getattr(transformers, loading.model)
    named = next(iter(config.get("architectures") or []), "")
    if loading.trust_remote_code and named in str(config.get("auto_map")):
        return transformers.AutoModelForCausalLM if "CausalLM" in named else transformers.AutoModel
    if not named or not hasattr(transformers, named):
        raise WeightsError(
            f"{where}: config.json names the class {named or '(none)'}, which this transformers "
            f"({transformers.__version__}) does not have. Name one with model=, or, if you trust the repository's own "
            "code, trust_remote_code=True"
        )
    return getattr(transformers, named)


def _from_pretrained(folder: Path, cls: Any, loading: Loading, where: str) -> nn.Module:
    transformers = require("transformers", "transformers")
    safe = weight_files(path.name for path in folder.iterdir())[0].startswith("model")
    older = tuple(map(int, transformers.__version__.split(".")[:2])) < (4, 56)
    options: dict[str, Any] = {"torch_dtype" if older else "dtype": _dtype(loading.dtype)}
    if loading.device_map is not None:
        options["device_map"] = loading.device_map
    if loading.trust_remote_code:
        options["trust_remote_code"] = True
    with _quiet(transformers):
        try:
            model, told = cls.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=safe, output_loading_info=True, **options
            )
        except Exception as error:
            raise WeightsError(f"{where} cannot be loaded by {cls.__name__}: it {why(error)}") from error
    missing, extra = sorted(told["missing_keys"]), sorted(told["unexpected_keys"])
    other = sorted(str(key[0] if isinstance(key, tuple) else key) for key in told["mismatched_keys"])
    if missing or extra or other:
        shapes = f"other shapes {len(other)}: {', '.join(other[:4])}; " if other else ""
        raise WeightsError(f"{where} does not fit {type(model).__name__}: {shapes}{misfit(missing, extra)}")
    return model  # type: ignore[no-any-return]


def _dtype(name: str | None) -> torch.dtype | Literal["auto"]:
    if name is None:
        return "auto"
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype {name!r} is not one of torch's. {nearest(name, ('float32', 'float16', 'bfloat16'))}")
    return found


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without transformers' own bars and load reports: what does not fit is an error of ours."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def load_tokenizer(folder: Path, loading: Loading, where: str) -> Any:
    """The tokenizer that lies in a folder.

    Raises:
        WeightsError: none there, or one that needs code from the repository.
    """
    transformers = require("transformers", "transformers")
    try:
        return transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=loading.trust_remote_code
        )
    except Exception as error:
        raise WeightsError(
            f"{where} has no tokenizer that can be loaded: {' '.join(str(error).split())[:300]}"
        ) from error


def load_transform(folder: Path, where: str) -> ImageTransform:
    """The function image -> tensor (channels x height x width) that belongs to the weights in a folder.

    Raises:
        WeightsError: its config.json says none, as only those of timm do.
    """
    if _no_json(folder / "config.json") is None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if is_timm(config):
            return timm_transform(config)
    raise WeightsError(
        f"{where} does not say how images are prepared, as a repository of timm does; give a function with transform="
    )


def check_vocabulary(tokenizer: Any, model: nn.Module, where: str) -> None:
    """A tokenizer may not have ids beyond a model's embedding.

    Raises:
        WeightsError: it has; the tokenizer is another model's.
    """
    embedding = getattr(model, "get_input_embeddings", lambda: None)()
    rows = getattr(embedding, "num_embeddings", None)
    if rows is not None and len(tokenizer) > rows:
        raise WeightsError(
            f"{where}: the tokenizer has {len(tokenizer)} tokens, the model's embedding {rows} rows; "
            "it is another model's tokenizer"
        )
