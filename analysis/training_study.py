"""What the studies of training share: seeds that a kill interrupts for some steps only, leads by layer, kept records.

`11_vision_study.py` and `12_language_study.py` say what is trained and what it is compared with. A seed has a folder:

    OUT/seed0/raw, OUT/seed0/ema       records, of the weights as they are and of their running average
    OUT/seed0/weights/raw/step-12.safetensors    weights of every checkpoint, which `ontogeny replay` can score anew
    OUT/seed0/state.pt                 model, optimizer and average of the last save; gone when the seed is finished

No random state is saved, since none is used: the batch of a step is a function of seed and step.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_model
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from ontogeny import Monitor, Record
from ontogeny.errors import OntogenyError

CHECKPOINTS = 40
SAVE_EVERY = 100
WARM_UP = 0.02
DECAY = 0.999

Loss = Callable[[nn.Module, int, int], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One kind of training, watched.

    Args:
        model: makes an untrained model.
        loss: of the batch of a step: (model, seed, step) -> scalar.
        watch: makes a monitor: (record folder, "raw" or "ema", steps to probe).
        weights: which are probed.
        rate: highest learning rate of AdamW, after the warm-up; a cosine to 0 follows.
    """

    model: Callable[[], nn.Module]
    loss: Loss
    watch: Callable[[Path, str, Sequence[int]], Monitor]
    weights: tuple[str, ...] = ("raw",)
    rate: float = 2e-3


def checkpoints(steps: int, count: int = CHECKPOINTS) -> list[int]:
    """Step 0 and `count - 1` steps, even in log step as far as whole numbers allow; all steps where there are fewer."""
    if steps < count:
        return list(range(steps + 1))
    tried = (np.unique(np.round(np.geomspace(1, steps, n)).astype(int)) for n in range(count - 1, 20 * count))
    return [0, *next(found.tolist() for found in tried if len(found) >= count - 1)]


@lru_cache(maxsize=2)
def _order(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))


def batch_rows(n: int, seed: int, step: int, *, size: int) -> Tensor:
    """Rows of the batch of a step (from 1 on): each epoch in its own order, the last incomplete batch left out."""
    epoch, place = divmod(step - 1, n // size)
    return _order(n, seed, epoch)[place * size : (place + 1) * size]


def learning_rate(step: int, steps: int, highest: float) -> float:
    """Linear warm-up over 2 % of the updates, then a cosine to 0."""
    rising = max(1, round(WARM_UP * steps))
    if step <= rising:
        return highest * step / rising
    return highest * (1 + cos(pi * (step - rising) / max(1, steps - rising))) / 2


def _averaged(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
    """Exponential, with a decay that grows from .1 to .999, so that the first steps do not stay in it."""
    decay = min(DECAY, (1 + int(count)) / (10 + int(count)))
    return average + (current - average) * (1 - decay)


def is_finished(folder: Path, weights: Sequence[str], steps: int) -> bool:
    """Whether all records of a seed reach the last step."""
    try:
        return all(Record(folder / name).events(kind="probe", step=steps) for name in weights)
    except OntogenyError:
        return False


class Seed:
    """One seed of a training: made, or continued where its last state was saved."""

    def __init__(self, training: Training, seed: int, folder: Path, steps: int) -> None:
        self.training, self.seed, self.folder, self.steps = training, seed, folder, steps
        torch.manual_seed(seed)
        model = training.model()
        self.average = AveragedModel(model, avg_fn=_averaged, use_buffers=True)
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=training.rate, weight_decay=0.05)
        self.step = self._continued()
        self.due = checkpoints(steps)
        every: dict[str, nn.Module] = {"raw": model, "ema": self.average.module}
        self.read = {name: every[name] for name in training.weights}
        self.monitors = {name: training.watch(folder / name, name, self.due) for name in training.weights}

    def _continued(self) -> int:
        path = self.folder / "state.pt"
        if not path.is_file():
            return 0
        state: Mapping[str, Any] = torch.load(path, weights_only=True)
        if state["steps"] != self.steps:
            raise SystemExit(f"{path} is of a run of {state['steps']} steps, not {self.steps}; choose another --out")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    def update(self) -> None:
        """One update of the model and of its average."""
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.steps, self.training.rate)
        self.model.train()
        self.optimizer.zero_grad()
        self.training.loss(self.model, self.seed, self.step).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        if "ema" in self.read:
            self.average.update_parameters(self.model)

    def probe(self) -> None:
        """Score this step where it is due, and keep its weights."""
        for name, monitor in self.monitors.items():
            monitor(self.read[name], self.step)
            if self.step in self.due:
                path = self.folder / "weights" / name / f"step-{self.step}.safetensors"
                path.parent.mkdir(parents=True, exist_ok=True)
                save_model(self.read[name], str(path))

    def save(self) -> None:
        """Let the records know these weights, then replace the state as a whole."""
        for name, monitor in self.monitors.items():
            monitor.saved(self.read[name], self.step)
        state = {
            "step": self.step,
            "steps": self.steps,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        scratch = self.folder / "state.pt.part"
        torch.save(state, scratch)
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(self.folder / "state.pt")

    def close(self) -> None:
        """The seed is finished: its state is not needed any more."""
        for name, monitor in self.monitors.items():
            monitor.finish(self.read[name], self.step)
        (self.folder / "state.pt").unlink(missing_ok=True)


def run_seed(training: Training, seed: int, folder: Path, *, steps: int, save_every: int = SAVE_EVERY) -> None:
    """Train one seed to its end, from where it was left; nothing where it is finished."""
    if is_finished(folder, training.weights, steps):
        return
    folder.mkdir(parents=True, exist_ok=True)
    one = Seed(training, seed, folder, steps)
    with tqdm(total=steps, initial=one.step, desc=f"seed {seed}", unit="step", mininterval=5) as bar:
        one.probe()
        while one.step < steps:
            one.update()
            one.probe()
            if one.step % save_every == 0 or one.step in one.due:
                one.save()
            bar.update()
    one.close()


def options_of(description: str, *, steps: int, out: Path, argv: Sequence[str] | None) -> argparse.Namespace:
    """Command line of a study."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--out", type=Path, default=out, help="one folder per seed; the same again goes on")
    parser.add_argument("--save-every", type=int, default=SAVE_EVERY, help="updates that a kill may lose, at most")
    parser.add_argument("--data", choices=("auto", "real", "planted"), default="auto")
    parser.add_argument("--report", action="store_true", help="no training: write figure, table and kept records")
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parent, help="where --report writes")
    return parser.parse_args(argv)


def run_seeds(training: Training, options: argparse.Namespace) -> None:
    """All seeds, one after the other, in one thread, so that sums are added in one order."""
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        run_seed(training, seed, options.out / f"seed{seed}", steps=options.steps, save_every=options.save_every)
