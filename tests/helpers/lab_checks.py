"""Build a random lab by the command line, and compare all of its numbers with those of numpy alone.

PYTHONPATH=src:. python -m tests.helpers.lab_checks 500      so many labs, by hand; a line a lab that is not as it
should be
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras
from tests.helpers import lab_files, labs
from tests.helpers.lab_faults import FAULTS, Fault

ROIS = {1: "V1", 2: "IT", 5: "FFA"}
TOLERANCE = 2e-4


def built(argv: list[str], out: Path) -> tuple[int, str, str]:
    """Exit code of `ontogeny data build`, and what it said."""
    said, wrong = StringIO(), StringIO()
    with redirect_stdout(said), redirect_stderr(wrong):
        code = main(["data", "build", str(out), *argv])
    return code, said.getvalue(), wrong.getvalue()


def check(seed: int, folder: Path, faults: Sequence[Fault] = ()) -> str:
    """One lab: right to the last number; or spoiled by the first fault that it has a place for, and refused by name.

    Returns:
        Its kind, and its fault; "" where it has a place for none of them, and nothing was built.
    """
    lab = labs.make(seed)
    argv, out = lab_files.write(lab, folder), folder / "out"
    for fault in faults:
        if (words := fault(lab, argv)) is not None:
            _refused(built(argv, out), words, out)
            return f"{lab.kind}: {fault.__name__}"
    if faults:
        return ""
    code, said, wrong = built(argv, out)
    assert code == 0, wrong
    _compare(lab, out, said)
    return lab.kind


def _refused(found: tuple[int, str, str], words: tuple[str, ...], out: Path) -> None:
    code, said, wrong = found
    assert (code, said) == (2, ""), (code, said, words)
    assert wrong.startswith("ontogeny data: ")
    assert wrong.count("\n") == 1
    assert [word for word in words if word not in wrong] == [], (words, wrong)
    assert not out.exists()


def _compare(lab: labs.Lab, out: Path, said: str) -> None:
    benchmark, truth = load(out), labs.expected(lab)
    assert sorted(benchmark.stimuli.ids) == sorted(lab.ids)
    assert dict(zip(benchmark.stimuli.ids, benchmark.stimuli.inputs, strict=True)) == {
        k: f"A sentence about {k}." for k in lab.ids
    }
    assert [assembly.subject for assembly in benchmark.assemblies] == lab.subjects
    for assembly in benchmark.assemblies:
        extras = read_extras(out)[assembly.subject]
        order = _voxels(lab, assembly.roi, extras.columns)
        _lines(lab, assembly.subject, said)
        for row, stimulus in enumerate(assembly.stimulus_ids):
            repeats = truth[assembly.subject][lab.ids.index(stimulus)][:, order]
            np.testing.assert_allclose(assembly.responses[row], repeats.mean(axis=0), atol=TOLERANCE)
            if extras.repeats is not None:
                kept = extras.repeats[:, row]
                assert np.isnan(kept[len(repeats) :]).all()
                np.testing.assert_allclose(_sorted(kept[: len(repeats)]), _sorted(repeats), atol=TOLERANCE)
        most = max(map(len, truth[assembly.subject].values()))
        assert (1 if extras.repeats is None else len(extras.repeats)) == (1 if lab.kind == "table" else most)


def _sorted(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows[:, 0])]


def _voxels(lab: labs.Lab, roi: tuple[str, ...], columns: dict[str, np.ndarray]) -> list[int]:
    """Which of numpy's voxels each of the folder's is."""
    labels = lab.labels.ravel()
    inside = np.flatnonzero(labels)
    if lab.kind == "table":
        order = [int(name[1:]) for name in columns["voxel"]]
        assert sorted(order) == list(range(len(inside)))
    else:
        order = list(range(len(inside)))
    if lab.kind != "array":
        assert list(roi) == [ROIS[int(labels[inside[voxel]])] for voxel in order]
    if lab.kind in ("bids", "files", "one image", "volumes"):
        np.testing.assert_array_equal(columns["index"], inside)
    return order


def _lines(lab: labs.Lab, subject: str, said: str) -> None:
    """What the command says of how it took the files."""
    if lab.kind == "table":
        assert f"subject {subject}: 6 voxels of {subject}." in said
        assert "no voxels: " in said
    elif lab.kind != "array":
        n = len(lab.of(subject))
        assert f"subject {subject}: {n}, with so many presentations: " in said
        assert (
            f"subject {subject}: {sum(len(run.trials) for run in lab.of(subject))} presentations in {n} runs;" in said
        )


def _by_hand(n: int, first: int) -> int:
    counts: Counter[str] = Counter()
    wrong = 0
    for seed in range(first, first + n):
        with tempfile.TemporaryDirectory() as folder:
            try:
                turn, half = divmod(seed // len(labs.KINDS), 2)
                faults = [FAULTS[(turn + k) % len(FAULTS)] for k in range(len(FAULTS))] if half else []
                counts[check(seed, Path(folder), faults) or check(seed, Path(folder))] += 1
            except (Exception, SystemExit):  # noqa: BLE001 - every other lab is still to be seen
                wrong += 1
                sys.stdout.write(f"lab {seed}: {traceback.format_exc()}\n")
    for what, count in sorted(counts.items()):
        sys.stdout.write(f"{count:5d}  {what}\n")
    sys.stdout.write(f"{n} labs, {wrong} not as they should be\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(_by_hand(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
