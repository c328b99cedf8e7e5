"""The user's own Hugging Face cache, which is read and never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ontogeny.errors import require
from ontogeny.replay.sources import hub_client as client

__all__ = ["cached_commits", "cached_damage", "cached_folder"]

_SHA256 = re.compile(r"[0-9a-f]{64}")


def cached_commits(repo: str) -> dict[str, str]:
    """Branch -> commit, of a repository in the user's own Hugging Face cache, which is read and never changed."""
    refs = _cache(repo) / "refs"
    found = {}
    for path in sorted(refs.rglob("*")) if refs.is_dir() else ():
        commit = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        if client.is_commit(commit):
            found[path.relative_to(refs).as_posix()] = commit
    return found


def cached_folder(repo: str, commit: str) -> Path | None:
    """The folder of a commit in the user's own Hugging Face cache; None where there is none."""
    folder = _cache(repo) / "snapshots" / commit
    return folder if folder.is_dir() else None


def cached_damage(folder: Path, names: Iterable[str]) -> str | None:
    """Why a file in the user's own cache is not what was downloaded once: there, a large file's name is its hash."""
    for name in names:
        blob = (folder / name).resolve()
        if _SHA256.fullmatch(blob.name) and client.digest(blob, hashlib.sha256()) != blob.name:
            return (
                f"{name} does not have the hash that it was downloaded by; delete {blob} and let it be downloaded again"
            )
    return None


def _cache(repo: str) -> Path:
    constants = require("huggingface_hub.constants", "hub")
    return Path(constants.HF_HUB_CACHE) / f"models--{client.repository(repo).replace('/', '--')}"
