"""Replay Pythia's public checkpoints: alignment of six sizes over training, beside the evaluations published of them.

    python recipes/replay_pythia.py --sizes 70m --dry-run                    what it would do, and how many GB
    git clone --depth 1 https://github.com/EleutherAI/pythia                 the evaluations (lm-evaluation-harness)
    python recipes/replay_pythia.py --evaluations pythia/evals/pythia-v1     all six sizes, report, which moves first
    python recipes/replay_pythia.py --engine ray --workers 4 --gpus-per-worker 1    what it does not know, `replay` gets

For each size it runs, and you may as well type (from the project's folder, where checkpoints/ is):

    ontogeny replay pythia-70m-deduped --benchmark tuckute2024 --steps 0,1,2,4,...,143000 --record runs/pythia/70m \
        --task-log pythia/evals/pythia-v1/pythia-70m-deduped/zero-shot
    ontogeny lag runs/pythia/70m --metric ridge-gcv --pooling mean --map --task "arc_easy acc"

and at the end `ontogeny report runs/pythia`. The default steps are the 27 at which evaluations were published, so that
alignment and task meet at every checkpoint (12 are needed to say which moves first). Killed, it goes on where it was.

What it needs. Files are float16: two bytes a parameter, and in some revisions causal masks (4 MB a layer). At most two
checkpoints are on disk. The minutes of a probe (1000 sentences, every layer, ridge) ARE ESTIMATES: on a CPU from random
models of the first two shapes on two busy cores in float32 (21 to 43 and 133 seconds measured), growing with the
parameters; float16, as the files are, took 89 to 106 seconds at 70m. On a GPU from the count of operations and the time
of the metric; no GPU was measured.

    size    parameters      a file    27 of them   on disk    a probe, 2 cores   a probe, one GPU
    70m         70,426,624   0.17 GB      4.5 GB    0.33 GB    1 min              under 30 s
    160m       162,322,944   0.38 GB       10 GB    0.75 GB    2 min              under 30 s
    410m       405,334,016   0.91 GB       25 GB    1.8 GB     6 min              1 min
    1b       1,011,781,632   2.1 GB        56 GB    4.2 GB     15 min             1 min
    1.4b     1,414,647,808   2.9 GB        79 GB    5.9 GB     20 min             2 min
    2.8b     2,775,208,960   5.7 GB       154 GB    11 GB      45 min             3 min
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ontogeny.cli import main as ontogeny

SIZES = ("70m", "160m", "410m", "1b", "1.4b", "2.8b")
EVALUATED = [0, *(2**k for k in range(10)), 1000, *range(3000, 143_001, 10_000)]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="(default: %(default)s)")
    parser.add_argument("--repository", help="another repository in place of Pythia's; {size} stands for the size")
    parser.add_argument("--benchmark", default="tuckute2024")
    parser.add_argument("--steps", default=",".join(map(str, EVALUATED)), help="see `ontogeny replay --help`")
    parser.add_argument("--record", type=Path, default=Path("runs/pythia"), help="folder of one record a size")
    parser.add_argument("--evaluations", type=Path, help="folder with pythia-SIZE-deduped/zero-shot/*.json")
    parser.add_argument("--task", default="arc_easy acc", help="which of them to compare with (default: %(default)s)")
    parser.add_argument("--metric", default="ridge-gcv", help="of the benchmark (default: %(default)s)")
    parser.add_argument("--pooling", default="mean", help="(default: %(default)s)")
    args, rest = parser.parse_known_args(argv)

    worst = 0
    for size in args.sizes:
        source = (args.repository or "pythia-{size}-deduped").format(size=size)
        where = ["--record", str(args.record / size), "--steps", args.steps, "--pooling", args.pooling]
        if args.evaluations is not None:
            where += ["--task-log", str(args.evaluations / f"pythia-{size}-deduped" / "zero-shot")]
        worst = max(worst, ontogeny(["replay", source, "--benchmark", args.benchmark, *where, *rest]))
    if "--dry-run" in rest:
        return worst
    worst = max(worst, ontogeny(["report", str(args.record)]))
    for size in args.sizes if args.evaluations is not None else ():
        which = ["--metric", args.metric, "--pooling", args.pooling, "--map", "--task", args.task]
        worst = max(worst, ontogeny(["lag", str(args.record / size), *which, "--out", str(args.record / size / "lag")]))
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
