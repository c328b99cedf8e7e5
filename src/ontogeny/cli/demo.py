"""`ontogeny demo`."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from ontogeny.cli._yaml_config import add_config_option, apply_config
from ontogeny.errors import RecordError

__all__ = ["add_parser"]

_ABOUT = """\
Train a small CNN (Lightning) and a small GPT (Hugging Face), each probed while it trains and scored against brain
responses, then write runs/demo/report.html: alignment of every layer over training, with chance, ceiling and baselines,
above the held-out loss of the very same weights.

On real data where they are found (ONTOGENY_DATA or `ontogeny data get`): CIFAR-10 -> human IT, books -> the language
network. Else on two embedded simulated worlds where the right answer is known. The page's first line says which.
"""


def add_parser(commands: Any) -> None:
    """Add the verb."""
    parser = commands.add_parser(
        "demo",
        help="train two small models, watched, and write the report (a few minutes)",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--data",
        choices=("auto", "real", "planted"),
        default="auto",
        help="which data (default: real where found)",
    )
    parser.add_argument("--vision-steps", type=int, default=1000, help="optimizer updates of the CNN")
    parser.add_argument("--language-steps", type=int, default=1000, help="optimizer updates of the GPT")
    parser.add_argument("--keep", action="store_true", help="continue the records in --out instead of starting anew")
    add_config_option(parser)
    parser.set_defaults(run=lambda arguments: _run(apply_config(parser, arguments)))


def _run(arguments: argparse.Namespace) -> int:
    from ontogeny.cli.demo_training import demo_leads, run_demo
    from ontogeny.report import write_report

    start = time.perf_counter()
    if not arguments.keep:
        _clear(arguments.out)
    folders = run_demo(
        arguments.out,
        data=arguments.data,
        vision_steps=arguments.vision_steps,
        language_steps=arguments.language_steps,
        say=_say,
    )
    _say("writing the report")
    files = write_report(arguments.out, progress=True)
    minutes = (time.perf_counter() - start) / 60
    pictures = files.html.parent / "figures"
    for line in demo_leads(folders):
        _say(line)
    _say(f"Done in {minutes:.1f} minutes. Open {files.html} (its pictures as PNG: {pictures}).")
    return 0


def _clear(out: Path) -> None:
    """Remove an earlier demo's records, and nothing that is not one."""
    for part in (out / "vision", out / "language"):
        if not part.exists():
            continue
        if not (part / "record.json").exists():
            raise RecordError(f"{part} is not a demo's record; choose another --out")
        shutil.rmtree(part)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
