"""Random labs that told stories: who heard which, how often, as arrays or BOLD, in any order; against numpy alone.

PYTHONPATH=src:. python -m tests.helpers.story_labs 500      so many, by hand
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras
from tests.helpers import story_lab as lab
from tests.helpers.lab_checks import built

ABOUT = ["--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests.", "--tr", "2"]
INSIDE = 22  # voxels of the atlas


@dataclass(frozen=True)
class Told:
    """What was heard: (subject, story) -> one array per hearing; volumes cut at both ends; order of the drift."""

    stories: list[lab.Heard]
    runs: dict[tuple[str, str], list[np.ndarray]]
    trim: tuple[int, int]
    drift: int | None
    bold: bool
    own: bool


def make(rng: np.random.Generator) -> Told:
    names = [str(n) for n in rng.permutation(["owl", "fox", "the hen", "été", "story-2", "10"])[: rng.integers(3, 7)]]
    stories = [lab.Heard.make(rng, name, int(rng.integers(24, 34))) for name in names]
    bold, own = bool(rng.integers(2)), bool(rng.integers(2))
    runs = {}
    for who in [f"{k:02d}" for k in range(1, int(rng.integers(2, 4)))] if rng.integers(2) else ["p1", "p2"]:
        heard = names if not own else rng.permutation(names)[: rng.integers(3, len(names) + 1)]
        for story in stories:
            if story.name in heard:
                size, n = (story.volumes, 24 if bold else 5), int(rng.integers(1, 4))
                runs[who, story.name] = [100 + 9 * rng.standard_normal(size) for _ in range(n)]
    drift = int(rng.integers(0, 3)) if rng.integers(2) else None
    trim = (int(rng.integers(0, 3)), int(rng.integers(0, 3)))
    return Told(stories=stories, runs=runs, trim=trim, drift=drift, bold=bold, own=own)


def expected(told: Told, who: str, name: str) -> np.ndarray:
    """Repeats x volumes x voxels; of BOLD up to order 3 is taken out where nothing is said."""
    order = 3 if told.bold and told.drift is None else told.drift
    out = []
    for y in told.runs[who, name]:
        values = y[:, :INSIDE] if told.bold else y
        if order is not None:
            t = np.linspace(-1, 1, len(values))
            values = values - np.polynomial.polynomial.polyval(t, np.polynomial.polynomial.polyfit(t, values, order)).T
        out.append(lab.z(values[told.trim[0] : len(values) - told.trim[1]]))
    return np.stack(out)


def write(told: Told, rng: np.random.Generator, folder: Path) -> list[str]:
    """Words as one table or as TextGrids; a file per hearing, or all hearings in one; in any order."""
    if rng.integers(2):
        words = [str(lab.write_words(folder / "words.csv", told.stories))]
    else:
        words = [str(lab.write_textgrid(folder / f"{story.name}.TextGrid", story)) for story in told.stories]
    given = []
    for (who, name), repeats in told.runs.items():
        if told.bold:
            paths = [folder / f"sub-{who}_task-{name}_run-{k}_bold.nii.gz" for k in range(1, len(repeats) + 1)]
            given += [[str(lab.write_bold(path, y)) for path, y in zip(paths, repeats, strict=True)]]
        elif rng.integers(2) and len(repeats) > 1:
            np.save(folder / f"{who}_{name}.npy", np.stack(repeats))
            given += [[f"{who}:{name}={folder / f'{who}_{name}.npy'}"]]
        else:
            paths = [folder / f"{who}_{name}_{k}.npy" for k in range(len(repeats))]
            for path, y in zip(paths, repeats, strict=True):
                np.save(path, y)
            given += [[f"{who}:{name}={path}" for path in paths]]
    mixed = [part for k in rng.permutation(len(given)) for part in given[k]]
    brain = ["--bold", *mixed, "--atlas", str(lab.write_atlas(folder))] if told.bold else ["--responses", *mixed]
    more = ["--own-stimuli"] * told.own + (["--drift", str(told.drift)] if told.drift is not None else [])
    return ["--words", *words, *brain, "--trim", *map(str, told.trim), *ABOUT, *more]


def check(seed: int, folder: Path) -> str:
    """One lab, right to the last number; its kind."""
    rng = np.random.default_rng(seed)
    told = make(rng)
    code, said, wrong = built(write(told, rng, folder), folder / "out")
    assert code == 0, wrong
    benchmark, extras = load(folder / "out"), read_extras(folder / "out")
    subjects = list(dict.fromkeys(who for who, _ in told.runs))
    assert [one.subject for one in benchmark.assemblies] == sorted(subjects)
    folds = dict(zip(benchmark.stimuli.ids, benchmark.folds.held_out, strict=True))
    for one in benchmark.assemblies:
        names = [name for who, name in told.runs if who == one.subject]
        rows = {name: [k for k, i in enumerate(one.stimulus_ids) if i.rpartition("/")[0] == name] for name in names}
        assert sum(map(len, rows.values())) == len(one.stimulus_ids)
        assert len({folds[i] for i in one.stimulus_ids}) >= 3
        for name in names:
            truth = expected(told, one.subject, name)
            first = told.trim[0]
            assert [one.stimulus_ids[k] for k in rows[name]] == [
                f"{name}/{first + v:04d}" for v in range(truth.shape[1])
            ]
            np.testing.assert_allclose(one.responses[rows[name]], truth.mean(axis=0), atol=2e-4)
            assert len({folds[one.stimulus_ids[k]] for k in rows[name]}) == 1
            if (kept := extras[one.subject].repeats) is not None:
                np.testing.assert_allclose(kept[: len(truth), rows[name]], truth, atol=2e-4)
                assert np.isnan(kept[len(truth) :, rows[name]]).all()
    assert ("stories of each subject" in said) is told.own
    return f"{'BOLD' if told.bold else 'arrays'}{', own stories' * told.own}"


def _by_hand(n: int) -> int:
    wrong = 0
    for seed in range(n):
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(seed, Path(folder))
            except (Exception, SystemExit):  # noqa: BLE001 - every other lab is still to be seen
                wrong += 1
                sys.stdout.write(f"lab {seed}: {traceback.format_exc()}\n")
    sys.stdout.write(f"{n} labs with stories, {wrong} not as they should be\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(_by_hand(int(sys.argv[1])))
