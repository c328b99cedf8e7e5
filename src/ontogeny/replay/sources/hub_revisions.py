"""A hub repository whose revisions are the checkpoints of one run: Pythia, OLMo-2, SmolLM, Amber."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ontogeny.errors import DownloadError, UnreachableError, nearest
from ontogeny.replay._loading.pretrained import Loading
from ontogeny.replay.checkpoint_series import FINISHED, CheckpointProblem, CheckpointSeries
from ontogeny.replay.sources import _hub_cache
from ontogeny.replay.sources import hub_client as client
from ontogeny.replay.sources._hub_store import Shelf, default_cache, folder_of, read_json, write_json
from ontogeny.replay.step_templates import Named, Naming, known_tokens, named

__all__ = ["finished", "hub", "repositories"]

_NOT_STEPS = ("main", "master")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """Commits by the listing of a repository, which is asked once."""

    cache: Path
    _known: dict[str, dict[str, str]] = field(default_factory=dict)

    def revisions(self, repo: str) -> dict[str, str]:
        """Revision -> commit."""
        if repo not in self._known:
            self._known[repo] = _commits(repo, self.cache)
        return self._known[repo]

    def __call__(self, repo: str, revision: str) -> str:
        known = self.revisions(repo)
        if revision not in known:
            raise DownloadError(f"{repo} has no revision {revision!r}. {nearest(revision, known)}")
        return known[revision]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heads:
    """Commits of single revisions, each asked once; a revision that is a commit needs no asking."""

    cache: Path
    _known: dict[tuple[str, str], str] = field(default_factory=dict)

    def __call__(self, repo: str, revision: str) -> str:
        if client.is_commit(revision):
            return revision
        if (repo, revision) not in self._known:
            self._known[repo, revision] = _commits(repo, self.cache, revision)[revision]
        return self._known[repo, revision]


def hub(
    repo: str,
    *,
    revisions: str | Sequence[str] | Naming = "step{step}",
    steps: Iterable[int] | None = None,
    tokens_per_step: int | None = None,
    name: str = "",
    cache_dir: str | os.PathLike[str] | None = None,
    **loading: Any,
) -> CheckpointSeries:
    """The revisions of one repository.

    Without `steps` the revisions are listed now, by one request; with `steps` nothing is asked before a checkpoint is
    needed. With HF_HUB_OFFLINE=1 only what is on this machine is used.

    Args:
        repo: "EleutherAI/pythia-70m-deduped".
        revisions: how their names say the step, see `Naming`: "step{step}", "stage1-step{step}-tokens{tokens:B}".
        steps: optimizer updates that are known to be there.
        tokens_per_step: tokens of one optimizer update.
        name: of the series; the repository's where empty.
        cache_dir: folder of downloads; the user's own Hugging Face cache is looked into first.
        **loading: see `Loading`: model, trust_remote_code, device_map, dtype.

    Raises:
        DownloadError: it cannot be listed, or no revision says its step.
        ConfigError: an unknown option.
    """
    naming = Naming.of(revisions, tokens_per_step=tokens_per_step)
    folder = Path(cache_dir) if cache_dir is not None else default_cache()
    commit = _Listed(cache=folder)
    if steps is None:
        known = commit.revisions(repo)
        at, problems = named(known, naming, ignore=_NOT_STEPS)
        if not at:
            raise DownloadError(f"{repo} has no revision like {' or '.join(naming.templates)}. {nearest('', known)}")
    else:
        at, problems = {step: naming.write(step) for step in sorted(set(steps))}, ()
    shelf = Shelf(
        name=name or repo,
        addresses={step: (repo, one.name) for step, one in at.items()},
        cache=folder,
        loading=Loading.of(loading),
        commit=commit,
    )
    return _series(shelf, at, problems, naming.unit, there=_here(shelf) if steps is None and client.offline() else at)


def repositories(
    pattern: str | Naming,
    *,
    steps: Iterable[int],
    tokens_per_step: int | None = None,
    name: str = "",
    cache_dir: str | os.PathLike[str] | None = None,
    **loading: Any,
) -> CheckpointSeries:
    """One repository a step: MultiBERTs. Nothing is asked before a checkpoint is needed.

    Args:
        pattern: "google/multiberts-seed_0-step_{step:k}".
        steps: optimizer updates that are known to be there.
        tokens_per_step: tokens of one optimizer update.
        name: of the series; the pattern where empty.
        cache_dir: see `hub`.
        **loading: see `Loading`.

    Raises:
        ConfigError: an unknown option.
    """
    naming = Naming.of(pattern, tokens_per_step=tokens_per_step)
    at = {step: naming.write(step) for step in sorted(set(steps))}
    folder = Path(cache_dir) if cache_dir is not None else default_cache()
    shelf = Shelf(
        name=name or naming.templates[0],
        addresses={step: (one.name, "main") for step, one in at.items()},
        cache=folder,
        loading=Loading.of(loading),
        commit=_Heads(cache=folder),
    )
    return _series(shelf, at, (), naming.unit, there=at)


def finished(
    repo: str,
    *,
    revision: str = "main",
    name: str = "",
    cache_dir: str | os.PathLike[str] | None = None,
    **loading: Any,
) -> CheckpointSeries:
    """A finished model as a series of one checkpoint, at step 1. Nothing is asked before it is needed.

    Args:
        repo: "timm/resnet18.a1_in1k".
        revision: branch, tag or commit.
        name: of the series; the repository's where empty.
        cache_dir: see `hub`.
        **loading: see `Loading`.

    Raises:
        ConfigError: an unknown option.
    """
    folder = Path(cache_dir) if cache_dir is not None else default_cache()
    at = {1: Named(name=revision, step=1)}
    shelf = Shelf(
        name=name or repo,
        addresses={1: (repo, revision)},
        cache=folder,
        loading=Loading.of(loading),
        commit=_Heads(cache=folder),
    )
    return _series(shelf, at, (), FINISHED, there=at)


def _commits(repo: str, folder: Path, only: str | None = None) -> dict[str, str]:
    """Revision -> commit: of the hub, and noted beside our downloads; offline, what was noted or is cached."""
    noted = folder_of(folder, repo) / "revisions.json"
    before = {name: sha for name, sha in read_json(noted).items() if client.is_commit(sha)}
    if not client.offline():
        found = client.commits(repo) if only is None else {only: client.head(repo, only)}
        if found != before:
            write_json(noted, before | found)
        return found
    found = before | _hub_cache.cached_commits(repo)
    if not found or (only is not None and only not in found):
        raise UnreachableError(
            f"{repo} is not on this machine, and HF_HUB_OFFLINE keeps off the network; unset it to download"
        )
    return found


def _here(shelf: Shelf) -> Mapping[int, Any]:
    return {step: None for step in shelf.addresses if shelf.whole(step)}


def _series(
    shelf: Shelf,
    at: Mapping[int, Named],
    problems: tuple[CheckpointProblem, ...],
    unit: str,
    *,
    there: Mapping[int, Any],
) -> CheckpointSeries:
    lost = tuple(
        CheckpointProblem(
            kind="missing", what=shelf.where(step), step=step, reason="is not on this machine (HF_HUB_OFFLINE is set)"
        )
        for step in at
        if step not in there
    )
    return CheckpointSeries(
        name=shelf.name,
        steps=tuple(step for step in at if step in there),
        tokens=known_tokens(one for step, one in at.items() if step in there),
        load=shelf.load,
        reload=shelf.reload,
        where=shelf.where,
        size=shelf.size,
        fetch=shelf.fetch,
        forget=shelf.forget,
        tokenizer=shelf.tokenizer,
        transform=shelf.transform,
        problems=(*problems, *lost),
        unit=unit,
    )
