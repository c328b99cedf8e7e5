"""A hub-shaped HTTP server on the loopback: real revisions of repositories, with a failure now and then.

It answers what the official client asks: refs, revision, tree, and resolve with HEAD, GET and Range.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

Files = Mapping[str, bytes]
LARGE = (".safetensors", ".bin")


@dataclass
class Hub:
    """What the server has, what it will do wrong, and what it was asked.

    faults: (pattern of "METHOD /path", act), each for one request: a status ("429", "500"), "cut" (half the body, then
    closed), "reset" (half the body, then a TCP reset), "corrupt" (right length, wrong bytes), "short" (half the body as
    if it were all), "gated" (no access), "well" (nothing: the next one is for the request after it).
    """

    repositories: dict[str, dict[str, Files]]
    faults: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str, str | None, int]] = field(default_factory=list)
    hold: threading.Event | None = None
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def commit(self, repo: str, revision: str) -> str:
        digest = hashlib.sha1(f"{repo}@{revision}".encode())
        for name, content in sorted(self.repositories[repo][revision].items()):
            digest.update(name.encode() + hashlib.sha256(content).digest())
        return digest.hexdigest()

    def at(self, repo: str, revision: str) -> tuple[str, Files] | None:
        for name, files in self.repositories.get(repo, {}).items():
            commit = self.commit(repo, name)
            if revision in (name, commit):
                return commit, files
        return None

    def fault(self, request: str) -> str | None:
        with self.lock:
            for i, (pattern, act) in enumerate(self.faults):
                if re.search(pattern, request):
                    del self.faults[i]
                    return act
        return None

    def bodies(self, name: str) -> list[tuple[str | None, int]]:
        """(Range, status) of the downloads of a file."""
        return [
            (wanted, status) for method, path, wanted, status in self.asked if method == "GET" and path.endswith(name)
        ]


def about(name: str, content: bytes) -> dict[str, object]:
    """An entry of a tree listing."""
    git = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    entry: dict[str, object] = {"type": "file", "oid": git, "size": len(content), "path": name}
    if name.endswith(LARGE):
        sha = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha, "size": len(content), "pointerSize": 134}
    return entry


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer("HEAD")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            path = unquote(urlsplit(self.path).path)
            act = hub.fault(f"{method} {path}")
            if act is not None and act.isdigit():
                self.reply(method, path, int(act), b"", {"Retry-After": "0"})
            elif act == "gated":
                self.reply(method, path, 403, b"", {"X-Error-Code": "GatedRepo"})
            elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(refs|revision|tree)(?:/([^/]+))?/?", path):
                self.api(method, path, found[1], found[2], found[3])
            elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self.file(method, path, (found[1], found[2], found[3]), act)
            else:
                self.reply(method, path, 404, b"", {})

        def api(self, method: str, path: str, repo: str, what: str, revision: str | None) -> None:
            if repo not in hub.repositories:
                return self.reply(method, path, 404, b"", {"X-Error-Code": "RepoNotFound"})
            if what == "refs":
                names = hub.repositories[repo]
                told = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": hub.commit(repo, n)} for n in names]
                return self.json(method, path, {"branches": told, "converts": [], "tags": []})
            found = hub.at(repo, revision or "main")
            if found is None:
                return self.reply(method, path, 404, b"", {"X-Error-Code": "RevisionNotFound"})
            commit, files = found
            if what == "revision":
                return self.json(method, path, {"id": repo, "sha": commit, "siblings": [], "tags": []})
            entries = [about(name, content) for name, content in files.items()]
            return self.json(method, path, entries)

        def file(self, method: str, path: str, wanted: tuple[str, str, str], act: str | None) -> None:
            repo, revision, name = wanted
            found = hub.at(repo, revision)
            if found is None or name not in found[1]:
                return self.reply(method, path, 404, b"", {"X-Error-Code": "EntryNotFound"})
            commit, content = found[0], found[1][name]
            entry = about(name, content)
            etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]  # type: ignore[index]
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
            if "lfs" in entry:
                headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
            if method == "GET" and hub.hold is not None:
                hub.hold.wait(30)
            if act == "corrupt":
                content = bytes(b ^ 1 for b in content)
            if act == "short":
                content = content[: len(content) // 2]
            return self.reply(method, path, 200, content, headers, act)

        def json(self, method: str, path: str, content: object) -> None:
            self.reply(method, path, 200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def reply(
            self, method: str, path: str, status: int, body: bytes, headers: Mapping[str, str], act: str | None = None
        ) -> None:
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and status == 200 else 0
            if start:
                status = 206
                headers = {**headers, "Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            with hub.lock:
                hub.asked.append((method, path, wanted, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if method == "HEAD":
                return
            if act in ("cut", "reset"):
                self.wfile.write(body[start : start + (len(body) - start) // 2])
                self.wfile.flush()
                self.close_connection = True
                if act == "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                return
            self.wfile.write(body[start:])

        def handle(self) -> None:
            with suppress(ConnectionError, ValueError, OSError):
                super().handle()

        def finish(self) -> None:
            with suppress(ConnectionError, ValueError, OSError):
                super().finish()

    return Handler


def online(monkeypatch: Any, hub: Hub, theirs: Path) -> None:
    """Point the official client, which the tests' environment keeps off the network, to a server."""
    from huggingface_hub import constants  # reads HF_ENDPOINT when it is imported

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(theirs))


@contextmanager
def serving(repositories: dict[str, dict[str, Files]]) -> Iterator[Hub]:
    """A server for these repositories: repository -> revision -> file -> content."""
    hub = Hub(repositories=repositories)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        if hub.hold is not None:
            hub.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()
