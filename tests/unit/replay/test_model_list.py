"""Lists of finished models, their tables of performance, and the tables of their scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ontogeny import Record
from ontogeny.errors import ConfigError, RecordError
from ontogeny.record import Score
from ontogeny.replay import missing_records, model_table, performance_and_alignment, read_models

LIST = """models:
  - EleutherAI/pythia-70m-deduped
  - id: timm/resnet18.a1_in1k
    name: resnet18
    family: resnet
    parameters: 11689512
    revision: v2
  - timm: vit_base_patch16_224.augreg_in21k
    performance: {imagenet: 0.845, robust: 1}
tables:
  - path: tables/leaderboard.csv
    key: model
    columns: {mmlu: MMLU}
  - path: timm.csv
    key: model
"""
LEADERBOARD = "model,MMLU,note\nEleutherAI/pythia-70m-deduped,25.5,x\nresnet18,,y\nmistral,60.1,z\n"
TIMM = "model,top1,top5,date\nresnet18.a1_in1k,71.5,90.1,2021\nvit_base_patch16_224.augreg_in21k,81.1,95.2,then\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "leaderboard.csv").write_text(LEADERBOARD)
    (tmp_path / "timm.csv").write_text(TIMM)
    (tmp_path / "models.yaml").write_text(LIST)
    return tmp_path / "models.yaml"


def test_a_list_is_read_and_its_tables_are_joined_by_id_name_or_timm_name(path):
    models = read_models(path)
    pythia, resnet, vit = models.models
    assert (pythia.id, pythia.name, pythia.family) == ("EleutherAI/pythia-70m-deduped",) * 2 + ("",)
    assert (pythia.parameters, pythia.revision, pythia.folder) == (None, "main", "EleutherAI--pythia-70m-deduped")
    assert (resnet.id, resnet.name, resnet.family) == ("timm/resnet18.a1_in1k", "resnet18", "resnet")
    assert (resnet.parameters, resnet.revision, resnet.folder) == (11_689_512, "v2", "resnet18")
    assert vit.id == vit.name == "timm/vit_base_patch16_224.augreg_in21k"
    assert models.columns == ("imagenet", "robust", "mmlu", "top1", "top5"), "date is no column of numbers"
    assert pythia.performance == {"mmlu": 25.5}
    assert resnet.performance == {"top1": 71.5, "top5": 90.1}
    assert vit.performance == {"imagenet": 0.845, "robust": 1.0, "top1": 81.1, "top5": 95.2}


def test_what_models_and_tables_do_not_have_of_each_other_is_named(path):
    told = {(p.kind, p.what.rpartition("/")[2], p.reason) for p in read_models(path).problems}
    assert told == {
        ("missing", "leaderboard.csv", "has no mmlu for 'resnet18'"),
        ("unread", "leaderboard.csv", "the row 'mistral' is no model of the list; left out"),
        ("missing", "leaderboard.csv", "has no row for 'timm/vit_base_patch16_224.augreg_in21k'"),
        ("missing", "timm.csv", "has no row for 'EleutherAI/pythia-70m-deduped'"),
    }


def test_rows_that_say_two_things_or_may_be_two_models(tmp_path):
    (tmp_path / "a.csv").write_text("who,x\no/a,1\no/a,2\no/b,3\nb2,n/a\n")
    (tmp_path / "m.yaml").write_text(
        "models: [o/a, {id: o/b, name: b1}, {id: o/b, name: b2, performance: {x: 9}}]\n"
        "tables: [{path: a.csv, key: who, columns: {x: x}}]\n"
    )
    models = read_models(tmp_path / "m.yaml")
    assert [m.performance for m in models.models] == [{"x": 1.0}, {}, {"x": 9.0}]
    assert [str(p).replace(str(tmp_path), "") for p in models.problems] == [
        "unread: /a.csv: x of 'b2' is no number: 'n/a'",
        "twice: /a.csv: x of 'o/a' is 2 here and 1 before, which is used",
        "unread: /a.csv: the row 'o/b' may be each of b1, b2; left out",
        "missing: /a.csv: has no x for 'b2'",
        "missing: /a.csv: has no row for 'b1'",
    ]


def test_a_name_comes_before_the_id_of_another_model(tmp_path):
    (tmp_path / "a.csv").write_text("who,x\no/b,3\n")
    (tmp_path / "m.yaml").write_text(
        "models: [{id: o/b, name: other}, {id: o/a, name: o/b}]\ntables: [{path: a.csv, key: who}]\n"
    )
    assert [m.performance for m in read_models(tmp_path / "m.yaml").models] == [{}, {"x": 3.0}]


def test_a_series_of_one_step_asks_nothing_before_it_is_needed(path, tmp_path):
    series = read_models(path).models[1].series(cache_dir=tmp_path / "ours", dtype="float32")
    assert (series.name, series.steps, series.unit) == ("resnet18", (1,), "finished models")
    assert series.where(1) == "timm/resnet18.a1_in1k@v2"
    assert not (tmp_path / "ours").exists()
    with pytest.raises(ConfigError, match="there is no option 'dtyp'. Did you mean 'dtype'"):
        read_models(path).models[1].series(dtyp="float32")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("family:", "famly:"), "models[1]: there is no key 'famly'. Did you mean 'family'"),
        (("tables:", "table:"), "there is no key 'table'. Did you mean 'tables'"),
        (("key: model\n    col", "kye: model\n    col"), "tables[0]: there is no key 'kye'. Did you mean 'key'"),
        (
            ("id: timm/resnet18.a1_in1k\n    ", ""),
            "models[1] needs either id, a repository of the hub, or timm, a name",
        ),
        (("id: timm/", "timm: a\n    id: timm/"), "a name of timm's; it has both"),
        (("- EleutherAI/pythia-70m-deduped", "- 3"), "models[0] is an id or keys and values, got 3"),
        (("- EleutherAI/pythia-70m-deduped", "- ../../etc"), "models[0]: '../../etc' is not the name of a repository"),
        (("- EleutherAI/pythia-70m-deduped", "- /etc/a"), "models[0]: '/etc/a' is not the name of a repository"),
        (("vit_base_patch16_224.augreg_in21k\n    p", "../vit\n    p"), "models[2]: 'timm/../vit' is not the name of"),
        (("name: resnet18", "name: ../resnet18"), "models[1]: the name '../resnet18' cannot be that of a folder"),
        (("name: resnet18", "name: /resnet18"), "models[1]: the name '/resnet18' cannot be that of a folder"),
        (("name: resnet18", "name: a/../b"), "models[1]: the name 'a/../b' cannot be that of a folder"),
        (("name: resnet18", "name: 'a\\b'"), "cannot be that of a folder; use letters, digits and ._+-, and / between"),
        (("name: resnet18", "name: 18"), "models[1]: name is a text, got 18"),
        (("revision: v2", "revision: ''"), "models[1]: revision is a text, got ''"),
        (
            ("name: resnet18", "name: eleutherai--pythia-70m-deduped"),
            "'eleutherai--pythia-70m-deduped' and 'EleutherAI/pythia-70m-deduped' would be one record",
        ),
        (("11689512", "11.7M"), "models[1]: parameters is a whole number above 0, got '11.7M'"),
        (("11689512", "0"), "models[1]: parameters is a whole number above 0, got 0"),
        (("0.845", "good"), "models[2]: performance holds names and numbers, got 'imagenet': 'good'"),
        (("0.845", ".nan"), "models[2]: performance holds names and numbers, got 'imagenet': nan"),
        (("{imagenet: 0.845, robust: 1}", "[1]"), "models[2]: performance holds names and numbers, got [1]"),
        (("imagenet:", "layer:"), "models[2]: 'layer' is a column of the table of scores; rename this performance"),
        (("mmlu: MMLU", "value: MMLU"), "tables[0]: 'value' is a column of the table of scores"),
        (("path: timm.csv", "path: ../timm.csv"), "path '../timm.csv' leads out of "),
        (("path: timm.csv", "path: /etc/passwd"), "path '/etc/passwd' leads out of "),
        (("path: timm.csv", "path: timn.csv"), "timn.csv cannot be read as CSV"),
        (("path: timm.csv\n    ", ""), "tables[1] needs path, as a text"),
        (("key: model\n    col", "key: modl\n    col"), "has no column 'modl'. Did you mean 'model'"),
        (("mmlu: MMLU", "mmlu: MMLUU"), "has no column 'MMLUU'. Did you mean 'MMLU'"),
        (("{mmlu: MMLU}", "[MMLU]"), "tables[0]: columns holds our names and the table's, got ['MMLU']"),
        (
            ("  - path: timm.csv\n    key: model\n", "  - timm.csv\n"),
            "tables[1] holds path, key and columns, got 'timm",
        ),
        ((LIST, "models: []"), "models holds at least one, an id or keys and values; there is none"),
        ((LIST, "models: {a: 1}"), "models is a list, got {'a': 1}"),
        ((LIST, "- a"), "expected keys and values, got list"),
        ((LIST, "models: [a"), "cannot be read as YAML"),
    ],
)
def test_a_list_that_cannot_be_read_says_why(path, change, said):
    assert LIST.count(change[0]) == 1
    path.write_text(LIST.replace(*change))
    with pytest.raises(ConfigError) as error:
        read_models(path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("model,a\n", "timm.csv has no rows; a line of names and a line per model are expected"),
        ("model,a\nx,b\n", "timm.csv has no column of numbers; say which one by columns"),
    ],
)
def test_a_table_without_numbers(path, table, said):
    (path.parent / "timm.csv").write_text(table)
    with pytest.raises(ConfigError, match=said):
        read_models(path)


SITES = (("early", "mean"), ("middle", "mean"), ("late", "mean"), ("late", "last"))


def scores(name, *, subjects=("s1", "s2", "s3"), rois=("V1", "IT"), seed=0, **change) -> list[Score]:
    rng = np.random.default_rng(seed)
    about = {"run": name, "step": 1, "kind": "alignment", "benchmark": "faces", "fingerprint": "f1", "unit": "r"}
    rows = [
        Score(
            **{**about, **change},
            subject=subject,
            roi=roi,
            layer=layer,
            pooling=pooling,
            metric=metric,
            value=float(rng.random()),
            chance=0.0,
            ceiling=0.9,
            n_features=int(rng.integers(1, 99)),
        )
        for subject, roi, metric, (layer, pooling) in itertools.product(subjects, rois, ("rsa", "cka"), SITES)
    ]
    surprisal = [
        Score(**{**about, **change}, subject=s, roi=r, layer="surprisal", metric="rsa", value=9.0)
        for s, r in itertools.product(subjects, rois)
    ]
    baseline = Score(**{**about, **change, "kind": "baseline", "step": 0}, layer="pixels", metric="rsa", value=8.0)
    return [*rows, *surprisal, baseline]


def records(path, made) -> None:
    for name, rows in made.items():
        record = Record(path.parent / "runs" / name.replace("/", "--"), create=True)
        record.note("parameters", 70_000_000)
        record.append(rows)


def test_every_score_of_every_model_in_one_table(path):
    models = read_models(path)
    rows = {"EleutherAI/pythia-70m-deduped": scores("p"), "resnet18": scores("r", seed=1)}
    records(path, rows)
    table = model_table(path.parent / "runs", models)
    assert len(table) == 2 * (3 * 2 * 2 * 4 + 6) + 1
    for name, made in rows.items():
        mine = table[table.model == name].reset_index(drop=True)
        own = [s for s in made if s.kind == "alignment"]
        for column in ("benchmark", "subject", "roi", "layer", "pooling", "metric", "value", "unit", "n_features"):
            assert list(mine[column]) == [getattr(s, column) for s in own], column
    resnet, vit = table[table.model == "resnet18"].iloc[0], table[table.model.str.startswith("timm/vit")]
    assert (resnet.parameters, resnet.family, resnet.top1, resnet.ceiling) == (11_689_512, "resnet", 71.5, 0.9)
    assert math.isnan(resnet.imagenet)
    assert set(table[table.model.str.startswith("Eleuther")].parameters) == {70_000_000}, "as it was counted"
    assert len(vit) == 1, "a model without scores is not dropped"
    assert vit.imagenet.item() == 0.845
    assert vit.value.isna().all()
    assert [str(p).replace(str(path.parent), "") for p in missing_records(path.parent / "runs", models)] == [
        "missing: /runs/timm--vit_base_patch16_224.augreg_in21k: there are no scores of "
        "'timm/vit_base_patch16_224.augreg_in21k'"
    ]


def by_hand(made, metric, others) -> float:
    """Slowly: for each subject and ROI the value of the site that is best on average over the others."""
    rows = [s for s in made if s.kind == "alignment" and s.metric == metric and s.layer != "surprisal"]
    picked = []
    for subject, roi in {(s.subject, s.roi) for s in rows}:
        best = {}
        for site in SITES:
            seen = [s.value for s in rows if (s.layer, s.pooling) == site and others(s, subject, roi)]
            best[sum(seen) / len(seen)] = site
        site = best[max(best)]
        picked += [s.value for s in rows if (s.subject, s.roi, s.layer, s.pooling) == (subject, roi, *site)]
    return sum(picked) / len(picked)


def same_roi(s, subject, roi):
    return s.roi == roi and s.subject != subject


def all_others(s, subject, roi):
    return (s.subject, s.roi) != (subject, roi)


@pytest.mark.parametrize(
    ("subjects", "rois", "how", "others"),
    [
        (("s1", "s2", "s3"), ("V1", "IT"), "best layer of the other subjects", same_roi),
        (("s1", "s2"), ("V1",), "best layer of the other subjects", same_roi),
        (("s1",), ("V1", "V4", "IT"), "best layer of the other ROIs and subjects", all_others),
        (("s1",), ("V1",), "mean over layers", None),
    ],
)
def test_one_row_a_model_with_no_score_picked_by_its_own_noise(path, subjects, rois, how, others):
    models = read_models(path)
    made = {m.name: scores("x", subjects=subjects, rois=rois, seed=i) for i, m in enumerate(models.models[:2])}
    records(path, made)
    table = performance_and_alignment(path.parent / "runs", models)
    assert list(table.columns[:5]) == ["model", "family", "parameters", f"faces rsa ({how})", f"faces cka ({how})"]
    assert list(table.columns[5:]) == list(models.columns)
    assert list(table.model) == [m.name for m in models.models]
    for (_, row), metric in itertools.product(list(table.iterrows())[:2], ("rsa", "cka")):
        if others is not None:
            expected = by_hand(made[row.model], metric, others)
        else:
            expected = np.mean([s.value for s in made[row.model] if s.metric == metric and s.pooling])
        assert row[f"faces {metric} ({how})"] == pytest.approx(expected, abs=1e-12)
    assert table.iloc[2].drop(["model", "family"]).isna().tolist()[:3] == [True, True, True]
    assert table.top1.iloc[1] == 71.5


def test_a_choice_that_one_model_does_not_allow_is_no_ones(path):
    models = read_models(path)
    records(path, {models.models[0].name: scores("a"), "resnet18": scores("b", subjects=("s1",), rois=("V1",))})
    table = performance_and_alignment(path.parent / "runs", models)
    assert "faces rsa (mean over layers)" in table.columns


def test_noise_is_not_taken_for_alignment_by_choosing_layers(path):
    """Eight subjects, twelve layers, pure noise, sixty times: the best are far above zero, the chosen are not."""
    noise = np.random.default_rng(3).standard_normal((60, 8, 12))
    about = {"run": "x", "step": 1, "kind": "alignment", "fingerprint": "f", "metric": "rsa", "roi": "IT"}
    rows = [
        Score(**about, benchmark=f"b{b}", subject=f"s{i}", layer=f"l{j}", value=float(noise[b, i, j]))
        for b, i, j in np.ndindex(*noise.shape)
    ]
    records(path, {"resnet18": rows})
    found = performance_and_alignment(path.parent / "runs", read_models(path))
    chosen = [found[f"b{b} rsa (best layer of the other subjects)"].iloc[1] for b in range(60)]
    assert noise.max(axis=2).mean() > 1.5
    assert abs(np.mean(chosen)) < 3 * np.std(chosen) / math.sqrt(60)


def test_scores_of_another_benchmark_of_the_same_name_or_of_several_steps_are_refused(path):
    models = read_models(path)
    records(path, {models.models[0].name: scores("a"), "resnet18": scores("b", fingerprint="f2")})
    for table in (model_table, performance_and_alignment):
        with pytest.raises(RecordError, match="'faces' with fingerprint f1, 'resnet18' with f2: they cannot be comp"):
            table(path.parent / "runs", models)
    records(path, {"resnet18": scores("b", fingerprint="f2", step=2)})
    with pytest.raises(RecordError, match="resnet18 holds scores of 2 steps, one is expected of a finished model"):
        model_table(path.parent / "runs", models)
