"""Python programs in processes of their own, without waiting ten seconds for the same imports each time.

`run_python([...])` is `subprocess.run([sys.executable, ...])`, but that the process is forked from one that has
imported torch, transformers and Lightning and has done nothing else. One such process serves a process of pytest. With
`ranks=2` there are two processes at once, in the environment that `torchrun --nproc-per-node 2` gives to its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["run_python"]

ROOT = Path(__file__).resolve().parents[2]
_SERVERS: list[subprocess.Popen[str]] = []
_PORT = [""]
# What libraries read once, when they are imported: a program with other values needs a process from the ground up.
_AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TORCH", "OMP_", "MKL_", "PYTHONHASHSEED", "CUDA_", "PL_")


def run_python(
    arguments: Sequence[Any], *, cwd: Path, env: Mapping[str, str], timeout: float = 240, ranks: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS`: a script, `-m module` or `-c code`.

    Args:
        arguments: after `python`, `-W ignore` not among them.
        cwd: the folder it runs in.
        env: its whole environment.
        timeout: seconds, after which it is killed.
        ranks: how many processes of one distributed run; 0: it is none.

    Returns:
        Of several processes the first exit code that is not 0, and all outputs, one after the other.

    Raises:
        subprocess.TimeoutExpired: it took longer.
    """
    words = [str(word) for word in arguments]
    if _at_import(env) != _at_import(os.environ):
        pipes: Any = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        return subprocess.run([sys.executable, *words], cwd=cwd, env=env, timeout=timeout, check=False, **pipes)
    with tempfile.TemporaryDirectory() as folder:
        outputs = [[str(Path(folder) / f"{name}{i}") for name in ("out", "err")] for i in range(max(1, ranks))]
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        request = {"arguments": words, "cwd": str(cwd), "timeout": timeout, "outputs": outputs}
        own = [{**env, **_rank(i, ranks)} for i in range(max(1, ranks))]
        server.stdin.write(json.dumps({**request, "environments": own}) + "\n")
        server.stdin.flush()
        codes = json.loads(server.stdout.readline())
        out, err = ("".join(Path(pair[i]).read_text() for pair in outputs) for i in (0, 1))
    if None in codes:
        raise subprocess.TimeoutExpired(words, timeout, out, err)
    return subprocess.CompletedProcess(words, next(filter(None, codes), 0), out, err)


def _rank(rank: int, ranks: int) -> dict[str, str]:
    """What torchrun tells a process."""
    if not ranks:
        return {}
    if rank == 0:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            _PORT[0] = str(free.getsockname()[1])
    place = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _PORT[0], "TORCHELASTIC_RUN_ID": "tests"}
    return {**{name: str(number) for name, number in place.items()}, **meeting}


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
        children = []
        for environment, outputs in zip(request["environments"], request["outputs"], strict=True):
            child = os.fork()
            if child == 0:
                answers.close()
                return {**request, "env": environment, "outputs": outputs}
            children.append(child)
        answers.write(json.dumps(_awaited(children, request["timeout"])) + "\n")
        answers.flush()
    sys.exit()


def _awaited(children: list[int], seconds: float) -> list[int | None]:
    """Their exit codes as `subprocess` has them; None of those that were killed for taking too long."""
    codes: list[int | None] = []
    late = False

    def kill(*_: Any) -> None:
        nonlocal late
        late = True
        for child in children[len(codes) :]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    for child in children:
        _, status = os.waitpid(child, 0)
        codes.append(None if late else os.waitstatus_to_exitcode(status))
    signal.setitimer(signal.ITIMER_REAL, 0)
    return codes


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
