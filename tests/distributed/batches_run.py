"""A probe whose features depend on large batches: `torchrun ... -m tests.distributed.batches_run FOLDER KIND`.

KIND is "ddp" or "fsdp2". The batch that shows it is read by the second rank.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from ontogeny import Probe, StimulusSet
from ontogeny.extraction.process_group import current_process_group
from tests.helpers.models import WORDS, tokenizer

LENGTHS = [2] * 10 + [6] * 10
TEXTS = [" ".join(WORDS[(i * 5 + k * 3 + i * k) % len(WORDS)] for k in range(n)) for i, n in enumerate(LENGTHS)]
STIMULI = StimulusSet(name="t", modality="text", ids=tuple(f"s{i}" for i in range(len(TEXTS))), inputs=TEXTS)


class Crowded(nn.Module):
    """What stands after the first 50 tokens of a batch is dropped: eight texts of six tokens fit, ten do not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.block = nn.Embedding(16, 8), nn.Linear(8, 8)
        self.out = nn.Identity()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        flat = self.block(self.embed(ids)).flatten(0, 1)
        return self.out((flat * (torch.arange(len(flat)) < 50)[:, None]).view(*ids.shape, -1))


def probe(batch_size: int = 64) -> Probe:
    return Probe(stimuli=STIMULI, reader=tokenizer, layers=["out"], pooling="mean", batch_size=batch_size)


def main(folder: str, kind: str) -> None:
    dist.init_process_group("gloo")
    out, rank = Path(folder), dist.get_rank()
    torch.set_num_threads(1)
    model = Crowded()
    trained = (
        fully_shard(model, mesh=init_device_mesh("cpu", (2,))) if kind == "fsdp2" else DistributedDataParallel(model)
    )
    ranks, reading = current_process_group(), probe()
    before = reading.rehearse(trained, ranks).alone
    found = reading(trained, ranks)
    again = reading(trained, ranks)
    report = {"alone": [before, reading.rehearse(trained, ranks).alone], "notes": found.notes}
    (out / f"rank{rank}.json").write_text(json.dumps(report))
    if rank == 0:
        torch.save([dict(enumerate(one.values.values()))[0] for one in (found, again)], out / "features.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
