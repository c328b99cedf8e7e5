"""Watch a plain loop whose weights are sharded (FSDP2), such as torchtitan's: no callback, three calls.

    torchrun --nproc-per-node 2 recipes/fsdp2_loop.py --steps 200
    torchrun --nproc-per-node 4 recipes/fsdp2_loop.py --replicas 2        # 2 replicas of 2 shards (HSDP)

Every rank calls the monitor, with the sharded model: all run the forward pass, the first one scores and writes.
"""

from __future__ import annotations

import argparse

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

import ontogeny
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.simulated.language_world import training_sentences


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", default="runs/fsdp2")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--sentences", type=int, default=5000)
    parser.add_argument("--replicas", type=int, default=1)
    args = parser.parse_args(argv)

    dist.init_process_group("gloo")  # "nccl" on GPUs, and "cuda" in the mesh
    shape = (args.replicas, dist.get_world_size() // args.replicas)
    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("replicate", "shard"))
    texts = list(training_sentences(seed=1, n=args.sentences))
    tokenizer = train_tokenizer(texts, vocabulary=1024)
    rows = chunks(texts, tokenizer)
    torch.manual_seed(1)  # the same start on every rank
    model = small_gpt(len(tokenizer))
    for part in (*model.transformer.h, model):
        fully_shard(part, mesh=mesh if args.replicas > 1 else mesh["shard"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    torch.manual_seed(dist.get_rank())  # other batches on each

    held_out = ontogeny.HeldOutLoss(batches=[{"input_ids": rows[-64:]}])
    with ontogeny.watch("planted-language", record=args.record, tokenizer=tokenizer, task=held_out) as monitor:
        monitor(model, 0)
        for step in range(1, args.steps + 1):
            batch = rows[torch.randint(len(rows) - 64, (16,))]
            model(input_ids=batch, labels=batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            monitor(model, step)  # probes when the schedule says so; the last step at the end of `with`

    if dist.get_rank() == 0:
        print("step", monitor.latest[0], {n: round(v, 3) for n, v in monitor.latest[1].items() if "." not in n})
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
