"""Watch a loop written with Accelerate: on one process or several, in bf16 or not, the calls are the same.

    python recipes/accelerate_loop.py --steps 200
    torchrun --nproc-per-node 2 recipes/accelerate_loop.py --steps 200        # or `accelerate launch`, on GPUs

Every process calls the monitor: the stimuli are shared out, the first process scores and writes.
"""

from __future__ import annotations

import argparse

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

import ontogeny
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_tokenizer
from ontogeny.simulated.language_world import training_sentences


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--benchmark", default="planted-language")
    parser.add_argument("--record", default="runs/accelerate")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--sentences", type=int, default=5000)
    args = parser.parse_args(argv)

    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    set_seed(1)
    texts = list(training_sentences(seed=1, n=args.sentences))
    tokenizer = train_tokenizer(texts, vocabulary=1024)
    rows = chunks(texts, tokenizer)
    held_out = chunks(list(training_sentences(seed=2, n=500)), tokenizer)[:64]
    model = small_gpt(len(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    loader = DataLoader(rows, batch_size=16, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    monitor = ontogeny.watch(
        args.benchmark,
        record=args.record,
        tokenizer=tokenizer,
        layers=["auto", "surprisal"],
        task=ontogeny.HeldOutLoss(batches=[{"input_ids": held_out}]),
    )
    step = 0
    monitor(model, step)  # before the first update, on every process
    while step < args.steps:
        for batch in loader:
            loss = model(input_ids=batch, labels=batch).loss
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            monitor(model, step)  # probes when the schedule says so
            if step == args.steps:
                break
    monitor.finish(model, step)

    names = sorted(name for name in monitor.latest[1] if name.count(".") == 0)  # the same on every process
    accelerator.print(f"step {monitor.latest[0]}: " + ", ".join(f"{n} {monitor.latest[1][n]:.3f}" for n in names))
    accelerator.end_training()
    accelerator.state.destroy_process_group()


if __name__ == "__main__":
    main()
