"""Get one pinned file: to a `.part` file that resumes, checked by size and sha256, then renamed in one move."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ontogeny.datasets.data_paths import check_file, place
from ontogeny.datasets.pinned_datasets import PinnedFile
from ontogeny.errors import ChecksumError, DataError

__all__ = ["download"]

_CHUNK = 1 << 16
_LONGEST_WAIT = 60.0
_TIMEOUT = 30.0


class _CutError(Exception):
    """The connection failed in a way that another attempt may mend; `wait` is the server's wish, in seconds."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def download(file: PinnedFile, folder: Path, *, attempts: int = 6, wait: float = 1.0) -> Path:
    """Download a file into a folder; a copy that is already there and right is left alone.

    Args:
        file: what to get.
        folder: the data folder; the file's own path is added.
        attempts: how often to try after HTTP 429, 5xx or a cut connection.
        wait: seconds before the second attempt; doubled each time, at most 60.

    Returns:
        Path of the checked file.

    Raises:
        DataError: no public address, refused by the server, still unreachable, or not writable. A partial file is
            kept, so that the next call resumes.
        ChecksumError: what came is not the pinned file; it is removed.
    """
    target = place(folder, file)
    if target.is_file():
        check_file(target, file)
        return target
    if file.address is None:
        raise DataError(f"{file.path} has no public address to download from")
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch_patiently(file, part, attempts, wait)
        _check_part(part, file)
        part.replace(target)
    except OSError as error:
        raise DataError(f"cannot write {part}: {error}; choose a folder with space that you may write") from error
    return target


def _fetch_patiently(file: PinnedFile, part: Path, attempts: int, wait: float) -> None:
    for attempt in range(1, attempts + 1):
        try:
            _fetch(file, part)
            return
        except _CutError as cut:
            if attempt == attempts:
                raise DataError(
                    f"could not download {file.address} in {attempts} attempts: {cut}; run the command again to go on "
                    "from where it stopped"
                ) from cut
            time.sleep(min(_LONGEST_WAIT, max(cut.wait or 0.0, wait * 2 ** (attempt - 1))))


def _check_part(part: Path, file: PinnedFile) -> None:
    try:
        check_file(part, file)
    except ChecksumError as error:
        part.unlink()
        raise ChecksumError(f"from {file.address}: {error}. It was removed") from error


def _fetch(file: PinnedFile, part: Path) -> None:
    """Append what is missing; returns when the part file has the pinned size or more."""
    start = part.stat().st_size if part.exists() else 0
    if start > file.size:
        part.unlink()
        start = 0
    if start == file.size:
        return
    response = _open(str(file.address), start, part)
    with response:
        if response.status != 206:
            start = 0
        label = file.path.rsplit("/", 1)[-1]
        with (
            part.open("ab" if start else "wb") as out,
            tqdm(total=file.size, initial=start, unit="B", unit_scale=True, desc=label, disable=None) as bar,
        ):
            have = start
            while have <= file.size and (block := _read(response)):
                out.write(block)
                bar.update(len(block))
                have += len(block)
    if have < file.size:
        raise _CutError(f"the connection ended after {have} of {file.size} bytes")


def _open(address: str, start: int, part: Path) -> Any:
    headers = {"User-Agent": "ontogeny", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
        if error.code in (416, 429) or error.code >= 500:
            raise _CutError(f"HTTP {error.code} {error.reason}", _seconds(error.headers.get("Retry-After"))) from error
        raise DataError(f"{address} answered HTTP {error.code} {error.reason}; the file may have moved") from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"{type(error).__name__}: {error}") from error
    begins = str(response.headers.get("Content-Range", ""))
    if response.status == 206 and not begins.startswith(f"bytes {start}-"):
        response.close()
        part.unlink(missing_ok=True)
        raise _CutError(f"asked for bytes from {start}, got {begins or 'an unnamed range'}")
    return response


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.strip().isdigit() else None


def _read(response: Any) -> bytes:
    try:
        return bytes(response.read(_CHUNK))
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"{type(error).__name__}: {error}") from error
