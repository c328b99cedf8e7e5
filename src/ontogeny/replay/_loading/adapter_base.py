"""The base model of an adapter: the one that its configuration names, or one that the user gives."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from ontogeny.errors import CheckpointError, WeightsError, require
from ontogeny.replay._loading.checkpoint_folder import adapters_in, defect, weight_files
from ontogeny.replay._loading.model_factory import make
from ontogeny.replay._loading.pretrained import Loading, from_transformers, load_whole, own_factory
from ontogeny.replay._loading.state_dict import State
from ontogeny.replay._loading.timm_models import is_timm
from ontogeny.replay.sources import _hub_cache
from ontogeny.replay.sources import hub_client as client

__all__ = ["base_model", "named_method"]

_FRONT = "base_model.model."
_BY_TASK = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "QUESTION_ANS": "AutoModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoModel",
}
_HEADS = ("score.weight", "classifier.weight", "classifier.out_proj.weight", "classification_head.out_proj.weight")
_HOW = (
    "Give it with model= (--model): its folder, its name where the hub's files are in the local cache, or a function "
    "that makes it with the weights it had before training"
)


def named_method(adapter_config: Mapping[str, Any]) -> str:
    """What an adapter's configuration calls its method: "LoRA" for LORA."""
    named = str(adapter_config.get("peft_type") or "of no named method")
    return {"LORA": "LoRA", "ADALORA": "AdaLoRA", "PREFIX_TUNING": "prefix tuning"}.get(named, named)


def base_model(adapter_config: Mapping[str, Any], state: State, loading: Loading, where: str) -> nn.Module:
    """The base with the weights that it had before the adapter was trained; no code of its folder is run.

    Args:
        adapter_config: content of adapter_config.json.
        state: weights of the adapter, which may hold modules of the base that were trained whole.
        loading: see `Loading.model`.
        where: the checkpoint, for messages.

    Raises:
        WeightsError: there is no base, or it is not whole.
    """
    own = own_factory(loading.model)
    if own is not None:
        return make(own, {}, where)
    folder, named = _folder(adapter_config, loading, where)
    which = f"{where}: its base model {named}"
    if adapters_in(folder):
        raise WeightsError(f"{which} is an adapter itself; merge it into its own base first, or {_lower(_HOW)}")
    if fault := defect(folder):
        raise WeightsError(f"{which}: {fault.reason}")
    safe = replace(loading, trust_remote_code=False)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if is_timm(config):
        return load_whole(folder, replace(safe, model="auto"), which)
    saved = {name.removeprefix(_FRONT): value for name, value in state.items()}
    cls = _class(adapter_config, config, safe, which)
    model, left = from_transformers(folder, cls, safe, which, **_labels(adapter_config, saved))
    if reason := left.reason(given=saved, extra=False):
        raise WeightsError(
            f"{which} does not hold all that {type(model).__name__} has: {reason}. What is missing was drawn at random "
            f"when training began, and not saved. {_HOW}"
        )
    _resize(model, saved)
    return model


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _folder(adapter_config: Mapping[str, Any], loading: Loading, where: str) -> tuple[Path, str]:
    """Where the base lies on this machine, and what it is called."""
    given = _given(loading)
    named = given or str(adapter_config.get("base_model_name_or_path") or "")
    what = f"{where} holds an adapter ({named_method(adapter_config)}) and no whole model"
    if not named:
        raise WeightsError(
            f"{what}, and its adapter_config.json names no base model, as where the base was made from a "
            f"configuration. {_HOW}"
        )
    path = Path(named).expanduser()
    if path.is_dir():
        return path, str(path)
    revision = "main" if given else str(adapter_config.get("revision") or "main")
    if (found := _cached(named, revision)) is not None:
        return found, f"{named}@{revision}"
    by = "model= names" if given else "its adapter_config.json names"
    raise WeightsError(
        f"{what}; {by} the base {named!r}, which is no folder here (looked for from {Path.cwd()}), and in the local "
        f"cache of the hub there is no revision {revision!r} of it; nothing is downloaded for it. {_HOW}"
    )


def _given(loading: Loading) -> str:
    """A folder or a name that the user gave; "" where model= says something else."""
    if isinstance(loading.model, os.PathLike):
        return os.fspath(loading.model)
    if not isinstance(loading.model, str) or loading.model == "auto":
        return ""
    is_class = loading.model.isidentifier() and hasattr(require("transformers", "transformers"), loading.model)
    return "" if is_class and not Path(loading.model).is_dir() else loading.model


def _cached(named: str, revision: str) -> Path | None:
    """A commit of the user's own Hugging Face cache, checked by its hashes; None where there is none."""
    try:
        commits = _hub_cache.cached_commits(named)
        commit = revision if client.is_commit(revision) else commits.get(revision)
        folder = _hub_cache.cached_folder(named, commit) if commit else None
    except CheckpointError:
        return None
    if folder is not None and (reason := _damage(folder)):
        raise WeightsError(f"base model {named}@{revision}: {reason}")
    return folder


@lru_cache(maxsize=8)
def _damage(folder: Path) -> str | None:
    return _hub_cache.cached_damage(folder, weight_files(path.name for path in folder.iterdir()))


def _class(adapter_config: Mapping[str, Any], config: Mapping[str, Any], loading: Loading, which: str) -> Any:
    """The class that training had: given, named by the adapter, by its task, or by the base's own config.json."""
    transformers = require("transformers", "transformers")
    if not isinstance(loading.model, str | os.PathLike):
        return loading.model
    mapping, task = adapter_config.get("auto_mapping") or {}, str(adapter_config.get("task_type"))
    given = loading.model if isinstance(loading.model, str) and not _given(loading) else ""
    own = next(iter(config.get("architectures") or ()), "")
    candidates = (given if given != "auto" else "", mapping.get("base_model_class", ""), _BY_TASK.get(task, ""), own)
    named = next((name for name in candidates if name), "")
    if not named or not hasattr(transformers, named):
        raise WeightsError(
            f"{which} is of the class {named or '(none named)'}, which this transformers ({transformers.__version__}) "
            f"does not have; code of its folder is not run. {_HOW}"
        )
    return getattr(transformers, named)


def _labels(adapter_config: Mapping[str, Any], saved: State) -> dict[str, Any]:
    """How many classes the head has that was trained with the adapter; nothing where none was saved."""
    if adapter_config.get("task_type") not in ("SEQ_CLS", "TOKEN_CLS") and not adapter_config.get("auto_mapping"):
        return {}
    heads = [value for name, value in saved.items() if name.endswith(_HEADS) and value.ndim == 2]
    return {"num_labels": heads[0].shape[0]} if len(heads) == 1 else {}


def _resize(model: nn.Module, saved: State) -> None:
    """Where embeddings were saved with the adapter, for a vocabulary that grew, give the base as many rows."""
    embedding: Any = getattr(model, "get_input_embeddings", lambda: None)()
    name = next((name for name, module in model.named_modules() if module is embedding), "")
    rows = saved.get(f"{name}.weight")
    if name and rows is not None and rows.shape[0] != embedding.num_embeddings:
        model.resize_token_embeddings(rows.shape[0], mean_resizing=False)  # type: ignore[operator]
