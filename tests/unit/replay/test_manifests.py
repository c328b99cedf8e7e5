"""Every manifest of checkpoints/, and manifests that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.models import TinyCNN

from ontogeny.errors import ConfigError
from ontogeny.replay import find_manifest, load_manifest, read_manifest
from ontogeny.replay.sources import hub_client

FOLDER = Path(__file__).resolve().parents[3] / "checkpoints"
PYTHIA = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *range(1000, 143_001, 1000))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing may be asked before a checkpoint is needed."""

    def asked(*_, **__):
        raise AssertionError("the hub was asked")

    for name in ("commits", "head", "files", "download"):
        monkeypatch.setattr(hub_client, name, asked)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_manifest_is_whole(path):
    manifest = read_manifest(path)
    assert manifest.about
    assert manifest.citation
    assert manifest.notes
    assert manifest.documents or manifest.folder, "made here, or written about elsewhere"
    assert all(address.startswith("https://") for address in manifest.documents)
    for name in manifest.series:
        assert find_manifest(name, folder=FOLDER)[0] == manifest
        if manifest.steps:
            series = load_manifest(name, folder=FOLDER)
            assert series.steps == manifest.steps
            assert series.name == name
            assert all(count is not None for count in series.tokens)
            assert len({series.where(step) for step in series.steps}) == len(series)


def test_no_two_manifests_have_a_series_of_the_same_name():
    names = [name for path in FOLDER.glob("*.yaml") for name in read_manifest(path).series]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "step", "where", "tokens"),
    [
        ("pythia-70m-deduped", 3000, "EleutherAI/pythia-70m-deduped@step3000", 6_291_456_000),
        ("pythia-12b", 143_000, "EleutherAI/pythia-12b@step143000", 299_892_736_000),
        ("pythia-160m-seed3", 512, "EleutherAI/pythia-160m-seed3@step512", 1_073_741_824),
        ("multiberts-seed4", 20_000, "google/multiberts-seed_4-step_20k@main", 2_621_440_000),
        ("multiberts-seed0", 2_000_000, "google/multiberts-seed_0-step_2000k@main", 262_144_000_000),
    ],
)
def test_addresses_and_tokens(name, step, where, tokens):
    series = load_manifest(name, folder=FOLDER)
    assert series.where(step) == where
    assert series.tokens_at(step) == tokens


def test_pythia_has_154_checkpoints_and_ten_plus_eight_sizes():
    assert read_manifest(FOLDER / "pythia.yaml").steps == PYTHIA
    assert len(PYTHIA) == 154
    assert len(read_manifest(FOLDER / "pythia.yaml").series) == 10
    assert len(read_manifest(FOLDER / "pythia-deduped.yaml").series) == 8
    assert len(read_manifest(FOLDER / "polypythias.yaml").series) == 45
    assert len(read_manifest(FOLDER / "multiberts.yaml").steps) == 29


@pytest.mark.parametrize(
    ("name", "revisions", "steps", "tokens"),
    [
        ("olmo2-1b", ["main", "stage1-step300-tokens1B", "stage1-step23100-tokens49B"], (300, 23_100), 48_444_211_200),
        ("olmo2-7b", ["stage1-step1000-tokens5B", "stage1-step928000-tokens3893B"], (1000, 928_000), 3_892_314_112_000),
        ("smollm3-3b", ["stage1-step-40000", "stage2-step-4200000"], (40_000, 4_200_000), 9_909_043_200_000),
        ("crfm-alias-gpt2-small-x21", ["checkpoint-10", "checkpoint-400000"], (10, 400_000), 209_715_200_000),
        ("amber-7b", ["main", "ckpt_000", "ckpt_358"], (762, 762 * 359), 359 * 3_495_886_848),
        ("smollm2-1.7B", ["step-125000", "step-250000"], (125_000, 250_000), None),
    ],
)
def test_irregular_series_are_listed_when_they_are_loaded(monkeypatch, tmp_path, name, revisions, steps, tokens):
    listed = {revision: f"{i:040x}" for i, revision in enumerate(revisions)}
    monkeypatch.setattr(hub_client, "commits", lambda repo: listed)
    monkeypatch.setattr(hub_client, "offline", lambda: False)
    series = load_manifest(name, folder=FOLDER, cache_dir=tmp_path)
    assert series.steps == steps
    assert series.tokens_at(steps[-1]) == tokens
    assert series.problems == ()


def test_files_that_the_user_got(tmp_path):
    torch.manual_seed(0)
    state = TinyCNN().state_dict()
    torch.save({"state": {"model": state}}, tmp_path / "ep20.pt")
    series = load_manifest("scaling-primate-vvs", folder=FOLDER, files_in=tmp_path, model=TinyCNN)
    assert series.steps == (20,)
    assert torch.equal(series.load(20).head.weight, state["head.weight"])
    with pytest.raises(
        ConfigError, match=r"scaling-primate-vvs is a series of files ep\{count\}.pt: get them .*files_in="
    ):
        load_manifest("scaling-primate-vvs", folder=FOLDER)


def test_a_name_is_found_from_any_folder_and_a_wrong_one_is_suggested(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert find_manifest("pythia-1b")[1] == {"size": "1b"}
    assert load_manifest("tiny").steps[-1] == 1024
    with pytest.raises(
        ConfigError, match=r"there is no series 'pythia-70m-dedupd' .*Did you mean 'pythia-70m-deduped'"
    ):
        find_manifest("pythia-70m-dedupd")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"there are no manifests \(\*.yaml\) in .*empty; say where they are"):
        find_manifest("pythia-1b", folder=tmp_path / "empty")


def test_manifests_of_ones_own_lie_beside_and_do_not_stand_in_the_way(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine.yaml").write_text(GOOD)
    assert find_manifest("a-1b")[1] == {"size": "1b"}
    (tmp_path / "checkpoints" / "hparams.yaml").write_text("lr: 0.1\n")
    assert find_manifest("tiny")[0].name == "tiny", "what lies there for another purpose is not read"
    with pytest.raises(ConfigError, match="hparams.yaml: there is no key 'lr'"):
        find_manifest("a-1b")


def test_a_manifest_by_its_path():
    assert find_manifest(str(FOLDER / "amber.yaml"))[0].name == "amber-7b"
    with pytest.raises(ConfigError, match="pythia-deduped.yaml has 8 series; name one of pythia-70m-deduped, "):
        find_manifest(str(FOLDER / "pythia-deduped.yaml"))


GOOD = """name: a-{size}
source: hub
repository: o/a-{size}
members: {size: [1b]}
steps: [0, {from: 10, to: 30, by: 10}]
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("steps:", "stps:"), "there is no key 'stps'. Did you mean 'steps'"),
        (("source: hub", "source: hbu"), "source is one of hub, repositories, files, got 'hbu'"),
        (("source: hub\n", ""), "source is needed, as a text"),
        (("name: a-{size}", "name: 3"), "name should be of type str, got 3"),
        (("repository: o/a-{size}\n", ""), "a manifest with source 'hub' needs repository"),
        (("o/a-{size}", "o/a-{siez}"), "'o/a-{siez}' has a place that no member fills. Choices: 'size'"),
        (("[1b]", "[]"), "members holds, for each place in the names, a list of what can stand there"),
        (("by: 10", "step: 10"), "steps holds numbers and ranges {from: , to: , by: }, got {'from': 10"),
        (("[0,", "[zero,"), "steps holds numbers and ranges {from: , to: , by: }, got 'zero'"),
        (("steps:", "tokens_per_step: 2M\nsteps:"), "tokens_per_step should be of type int, got '2M'"),
        (("steps:", "notes: 3\nsteps:"), "notes is a text or a list of texts, got 3"),
        (("steps:", "revisions: step\nsteps:"), "has to have {step} or {count} in it, once"),
        (("name:", "- name:"), "cannot be read as YAML"),
        ((GOOD, "- a"), "expected keys and values, got list"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(tmp_path, change, said):
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    assert read_manifest(path).steps == (0, 10, 20, 30)
    path.write_text(GOOD.replace(*change))
    with pytest.raises(Exception, match=r".") as error:
        read_manifest(path)
    assert said in str(error.value)
    assert type(error.value).__name__ in ("ConfigError", "CheckpointError")


def test_repositories_need_steps(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nsource: repositories\nrepository: o/a-{step:k}\n")
    with pytest.raises(ConfigError, match="a manifest with source 'repositories' needs steps"):
        read_manifest(path)
    with pytest.raises(ConfigError, match="no.yaml cannot be read as YAML"):
        read_manifest(tmp_path / "no.yaml")
