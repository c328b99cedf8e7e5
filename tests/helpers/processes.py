"""Python programs in processes of their own, without waiting ten seconds for the same imports each time.

`run_python([...])` is `subprocess.run([sys.executable, ...])`, but that the process is forked from one that has
imported torch, transformers and Lightning and has done nothing else. One such process serves a process of pytest.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["run_python"]

ROOT = Path(__file__).resolve().parents[2]
_SERVERS: list[subprocess.Popen[str]] = []
# What libraries read once, when they are imported: a program with other values needs a process from the ground up.
_AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TORCH", "OMP_", "MKL_", "PYTHONHASHSEED", "CUDA_", "PL_")


def run_python(
    arguments: Sequence[Any], *, cwd: Path, env: Mapping[str, str], timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS`: a script, `-m module` or `-c code`.

    Args:
        arguments: after `python`, `-W ignore` not among them.
        cwd: the folder it runs in.
        env: its whole environment.
        timeout: seconds, after which it is killed.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    words = [str(word) for word in arguments]
    if _at_import(env) != _at_import(os.environ):
        pipes: Any = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        return subprocess.run([sys.executable, *words], cwd=cwd, env=env, timeout=timeout, check=False, **pipes)
    with tempfile.TemporaryDirectory() as folder:
        outputs = [str(Path(folder) / name) for name in ("out", "err")]
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        request = {"arguments": words, "cwd": str(cwd), "env": dict(env), "outputs": outputs, "timeout": timeout}
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        code = json.loads(server.stdout.readline())
        out, err = (Path(path).read_text() for path in outputs)
    if code is None:
        raise subprocess.TimeoutExpired(words, timeout, out, err)
    return subprocess.CompletedProcess(words, code, out, err)


def _at_import(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_IMPORT)}


def _server() -> subprocess.Popen[str]:
    if not _SERVERS:
        command = [sys.executable, "-W", "ignore", "-m", "tests.helpers.processes"]
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, **pipes)
        atexit.register(server.kill)
        _SERVERS.append(server)
    return _SERVERS[0]


def _serve() -> dict[str, Any]:
    """Fork for each request; returns in the child, with what it has to do."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    # Not what runs on the libraries' first use, such as threads: a process with threads cannot be forked.
    import lightning.pytorch
    import matplotlib.pyplot
    import pandas
    import pyarrow.parquet
    import scipy.stats
    import transformers

    _ = transformers.Trainer, lightning.pytorch.Trainer, matplotlib.pyplot, pandas, pyarrow.parquet, scipy.stats
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            return request
        answers.write(json.dumps(_awaited(child, request["timeout"])) + "\n")
        answers.flush()
    sys.exit()


def _awaited(child: int, seconds: float) -> int | None:
    """Its exit code as `subprocess` has it; None where it was killed for taking too long."""
    late = False

    def kill(*_: Any) -> None:
        nonlocal late
        late = True
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _, status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return None if late else os.waitstatus_to_exitcode(status)


def _become(request: dict[str, Any]) -> None:
    """This process is as one that was started with the request's command line."""
    import random

    import numpy as np
    import torch

    os.setpgrp()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(request["outputs"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed(), np.random.seed(), torch.seed()
    sys.path[:] = [path for path in sys.path if path not in ("", str(ROOT))]
    sys.path[:0] = filter(None, request["env"].get("PYTHONPATH", "").split(os.pathsep))


def _run(words: list[str]) -> None:
    import runpy

    sys.warnoptions.clear()
    import warnings

    warnings.resetwarnings()
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.path.insert(0, "")
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(words[0]).parent))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _todo = _serve()
    _become(_todo)
    _run(_todo["arguments"])
