"""The Hugging Face hub, by its official client, which stands behind this module: patient, and what came is checked.

The client (2.4) resumes a body that was cut off and repeats some requests. It does not repeat the listing of revisions,
nor a body after HTTP 5xx or a reset; it checks the size of what came, not its hash; and where a listing fails for good
it returns the folder that is there as if it were whole. All this is made up for here.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ontogeny.errors import CheckpointError, DownloadError, UnreachableError, require

__all__ = [
    "ATTEMPTS",
    "WAIT",
    "Remote",
    "asking_once",
    "check",
    "commits",
    "digest",
    "download",
    "files",
    "head",
    "is_commit",
    "offline",
    "repository",
]

T = TypeVar("T")

ATTEMPTS = 6
WAIT = 1.0
_LONGEST_WAIT = 60.0
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TRANSPORT = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
_AGAIN = (408, 425, 429)
_HURRIED: ContextVar[bool] = ContextVar("hurried", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One file of a repository at a commit.

    Args:
        name: within the repository.
        size: bytes.
        sha256: of a large file, None of a small one.
        git: git's own SHA-1 of a small file.
    """

    name: str
    size: int
    sha256: str | None
    git: str


def _client() -> Any:
    return require("huggingface_hub", "hub")


def offline() -> bool:
    """Whether the client has to keep off the network (HF_HUB_OFFLINE)."""
    _client()
    return bool(require("huggingface_hub.constants", "hub").HF_HUB_OFFLINE)


@contextmanager
def asking_once() -> Iterator[None]:
    """Within it a request that fails is not repeated: for questions whose answer is not worth waiting for."""
    token = _HURRIED.set(True)
    try:
        yield
    finally:
        _HURRIED.reset(token)


def commits(repo: str) -> dict[str, str]:
    """Branch or tag -> commit, of a repository; a branch where both have the name.

    Raises:
        DownloadError: no such repository, no access, or the hub cannot be reached.
    """
    refs = _patiently(lambda: _client().HfApi().list_repo_refs(repository(repo)), repo)
    return {ref.name: _commit(ref.target_commit, repo) for ref in (*refs.tags, *refs.branches)}


def head(repo: str, revision: str = "main") -> str:
    """The commit that a revision points to.

    Raises:
        DownloadError: no such repository or revision, no access, or the hub cannot be reached.
    """
    where = f"{repo}@{revision}"
    found = _patiently(lambda: _client().HfApi().repo_info(repository(repo), revision=revision), where)
    return _commit(found.sha, where)


def files(repo: str, commit: str) -> dict[str, Remote]:
    """Files at the top of a repository at a commit, by name.

    Raises:
        DownloadError: the hub cannot be reached or does not have it.
    """
    if _HURRIED.get():  # the client repeats a listing by itself, which this one is not
        head(repo, commit)
    listed = _patiently(lambda: list(_client().HfApi().list_repo_tree(repository(repo), revision=commit)), repo)
    return {
        f.path: Remote(name=f.path, size=int(f.size), sha256=f.lfs.sha256 if f.lfs else None, git=str(f.blob_id))
        for f in listed
        if hasattr(f, "blob_id")
    }


def download(repo: str, commit: str, needed_files: Mapping[str, Remote], folder: Path) -> None:
    """Get files into a folder; those that are there already are not got again. What came is checked by its hash.

    Args:
        repo: repository.
        commit: 40 hex digits.
        needed_files: files, by name.
        folder: made where it is missing.

    Raises:
        DownloadError: the hub cannot be reached, or a file came wrong twice; it is removed then.
    """
    where = f"{repo}@{commit[:12]}"
    for last in (False, True):
        _patiently(lambda: _snapshot(repo, commit, needed_files, folder), where)
        wrong = [(name, reason) for name, about in needed_files.items() if (reason := check(folder / name, about))]
        for name, _ in wrong:
            (folder / name).unlink(missing_ok=True)
        if not wrong:
            return
        if last:
            reasons = "; ".join(f"{name} {reason}" for name, reason in wrong)
            raise DownloadError(f"{where}: {reasons}. It was removed; try again later, or tell the repository's owner")


def _snapshot(repo: str, commit: str, needed_files: Mapping[str, Remote], folder: Path) -> None:
    _client().snapshot_download(
        repository(repo), revision=commit, local_dir=str(folder), allow_patterns=list(needed_files)
    )
    missing = [name for name in needed_files if not (folder / name).is_file()]
    if missing:
        raise _UnfinishedError(f"{', '.join(missing)} did not come")


class _UnfinishedError(Exception):
    """The client returned without all files, as it does when a listing fails and the folder is there."""


def check(path: Path, about: Remote) -> str | None:
    """Why a file is not what was announced; None if it is."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if size != about.size:
        return f"has {size} bytes, announced were {about.size}"
    if about.sha256 is not None:
        found, needed_files = digest(path, hashlib.sha256()), about.sha256
    else:
        found, needed_files = digest(path, hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)), about.git
    return None if found == needed_files else f"has hash {found[:16]}..., announced was {needed_files[:16]}..."


def digest(path: Path, sha: Any) -> str:
    """A file's hash, in hex digits."""
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            sha.update(block)
    return str(sha.hexdigest())


def repository(repo: str) -> str:
    """The name, if it is one of a repository and so can be part of a path.

    Raises:
        CheckpointError: it is not.
    """
    if not _REPOSITORY.fullmatch(repo) or ".." in repo:
        raise CheckpointError(f"{repo!r} is not the name of a repository; expected 'owner/name'")
    return repo


def is_commit(text: Any) -> bool:
    """Whether a text is the hash of a commit, and so can be part of a path."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def _commit(text: Any, where: str) -> str:
    if not is_commit(text):
        raise DownloadError(f"{where}: the hub named the commit {text!r}, expected 40 hex digits")
    return str(text)


def _patiently(call: Callable[[], T], where: str) -> T:
    """Call until it works, waiting longer each time, as long as what went wrong may pass."""
    attempt, most = 0, 1 if _HURRIED.get() else ATTEMPTS
    while True:
        attempt += 1
        try:
            return call()
        except Exception as error:
            wait = _wait(error)
            if wait is None:
                raise DownloadError(f"{where}: {_refusal(error)}") from error
            if attempt == most:
                tries = f"in {most} attempts " if most > 1 else ""
                raise UnreachableError(
                    f"{where}: the hub could not be reached {tries}({_words(error)}); run it "
                    "again to go on, or set HF_HUB_OFFLINE=1 to use what is on this machine"
                ) from error
            time.sleep(min(_LONGEST_WAIT, max(wait, WAIT * 2 ** (attempt - 1))))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what caused it: the client wraps a failed connection in "not found on this machine"."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _wait(error: BaseException) -> float | None:
    """Seconds that the server asks to wait (0: none said) where another attempt may help; None where it cannot."""
    for one in _chain(error):
        status, headers = _answer(one)
        if status is not None:
            again = status in _AGAIN or status >= 500
            return _seconds(headers.get("Retry-After")) if again else None
        if type(one).__module__.split(".")[0] in _TRANSPORT or isinstance(
            one, ConnectionError | TimeoutError | _UnfinishedError
        ):
            return 0.0
        if isinstance(one, OSError) and "Consistency check failed" in str(one):
            return 0.0
    return None


def _answer(error: BaseException) -> tuple[int | None, Mapping[str, str]]:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None), getattr(response, "headers", {})


def _seconds(header: str | None) -> float:
    return float(header) if header is not None and header.strip().isdigit() else 0.0


def _refusal(error: BaseException) -> str:
    """What another attempt would not mend, in plain words."""
    names = {type(one).__name__ for one in _chain(error)}
    if "GatedRepoError" in names:
        return "is gated: ask for access on its page and log in (hf auth login)"
    if "RevisionNotFoundError" in names:
        return "there is no such revision"
    if "RepositoryNotFoundError" in names:
        return "there is no such repository, or it is private: check the name, or log in (hf auth login)"
    return _words(error)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
