"""Subjects who saw different stimuli: each scored on its own, against the same benchmark made for it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import KFold
from tests.helpers import images
from tests.unit.datasets.own_data.test_build_benchmark import ABOUT, table

from ontogeny import Assembly, Benchmark, Record
from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import verify_folder
from ontogeny.errors import AlignmentIdError, DataError
from ontogeny.extraction import Features
from ontogeny.extraction.features import Site
from ontogeny.metrics import RSA, Encoding, Ridge, make_folds
from ontogeny.metrics.ridge.ridge import ridge_cv
from ontogeny.monitoring.preflight import describe_benchmark
from ontogeny.record.curve_groups import curve_groups
from ontogeny.stimuli import StimulusSet

N, SHARED, OWN = 100, 40, 20
IDS = [f"{i:03d}" for i in range(N)]
SEEN = {who: [*range(SHARED), *range(SHARED + OWN * k, SHARED + OWN * (k + 1))] for k, who in enumerate("abc")}
TEXTS = tuple(f"Sentence {'x' * (i % 7)} {i}." for i in range(N))


@pytest.fixture
def responses(rng):
    return {who: rng.standard_normal((len(rows), 4)) for who, rows in SEEN.items()}


@pytest.fixture
def x(rng):
    return rng.standard_normal((N, 6)).astype(np.float32)


def assembly(who, y, rng):
    order = rng.permutation(len(y))
    return Assembly(
        name="d",
        subject=who,
        stimulus_ids=tuple(IDS[SEEN[who][i]] for i in order),
        responses=y[order],
        roi=("A", "A", "B", "B"),
    )


def benchmark(assemblies, **more):
    given = {
        "name": "own",
        "version": "1",
        "citation": "c",
        "licence": "l",
        "about": "a",
        "simulated": True,
        "stimuli": StimulusSet(name="s", modality="text", ids=tuple(IDS), inputs=TEXTS),
        "assemblies": tuple(assemblies),
        "metrics": (Ridge(), RSA(distance="euclidean")),
        "folds": make_folds(N, strata=["shared"] * SHARED + [str(i // OWN) for i in range(N - SHARED)]),
        "own_stimuli": True,
    }
    return Benchmark(**{**given, **more})


def features(x):
    return Features(stimulus_ids=tuple(IDS), values={Site("l", "p"): torch.as_tensor(x)}, refused={})


def test_each_subject_is_scored_on_what_it_saw_with_the_folds_of_all(rng, responses, x):
    made = benchmark([assembly(who, y, rng) for who, y in responses.items()])
    rows = made.prepare(permutations=2, halves=True).score(features(x))
    folds = np.array(made.folds.held_out)
    for who, y in responses.items():
        alone = make_folds(len(y))
        own = type(alone)(held_out=tuple(folds[SEEN[who]].tolist()), how="")
        r = ridge_cv(x[SEEN[who]].astype(float), y, folds=own)
        found = {
            row.roi: row for row in rows if row.subject == who and row.kind == "alignment" and "ridge" in row.metric
        }
        assert found["A"].value == pytest.approx(r[:2].mean(), abs=1e-6)
        assert found["B"].value == pytest.approx(r[2:].mean(), abs=1e-6)
        assert {row.n_stimuli for row in found.values()} == {SHARED + OWN}
        assert found["A"].note == "of the stimuli that this subject saw: 60 of 100, 40 of them seen by all"
    keys = [row.key for row in rows]
    assert len(set(keys)) == len(keys)
    assert {row.fingerprint for row in rows} == {made.fingerprint()}
    confounds = [row for row in rows if row.kind == "confound"]
    assert [row.metric for row in confounds] == ["participation ratio", "intrinsic dimension", "feature norm"]
    assert {row.n_stimuli for row in confounds} == {N}
    controls = [row for row in rows if row.kind == "control"]
    assert {(row.subject, row.layer) for row in controls} >= {(who, "permuted stimuli") for who in "abc"}


def test_shared_stimuli_lie_in_one_fold_and_every_group_is_spread_over_all(rng, responses):
    made = benchmark([assembly(who, y, rng) for who, y in responses.items()])
    folds = dict(zip(IDS, made.folds.held_out, strict=True))
    for part, rows in zip(made.parts(), SEEN.values(), strict=True):
        assert part.folds.held_out == tuple(folds[IDS[i]] for i in rows)
        assert np.bincount(part.folds.held_out).tolist() == [12] * 5


def test_the_same_stimuli_in_other_orders_are_no_parts_and_score_as_ever(rng, x):
    y = rng.standard_normal((N, 2))
    one = Assembly(name="d", subject="a", stimulus_ids=tuple(IDS), responses=y, roi=("A", "A"))
    own, usual = (benchmark([one], own_stimuli=flag, folds=make_folds(N)) for flag in (True, False))
    values = [[r.value for r in b.prepare().score(features(x)) if r.kind == "alignment"] for b in (own, usual)]
    assert values[0] == values[1]
    assert own.fingerprint() != usual.fingerprint()


def test_averages_say_that_their_subjects_saw_different_stimuli(rng, responses, x, tmp_path):
    made = benchmark([assembly(who, y, rng) for who, y in responses.items()])
    record = Record(tmp_path / "r", create=True, run="r")
    record.append(made.prepare().score(features(x), run="r", step=0))
    series = record.series(roi="A", metric="ridge-gcv")
    assert series.note == "mean of 3 subjects who saw different stimuli, 60 each"
    assert record.series(roi="A", metric="ridge-gcv", subject="a").note == ""
    assert all(group.own_stimuli for group in curve_groups(record.scores))
    said = "\n".join(describe_benchmark(made.prepare()))
    assert said.count("saw        subject") == 3
    assert "60 of these stimuli" in said


def test_splits_given_as_row_numbers_keep_those_that_a_subject_or_a_half_has(rng, responses, x):
    even, odd = np.arange(0, N, 2), np.arange(1, N, 2)
    metric = Encoding(SklearnRidge(), cv=[(even, odd), (odd, even)])
    made = benchmark([assembly(who, y, rng) for who, y in responses.items()], metrics=(metric,))
    rows = made.prepare(halves=True).score(features(x))
    found = {(row.subject, row.roi): row for row in rows if row.kind == "alignment"}
    for who, y in responses.items():
        seen = np.array(SEEN[who])
        r = []
        for train, test in ((even, odd), (odd, even)):
            a, b = (np.flatnonzero(np.isin(seen, some)) for some in (train, test))
            predicted = SklearnRidge().fit(x[seen[a]], y[a]).predict(x[seen[b]])
            r.append([np.corrcoef(p, t)[0, 1] for p, t in zip(predicted.T, y[b].T, strict=True)])
        each = np.mean(r, axis=0)
        assert [found[who, roi].value for roi in "AB"] == pytest.approx([each[:2].mean(), each[2:].mean()], abs=1e-5)
    assert {row.metric for row in found.values()} == {metric.name}
    assert {row.metric for row in rows if row.layer == "held-out layer"} == {metric.name}
    anew = Encoding(SklearnRidge(), cv=KFold(3))
    assert replace(made, metrics=(anew,)).parts()[0].metrics == (anew,)
    with pytest.raises(DataError, match=r"of benchmark 'own': the splits of encoding-Ridge.*holds out fewer than 2"):
        replace(made, metrics=(replace(metric, cv=[(even, np.array([97, 99]))]),))


def test_what_does_not_fit_is_refused(rng, responses):
    every = [assembly(who, y, rng) for who, y in responses.items()]
    with pytest.raises(AlignmentIdError, match="no subject saw 20 stimuli, e.g. \\['080', '081', '082'\\]"):
        benchmark(every[:2])
    few = StimulusSet(name="s", modality="text", ids=tuple(IDS[:80]), inputs=TEXTS[:80])
    with pytest.raises(AlignmentIdError, match="subject 'c' has responses to 20 stimuli that the set lacks"):
        benchmark(every, stimuli=few, folds=make_folds(80))
    with pytest.raises(AlignmentIdError, match="has no response to 40 of 100 stimuli"):
        benchmark(every, own_stimuli=False)


def test_by_the_command_line_and_back(tmp_path, monkeypatch, capsys, rng, responses, x):
    monkeypatch.chdir(tmp_path)
    more = [*IDS, *(f"9{i}" for i in range(3))]
    table(tmp_path / "stimuli.csv", {"stimulus_id": more, "text": [f"Sentence {i}." for i in more]})
    for who, y in responses.items():
        ids = [IDS[i] for i in SEEN[who]]
        table(tmp_path / f"{who}.csv", {"stimulus_id": ids, **{f"v{k}": y[:, k].tolist() for k in range(4)}})
    given = ["--stimuli", "stimuli.csv", *ABOUT, "--responses", *(f"{who}={who}.csv" for who in SEEN)]
    assert main(["data", "build", "out", *given]) == 2
    assert "lacks 43 of 103 stimuli" in capsys.readouterr().err
    table(
        tmp_path / "other.csv",
        {"stimulus_id": [str(int(IDS[i])) for i in SEEN["a"]], "v": responses["a"][:, 0].tolist()},
    )
    wrong = ["--stimuli", "stimuli.csv", *ABOUT, "--responses", "a=other.csv", "--own-stimuli"]
    assert main(["data", "build", "out", *wrong]) == 2
    assert "they differ only in zeros in front" in capsys.readouterr().err
    assert main(["data", "build", "out", *given, "--own-stimuli"]) == 0
    said = capsys.readouterr().out
    assert "a 60, b 60, c 60; 40 were seen by all; 3 that no subject saw are left out" in said
    assert "subject b: 60 of these stimuli" in said
    made = load("./out")
    assert verify_folder("out") == []
    assert made.own_stimuli
    assert len(made.stimuli) == N
    assert made.folds.how == "5 shuffled folds, balanced over who saw what, seed 0"
    rows = [r for r in made.prepare().score(features(x)) if r.kind == "alignment"]
    assert {(r.subject, r.n_stimuli) for r in rows} == {(who, 60) for who in SEEN}


def test_images_whose_tables_name_different_stimuli(tmp_path, monkeypatch, capsys, rng):
    """Betas of two subjects, 14 stimuli each, 8 of them the same; against numpy."""
    monkeypatch.chdir(tmp_path)
    ids = [f"s{i:02d}" for i in range(20)]
    table(tmp_path / "stimuli.csv", {"stimulus_id": ids, "text": [f"Sentence {i}." for i in ids]})
    images.atlas(tmp_path)
    given, expected = [], {}
    for who, first in (("01", 0), ("02", 6)):
        shown = rng.permutation(np.arange(first, first + 14))
        data = (100 + rng.standard_normal((*images.SHAPE, 14))).astype(np.float32)
        images.nifti(tmp_path / f"sub-{who}_stat-beta_statmap.nii.gz", data)
        images.table(tmp_path / f"sub-{who}_events.tsv", [(ids[i], "1") for i in shown])
        y = data[images.labels() > 0].T.astype(np.float64)
        y = (y - y.mean(axis=0)) / y.std(axis=0)
        expected[who] = {ids[i]: row for i, row in zip(shown, y, strict=True)}
        given += [f"sub-{who}_stat-beta_statmap.nii.gz"]
    tables = ["sub-01_events.tsv", "sub-02_events.tsv"]
    command = ["data", "build", "out", "--stimuli", "stimuli.csv", *ABOUT, "--betas", *given, "--table", *tables]
    command += ["--atlas", "atlas_dseg.nii.gz", "--n-folds", "2"]
    assert main(command) == 2
    assert main([*command, "--own-stimuli", "--shared"]) == 2
    assert "choose one" in capsys.readouterr().err
    assert main([*command, "--own-stimuli"]) == 0
    made = load("./out")
    for a in made.assemblies:
        assert set(a.stimulus_ids) == set(expected[a.subject])
        np.testing.assert_allclose(a.responses, [expected[a.subject][i] for i in a.stimulus_ids], atol=1e-5)
