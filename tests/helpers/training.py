"""Training runs of a stack of ingredients: a plain loop, Lightning and the Hugging Face Trainer, watched or not."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from transformers import Trainer, TrainingArguments

from tests.helpers import faults
from tests.helpers.ingredients import INGREDIENTS, seeded
from tests.helpers.reachable import contents

__all__ = ["Stack", "process_kept", "stack", "train_lightning", "train_plain", "train_transformers", "transform"]

ROWS = 6


class Stack(nn.Module):
    """Ingredients one after the other, between two linear layers; one that has a loss of its own adds it."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, 8), nn.Linear(8, 4)
        self.steps = nn.ModuleList(steps)

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        with faults.here():
            x = torch.tanh(self.stem(x))
            for step in self.steps:
                x = x + 0.5 * torch.tanh(step(x))
            y = self.head(x)
        return y if labels is None else {"loss": self.loss(y, labels), "logits": y}

    def loss(self, y: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        extra = [step.extra_loss() for step in self.steps if hasattr(step, "extra_loss")]
        return functional.cross_entropy(y, labels) + sum(extra)

    def __repr__(self) -> str:
        return (
            f"Stack of {len(self.steps)}"  # a tensor that was broken by a failed resize cannot be printed: it crashes
        )

    def sites(self) -> list[str]:
        return ["stem", *(f"steps.{i}" for i in range(len(self.steps))), "head"]


def stack(names: list[str], seed: int) -> Stack:
    """The same for the same seed."""
    steps = [INGREDIENTS[name].build(seed + i) for i, name in enumerate(names)]
    with seeded(seed):
        return Stack(steps)


@contextmanager
def process_kept() -> Iterator[None]:
    """What ingredients set in the process is as before at the end, so that runs start alike."""
    dtype, errors, environment = torch.get_default_dtype(), np.geterr(), dict(os.environ)
    precision, grad = torch.get_float32_matmul_precision(), torch.is_grad_enabled()
    deterministic, handler = torch.are_deterministic_algorithms_enabled(), signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings(), seeded(0):
            yield
    finally:
        torch.set_default_dtype(dtype), torch.set_float32_matmul_precision(precision)
        torch.set_grad_enabled(grad), torch.use_deterministic_algorithms(deterministic)
        np.seterr(**errors), signal.signal(signal.SIGINT, handler)
        os.environ.clear(), os.environ.update(environment)


@contextmanager
def in_words() -> Iterator[None]:
    """An error as text, so that pytest prints no module of its frames: a tensor whose resize failed would crash it."""
    try:
        yield
    except AssertionError:
        raise
    except Exception:  # noqa: BLE001 - told on as text
        text = traceback.format_exc()
    else:
        return
    raise RuntimeError(f"training stopped with an error:\n{text}")


def transform(image: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(image.reshape(-1)[:8].astype(np.float32)) / 128 - 1


def data(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 8, generator=generator), torch.randint(0, 4, (n,), generator=generator)


def optimizer_of(model: nn.Module, seed: int) -> torch.optim.Optimizer:
    if seed % 2:
        return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return torch.optim.AdamW(model.parameters(), lr=0.02)


def train_plain(
    names: list[str], seed: int, between: Callable[[Stack, int], None] | None = None, steps: int = 4
) -> Any:
    """Losses, everything reachable at the end, and the optimizer's state; `between` is called before every step."""
    with in_words(), process_kept(), seeded(seed):
        model = stack(names, seed)
        optimizer = optimizer_of(model, seed)
        losses = []
        for step in range(steps):
            if between:
                between(model, step)
            if seed % 3 == 0:
                model.train()
            x, labels = data(ROWS, seed + step)
            loss = model.loss(model(x), labels)
            optimizer.zero_grad(set_to_none=step % 2 == 0)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if between:
            between(model, steps)
        return losses, contents(model), contents(optimizer.state_dict(), process=False)


class _Module(pl.LightningModule):
    """Logs in `forward` too, where the seed is even."""

    def __init__(self, net: Stack, seed: int) -> None:
        super().__init__()
        self.net, self.seed = net, seed
        self.losses: list[float] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.net(x)
        if self.seed % 2 == 0:
            self.log("seen", y.detach().abs().mean())
            self.log("largest", y.detach().max(), on_step=False, on_epoch=True, reduce_fx="max")
        return y

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.net.loss(self(batch[0]), batch[1])
        self.log("loss", loss.detach(), on_step=True, on_epoch=True)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimizer_of(self, self.seed)


class _Lines(Logger):
    """Keeps what is logged, but for the probes' own numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Any] = []

    name, version = "lines", 0

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        own = _own(metrics)
        if set(own) - {"epoch"}:
            self.lines.append((step, own))


def _own(metrics: Any) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if not name.startswith(("alignment", "task/"))}


def train_lightning(names: list[str], seed: int, callbacks: list[Any]) -> Any:
    """Losses, all lines of the logger, all logged values, everything reachable at the end, the optimizer's state."""
    with in_words(), process_kept(), seeded(seed):
        warnings.simplefilter("ignore")
        module, lines = _Module(stack(names, seed), seed), _Lines()
        trainer = pl.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=lines,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
        )
        trainer.fit(module, DataLoader(TensorDataset(*data(3 * ROWS, seed)), batch_size=ROWS, shuffle=True))
        logged = [_own(m) for m in (trainer.logged_metrics, trainer.callback_metrics)]
        return (
            module.losses,
            lines.lines,
            logged,
            contents(module.net),
            contents(trainer.optimizers[0].state_dict(), process=False),
        )


def train_transformers(names: list[str], seed: int, callbacks: list[Any], folder: Any) -> Any:
    """Losses, everything reachable at the end, the optimizer's state."""
    with in_words(), process_kept(), seeded(seed):
        warnings.simplefilter("ignore")
        model = stack(names, seed)
        arguments = TrainingArguments(
            output_dir=str(folder),
            max_steps=5,
            per_device_train_batch_size=ROWS,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            seed=seed,
        )
        rows = [{"x": x, "labels": label} for x, label in zip(*data(5 * ROWS, seed), strict=True)]
        optimizers = (optimizer_of(model, seed), None)
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=callbacks, optimizers=optimizers)
        trainer.train()
        logged = [{k: row[k] for k in ("loss", "grad_norm") if k in row} for row in trainer.state.log_history]
        return logged, contents(model), contents(optimizers[0].state_dict(), process=False)
