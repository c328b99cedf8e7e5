"""A list of finished models from a hub-shaped server through the one door into records, and one table of them all."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest
from tests.helpers.benchmarks import text_benchmark
from tests.helpers.hub_server import online, serving
from tests.helpers.models import fast_tokenizer, saved, tiny_gpt, tiny_neox

from ontogeny import watch
from ontogeny.cli import main
from ontogeny.errors import DownloadError
from ontogeny.extraction.weights import weights_hash
from ontogeny.replay import finished, missing_records, model_table, performance_and_alignment, read_models, replay
from ontogeny.replay.sources import hub_client

LIST = """models:
  - tiny/gpt
  - {id: tiny/neox, name: neox at v1, revision: v1, family: neox}
  - {id: tiny/neox, name: neox at main, family: neox, parameters: 5}
  - {id: tiny/gone, family: none}
tables: [{path: scores.csv, key: name}]
"""
TABLE = "name,accuracy\ntiny/gpt,0.5\nneox at v1,0.25\nneox at main,0.75\ntiny/gone,0.1\n"


@pytest.fixture
def server(monkeypatch, tmp_path):
    gpt = saved(tiny_gpt(), tmp_path / "gpt", tokenizer=fast_tokenizer())
    neox = [saved(tiny_neox(seed=s), tmp_path / f"neox{s}", tokenizer=fast_tokenizer()) for s in (1, 2)]
    with serving({"tiny/gpt": {"main": gpt}, "tiny/neox": {"v1": neox[0], "main": neox[1]}}) as running:
        online(monkeypatch, running, tmp_path / "theirs")
        monkeypatch.setattr(hub_client, "WAIT", 0.01)
        yield running


def test_a_list_of_models_becomes_one_table(server, tmp_path):
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "models.yaml").write_text(LIST)
    (tmp_path / "list" / "scores.csv").write_text(TABLE)
    models = read_models(tmp_path / "list" / "models.yaml")
    assert models.problems == ()
    runs, outcomes = tmp_path / "runs", []
    for model in models.models:
        series = model.series(cache_dir=tmp_path / "ours")
        watched = watch(text_benchmark(), record=runs / model.folder, tokenizer=fast_tokenizer())
        walked = replay(series, watched)
        if walked.whole:
            watched.record.note("parameters", sum(p.numel() for p in series.load(1).parameters()))
        outcomes.append(walked.results[0].outcome)
    assert outcomes == ["scored", "scored", "scored", "failed"]
    table = model_table(runs, models)
    assert list(dict.fromkeys(table.model)) == ["tiny/gpt", "neox at v1", "neox at main", "tiny/gone"]
    parameters = dict(zip(table.model, table.parameters, strict=True))
    assert parameters["tiny/gpt"] == sum(p.numel() for p in tiny_gpt().parameters())
    assert parameters["neox at v1"] == sum(p.numel() for p in tiny_neox().parameters())
    assert parameters["neox at main"] == 5
    assert [p.reason for p in missing_records(runs, models)] == ["there are no scores of 'tiny/gone'"]
    wide = performance_and_alignment(runs, models)
    assert list(wide.accuracy) == [0.5, 0.25, 0.75, 0.1]
    alignment = next(column for column in wide.columns if column.startswith("tiny-text"))
    assert alignment.endswith("(best layer of the other ROIs and subjects)")
    assert wide[alignment].isna().tolist() == [False, False, False, True]
    assert wide[alignment].nunique() == 3, "two revisions of one repository are two models"


def test_a_revision_is_a_branch_or_a_commit_and_asked_for_once(server, tmp_path):
    commit = server.commit("tiny/neox", "v1")
    for revision, seed in (("v1", 1), ("main", 2), (commit, 1)):
        before = len(server.asked)
        series = finished("tiny/neox", revision=revision, cache_dir=tmp_path / revision)
        copy = pickle.loads(pickle.dumps(series))  # noqa: S301 - our own
        assert len(server.asked) == before
        assert weights_hash(series.load(1)) == weights_hash(copy.load(1)) == weights_hash(tiny_neox(seed=seed))
        paths = [path for _, path, _, _ in server.asked[before:] if f"/revision/{revision}" in path]
        assert all("/refs" not in path for _, path, _, _ in server.asked)
        assert bool(paths) == (revision != commit), "a commit needs no asking"
        assert len(series.tokenizer(1)) == len(fast_tokenizer())
    with pytest.raises(DownloadError, match="tiny/neox@v9: there is no such revision"):
        finished("tiny/neox", revision="v9", cache_dir=tmp_path / "v9").load(1)
    with pytest.raises(DownloadError, match="tiny/gone@main: there is no such repository"):
        finished("tiny/gone", cache_dir=tmp_path / "gone").load(1)


def test_the_command_goes_on_where_it_was_and_writes_both_tables(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "models.yaml").write_text(LIST)
    (tmp_path / "scores.csv").write_text(TABLE)
    runs = tmp_path / "runs"
    command = ["replay", "--models", str(tmp_path / "models.yaml"), "--benchmark", "planted-language"]
    command += ["--record", str(runs)]
    asked = len(server.asked)
    assert main([*command, "--dry-run"]) == 1
    said = capsys.readouterr().out
    assert said.count("1 checkpoints would be scored") == 3
    assert "tiny/gone: " in said
    assert not any("safetensors" in path for _, path, _, _ in server.asked[asked:]), "nothing is downloaded"
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "2 of 4 models have scores" in said
    assert "tiny/gone: " in said
    assert "the text is longer than the model's context" in said, "its positions are too few"
    table = pd.read_csv(runs / "models.csv")
    assert list(table.model) == ["tiny/gpt", "neox at v1", "neox at main", "tiny/gone"]
    counted = sum(p.numel() for p in tiny_neox().parameters())
    assert table.parameters.fillna(0).tolist() == [0, counted, 5, 0]
    assert list(table.accuracy) == [0.5, 0.25, 0.75, 0.1]
    assert len(pd.read_csv(runs / "scores.csv")) > 30
    assert not list((tmp_path / "cache").rglob("*.safetensors")), "downloads are deleted"
    before = len(server.asked)
    assert before > asked
    assert main(command) == 1
    fetched = [path for _, path, _, _ in server.asked[before:] if "safetensors" in path]
    assert fetched
    assert all("tiny/gpt" in path for path in fetched), "what is known is not fetched again, what failed is"


def test_a_source_or_a_list_not_both(capsys):
    for given in ([], ["tiny", "--models", "list.yaml"]):
        assert main(["replay", *given, "--benchmark", "planted-language"]) == 2
        assert "say what to replay: a folder, file pattern, manifest or hub repository, or --models" in (
            capsys.readouterr().err
        )
