"""The picture at the head of README.md: a small CNN learns CIFAR-10 while it is scored against human IT.

    python analysis/10_human_it.py            2 minutes on 2 cores; --steps 1000

Real data, found through ONTOGENY_DATA or the cache folder: CIFAR-10 (15,000 pictures) trains the CNN of `ontogeny
demo`, which is compared with the dissimilarities of four subjects (Kriegeskorte et al. 2008, Neuron 60:1126). Writes
figures/human-it.png, the report's own key figure of the RSA curves, and prints the numbers of its caption. One run, one
seed: it shows what comes out, not that alignment precedes performance.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ontogeny import Record, load
from ontogeny.cli import main as ontogeny
from ontogeny.cli.demo_training.train_vision import train_vision
from ontogeny.datasets import training_images
from ontogeny.errors import DatasetNotFoundError

HERE = Path(__file__).resolve().parent
METRIC = "rsa-correlation-spearman"


def summary(record: Record) -> list[str]:
    """First, highest and last mean over subjects of each layer, and the task."""
    scores = record.select(kind="alignment", metric=METRIC)
    lines = []
    for layer in dict.fromkeys(score.layer for score in scores):
        steps = sorted({score.step for score in scores})
        means = [np.mean([s.value for s in scores if (s.layer, s.step) == (layer, step)]) for step in steps]
        top = int(np.argmax(means))
        lines.append(f"{layer}: {means[0]:.3f} -> {means[-1]:.3f}, highest {means[top]:.3f} at step {steps[top]}")
    accuracy = record.series(kind="task", metric="accuracy")
    lines.append(f"accuracy: {accuracy.values[0]:.2f} -> {accuracy.values[-1]:.2f}")
    one = scores[0]
    subjects = [s for s in scores if (s.step, s.layer) == (one.step, one.layer)]
    lower, upper = (np.mean([getattr(s, name) for s in subjects]) for name in ("ceiling_lower", "ceiling"))
    return [*lines, f"ceiling: {lower:.2f} to {upper:.2f}, {len(subjects)} subjects, {one.n_stimuli} photographs"]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args(argv)
    try:
        load("kriegeskorte2008")
        training_images("cifar10-sample")
    except DatasetNotFoundError as error:
        print(f"skipped: {error}")
        return
    out = HERE / "figures" / "human-it.png"
    out.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cnn"
        train_vision(folder, real=True, steps=options.steps, progress=False)
        print("\n".join(summary(Record(folder))))
        ontogeny(["report", str(folder)])
        drawn = next((folder / "figures").glob(f"*{METRIC}-human-IT-key.png"))
        with Image.open(drawn) as picture:
            picture.convert("RGB").save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
