"""What only a GPU can show, in one go under 8 minutes: hash, forward, scoring, bytes to the host, replay, background.

python -m tests.timings gpu                           seconds are of the wall, with the GPU's own work waited for
ONTOGENY_DEVICE=cpu python -m tests.timings gpu       the same script on a small model, to see that it runs
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPT2Config, GPT2LMHeadModel
from typing_extensions import override

from ontogeny import Benchmark, Probe, Record, StimulusSet, watch
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import files, replay
from tests.timings import Row
from tests.timings.probe import DEFAULT, benchmark

DEVICE = os.environ.get("ONTOGENY_DEVICE", "cuda")
SMALL = DEVICE == "cpu"
VOCABULARY = 1000 if SMALL else 50_257
STEPS, EVERY = (6, 3) if SMALL else (200, 100)


def gpt() -> GPT2LMHeadModel:
    """GPT-2 with 124 million parameters; small where only the script is tried."""
    torch.manual_seed(0)
    shape = {"n_layer": 2, "n_embd": 32, "n_head": 2} if SMALL else {}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **shape))


def read(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def sentences() -> Benchmark:
    """1000 texts of 5 to 24 tokens, 1000 voxels in 10 ROIs."""
    given, rng = benchmark(DEFAULT), np.random.default_rng(0)
    texts = [
        " ".join(map(str, rng.integers(0, VOCABULARY, size=int(k)))) for k in rng.integers(5, 25, len(given.stimuli))
    ]
    stimuli = StimulusSet(name="texts", modality="text", ids=given.stimuli.ids, inputs=texts)
    return replace(given, stimuli=stimuli)


def wall(work: Callable[[], object], repeats: int = 3) -> float:
    """Least seconds, with what the device still has to do."""
    seconds = []
    for _ in range(repeats):
        _wait()
        start = time.perf_counter()
        work()
        _wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _wait() -> None:
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize()


class BytesToHost(TorchDispatchMode):
    """Counts what is copied from the device into the host's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        tensors = [one for one in args if isinstance(one, torch.Tensor)]
        on_device = any(one.device.type != "cpu" for one in tensors)
        if on_device and isinstance(found, torch.Tensor) and found.device.type == "cpu":
            self.bytes += found.numel() * found.element_size()
        elif on_device and isinstance(found, int | float | bool):
            self.bytes += 8
        return found


def hashing(model: nn.Module) -> Iterator[Row]:
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    weights_hash(model)
    seconds, older = wall(lambda: weights_hash(model)), wall(lambda: weights_hash(model, like="0" * 16), 1)
    with BytesToHost() as moved:
        on_device = weights_hash(model)
    same = on_device == weights_hash(gpt())
    note = f"{size / seconds / 1e9:.1f} GB/s; SHA-256 on the CPU {older / seconds:.1f} x; {moved.bytes:,} bytes moved"
    yield (
        f"hash of {size / 2**20:.0f} MB of weights",
        seconds,
        f"{note}; {'equal' if same else 'NOT EQUAL'} to the CPU's",
    )


def reading(model: nn.Module, given: Benchmark) -> Iterator[Row]:
    probe = Probe(stimuli=given.stimuli, reader=read, pooling="mean")
    rehearsal = wall(lambda: probe.rehearse(model), 1)
    yield "rehearsal", rehearsal, "once, before training"
    forward = wall(lambda: probe(model))
    with BytesToHost() as moved:
        features = probe(model)
    own = sum(x.numel() * x.element_size() for x in features.values.values())
    where = ", ".join(sorted({x.device.type for x in features.values.values()}))
    note = f"{moved.bytes / 2**20:.2f} MB to the host; the features are {own / 2**20:.2f} MB on {where}"
    yield f"forward pass and pooling, {len(given.stimuli)} texts", forward, note
    prepared = given.prepare()
    with BytesToHost() as moved:
        prepared.score(features)
    seconds = wall(lambda: prepared.score(features), 1)
    note = f"{seconds / forward:.1f} x the forward pass; {moved.bytes / 2**20:.2f} MB to the host"
    yield f"scoring of {len(features.values)} layers, default metrics, no controls", seconds, note


def training(model: nn.Module, steps: int, at: Callable[[nn.Module, int], object]) -> float:
    """Seconds of so many updates on random tokens, with what is called before each."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    _wait()
    start = time.perf_counter()
    for step in range(steps):
        at(model, step)
        ids = torch.randint(0, VOCABULARY, (8, 128), generator=generator).to(DEVICE)
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    _wait()
    return time.perf_counter() - start


def live_and_replay(given: Benchmark, folder: Path) -> Iterator[Row]:
    """The rows of three steps, live and from their files."""
    options: dict[str, Any] = {"tokenizer": read, "pooling": "mean", "run": "r", "schedule": "every:1"}
    monitor = watch(given, record=folder / "live", **options)

    def at(model: nn.Module, step: int) -> None:
        torch.save(model.state_dict(), folder / f"step{step}.pt")
        monitor(model, step)

    training(gpt().to(DEVICE), 3, at)
    monitor.close()
    again = watch(given, record=folder / "replayed", **options)
    start = time.perf_counter()
    report = replay(files(folder / "step{step}.pt", model=gpt), again, device=DEVICE)
    seconds = time.perf_counter() - start
    live, replayed = _rows(Record(folder / "live")), _rows(Record(folder / "replayed"))
    different = sum(live.get(key) != row for key, row in replayed.items()) + abs(len(live) - len(replayed))
    note = f"{len(live):,} rows, {different} of them differ" if report.whole else "; ".join(report.lines())
    yield "replay of 3 checkpoints, live rows beside", seconds, note


def _rows(record: Record) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {score.key: (score.value, score.weights) for score in record.scores}


def beside_training(given: Benchmark, folder: Path) -> Iterator[Row]:
    """Updates without a probe, with probes between them, and with scoring in the background."""
    training(gpt().to(DEVICE), 3, lambda model, step: None)
    plain = training(gpt().to(DEVICE), STEPS, lambda model, step: None)
    yield f"{STEPS} updates without a probe", plain, f"{1000 * plain / STEPS:.1f} ms each"
    for name, background in (("probes between", False), ("scored in the background", True)):
        options: dict[str, Any] = {"tokenizer": read, "pooling": "mean", "run": "r", "background": background}
        monitor = watch(given, record=folder / name, schedule=f"every:{EVERY}", **options)
        model = gpt().to(DEVICE)
        monitor(model, 0)
        seconds = training(model, STEPS, lambda model, step, monitor=monitor: monitor(model, step) if step else None)
        start = time.perf_counter()
        monitor.close()
        left = time.perf_counter() - start
        probes = len(Record(folder / name).events(kind="probe")) - 1
        held = (seconds - plain) / max(probes, 1)
        note = f"{held:.2f} s held up per probe ({probes} probes), {left:.1f} s after the end"
        yield f"{STEPS} updates, {name}", seconds, note


def rows() -> Iterator[Row]:
    if DEVICE.startswith("cuda") and not torch.cuda.is_available():
        yield "GPU", 0.0, "skipped: torch sees no GPU here"
        return
    name = torch.cuda.get_device_name() if DEVICE.startswith("cuda") else DEVICE
    yield f"torch {torch.__version__} on {name}", 0.0, ""
    model, given = gpt().to(DEVICE).eval(), sentences()
    yield from hashing(model)
    yield from reading(model, given)
    with tempfile.TemporaryDirectory() as folder:
        yield from live_and_replay(given, Path(folder))
        yield from beside_training(given, Path(folder))
