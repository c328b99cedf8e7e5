"""A folder with config.json and weights, as transformers or timm writes it -> a model. transformers stands behind this.

Only local files are read. Safetensors where there are any, else `pytorch_model.bin` by `weights_only=True`. Code that a
repository brings is run only with trust_remote_code=True.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from ontogeny.errors import ConfigError, WeightsError, nearest, require
from ontogeny.replay._loading.checkpoint_folder import defect, no_json, parts, weight_files
from ontogeny.replay._loading.dtypes import remember, stored_types
from ontogeny.replay._loading.key_mismatch import Left
from ontogeny.replay._loading.model_factory import Factory, make, resolve
from ontogeny.replay._loading.sentence_models import is_sentence_model, load_sentence_model
from ontogeny.replay._loading.state_dict import DamagedError, State, all_finite, load_into, read, stripped, why
from ontogeny.replay._loading.timm_models import ImageTransform, is_timm, load_timm, timm_transform

__all__ = [
    "Loading",
    "check_vocabulary",
    "dtype_of",
    "from_transformers",
    "load_tokenizer",
    "load_transform",
    "load_whole",
    "named_class",
    "own_factory",
    "state_in",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """How a model is made of a folder.

    Args:
        model: "auto": what config.json names, a class of transformers or an architecture of timm; a class of
            transformers by name ("AutoModel"); a class with `from_pretrained`; or a function or "module:attr" that
            makes a torch module. For checkpoints that hold an adapter (LoRA) alone it gives the base: "auto": the one
            that adapter_config.json names; a folder, or a name of the hub whose files are in the local cache; a class
            of transformers that loads it; a model, which is copied, or a function or "module:attr" that makes it with
            the weights it had before training, or with the adapter put on it as in training.
        trust_remote_code: run code from the repository; never done for the base of an adapter.
        device_map: see transformers; "auto" spreads a model over devices (needs accelerate).
        dtype: "float32", ...; None: as stored, bit for bit. Of an adapter's base; the adapter is as stored.
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


def own_factory(model: Factory) -> Callable[..., nn.Module] | None:
    """What makes the model, where transformers does not."""
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, os.PathLike) or (isinstance(model, str) and (":" not in model or Path(model).is_dir())):
        return None
    factory = resolve(model)
    return None if hasattr(factory, "from_pretrained") else factory


def load_whole(folder: Path, loading: Loading, where: str) -> nn.Module:
    """The model in a folder that holds all of its weights, in eval mode.

    Args:
        folder: with weights, and config.json where transformers or timm makes the model.
        loading: how.
        where: for messages.

    Raises:
        WeightsError: half-written, weights missing or left over, not finite, or a class that is not known.
    """
    own = own_factory(loading.model)
    if fault := defect(folder, config=own is None):
        raise (DamagedError if fault.kind == "damaged" else WeightsError)(f"{where}: {fault.reason}")
    if own is not None:
        return load_into(make(own, {}, where), state_in(folder, where), where)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if loading.model == "auto" and is_timm(config):
        if loading.device_map is not None:
            raise ConfigError(f"{where}: device_map is for models of transformers, this is one of timm; leave it out")
        return load_timm(config, state_in(folder, where), where, dtype=dtype_of(loading.dtype))
    if loading.model == "auto" and is_sentence_model(folder):
        return _sentence_model(folder, loading, where)
    model, left = from_transformers(folder, named_class(config, loading, where), loading, where)
    if reason := left.reason():
        named = ", ".join(config.get("architectures") or ()) or "no class"
        other = f" (its config.json names {named})" if type(model).__name__ not in named else ""
        raise WeightsError(f"{where} does not fit {type(model).__name__}{other}: {reason}")
    return all_finite(model, where).eval()


def state_in(folder: Path, where: str) -> State:
    """All weights that lie in a folder, by the names that they have in the files."""
    state: dict[str, Any] = {}
    for part in parts(folder, weight_files(path.name for path in folder.iterdir())):
        state.update(read(part))
    return stripped(state, "", where)


def named_class(config: Mapping[str, Any], loading: Loading, where: str) -> Any:
    """The class of transformers that config.json or the user names.

    Raises:
        WeightsError: this transformers does not have it.
        ConfigError: the user's is none.
    """
    if not isinstance(loading.model, str) or ":" in loading.model:
        return resolve(loading.model)
    transformers = require("transformers", "transformers")
    if loading.model != "auto":
        if not hasattr(transformers, loading.model):
            raise ConfigError(
                f"transformers has no {loading.model!r}. {nearest(loading.model, dir(transformers))} (A folder or a "
                f"name of the hub is for checkpoints that hold an adapter alone; {where} holds a whole model.)"
            )
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


def from_transformers(folder: Path, cls: Any, loading: Loading, where: str, **more: Any) -> tuple[nn.Module, Left]:
    """A model by its class's `from_pretrained`, from local files alone, and what did not meet.

    Args:
        folder: with config.json and weights.
        cls: of transformers.
        loading: how.
        where: for messages.
        **more: options of the class, as num_labels.

    Raises:
        WeightsError: the class cannot load it.
    """
    transformers = require("transformers", "transformers")
    safe = weight_files(path.name for path in folder.iterdir())[0].startswith("model")
    stored = stored_types(folder)
    options: dict[str, Any] = {**_typed(transformers, stored, loading), **more}
    if loading.device_map is not None:
        options["device_map"] = loading.device_map
    if loading.trust_remote_code:
        options["trust_remote_code"] = True
    options |= {"use_safetensors": safe, "output_loading_info": True, "ignore_mismatched_sizes": True}
    with _quiet(transformers):
        try:
            model, info = cls.from_pretrained(str(folder), local_files_only=True, **options)
        except Exception as error:
            raise WeightsError(f"{where} cannot be loaded by {cls.__name__}: it {why(error)}") from error
    sizes = {
        str(key[0]): f"{key[0]}: {tuple(key[1])}, the model has {tuple(key[2])}" for key in info["mismatched_keys"]
    }
    missing = tuple(name for name in sorted(info["missing_keys"]) if name not in sizes)
    remember(model, stored, drawn=(*missing, *sorted(sizes)))
    extra = tuple(sorted(info["unexpected_keys"]))
    return model, Left(missing, extra, tuple(sizes[name] for name in sorted(sizes)))


def _typed(transformers: Any, stored: Collection[torch.dtype], loading: Loading) -> dict[str, Any]:
    """The type of the weights, as stored where no other is asked for, as an option of `from_pretrained`."""
    older = tuple(map(int, transformers.__version__.split(".")[:2])) < (4, 56)
    target_dtype = next(iter(stored)) if loading.dtype is None and len(stored) == 1 else dtype_of(loading.dtype)
    return {"torch_dtype" if older else "dtype": target_dtype}


def _sentence_model(folder: Path, loading: Loading, where: str) -> nn.Module:
    """A folder of sentence-transformers.

    Raises:
        ConfigError: device_map, which it does not take.
    """
    if loading.device_map is not None:
        raise ConfigError(f"{where}: device_map is for models of transformers, this is one of sentence-transformers")
    transformers, stored = require("transformers", "transformers"), stored_types(folder)
    with _quiet(transformers):
        typed = _typed(transformers, stored, loading)
        model = load_sentence_model(folder, state_in(folder, where), where, options=typed)
    remember(model, stored)
    return model


def dtype_of(name: str | None) -> torch.dtype | Literal["auto"]:
    """A type of torch by its name; "auto" where none is asked for.

    Raises:
        ConfigError: torch has no such type.
    """
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
    if no_json(folder / "config.json", "") is None:
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
