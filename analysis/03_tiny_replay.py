"""What replay gives: the curves of the series that comes with the project, as the report draws them.

    python analysis/03_tiny_replay.py

Replays checkpoints/tiny on the embedded simulated world and writes figures/replay-tiny.png. The world is simulated: the
picture shows what comes out, not what brains do.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from PIL import Image

from ontogeny.cli import main as ontogeny

PROJECT = Path(__file__).resolve().parents[1]
FIGURES = PROJECT / "analysis" / "figures"


def main() -> None:
    out = FIGURES / "replay-tiny.png"
    os.chdir(PROJECT)  # where checkpoints/ and recipes/ are
    sys.path.insert(0, str(PROJECT))
    with tempfile.TemporaryDirectory() as scratch:
        record = Path(scratch) / "tiny"
        task = ["--task", "recipes.tiny_series:held_out"]
        if ontogeny(["replay", "tiny", "--benchmark", "planted-vision", *task, "--record", str(record)]):
            raise SystemExit("the series could not be replayed")
        ontogeny(["report", str(record), "--metric", "cka-linear-debiased"])
        drawn = record / "figures" / "planted-vision-cka-linear-debiased-curves.png"
        with Image.open(drawn) as picture:
            picture.convert("RGB").save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
