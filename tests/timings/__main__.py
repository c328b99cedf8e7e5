"""How long things take, beside others on the same work in the same run: `make bench`. No test: prints one table.

python -m tests.timings          all
python -m tests.timings lag      one part; encoding_large, stories, replay_workers, gpu take minutes: only when asked

A part is a module here with `rows()`.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import time

PARTS = ("lag", "encoding", "defaults", "probe", "isolation", "grid", "rsa", "record", "report")
LONG = ("encoding_large", "stories", "replay_workers", "gpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS + LONG)} (default: {', '.join(PARTS)})"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - {*PARTS, *LONG}:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS + LONG)}")
    print(f"{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, one core\n")
    print("| what | seconds | beside it |\n|---|---|---|")
    for part in options.parts or PARTS:
        for what, seconds, beside in importlib.import_module(f"tests.timings.{part}").rows():
            print(f"| {what} | {seconds:.3f} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
