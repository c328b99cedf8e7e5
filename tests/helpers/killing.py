"""A training run, killed (SIGKILL) at random moments and started again.

python -m tests.helpers.killing KIND FOLDER KILLS SEED

Every attempt is a forked child, so that the imports are paid once. A sink notes each step as acknowledged after its
rows are on disk. After each kill the record is opened and looked at; KILLS = 0 is the uninterrupted run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from ontogeny import HeldOutLoss, Record
from ontogeny.callbacks.lightning import AlignmentCallback as LightningCallback
from ontogeny.callbacks.transformers import AlignmentCallback as TransformersCallback
from tests.helpers.benchmarks import image_benchmark, text_benchmark
from tests.helpers.models import TinyModule, image_data, tiny_gpt, token_rows, tokenizer, transform

STEPS = 150


class Acknowledges:
    """Notes a step once its rows are on disk."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def write(self, step, metrics):
        with self.file.open("a") as handle:
            handle.write(f"{step}\n")
        time.sleep(0.01)


def lightning(folder: Path) -> None:
    pl.seed_everything(3, verbose=False)
    module = TinyModule()
    module.net.late[2].p = 0.0  # Lightning does not keep the random state over a resume
    ours = LightningCallback(
        image_benchmark(),
        record=folder / "record",
        transform=transform,
        schedule="every:1",
        task=HeldOutLoss(batches=[tuple(image_data(16, seed=9).tensors)]),
        sinks=[Acknowledges(folder / "acknowledged")],
    )
    keep = ModelCheckpoint(folder / "checkpoints", filename="{step}", every_n_epochs=1, save_top_k=-1)
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ours, keep],
    )
    # One batch an epoch: a Lightning run resumed from within an epoch sees its first batches again.
    trainer.fit(module, DataLoader(image_data(8), batch_size=8), ckpt_path=newest(folder / "checkpoints"))


def newest(folder: Path) -> Path | None:
    """The last checkpoint that was written to its end."""
    for path in sorted(folder.glob("*.ckpt"), key=lambda p: int(p.stem.removeprefix("step=").split("-")[0]))[::-1]:
        try:
            torch.load(path, weights_only=True)
        except Exception:  # noqa: BLE001 - torn by the kill, in one of many ways
            continue
        return path
    return None


def transformers(folder: Path) -> None:
    held_out = torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])
    ours = TransformersCallback(
        text_benchmark(),
        record=folder / "record",
        tokenizer=tokenizer,
        schedule="every:1",
        task=HeldOutLoss(batches=[{"input_ids": held_out}]),
        sinks=[Acknowledges(folder / "acknowledged")],
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        save_steps=2,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = Trainer(model=tiny_gpt(), args=arguments, train_dataset=token_rows(), callbacks=[ours])
    whole = [p.parent for p in (folder / "out").glob("checkpoint-*/trainer_state.json") if readable(p)]
    last = max(whole, key=lambda p: int(p.name.partition("-")[2]), default=None)
    trainer.train(resume_from_checkpoint=str(last) if last else None)


def readable(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except ValueError:
        return False


def attempt(kind: str, folder: Path, moment: tuple[int, float] | None) -> bool:
    """Train in a child; kill it `moment` = (acknowledged steps, seconds after them). Whether it ended by itself."""
    before, child = acknowledged(folder), os.fork()
    if child == 0:
        code = 1
        try:
            sys.stdout = sys.stderr = (folder / "output").open("a")
            {"lightning": lightning, "transformers": transformers}[kind](folder)
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    if moment is not None:
        deadline = time.monotonic() + 20
        while len(acknowledged(folder)) < len(before) + moment[0] and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(moment[1])
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit((folder / "output").read_text()[-3000:])
    return os.WIFEXITED(status)


def acknowledged(folder: Path) -> list[int]:
    file = folder / "acknowledged"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def look(folder: Path) -> dict:
    """What is on disk: acknowledged steps that are not whole, and keys that are there twice."""
    said = acknowledged(folder)
    if not (folder / "record" / "record.json").exists():
        return {"acknowledged": len(said), "lost": said, "doubled": 0}
    record = Record(folder / "record")
    whole = {s.step for s in record.events(kind="probe")}
    lines = (folder / "record" / "scores.jsonl").read_bytes().count(b"\n") if record.scores else 0
    return {"acknowledged": len(said), "lost": sorted(set(said) - whole), "doubled": lines - len(record.scores)}


def main(kind: str, where: str, kills: str, seed: str) -> None:
    folder = Path(where)
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rng = random.Random(int(seed))
    seen, done = [], False
    for _ in range(int(kills)):
        new = rng.choice([0, 1, 1, 2, 3, 4])
        done = attempt(kind, folder, (new, rng.uniform(0, 0.03 if new else 0.4))) or done
        seen.append(look(folder))
    if not done:
        attempt(kind, folder, None)
    (folder / "seen.json").write_text(json.dumps({"seen": seen, "done_early": done}))


if __name__ == "__main__":
    main(*sys.argv[1:])
