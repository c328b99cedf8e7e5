"""Five seeds of one training, pooled: does alignment with human IT precede accuracy? Does it precede the loss?

    python recipes/many_seeds.py                  15 minutes on 2 cores with real data (CIFAR-10 -> human IT)
    python recipes/many_seeds.py --data planted   5 minutes on the embedded, simulated world

One run is an anecdote: its own error bar knows nothing of other seeds. Here the run is the unit. The curve is declared
before looking: last layer, RSA, one ROI. Runs that were finished before are not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ontogeny import Record
from ontogeny.cli.demo_training import real_or_planted
from ontogeny.cli.demo_training.train_vision import train_vision
from ontogeny.datasets import load, training_images
from ontogeny.errors import OntogenyError
from ontogeny.lag import leads_over_runs, run_from_record
from ontogeny.report import write_figures
from ontogeny.report.lead_figures import runs_figure

METRIC, LAYER = "rsa-correlation-spearman", "net.head"
ROI = {True: "human IT", False: "category"}


def train(folder: Path, *, seed: int, steps: int, real: bool) -> Record:
    """One seed, unless its record already reaches the last step."""
    try:
        record = Record(folder)
        if any(score.step == steps for score in record.events(kind="probe")):
            return record
    except OntogenyError:
        pass
    train_vision(folder, real=real, steps=steps, seed=seed, schedule="log:10")
    return Record(folder)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5000, help="long enough to see the plateaus")
    parser.add_argument("--data", choices=("auto", "real", "planted"), default="auto")
    parser.add_argument("--record", type=Path, default=Path("runs/seeds"), help="folder of one record a seed")
    options = parser.parse_args(argv)

    real = real_or_planted(options.data, lambda: (load("kriegeskorte2008"), training_images("cifar10-sample")), print)
    records = [
        train(options.record / f"seed{seed}", seed=seed, steps=options.steps, real=real)
        for seed in range(options.seeds)
    ]
    figures, results = [], {}
    for task in ("accuracy", "loss"):
        runs = [
            run_from_record(record, task=task, name=f"seed{seed}", metric=METRIC, layer=LAYER, roi=ROI[real])
            for seed, record in enumerate(records)
        ]
        found = leads_over_runs(runs)
        title = f"{ROI[real]} ({'real' if real else 'SIMULATED'} data) against held-out {task}"
        print(f"\n{title}\n{found}")
        figures.append(runs_figure(found, title, name=f"lead-over-{task}"))
        results[task] = found.to_dict()
    (options.record / "leads.json").write_text(json.dumps(results, indent=1, allow_nan=False), encoding="utf-8")
    write_figures(figures, options.record)
    print(f"\nWrote {options.record / 'leads.json'} and {len(figures)} pictures beside it.")


if __name__ == "__main__":
    main()
