"""Two processes of a plain loop on the CPU: `torchrun --nproc-per-node 2 -m tests.distributed.plain_run FOLDER KIND`.

KIND is "ddp", "fsdp2" (sharded weights), "raise" (a probe fails on rank 1 and on_error asks to stop), "alone" (each
process trains its own model), "background", "exits" (task and sink end by SystemExit on the first rank, and a forward
pass of step 4 on the second one), "hsdp" (sharded and replicated, four processes), "hangs", "fsdp2-hangs"
(the second rank hangs in the probe of step 2 until the others have gone on), "fsdp2-breaks" or "hsdp-breaks" (it fails
in the middle of that probe's forward pass).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from ontogeny import HeldOutLoss, watch
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.models import tiny_gpt, token_rows, tokenizer


def breaks(module, args):
    if dist.get_rank() == 1 and not module.training:
        raise RuntimeError("this rank ran out of memory, say")


class Breaks:
    """Fails in the middle of a forward pass of the probe of step 2, on the second rank."""

    step = 0

    def __call__(self, module, args):
        if dist.get_rank() == 1 and not module.training and self.step == 2:
            raise RuntimeError("this rank ran out of memory, say")


class Exits:
    """What calls `sys.exit`: as a task, as a sink, and in the forward pass of one step on rank 1."""

    def __init__(self):
        self.step = 0

    def __call__(self, *args):
        sys.exit("the task has had enough")

    def write(self, step, metrics):
        sys.exit("the sink has had enough")

    def forward(self, module, args):
        if dist.get_rank() == 1 and not module.training and self.step == 4:
            sys.exit("the model has had enough")


class Hangs:
    """A forward pass of the probe of step 2 that ends when the other ranks have gone on, or after a minute."""

    def __init__(self, folder):
        self.folder, self.step = folder, 0

    def __call__(self, module, args):
        if dist.get_rank() == 1 and not module.training and self.step == 2:
            self.step, end = -1, time.monotonic() + 60
            while len(list(self.folder.glob("went_on*"))) < dist.get_world_size() - 1 and time.monotonic() < end:
                time.sleep(0.1)


def shard(model, kind):
    names = {"mesh_dim_names": ("replicate", "shard")} if kind.startswith("hsdp") else {}
    mesh = init_device_mesh("cpu", (2, 2) if kind.startswith("hsdp") else (2,), **names)
    for block in model.transformer.h:
        fully_shard(block, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def main(folder: str, kind: str) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    model = tiny_gpt(dropout=0.0)
    if kind == "raise":
        model.transformer.h[0].register_forward_pre_hook(breaks)
    exits = Exits()
    if kind == "exits":
        model.transformer.h[0].register_forward_pre_hook(exits.forward)
    hangs = Hangs(out)
    if kind.endswith("hangs"):
        model.transformer.h[0].register_forward_pre_hook(hangs)
    fails = Breaks()
    if kind.endswith("-breaks"):
        model.transformer.h[1].register_forward_pre_hook(fails)
    if kind.startswith(("fsdp2", "hsdp")):
        trained = shard(model, kind)
    else:
        trained = model if kind == "alone" else DistributedDataParallel(model)
    held_out = torch.stack([row["input_ids"] for row in token_rows(8, seed=9)])
    monitor = watch(
        text_benchmark(),
        record=out / (f"record{rank}" if kind == "alone" else "record"),
        tokenizer=tokenizer,
        pooling="mean",
        schedule="every:2",
        batch_size=7,
        task=exits if kind == "exits" else HeldOutLoss(batches=[{"input_ids": held_out}]),
        sinks=[exits] if kind == "exits" else [],
        on_error="raise" if kind == "raise" else "warn",
        distributed=kind != "alone",
        background=kind == "background",
        **({"probe_timeout": 4 if kind.endswith("hangs") else 18} if kind.endswith(("hangs", "-breaks")) else {}),
    )
    monitor.check(trained)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=0.02)
    rows = torch.stack([row["input_ids"] for row in token_rows(64, seed=rank)])
    said, losses, waited = "", [], 0.0
    try:
        monitor(trained, 0)
        for step in range(1, 6):
            exits.step = hangs.step = fails.step = step
            batch = rows[8 * step : 8 * step + 8]
            loss = trained(input_ids=batch, labels=batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            start = time.monotonic()
            monitor(trained, step)
            if kind.endswith("hangs") and step == 2:
                (out / f"went_on{rank}").touch()
                waited = time.monotonic() - start
            if kind != "alone":
                state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
                if rank == 0:
                    torch.save(state, out / f"step{step}.pt")
        monitor.finish(trained, 5)
    except RuntimeError as error:
        said = str(error)
    report = {"latest": list(monitor.latest), "error": said, "losses": losses, "waited": waited}
    (out / f"rank{rank}.json").write_text(json.dumps(report))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
