"""`ontogeny demo`."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Literal

from ontogeny.cli._output import say
from ontogeny.errors import RecordError

__all__ = ["demo"]


def demo(
    *,
    out: Path = Path("runs/demo"),
    data: Literal["auto", "real", "planted"] = "auto",
    vision_steps: int = 1000,
    language_steps: int = 1000,
    keep: bool = False,
) -> None:
    """Train two small models, watched, and write the report.

    A small CNN (Lightning) and a small GPT (Hugging Face), each probed while it trains and scored against brain
    responses; then runs/demo/report.html: does each become brain-like before it becomes good, and how brain-like? A few
    minutes.

    On real data where they are found (ONTOGENY_DATA or `ontogeny data get`): CIFAR-10 -> human IT, books -> the
    language network. Else on two embedded simulated worlds where the right answer is known. The page's first line says
    which.

    Args:
        out: folder to write to.
        data: which data; auto takes real ones where they are found.
        vision_steps: optimizer updates of the CNN.
        language_steps: optimizer updates of the GPT.
        keep: continue the records in --out instead of starting anew.
    """
    from ontogeny.cli.demo_training import run_demo
    from ontogeny.report import write_report

    start = time.perf_counter()
    if not keep:
        _clear(out)
    run_demo(out, data=data, vision_steps=vision_steps, language_steps=language_steps, say=say)
    say("writing the report")
    files = write_report(out, progress=True)
    minutes = (time.perf_counter() - start) / 60
    say(f"Done in {minutes:.1f} minutes. Open {files.html} (its figures as files: {files.html.parent / 'figures'}).")
    say("One short run of one seed speaks of itself only; recipes/many_seeds.py trains five and pools them.")
    say("\n".join(files.answers))


def _clear(out: Path) -> None:
    """Remove an earlier demo's records, and nothing that is not one."""
    for part in (out / "vision", out / "language"):
        if not part.exists():
            continue
        if not (part / "record.json").exists():
            raise RecordError(f"{part} is not a demo's record; choose another --out")
        shutil.rmtree(part)
