"""Controls by name, each on a world where its answer is known."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.helpers.models import WORDS, TinyCNN, fast_tokenizer, tiny_gpt, tokenizer, transform
from tests.helpers.worlds import worlds

from ontogeny import Assembly, Benchmark, Features, Record, StimulusSet, watch
from ontogeny.benchmarks.controls import CONTROLS, DEFAULT, held_out_layer, parse_controls
from ontogeny.benchmarks.diagnostics.split_leakage import split_leak
from ontogeny.errors import ConfigError, DataError, MetricError, ProbeError
from ontogeny.extraction.features import Site
from ontogeny.extraction.model_inputs import make_inputs, random_tokens
from ontogeny.extraction.process_group import SINGLE_PROCESS
from ontogeny.metrics import CKA, Folds, Ridge, make_folds
from ontogeny.monitoring.benchmark_probe import BenchmarkProbe
from ontogeny.monitoring.preflight import describe_benchmark
from ontogeny.monitoring.snapshot import score, take_snapshot
from ontogeny.record.curve_groups import curve_groups
from ontogeny.replay import DiskFeatureCache
from ontogeny.stimuli import position_features

ABOUT = {"version": "1", "citation": "none", "licence": "none", "about": "made for tests", "simulated": True}


def world(responses, *, groups=None, folds=None, metrics=None, contiguous=False, texts=None):
    """A text benchmark of one subject with these responses."""
    ids = tuple(f"s{i:03d}" for i in range(len(responses)))
    stimuli = StimulusSet(
        name="world", modality="text", ids=ids, inputs=texts or list(ids), groups=groups, contiguous=contiguous
    )
    roi = ("all",) * responses.shape[1]
    assembly = Assembly(name="world", subject="s1", stimulus_ids=ids, responses=responses, roi=roi)
    folds = folds or make_folds(len(ids), groups=groups, contiguous=contiguous)
    return Benchmark(
        name="world", stimuli=stimuli, assemblies=(assembly,), metrics=metrics or (Ridge(),), folds=folds, **ABOUT
    )


def features(benchmark, layers):
    values = {Site(name, "mean"): torch.as_tensor(x, dtype=torch.float32) for name, x in layers.items()}
    return Features(stimulus_ids=benchmark.stimuli.ids, values=values, refused={})


def value(rows, layer):
    (row,) = [s for s in rows if s.layer == layer and s.kind in ("alignment", "control")]
    return row.value


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (True, DEFAULT),
        (False, ()),
        ([], ()),
        ("split leak", ("split leak",)),
        (["random tokens", "surface"], ("surface", "random tokens")),
        (CONTROLS, CONTROLS),
    ],
)
def test_controls_are_true_false_or_names(given, names):
    assert parse_controls(given) == names


def test_an_unknown_control_is_refused_with_the_nearest(text_benchmark, tmp_path):
    with pytest.raises(ConfigError, match=r"no control 'random token'. Did you mean 'random tokens'"):
        watch(text_benchmark, record=tmp_path / "r", tokenizer=tokenizer, controls=["surface", "random token"])


def test_a_control_is_a_name(text_benchmark, unchecked):
    with pytest.raises(ConfigError, match="there is no control 5. Choices: 'random features', "):
        BenchmarkProbe.of(text_benchmark, reader=tokenizer, controls=5)


def test_named_controls_give_the_rows_of_the_default_and_no_others(text_benchmark, tmp_path):
    def rows(folder, controls):
        monitor = watch(text_benchmark, record=tmp_path / folder, run="r", tokenizer=tokenizer, controls=controls)
        return {s.key: s.value for s in monitor(tiny_gpt(), 0) if s.kind not in ("probe", "cost")}

    default, named, none = rows("a", True), rows("b", list(DEFAULT)), rows("c", False)
    assert default == named
    assert {key[5:8] for key in default.keys() - none.keys()} >= {("s1", "left", "random features")}
    assert {key[2] for key in default.keys() - none.keys()} == {"control", "baseline"}
    one = rows("d", ["surface"])
    assert {key[2] for key in one.keys() - none.keys()} == {"baseline"}
    assert one == pytest.approx({key: default[key] for key in one}, abs=1e-6)


def test_within_groups_keeps_what_groups_share_and_permuted_stimuli_do_not():
    """Responses hold nothing but their group's mean, read off features that hold the group too: all of it is group."""
    rng = np.random.default_rng(1)
    groups = tuple(f"g{i:02d}" for i in np.repeat(np.arange(30), 6))
    means = rng.standard_normal((30, 5))[np.repeat(np.arange(30), 6)]
    x = means + 0.2 * rng.standard_normal((180, 5))
    y = means @ rng.standard_normal((5, 8)) + 0.5 * rng.standard_normal((180, 8))
    benchmark = world(y, groups=groups, metrics=(Ridge(), CKA()))
    rows = benchmark.prepare(permutations=5, within=5).score(features(benchmark, {"one": x}))
    for metric in ("ridge-gcv", "cka-linear-debiased"):
        own = [s for s in rows if s.metric == metric]
        assert value(own, "one") > 0.8
        assert value(own, "permuted within groups") > 0.95 * value(own, "one")
        assert abs(value(own, "permuted stimuli")) < 0.1


def test_within_groups_is_at_chance_where_only_single_stimuli_are_shared():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((120, 5))
    y = x @ rng.standard_normal((5, 8))
    benchmark = world(y, groups=tuple(f"g{i % 12}" for i in range(120)))
    rows = benchmark.prepare(within=5).score(features(benchmark, {"one": x}))
    assert value(rows, "one") > 0.95
    assert abs(value(rows, "permuted within groups")) < 0.1


@pytest.mark.parametrize(("groups", "what"), [(None, "has no groups"), (tuple("abcdefghijkl"), "one stimulus a group")])
def test_within_groups_needs_groups_that_are_shared(groups, what):
    benchmark = world(np.random.default_rng(0).standard_normal((12, 2)), groups=groups, folds=make_folds(12))
    with pytest.raises(DataError, match=f"'permuted within groups' needs .* benchmark 'world' .*{what}; give its"):
        benchmark.prepare(within=1)


def sentences(rng, n=60):
    return [" ".join(rng.choice(WORDS, size=rng.integers(3, 12))) for _ in range(n)]


def test_random_tokens_keep_lengths_and_counts_and_special_tokens():
    texts = sentences(np.random.default_rng(0))
    texts[3] = "dog unknownword cat"
    stimuli = StimulusSet(name="t", modality="text", ids=tuple(map(str, range(60))), inputs=texts)
    reader = fast_tokenizer()
    true, dealt = make_inputs(stimuli, reader).ids, random_tokens(stimuli, reader).ids
    assert [len(row) for row in true] == [len(row) for row in dealt]
    assert sorted(i for row in true for i in row) == sorted(i for row in dealt for i in row)
    assert dealt[3][1] == true[3][1] == reader.unk_token_id
    assert sum(a == b for a, b in zip(true, dealt, strict=True)) < 3
    assert random_tokens(stimuli, reader).ids == dealt


def read_world(y, texts, folder):
    benchmark = world(y, texts=texts)
    monitor = watch(benchmark, record=folder, tokenizer=tokenizer, pooling="mean", controls="random tokens")
    return monitor(tiny_gpt(), 0)


def test_random_tokens_score_nothing_where_words_are_aligned_and_all_where_lengths_are(tmp_path):
    rng = np.random.default_rng(3)
    texts = sentences(rng, 120)
    counts = np.array([[text.split().count(word) / len(text.split()) for word in WORDS] for text in texts])
    words = read_world(counts @ rng.standard_normal((12, 6)), texts, tmp_path / "words")
    best = max(s.value for s in words if s.kind == "alignment")
    assert best > 0.8
    assert abs(value(words, "random tokens")) < 0.15
    lengths = np.array([[len(text.split())] for text in texts]) + 0.3 * rng.standard_normal((120, 4))
    found = read_world(lengths, texts, tmp_path / "lengths")
    mean = np.mean([s.value for s in found if s.kind == "alignment"])
    assert mean > 0.6
    assert value(found, "random tokens") > 0.6
    (row,) = [s for s in found if s.layer == "random tokens"]
    assert (row.kind, row.step, row.pooling, row.note) == ("control", 0, "mean", "mean over 3 layers")


def test_random_tokens_have_their_own_place_among_kept_features(tmp_path):
    benchmark = world(np.random.default_rng(0).standard_normal((30, 2)), texts=sentences(np.random.default_rng(0), 30))
    watched = BenchmarkProbe.of(benchmark, reader=tokenizer, controls="random tokens")
    kept = DiskFeatureCache(folder=tmp_path)
    first, again = (take_snapshot(tiny_gpt(), 0, [watched], None, ranks=SINGLE_PROCESS, kept=kept) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == 2
    assert score(again, [watched], "r").rows == score(first, [watched], "r").rows
    fresh = score(take_snapshot(tiny_gpt(), 0, [watched], None, ranks=SINGLE_PROCESS), [watched], "r").rows
    assert fresh == score(first, [watched], "r").rows
    assert [s.layer for s in fresh if s.kind == "control"] == ["random tokens"]


def test_random_tokens_are_for_text(image_benchmark, tmp_path):
    with pytest.raises(ProbeError, match="'random tokens' is for text, but stimulus set 'tiny-image' is images"):
        watch(image_benchmark, record=tmp_path / "r", transform=transform, controls=["random tokens"])


def autocorrelated(rng, n, voxels=8, *, block=10, share=0.7):
    """Each block a first-order autoregressive series of its own, unit variance."""
    y = rng.standard_normal((n, voxels))
    for i in range(n):
        if i % block:
            y[i] = share * y[i - 1] + np.sqrt(1 - share**2) * y[i]
    return y


def found(benchmark):
    return split_leak(benchmark.stimuli, benchmark.prepare().targets, benchmark.folds)


def test_position_features_are_an_identity_smoothed_within_blocks():
    ids = tuple(f"s{i}" for i in range(24))
    blocks = tuple("aaaaaaaabbbbbbbbcccccccc")
    stimuli = StimulusSet(name="t", modality="text", ids=ids, inputs=ids, groups=blocks)
    reach = np.arange(-12, 13)
    weights = np.exp(-0.5 * (reach / 3.0) ** 2)
    expected = np.zeros((24, 24))
    for start in (0, 8, 16):
        for i in range(8):
            unit = np.pad(np.eye(8)[i], 12, mode="symmetric")
            expected[start + i, start : start + 8] = np.convolve(unit, weights / weights.sum(), mode="valid")
    assert position_features(stimuli, width=3.0) == pytest.approx(expected, abs=1e-12)
    interleaved = replace(stimuli, groups=tuple("abc" * 8))
    x = position_features(interleaved)
    same = np.equal.outer(np.arange(24) % 3, np.arange(24) % 3)
    assert (x @ x.T)[~same].max() == 0
    assert x[0, 3] > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_folds_of_autocorrelated_responses_leak_and_grouped_or_contiguous_ones_do_not(seed):
    y = autocorrelated(np.random.default_rng(seed), 150)
    groups = tuple(f"story {i // 10:02d}" for i in range(150))
    leaking = found(world(y, groups=groups, folds=make_folds(150)))
    assert leaking.leaks
    assert leaking.value > 0.4
    assert leaking.p == 0.01
    for folds in (make_folds(150, groups=groups), make_folds(150, contiguous=True)):
        held = found(world(y, groups=groups, folds=folds))
        assert not held.leaks
        assert held.value == 0


def test_one_long_series_leaks_much_with_shuffled_folds_and_little_at_the_edges_of_contiguous_ones():
    y = autocorrelated(np.random.default_rng(0), 200, block=1000)
    shuffled, blocks = found(world(y)), found(world(y, contiguous=True))
    assert shuffled.value > 0.5
    assert 0 < blocks.value < 0.3 * shuffled.value


def test_groups_that_share_a_mean_leak_where_folds_split_them_also_when_they_are_not_side_by_side():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((12, 8))[np.arange(96) % 12] + rng.standard_normal((96, 8))
    groups = tuple(f"g{i % 12}" for i in range(96))
    assert found(world(y, groups=groups, folds=make_folds(96))).leaks
    assert not found(world(y, groups=groups)).leaks


def test_independent_stimuli_do_not_leak():
    """At a level of 0.01, 40 worlds give 3 or more false alarms in 0.7 % of draws; the seeds are frozen."""
    verdicts = [found(world(np.random.default_rng(seed).standard_normal((60, 6)))).leaks for seed in range(40)]
    assert sum(verdicts) <= 2


def test_a_geometry_has_no_split(image_benchmark):
    assert found(image_benchmark) is None
    assert not any("split" in line for line in describe_benchmark(image_benchmark.prepare()))


def test_the_doctor_says_whether_the_split_leaks():
    y = autocorrelated(np.random.default_rng(0), 100)
    groups = tuple(f"story {i // 10}" for i in range(100))
    said = "\n".join(describe_benchmark(world(y, groups=groups, folds=make_folds(100)).prepare()))
    assert re.search(r"split      THIS SPLIT LEAKS: position alone \(OASM\) reaches r = 0\.\d+, p = 0\.01, since", said)
    assert "make_folds(groups=...) by story, passage or run; contiguous=True leaks at the edges of blocks" in said
    said = "\n".join(describe_benchmark(world(y, groups=groups).prepare()))
    assert "split      no leak found: position alone (OASM) reaches r = 0.000, p = 1.00" in said


def test_split_leak_is_written_once_also_to_a_record_that_had_none(text_benchmark, tmp_path):
    options = {"record": tmp_path / "r", "tokenizer": tokenizer, "schedule": "every:1"}
    watch(text_benchmark, **options)(tiny_gpt(), 0)
    monitor, model = watch(text_benchmark, **options, controls=[*DEFAULT, "split leak"]), tiny_gpt()
    monitor.saved(model, 1)
    monitor(model, 1)
    monitor(tiny_gpt(), 2)
    rows = Record(tmp_path / "r").select(layer="split leak")
    assert {(s.kind, s.step, s.roi, s.n_features) for s in rows} == {("control", 0, r, 40) for r in ("left", "right")}
    assert len(rows) == 2
    (left, _) = curve_groups(monitor.record.scores)
    assert left.references["control: split leak"][0]["value"] == rows[0].value


def noise_layers(rng, n, *, layers=12, width=6):
    return {f"layer {i}": rng.standard_normal((n, width)) for i in range(layers)}


@pytest.mark.long
def test_the_best_of_many_layers_of_noise_is_too_high_and_the_held_out_layer_is_not():
    best, held = [], []
    for seed in worlds(40):
        rng = np.random.default_rng(seed)
        benchmark = world(rng.standard_normal((60, 3)))
        rows = benchmark.prepare(halves=True).score(features(benchmark, noise_layers(rng, 60)))
        best.append(max(s.value for s in rows if s.kind == "alignment"))
        held.append(value(rows, "held-out layer"))
    errors = [np.std(values, ddof=1) / np.sqrt(len(values)) for values in (best, held)]
    assert np.mean(best) > 8 * errors[0]
    assert abs(np.mean(held)) < 2.5 * errors[1]


def test_the_one_true_layer_is_chosen():
    chosen = []
    for seed in worlds(30):
        rng = np.random.default_rng(seed)
        x = noise_layers(rng, 80)
        y = x["layer 7"] @ rng.standard_normal((6, 5)) + 2 * rng.standard_normal((80, 5))
        benchmark = world(y)
        rows = benchmark.prepare(halves=True).score(features(benchmark, x))
        (row,) = [s for s in rows if s.layer == "held-out layer"]
        assert row.note.endswith("scored on the other; of 12 layers")
        chosen += re.match(r"(layer \d+) and (layer \d+), each", row.note).groups()
        assert row.value == pytest.approx(value(rows, "layer 7"), abs=0.25)
    assert len(chosen) >= 20
    assert chosen.count("layer 7") / len(chosen) > 0.95


def test_the_held_out_layer_is_chosen_by_the_mean_over_subjects_on_the_other_half():
    """Against a reference that walks through both halves by hand."""
    rng = np.random.default_rng(5)
    y = rng.standard_normal((40, 6))
    benchmark = world(y, metrics=(CKA(), Ridge()))
    first = benchmark.assemblies[0]
    second = replace(first, subject="s2", responses=rng.standard_normal((40, 6)))
    benchmark = replace(benchmark, assemblies=(first, second))
    given = features(benchmark, noise_layers(rng, 40, layers=5))
    rows = benchmark.prepare(halves=True).score(given, run="r", step=3, weights="w")
    halves = [{(s.layer, s.metric, s.subject): s.value for s in half.score(given)} for half in benchmark.halves()]
    for metric in ("cka-linear-debiased", "ridge-gcv"):
        expected = {"s1": 0.0, "s2": 0.0}
        for choose, test in (halves, halves[::-1]):
            means = {
                f"layer {i}": choose[f"layer {i}", metric, "s1"] + choose[f"layer {i}", metric, "s2"] for i in range(5)
            }
            layer = max(means, key=means.get)
            for subject in expected:
                expected[subject] += test[layer, metric, subject] / 2
        for row in (s for s in rows if s.layer == "held-out layer" and s.metric == metric):
            assert row.value == pytest.approx(expected[row.subject], rel=1e-12)
            assert (row.kind, row.run, row.step, row.weights, row.n_stimuli) == ("control", "r", 3, "w", 20)
            assert (row.benchmark, row.fingerprint) == ("world", benchmark.fingerprint())
    assert sum(s.layer == "held-out layer" for s in rows) == 4


def test_a_layer_that_one_half_lacks_is_no_pair():
    rng = np.random.default_rng(0)
    benchmark = world(rng.standard_normal((40, 2)))
    rows = [s for s in benchmark.score(features(benchmark, noise_layers(rng, 40, layers=2))) if s.kind == "alignment"]
    assert held_out_layer(rows, []) == []
    assert [s.note[:20] for s in held_out_layer(rows[:1], rows[1:])] == []
    assert [s.value for s in held_out_layer(rows[:1], rows[:1])] == [rows[0].value]


@pytest.mark.parametrize(("groups", "contiguous"), [(None, False), (None, True), (tuple("abcdefghij" * 4), False)])
def test_halves_part_the_stimuli_and_keep_groups_and_folds(groups, contiguous):
    benchmark = world(np.random.default_rng(0).standard_normal((40, 2)), groups=groups, contiguous=contiguous)
    halves = benchmark.halves()
    ids = [half.stimuli.ids for half in halves]
    assert sorted(i for part in ids for i in part) == sorted(benchmark.stimuli.ids)
    assert {len(part) for part in ids} == {20}
    if groups is not None:
        assert not set(halves[0].stimuli.groups) & set(halves[1].stimuli.groups)
    if contiguous:
        assert ids[0] == benchmark.stimuli.ids[:20]
    fold = dict(zip(benchmark.stimuli.ids, benchmark.folds.held_out, strict=True))
    for half in halves:
        pairs = {(fold[i], f) for i, f in zip(half.stimuli.ids, half.folds.held_out, strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len(half.folds)
        place = benchmark.assemblies[0].stimulus_ids.index(half.stimuli.ids[3])
        assert np.array_equal(half.assemblies[0].responses[3], benchmark.assemblies[0].responses[place])
        assert half.fingerprint() != benchmark.fingerprint()
    assert benchmark.halves()[0].fingerprint() == halves[0].fingerprint()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n": 16}, DataError, "'world, half 1' has 8 stimuli; metrics mean nothing below 10"),
        (
            {"n": 40, "contiguous": True, "folds": Folds(held_out=(0,) * 20 + (1,) * 20, how="two")},
            DataError,
            "half 1 of benchmark 'world': these stimuli lie in one fold, .* leave the control 'held-out layer' out",
        ),
        ({"n": 40, "groups": ("a",) * 40, "folds": make_folds(40)}, MetricError, "2 folds need at least 2 groups"),
    ],
)
def test_halves_that_cannot_be(change, error, message):
    n = change.pop("n")
    with pytest.raises(error, match=message):
        world(np.random.default_rng(0).standard_normal((n, 2)), **change).prepare(halves=True)


def test_all_controls_stand_beside_the_layers_of_a_probe(tmp_path):
    rng = np.random.default_rng(0)
    benchmark = world(rng.standard_normal((60, 3)), groups=tuple(f"g{i % 10}" for i in range(60)), texts=sentences(rng))
    watched = BenchmarkProbe.of(benchmark, reader=tokenizer, controls=CONTROLS)
    true, random = pickle.loads(pickle.dumps(watched)).probes  # noqa: S301 - as it travels to a worker
    assert true.fingerprint(tiny_gpt()) == watched.probe.fingerprint(tiny_gpt()) != random.fingerprint(tiny_gpt())
    monitor = watch(benchmark, record=tmp_path / "r", tokenizer=tokenizer, pooling=["last", "mean"], controls=CONTROLS)
    monitor(tiny_gpt(), 0)
    for panel in curve_groups(Record(tmp_path / "r").scores):
        assert {name for name in panel.references if name.startswith("control: ")} == {
            f"control: {name}" for name in CONTROLS if name != "surface"
        }
        assert not set(panel.layers) & set(CONTROLS)


def test_images_have_a_held_out_layer_too(image_benchmark, tmp_path):
    from tests.helpers.benchmarks import image_benchmark as images

    monitor = watch(images(n=24), record=tmp_path / "r", transform=transform, controls="held-out layer")
    rows = [s for s in monitor(TinyCNN(), 0) if s.layer == "held-out layer"]
    assert {(s.subject, s.roi, s.metric) for s in rows} == {
        (subject, "IT", metric)
        for subject in ("s1", "s2")
        for metric in ("rsa-correlation-spearman", "cka-linear-debiased")
    }
    assert all(s.ceiling_lower is not None for s in rows)
