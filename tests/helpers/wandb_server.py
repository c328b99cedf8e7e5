"""A server on this machine that answers what the Weights & Biases client asks when charts and pages are made."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ontogeny
from tests.helpers.processes import run_python

KEY = "k" * 40
SOURCE = Path(ontogeny.__file__).parents[1]


class Server:
    """What was asked, and what is refused.

    Args:
        refuse: GraphQL operation -> message of its error.

    `history` has the rows of the one run that there is.
    """

    def __init__(self, refuse: dict[str, str]) -> None:
        self.refuse = refuse
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self.history: list[dict[str, Any]] = []

    def of(self, word: str) -> list[dict[str, Any]]:
        """Variables of the questions whose query holds a word."""
        return [body["variables"] for body in self.asked if word in body["query"]]

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        given = body.get("variables") or {}
        for word, message in self.refuse.items():
            if word in body["query"]:
                return {"data": None, "errors": [{"message": message}]}
        return {
            "data": {
                "viewer": {
                    "id": "u",
                    "entity": "me",
                    "username": "me",
                    "email": "me@example.org",
                    "flags": "{}",
                    "teams": {"edges": []},
                },
                "RunType": {"fields": [{"name": "projectId"}]},
                "createCustomChart": {"chart": {"id": f"{given.get('entity')}/{given.get('chartName')}"}},
                "project": {"run": self._run(given)},
                "upsertView": {"view": {"id": "V", "name": given.get("name")}, "inserted": True},
            }
        }

    def _run(self, given: dict[str, Any]) -> dict[str, Any]:
        last = max((row["_step"] for row in self.history), default=-1)
        steps = range(given.get("minStep", 0), given.get("maxStep", last + 1))
        texts = (
            "id",
            "name",
            "displayName",
            "state",
            "description",
            "notes",
            "group",
            "jobType",
            "commit",
            "sweepName",
        )
        return {
            **{name: given.get("name", "") for name in texts},
            **{name: "{}" for name in ("config", "systemMetrics", "summaryMetrics")},
            **{name: "2026-01-01T00:00:00" for name in ("createdAt", "heartbeatAt")},
            "projectId": "7",
            "readOnly": False,
            "tags": [],
            "user": {"name": "me", "username": "me"},
            "historyLineCount": len(self.history),
            "historyKeys": {"lastStep": last, "sets": [], "keys": {}},
            "parquetHistory": {"parquetUrls": [], "liveData": []},
            "history": [json.dumps(row) for row in self.history if row["_step"] in steps],
        }


@contextmanager
def serving(**refuse: str) -> Iterator[Server]:
    """The server, for as long as the block lasts."""
    server = Server(refuse)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            out = json.dumps(server.answer(json.loads(content)) if self.path == "/graphql" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def command(*arguments: str, folder: Path, first: str = "pass", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, in a folder that is its home too, so that no key of the machine is seen."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") and k != "ONTOGENY_WANDB_CHARTS"}
    home = {"HOME": str(folder), "NETRC": str(folder / "none"), "WANDB_SILENT": "true", "PYTHONPATH": str(SOURCE)}
    code = f"import sys; from ontogeny.cli import main; {first}; sys.exit(main())"
    return run_python(["-c", code, *arguments], cwd=folder, env={**clean, **home, **environment}, timeout=120)
