"""The demo: two small models trained under real trainers, watched while they train, in a few minutes on two cores.

    train_vision.py     a small CNN under a Lightning `Trainer`, read on pictures
    train_language.py   a small GPT under a Hugging Face `Trainer`, read on sentences

Real data where they are found, else the embedded known-answer worlds; the report says which in its first line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ontogeny.cli.demo_training.train_language import train_language
from ontogeny.cli.demo_training.train_vision import train_vision
from ontogeny.datasets import load, training_images, training_text
from ontogeny.errors import ConfigError, DatasetNotFoundError

__all__ = ["real_or_planted", "run_demo"]

Say = Callable[[str], None]


def real_or_planted(data: str, find: Callable[[], object], say: Say) -> bool:
    """Whether a modality runs on real data.

    Args:
        data: "real" insists, "planted" declines, "auto" looks.
        find: loads the real data, or raises `DatasetNotFoundError`.
        say: takes one line of text.

    Raises:
        DatasetNotFoundError: "real" was asked for and is not there.
        ConfigError: another word.
    """
    if data not in ("auto", "real", "planted"):
        raise ConfigError(f"data is 'auto', 'real' or 'planted', got {data!r}")
    if data == "planted":
        return False
    try:
        find()
    except DatasetNotFoundError as error:
        if data == "real":
            raise
        say(f"No real data, so an embedded SIMULATED world stands in: {error}")
        return False
    return True


def run_demo(
    out: Path, *, data: str = "auto", vision_steps: int = 1000, language_steps: int = 1000, say: Say
) -> list[Path]:
    """Train both models, each with its record.

    Args:
        out: folder; records go to `out/vision` and `out/language`.
        data: see `real_or_planted`.
        vision_steps: optimizer updates of the CNN.
        language_steps: optimizer updates of the GPT.
        say: takes one line of text.

    Returns:
        The two record folders.
    """
    real = real_or_planted(data, lambda: (load("kriegeskorte2008"), training_images("cifar10-sample")), say)
    say(f"1/2  a small CNN under a Lightning Trainer, {_where(real=real)}, {vision_steps} steps")
    train_vision(out / "vision", real=real, steps=vision_steps)
    real = real_or_planted(data, lambda: (load("tuckute2024"), training_text("books")), say)
    say(f"2/2  a small GPT under a Hugging Face Trainer, {_where(real=real)}, {language_steps} steps")
    train_language(out / "language", real=real, steps=language_steps)
    return [out / "vision", out / "language"]


def _where(*, real: bool) -> str:
    return "real data" if real else "SIMULATED data (embedded world)"
