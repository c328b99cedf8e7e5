"""Where the checkpoints of a series from the hub stand: step -> repository and revision -> a folder on this machine.

A commit that is whole in the user's own Hugging Face cache is read from there, and never changed. Everything else is
downloaded into one folder a commit, of our own, which `forget` deletes as a whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from torch import nn

from ontogeny.errors import DownloadError, UnreachableError
from ontogeny.replay._loading.checkpoint_folder import defect, side_files, weight_files
from ontogeny.replay._loading.open_checkpoint import load_folder, reload_folder
from ontogeny.replay._loading.pretrained import Loading, load_tokenizer, load_transform
from ontogeny.replay.checkpoint_series import chosen
from ontogeny.replay.sources import _hub_cache
from ontogeny.replay.sources import hub_client as client

__all__ = ["Shelf", "default_cache", "folder_of", "read_json", "write_json"]

_CHECKED = ".ontogeny-checked.json"


def default_cache() -> Path:
    """Where downloads go when nothing else is said."""
    return platformdirs.user_cache_path("ontogeny") / "checkpoints"


def folder_of(cache: Path, repo: str) -> Path:
    """The folder of a repository's downloads."""
    return cache / client.repository(repo).replace("/", "--")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Fetch, load and forget the checkpoints of one series.

    Args:
        name: of the series.
        addresses: step -> (repository, revision).
        cache: folder of downloads.
        loading: how models are made.
        commit: (repository, revision) -> commit.
    """

    name: str
    addresses: Mapping[int, tuple[str, str]]
    cache: Path
    loading: Loading
    commit: Callable[[str, str], str]
    _checked: set[str] = field(default_factory=set)

    def where(self, step: int) -> str:
        """What a message calls a step: "repository@revision"."""
        return "@".join(chosen(self.addresses, step, self.name))

    def fetch(self, step: int) -> None:
        """Get a checkpoint onto this machine.

        Raises:
            CheckpointError: no such step.
            DownloadError: no such revision, no weights in it, or it cannot be got whole.
        """
        repo, commit, own = self._place(step)
        if self._on_disk(repo, commit) is not None:
            return
        if client.offline():
            raise UnreachableError(
                f"{self.where(step)} is not on this machine, and HF_HUB_OFFLINE keeps off the network"
            )
        needed_files = self._wanted(step, repo, commit)
        client.download(repo, commit, needed_files, own)
        write_json(own / _CHECKED, {name: about.size for name, about in needed_files.items()})

    def size(self, step: int) -> int | None:
        """Bytes that `fetch` would download."""
        repo, commit, own = self._place(step)
        if self._on_disk(repo, commit) is not None:
            return 0
        if client.offline():
            return None
        needed_files = self._wanted(step, repo, commit)
        return sum(about.size for name, about in needed_files.items() if not (own / name).is_file())

    def load(self, step: int) -> nn.Module:
        """The model at a step, in eval mode.

        Raises:
            CheckpointError: it cannot be got, read or used.
        """
        return load_folder(self.folder(step), self.loading, self.where(step))

    def reload(self, model: nn.Module, step: int) -> bool:
        """Whether a model of another step could be brought to this one."""
        return reload_folder(model, self.folder(step), self.loading, self.where(step))

    def tokenizer(self, step: int) -> Any:
        """The tokenizer beside the weights of a step; the weights are not downloaded for it."""
        with self._beside(step) as folder:
            return load_tokenizer(folder, self.loading, self.where(step))

    def transform(self, step: int) -> Any:
        """The function image -> tensor that belongs to the weights of a step; these are not downloaded for it."""
        with self._beside(step) as folder:
            return load_transform(folder, self.where(step))

    @contextmanager
    def _beside(self, step: int) -> Iterator[Path]:
        """A folder with what lies beside the weights, deleted afterwards where it had to be downloaded."""
        repo, commit, _ = self._place(step)
        if (found := self._on_disk(repo, commit)) is not None:
            yield found
            return
        if client.offline():
            raise UnreachableError(
                f"{self.where(step)} is not on this machine, and HF_HUB_OFFLINE keeps off the network"
            )
        there = client.files(repo, commit)
        code = [name for name in there if name.endswith(".py")] if self.loading.trust_remote_code else []
        with tempfile.TemporaryDirectory(prefix="ontogeny-") as folder:
            client.download(repo, commit, {name: there[name] for name in (*side_files(there), *code)}, Path(folder))
            yield Path(folder)

    def forget(self, step: int) -> None:
        """Delete the folder that `fetch` downloaded into; the user's own cache is left alone."""
        _, _, own = self._place(step)
        if own.is_dir():
            shutil.rmtree(own)

    def folder(self, step: int) -> Path:
        """Where a checkpoint lies, fetched if need be.

        Raises:
            DownloadError: a file in the user's own cache is not what was downloaded once.
        """
        self.fetch(step)
        repo, commit, own = self._place(step)
        found = self._on_disk(repo, commit) or own
        if found != own and commit not in self._checked:
            names = weight_files(path.name for path in found.iterdir())
            if reason := _hub_cache.cached_damage(found, names):
                raise DownloadError(f"{self.where(step)}: {reason}")
            self._checked.add(commit)
        return found

    def _place(self, step: int) -> tuple[str, str, Path]:
        repo, revision = chosen(self.addresses, step, self.name)
        commit = self.commit(repo, revision)
        return repo, commit, folder_of(self.cache, repo) / commit

    def _on_disk(self, repo: str, commit: str) -> Path | None:
        """A folder that has this commit whole: of ours, checked by hash when it came; or in the user's cache."""
        own = folder_of(self.cache, repo) / commit
        sizes = read_json(own / _CHECKED)
        if sizes and all((own / n).is_file() and (own / n).stat().st_size == size for n, size in sizes.items()):
            return own
        cached = _hub_cache.cached_folder(repo, commit)
        return cached if cached is not None and defect(cached) is None else None

    def _wanted(self, step: int, repo: str, commit: str) -> dict[str, client.Remote]:
        there = client.files(repo, commit)
        weights = weight_files(there)
        if not weights:
            raise DownloadError(
                f"{self.where(step)} has no weights that can be read safely (model.safetensors, pytorch_model.bin or "
                f"an adapter's); it has {', '.join(sorted(there)[:8]) or 'no files'}"
            )
        code = [name for name in there if name.endswith(".py")] if self.loading.trust_remote_code else []
        return {name: there[name] for name in (*weights, *side_files(there), *code)}

    def whole(self, step: int) -> bool:
        """Whether a checkpoint is on this machine."""
        repo, commit, _ = self._place(step)
        return self._on_disk(repo, commit) is not None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object on disk; {} where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object in one move.

    Raises:
        DownloadError: the folder cannot be written to.
    """
    scratch = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(content), encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise DownloadError(f"cannot write {path}: {error}; choose a folder with space by cache_dir=") from error
