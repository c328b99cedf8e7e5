"""Each script, killed (SIGKILL) in its seventh update, after its checkpoint at four: python -m tests.scripts FOLDER.

Every run is a forked child, so that the imports are paid once.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from importlib import import_module
from itertools import count
from pathlib import Path

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from tests.scripts import NAMES

UPDATE = 7


def killed(name: str, out: Path) -> None:
    """Train in a child that does not live to its end."""
    child = os.fork()
    if child == 0:
        try:
            sys.stdout = sys.stderr = (out / "output").open("a")
            updates = count(1)
            register_optimizer_step_post_hook(
                lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(updates) == UPDATE else None
            )
            import_module(f"tests.scripts.{name}").main(out, watched=True)
        finally:
            sys.stderr.flush()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"{name} was not killed:\n" + (out / "output").read_text()[-3000:])


def main(where: str) -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    for name in NAMES:
        import_module(f"tests.scripts.{name}")
    for name in NAMES:
        out = Path(where) / name
        out.mkdir(parents=True)
        killed(name, out)


if __name__ == "__main__":
    main(sys.argv[1])
