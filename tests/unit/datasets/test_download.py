"""Downloads against a real loopback server: resumed, retried, checked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ontogeny.datasets import PinnedFile
from ontogeny.datasets import download as module
from ontogeny.datasets.download import download
from ontogeny.errors import ChecksumError, DataError

BODY = bytes(range(256)) * 2000
SHA = hashlib.sha256(BODY).hexdigest()


@dataclass
class Script:
    """What the server does, request by request: a status, "cut", "norange", "badrange" or "ok"."""

    acts: list[str] = field(default_factory=list)
    body: bytes = BODY
    ranges: list[str | None] = field(default_factory=list)
    url: str = ""


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            script.ranges.append(wanted)
            act = script.acts.pop(0) if script.acts else "ok"
            if act.isdigit():
                self.send_response(int(act))
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and act != "norange" else 0
            body = script.body[start:]
            self.send_response(206 if start else 200)
            if start:
                first = 1 if act == "badrange" else start
                self.send_header("Content-Range", f"bytes {first}-{len(script.body) - 1}/{len(script.body)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if act == "cut" else body)

    return Handler


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    out = Script()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(out))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    out.url = f"http://127.0.0.1:{server.server_port}/file.bin"
    yield out
    server.shutdown()
    thread.join()
    server.server_close()


def pinned(script: Script, **change: object) -> PinnedFile:
    options: dict[str, object] = {"path": "set/file.bin", "sha256": SHA, "size": len(BODY), "address": script.url}
    return PinnedFile(**{**options, **change})  # type: ignore[arg-type]


def test_a_file_comes_whole_and_leaves_no_part(script: Script, tmp_path: Path) -> None:
    path = download(pinned(script), tmp_path, wait=0.0)
    assert path == tmp_path / "set" / "file.bin"
    assert path.read_bytes() == BODY
    assert list(path.parent.iterdir()) == [path]


def test_a_right_copy_is_not_fetched_again_and_a_wrong_one_is_named(script: Script, tmp_path: Path) -> None:
    path = download(pinned(script), tmp_path, wait=0.0)
    download(pinned(script), tmp_path, wait=0.0)
    assert len(script.ranges) == 1
    path.write_bytes(b"x" + BODY[1:])
    with pytest.raises(ChecksumError, match="expected sha256"):
        download(pinned(script), tmp_path, wait=0.0)


def test_a_cut_connection_resumes_where_it_stopped(script: Script, tmp_path: Path) -> None:
    script.acts = ["cut", "ok"]
    assert download(pinned(script), tmp_path, wait=0.0).read_bytes() == BODY
    assert script.ranges == [None, f"bytes={len(BODY) // 2}-"]


def test_an_earlier_part_file_is_continued(script: Script, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.bin.part").write_bytes(BODY[:1000])
    assert download(pinned(script), tmp_path, wait=0.0).read_bytes() == BODY
    assert script.ranges == ["bytes=1000-"]


def test_a_complete_part_file_needs_no_request(script: Script, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.bin.part").write_bytes(BODY)
    assert download(pinned(script), tmp_path, wait=0.0).read_bytes() == BODY
    assert script.ranges == []


@pytest.mark.parametrize("act", ["norange", "416", "badrange"])
def test_a_server_that_cannot_resume_is_asked_from_the_start(script: Script, tmp_path: Path, act: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file.bin.part").write_bytes(b"y" * 1000)
    script.acts = [act]
    assert download(pinned(script), tmp_path, wait=0.0).read_bytes() == BODY


@pytest.mark.parametrize("status", ["500", "503", "429"])
def test_a_busy_server_is_tried_again(script: Script, tmp_path: Path, status: str) -> None:
    script.acts = [status, "ok"]
    assert download(pinned(script), tmp_path, wait=0.0).read_bytes() == BODY
    assert len(script.ranges) == 2


def test_waits_double(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    script.acts = ["500", "500", "500"]
    download(pinned(script), tmp_path, wait=2.0)
    assert waits == [2, 4, 8]


def test_giving_up_keeps_the_part_file_and_says_how_to_go_on(script: Script, tmp_path: Path) -> None:
    script.acts = ["cut", "503"]
    with pytest.raises(DataError, match="in 2 attempts: HTTP 503 .* run the command again to go on"):
        download(pinned(script), tmp_path, attempts=2, wait=0.0)
    assert (tmp_path / "set" / "file.bin.part").stat().st_size == len(BODY) // 2


def test_a_moved_file_is_not_tried_again(script: Script, tmp_path: Path) -> None:
    script.acts = ["404"]
    with pytest.raises(DataError, match="answered HTTP 404"):
        download(pinned(script), tmp_path, wait=0.0)
    assert len(script.ranges) == 1


def test_no_server_at_all_is_a_clear_error(script: Script, tmp_path: Path) -> None:
    file = pinned(script, address="http://127.0.0.1:9/file.bin")
    with pytest.raises(DataError, match="could not download .* in 2 attempts: URLError"):
        download(file, tmp_path, attempts=2, wait=0.0)


@pytest.mark.parametrize("body", [b"z" + BODY[1:], BODY + b"more"])
def test_a_wrong_file_is_refused_and_removed(script: Script, tmp_path: Path, body: bytes) -> None:
    script.body = body
    with pytest.raises(ChecksumError, match="expected .* It was removed"):
        download(pinned(script), tmp_path, wait=0.0)
    assert list((tmp_path / "set").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(script: Script, tmp_path: Path) -> None:
    (tmp_path / "set").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot write .* choose a folder"):
        download(pinned(script), tmp_path, wait=0.0)


def test_a_file_without_address_is_refused(script: Script, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no public address"):
        download(pinned(script, address=None), tmp_path)


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "a\\x", "C:x", ""])
def test_a_path_that_would_leave_the_folder_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="stays inside the data folder"):
        PinnedFile(path=path, sha256=SHA, size=1)


def test_a_local_address_is_refused() -> None:
    with pytest.raises(DataError, match="starts with https"):
        PinnedFile(path="x", sha256=SHA, size=1, address="file:///etc/passwd")
