"""A folder that sentence-transformers wrote: weights of the transformer, and modules.json that places it.

sentence-transformers stands behind this module. The model is made as in training, so that its layers have the names,
and its weights the hash, that they had live. Nothing is downloaded, and no code of the folder is run.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ontogeny.errors import MissingExtraError, WeightsError
from ontogeny.replay._loading.state_dict import State, all_finite, load_into

__all__ = ["is_sentence_model", "load_sentence_model"]

_OWN = "sentence_transformers."
_ALONE = (
    "Or read the transformer in it alone, with model='AutoModel' (--model AutoModel): its layers then have other names "
    "than in training"
)


def is_sentence_model(folder: Path) -> bool:
    """Whether modules.json lies beside the weights."""
    return (folder / "modules.json").is_file()


def load_sentence_model(folder: Path, state: State, where: str, *, options: Mapping[str, Any]) -> nn.Module:
    """The whole model, in eval mode.

    Args:
        folder: with modules.json.
        state: weights of its transformer, which are put into it strictly.
        where: for messages.
        options: of the transformer's `from_pretrained`.

    Raises:
        MissingExtraError: no sentence-transformers.
        WeightsError: it cannot be made, needs code of the folder, or its weights do not fit.
    """
    if others := [kind for kind in _kinds(folder, where) if not kind.startswith(_OWN)]:
        raise WeightsError(
            f"{where}: modules.json names {', '.join(others)}, which is no module of sentence-transformers; its code "
            f"is not run. Let model= make the model. {_ALONE}"
        )
    try:
        library = importlib.import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{where} was written by sentence-transformers, which is not installed: pip install sentence-transformers. "
            f"{_ALONE}"
        ) from error
    try:
        cls = getattr(library, _class(folder))
        model: nn.Module = cls(str(folder), device="cpu", local_files_only=True, model_kwargs=dict(options))
    except Exception as error:
        parsed = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{where} cannot be made by sentence-transformers: {type(error).__name__}: {parsed}"
        ) from error
    load_into(next(model.children()), state, where)
    return all_finite(model, where).eval()


def _kinds(folder: Path, where: str) -> list[str]:
    """Classes of the modules, in order."""
    try:
        parsed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        return [str(module["type"]) for module in parsed]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(f"{where}: modules.json does not list modules with their type. {_ALONE}") from error


def _class(folder: Path) -> str:
    """Of the whole model: a SentenceTransformer where the folder does not say."""
    try:
        parsed = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
        return str(parsed.get("model_type") or "SentenceTransformer")
    except (OSError, ValueError, AttributeError):
        return "SentenceTransformer"
