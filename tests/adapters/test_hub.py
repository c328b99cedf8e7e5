"""The official hub client against a hub-shaped server on the loopback, which fails now and then."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load as safetensors_load
from safetensors.torch import save_file
from tests.helpers.hub_server import online, serving
from tests.helpers.models import fast_tokenizer, saved, tiny_neox
from tests.helpers.orders import orders
from transformers import GPTNeoXForCausalLM

from ontogeny.errors import CheckpointError, ConfigError, DownloadError, WeightsError
from ontogeny.replay import check_vocabulary, hub, plan, repositories
from ontogeny.replay._prefetch import prefetched
from ontogeny.replay.sources import hub_client

REPO = "tiny/neox"
STEPS = (0, 1, 1000, 2000)


@pytest.fixture(scope="module")
def revisions(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """Real revisions of a tiny GPT-NeoX: config, tokenizer, safetensors."""
    root = tmp_path_factory.mktemp("neox")
    tokenizer = fast_tokenizer()
    made = {
        f"step{s}": saved(tiny_neox(seed=s, dtype=torch.float16), root / str(s), tokenizer=tokenizer) for s in STEPS
    }
    return {**made, "main": made["step2000"]}


@pytest.fixture
def server(revisions, monkeypatch, tmp_path):
    """The server, and the client online: the tests' environment keeps it off the network."""
    with serving({REPO: dict(revisions)}) as running:
        online(monkeypatch, running, tmp_path / "theirs")
        monkeypatch.setattr(hub_client, "WAIT", 0.01)
        yield running


def paths(server) -> list[str]:
    """What was asked, but for what the client asks on its own account."""
    return [path for _, path, _, _ in server.asked if path.startswith("/api/models/") or "/resolve/" in path]


def same(model, content: bytes) -> bool:
    """Bit for bit; transformers 5.23 calls GPT-NeoX's last layer lm_head, and embed_out in files."""
    loaded = {name.replace("lm_head.", "embed_out."): value for name, value in model.state_dict().items()}
    served = safetensors_load(content)
    assert served
    assert set(served) <= set(loaded)
    return all(torch.equal(loaded[name], value) and loaded[name].dtype == value.dtype for name, value in served.items())


def test_revisions_become_steps_and_their_weights_are_those_served_bit_for_bit(server, revisions, tmp_path):
    series = hub(REPO, tokens_per_step=2_097_152, cache_dir=tmp_path / "ours")
    assert series.steps == STEPS
    assert series.tokens == (0, 2_097_152, 2_097_152_000, 4_194_304_000)
    assert series.problems == ()
    assert series.where(1000) == "tiny/neox@step1000"
    assert paths(server) == ["/api/models/tiny/neox/refs"]
    for step in STEPS:
        model = series.load(step)
        assert not model.training
        assert type(model).__name__ == "GPTNeoXForCausalLM"
        assert same(model, revisions[f"step{step}"]["model.safetensors"])


def test_size_fetch_and_forget(server, revisions, tmp_path):
    series = hub(REPO, cache_dir=tmp_path / "ours")
    wanted = sum(map(len, revisions["step1"].values()))
    assert series.size(1) == wanted
    series.fetch(1)
    assert series.size(1) == 0
    asked = len(server.asked)
    series.fetch(1)
    series.load(1)
    assert len(server.asked) == asked, "the second time nothing is asked"
    folder = tmp_path / "ours" / "tiny--neox" / server.commit(REPO, "step1")
    assert folder.is_dir()
    series.forget(1)
    assert not folder.exists()
    series.forget(1)
    assert series.size(1) == wanted


def test_steps_that_are_known_are_not_listed_and_a_missing_revision_is_said_when_it_is_needed(server, tmp_path):
    series = hub(REPO, steps=[1, 0, 16], cache_dir=tmp_path / "ours")
    assert series.steps == (0, 1, 16)
    assert paths(server) == []
    series.load(0)
    with pytest.raises(DownloadError, match=r"tiny/neox has no revision 'step16'\. Did you mean 'step1'"):
        series.fetch(16)
    with pytest.raises(CheckpointError, match="tiny/neox has no checkpoint at step 7; the nearest are 0 and 1"):
        series.load(7)


def test_names_that_say_no_step_and_two_that_say_the_same_are_named(server, revisions, tmp_path):
    server.repositories[REPO] |= {"wip": revisions["step0"], "step0001": revisions["step0"]}
    series = hub(REPO, cache_dir=tmp_path / "ours")
    assert series.steps == STEPS
    told = {problem.what: (problem.kind, problem.reason) for problem in series.problems}
    assert told["wip"][0] == "unread"
    assert told["step1"] == ("twice", "duplicate of step 1; step0001 is used")
    assert "main" not in told


@pytest.mark.parametrize(
    "faults",
    [
        [("refs", "429"), ("refs", "500")],
        [("GET .*/tree/", "500"), ("GET .*/tree/", "503")],
        [("GET .*/tree/", "well"), ("GET .*/tree/", "500")],
        [("HEAD .*model.safetensors", "500"), ("HEAD .*model.safetensors", "429")],
        [("GET .*model.safetensors", "500"), ("GET .*config.json", "502")],
        [("GET .*model.safetensors", "429")],
        [("GET .*model.safetensors", "cut"), ("GET .*tokenizer.json", "cut")],
        [("GET .*model.safetensors", "reset")],
        [("GET .*model.safetensors", "corrupt")],
        [("GET .*config.json", "corrupt")],
        [("GET .*model.safetensors", "short")],
    ],
    ids=lambda faults: "+".join(act for _, act in faults),
)
def test_what_fails_now_and_then_is_tried_again_and_loads_the_right_weights(server, revisions, tmp_path, faults):
    server.faults[:] = faults
    series = hub(REPO, cache_dir=tmp_path / "ours")
    assert same(series.load(1000), revisions["step1000"]["model.safetensors"])
    assert server.faults == [], "every failure happened"


def test_a_body_that_was_cut_off_is_resumed_not_begun_again(server, revisions, tmp_path, monkeypatch):
    """The client writes pieces of 10 MB and resumes from the last whole one; here they are 1 kB."""
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    half = len(revisions["step1"]["model.safetensors"]) // 2
    server.faults[:] = [("GET .*model.safetensors", "cut")]
    hub(REPO, cache_dir=tmp_path / "ours").fetch(1)
    assert server.bodies("model.safetensors") == [(None, 200), (f"bytes={half // 1024 * 1024}-", 206)]


def test_an_interrupted_fetch_goes_on_with_the_files_that_are_missing(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_client, "ATTEMPTS", 1)
    server.faults[:] = [("GET .*model.safetensors", "500")]
    series = hub(REPO, cache_dir=tmp_path / "ours")
    with pytest.raises(DownloadError, match=r"could not be reached \(HfHubHTTPError.*500"):
        series.fetch(1)
    before = len(server.bodies("tokenizer.json"))
    assert series.size(1) > 0
    series.fetch(1)
    assert len(server.bodies("tokenizer.json")) == before
    assert series.size(1) == 0


def test_a_folder_that_is_there_is_not_taken_for_whole_when_a_listing_fails(server, revisions, tmp_path, monkeypatch):
    """The client (2.4) returns such a folder as if it were the snapshot, after six attempts."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    folder = tmp_path / "ours" / "tiny--neox" / server.commit(REPO, "step1")
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    server.faults[:] = [("GET .*/tree/", "well"), *[("GET .*/tree/", "500")] * 6]
    assert same(hub(REPO, cache_dir=tmp_path / "ours").load(1), revisions["step1"]["model.safetensors"])
    assert (folder / "config.json").read_bytes() == revisions["step1"]["config.json"]
    assert server.faults == []


def test_what_came_is_held_against_what_was_announced(tmp_path):
    about = hub_client.Remote(name="a", size=3, sha256=None, git="f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f")
    assert hub_client.check(tmp_path / "a", about) == "is missing"
    (tmp_path / "a").write_bytes(b"abcd")
    assert hub_client.check(tmp_path / "a", about) == "has 4 bytes, announced were 3"
    (tmp_path / "a").write_bytes(b"abd")
    assert "has hash" in hub_client.check(tmp_path / "a", about)
    (tmp_path / "a").write_bytes(b"abc")
    assert hub_client.check(tmp_path / "a", about) is None, "git hash-object says so"


def test_a_wrong_hash_twice_is_an_error_that_names_the_file_which_is_removed(server, tmp_path):
    server.faults[:] = [("GET .*model.safetensors", "corrupt")] * 2
    series = hub(REPO, cache_dir=tmp_path / "ours")
    said = r"tiny/neox@\w{12}: model.safetensors has hash \w{16}\.\.\., announced was \w{16}\.\.\.\. It was removed"
    with pytest.raises(DownloadError, match=said):
        series.load(1)
    assert not list((tmp_path / "ours").rglob("model.safetensors"))
    series.load(1)


def test_a_hub_that_stays_away_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_client, "ATTEMPTS", 3)
    server.faults[:] = [("refs", "500")] * 3
    with pytest.raises(DownloadError, match=r"tiny/neox: the hub could not be reached in 3 attempts"):
        hub(REPO, cache_dir=tmp_path / "ours")
    assert len(server.asked) == 3


def test_it_waits_as_long_as_the_server_asks_and_longer_each_time(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(hub_client.time, "sleep", waits.append)
    monkeypatch.setattr(hub_client, "WAIT", 1.0)
    server.faults[:] = [("refs", "429"), ("refs", "500"), ("refs", "503")]
    hub(REPO, cache_dir=tmp_path / "ours")
    assert waits == [1.0, 2.0, 4.0]


def test_what_another_attempt_cannot_mend_is_said_at_once(server, tmp_path):
    with pytest.raises(DownloadError, match="tiny/other: there is no such repository, or it is private"):
        hub("tiny/other", cache_dir=tmp_path / "ours")
    server.faults[:] = [("refs", "403")]
    with pytest.raises(DownloadError, match="tiny/neox: HfHubHTTPError.*403"):
        hub(REPO, cache_dir=tmp_path / "ours")
    server.faults[:] = [("refs", "gated")]
    with pytest.raises(DownloadError, match="tiny/neox: is gated: ask for access on its page and log in"):
        hub(REPO, cache_dir=tmp_path / "ours")
    assert len([path for path in paths(server) if path.endswith("refs")]) == 3
    with pytest.raises(CheckpointError, match=r"'\.\./neox' is not the name of a repository"):
        hub("../neox", cache_dir=tmp_path / "ours")
    with pytest.raises(DownloadError, match=r"tiny/neox has no revision like ckpt_\{count\}. Choices: 'step0'"):
        hub(REPO, revisions="ckpt_{count}", cache_dir=tmp_path / "ours")
    with pytest.raises(ConfigError, match="there is no option 'dtyp'. Did you mean 'dtype'"):
        hub(REPO, dtyp="float32", cache_dir=tmp_path / "ours")


def test_a_revision_that_is_not_there_and_a_folder_that_cannot_be_written_to(server, tmp_path):
    with pytest.raises(DownloadError, match="tiny/neox@step9: there is no such revision"):
        hub_client.head(REPO, "step9")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DownloadError, match=r"cannot write .*file/tiny--neox/revisions.json: .*choose a folder with space"
    ):
        hub(REPO, cache_dir=tmp_path / "file")
    series = hub(REPO, cache_dir=tmp_path / "ours")
    (tmp_path / "ours" / "tiny--neox" / server.commit(REPO, "step1")).write_text("a file where a folder should be")
    with pytest.raises(DownloadError, match=r"tiny/neox@\w{12}: \w+Error: "):
        series.fetch(1)


def test_a_commit_that_is_no_hash_never_becomes_a_path(server, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "commit", lambda repo, revision: "../../../etc")
    with pytest.raises(DownloadError, match=r"the hub named the commit '\.\./\.\./\.\./etc', expected 40 hex digits"):
        hub(REPO, cache_dir=tmp_path / "ours")


def test_an_index_that_names_a_file_elsewhere_is_refused(server, revisions, tmp_path):
    index = json.dumps({"metadata": {}, "weight_map": {"a": "../../../model-00001-of-00001.safetensors"}}).encode()
    files = {n: c for n, c in revisions["step0"].items() if n != "model.safetensors"}
    server.repositories[REPO]["step5"] = {**files, "model.safetensors.index.json": index}
    with pytest.raises(WeightsError, match=r"index.json names '\.\./\.\./.*', which is no file beside it"):
        hub(REPO, cache_dir=tmp_path / "ours").load(5)


def test_shards_and_bin_files_load_and_safetensors_come_first(server, revisions, tmp_path):
    model = tiny_neox(seed=7)
    sharded = saved(model, tmp_path / "sharded", max_shard_size="5KB")
    assert sum(name.endswith(".safetensors") for name in sharded) > 1
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    only_bin = {
        "config.json": sharded["config.json"],
        "pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes(),
    }
    both = {**only_bin, **sharded}
    server.repositories[REPO] = {"step1": sharded, "step2": only_bin, "step3": both}
    series = hub(REPO, cache_dir=tmp_path / "ours")
    for step in (1, 2, 3):
        loaded = series.load(step).state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    assert len(server.bodies("pytorch_model.bin")) == 1


def test_a_bin_file_with_code_in_it_is_not_run(server, revisions, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "owned", "x"))

    torch.save({"a": Evil()}, tmp_path / "pytorch_model.bin")
    files = {"config.json": revisions["step0"]["config.json"]}
    server.repositories[REPO]["step6"] = {**files, "pytorch_model.bin": (tmp_path / "pytorch_model.bin").read_bytes()}
    with pytest.raises(WeightsError, match="tiny/neox@step6 cannot be loaded by GPTNeoXForCausalLM"):
        hub(REPO, cache_dir=tmp_path / "ours").load(6)
    assert not (tmp_path / "owned").exists()


def test_a_revision_without_weights_says_what_it_has(server, revisions, tmp_path):
    server.repositories[REPO]["step4"] = {"config.json": revisions["step0"]["config.json"], "flax_model.msgpack": b"x"}
    with pytest.raises(DownloadError, match=r"step4 has no weights that can be read safely .*it has config.json, flax"):
        hub(REPO, cache_dir=tmp_path / "ours").fetch(4)


def test_a_class_that_is_not_of_transformers_needs_trust(server, revisions, tmp_path):
    config = json.loads(revisions["step0"]["config.json"]) | {"architectures": ["OwnForCausalLM"]}
    server.repositories[REPO]["step4"] = {**revisions["step0"], "config.json": json.dumps(config).encode()}
    with pytest.raises(
        WeightsError, match=r"names the class OwnForCausalLM, which this transformers .*trust_remote_code"
    ):
        hub(REPO, cache_dir=tmp_path / "ours").load(4)


OWN = """
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM
class OwnForCausalLM(GPTNeoXForCausalLM):
    config_class = GPTNeoXConfig
    ran = True
"""


def test_code_of_a_repository_is_run_only_when_it_is_trusted(server, revisions, tmp_path, monkeypatch):
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    config = json.loads(revisions["step0"]["config.json"])
    config |= {"architectures": ["OwnForCausalLM"], "auto_map": {"AutoModelForCausalLM": "own.OwnForCausalLM"}}
    model = tiny_neox(seed=4)
    save_file(model.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    server.repositories[REPO]["step4"] = {
        "config.json": json.dumps(config | {"dtype": "float32"}).encode(),
        "model.safetensors": (tmp_path / "model.safetensors").read_bytes(),
        "own.py": OWN.encode(),
    }
    with pytest.raises(WeightsError, match="names the class OwnForCausalLM"):
        hub(REPO, cache_dir=tmp_path / "ours").load(4)
    assert server.bodies("own.py") == []
    trusting = hub(REPO, cache_dir=tmp_path / "trusting", trust_remote_code=True)
    own = trusting.load(4)
    assert type(own).__name__ == "OwnForCausalLM"
    assert own.ran
    assert all(torch.equal(own.state_dict()[name], value) for name, value in model.state_dict().items())


def test_a_class_can_be_given_and_a_map_of_devices(server, revisions, tmp_path):
    for model in (GPTNeoXForCausalLM, "transformers:GPTNeoXForCausalLM"):
        series = hub(REPO, cache_dir=tmp_path / "ours", model=model, device_map="auto")
        assert same(series.load(0), revisions["step0"]["model.safetensors"])


def test_model_dtype_and_tokenizer_can_be_chosen(server, revisions, tmp_path):
    series = hub(REPO, cache_dir=tmp_path / "ours", model="AutoModelForCausalLM", dtype="float32")
    model = series.load(0)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert series.tokenizer(0)("dog tree")["input_ids"] == [1, 3]
    check_vocabulary(series.tokenizer(0), model, "x")
    with pytest.raises(
        WeightsError, match="x: the tokenizer has 41 tokens, the model's embedding 16 rows; it is another"
    ):
        check_vocabulary(fast_tokenizer([f"w{i}" for i in range(40)]), model, "x")
    with pytest.raises(ConfigError, match="transformers has no 'AutoModelForCausalM'. Did you mean"):
        hub(REPO, cache_dir=tmp_path / "ours", model="AutoModelForCausalM").load(0)
    with pytest.raises(ConfigError, match="dtype 'float33' is not one of torch's. Did you mean 'float32'"):
        hub(REPO, cache_dir=tmp_path / "ours", dtype="float33").load(0)
    with pytest.raises(
        WeightsError,
        match=r"does not fit GPTNeoXModel \(its config.json names GPTNeoXForCausalLM\): unexpected 1: embed_out.weight",
    ):
        hub(REPO, cache_dir=tmp_path / "ours", model="GPTNeoXModel").load(0)


def test_weights_that_are_not_finite_are_named(server, revisions, tmp_path):
    model = tiny_neox(seed=3)
    with torch.no_grad():
        model.gpt_neox.layers[1].mlp.dense_h_to_4h.weight[2, 3] = float("nan")
    server.repositories[REPO]["step4"] = saved(model, tmp_path / "nan")
    with pytest.raises(
        WeightsError, match=r"step4: 1 weights are NaN or infinite: gpt_neox.layers.1.mlp.dense_h_to_4h"
    ):
        hub(REPO, cache_dir=tmp_path / "ours").load(4)


def test_what_is_whole_in_the_users_own_cache_is_used_and_never_deleted(server, revisions, tmp_path, monkeypatch):
    theirs = Path(huggingface_hub.snapshot_download(REPO, revision="step1000", cache_dir=tmp_path / "theirs"))
    blobs = len(server.bodies("model.safetensors"))
    series = hub(REPO, cache_dir=tmp_path / "ours")
    assert series.size(1000) == 0
    assert same(series.load(1000), revisions["step1000"]["model.safetensors"])
    series.forget(1000)
    assert (theirs / "model.safetensors").is_file()
    assert len(server.bodies("model.safetensors")) == blobs
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    alone = hub(REPO, cache_dir=tmp_path / "elsewhere")
    assert alone.steps == (1000,)
    assert same(alone.load(1000), revisions["step1000"]["model.safetensors"])
    blob = (theirs / "model.safetensors").resolve()
    blob.write_bytes(bytes(b ^ (i == 500) for i, b in enumerate(blob.read_bytes())))
    with pytest.raises(
        DownloadError, match="model.safetensors does not have the hash that it was downloaded by; delete"
    ):
        hub(REPO, cache_dir=tmp_path / "elsewhere").load(1000)
    assert blob.is_file()


def test_offline_what_was_downloaded_is_there_and_the_rest_is_named(server, revisions, tmp_path, monkeypatch):
    hub(REPO, cache_dir=tmp_path / "ours").fetch(1)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    asked = len(server.asked)
    series = hub(REPO, cache_dir=tmp_path / "ours")
    assert series.steps == (1,)
    assert [(p.kind, p.what) for p in series.problems] == [("missing", f"tiny/neox@step{s}") for s in (0, 1000, 2000)]
    assert same(series.load(1), revisions["step1"]["model.safetensors"])
    known = hub(REPO, steps=STEPS, cache_dir=tmp_path / "ours")
    assert known.size(0) is None
    with pytest.raises(DownloadError, match="tiny/neox@step0 is not on this machine, and HF_HUB_OFFLINE keeps"):
        known.load(0)
    with pytest.raises(DownloadError, match="tiny/neox is not on this machine, and HF_HUB_OFFLINE keeps"):
        hub(REPO, cache_dir=tmp_path / "nowhere")
    planned = plan(hub(REPO, steps=STEPS, cache_dir=tmp_path / "nowhere"), None, ["a"])
    assert (planned.steps, planned.bytes) == (STEPS, None)
    assert "HF_HUB_OFFLINE keeps off the network" in planned.unsized
    assert len(server.asked) == asked


def test_a_branch_that_moves_after_it_was_listed_does_not_change_the_weights(server, revisions, tmp_path):
    series = hub(REPO, cache_dir=tmp_path / "ours")
    kept = dict(server.repositories[REPO])
    server.repositories[REPO]["old"] = kept["step0"]
    before = server.commit
    moved = before(REPO, "step0")
    server.commit = lambda repo, revision: moved if revision == "old" else before(repo, revision)
    server.repositories[REPO]["step0"] = revisions["step2000"]
    assert same(series.load(0), revisions["step0"]["model.safetensors"])


def test_one_repository_a_step(server, revisions, tmp_path):
    for thousands in (0, 20, 40):
        server.repositories[f"google/tiny-step_{thousands}k"] = {"main": revisions[f"step{STEPS[thousands // 20]}"]}
    series = repositories(
        "google/tiny-step_{step:k}",
        steps=[0, 20_000, 40_000, 60_000],
        tokens_per_step=131_072,
        cache_dir=tmp_path / "ours",
    )
    assert paths(server) == []
    assert series.steps == (0, 20_000, 40_000, 60_000)
    assert series.tokens_at(20_000) == 20_000 * 131_072
    assert series.where(20_000) == "google/tiny-step_20k@main"
    assert same(series.load(20_000), revisions["step1"]["model.safetensors"])
    with pytest.raises(DownloadError, match="google/tiny-step_60k@main: there is no such repository"):
        series.load(60_000)


def test_a_series_goes_to_another_process_by_pickle_with_the_commits_that_it_knows(server, revisions, tmp_path):
    server.repositories["google/tiny-step_20k"] = {"main": revisions["step1"]}
    listed = hub(REPO, cache_dir=tmp_path / "ours")
    single = repositories("google/tiny-step_{step:k}", steps=[20_000], cache_dir=tmp_path / "ours")
    single.fetch(20_000)
    asked = len(server.asked)
    known, named = pickle.loads(pickle.dumps((listed, single)))  # noqa: S301 - our own
    assert named.size(20_000) == 0
    assert same(named.load(20_000), revisions["step1"]["model.safetensors"])
    assert len(server.asked) == asked, "it was fetched before"
    assert (known.steps, known.name, known.where(1)) == (STEPS, REPO, "tiny/neox@step1")
    assert same(known.load(1000), revisions["step1000"]["model.safetensors"])
    assert len(known.tokenizer(1000)) == len(listed.tokenizer(1000))
    assert paths(server).count("/api/models/tiny/neox/refs") == 1, "the listing went along"


def folders(root: Path) -> int:
    return sum(path.is_dir() for path in root.glob("tiny--neox/*")) if root.exists() else 0


def test_the_next_step_is_downloaded_while_this_one_is_used_and_at_most_two_are_on_disk(server, revisions, tmp_path):
    ours = tmp_path / "ours"
    series = hub(REPO, steps=[0, 1, 16, 1000, 2000], cache_dir=ours)
    errors, seen = {}, []
    for order, error in prefetched(orders(series)):
        seen.append(order[1].step)
        if error is not None:
            errors[order[1].step] = str(error)
            continue
        assert same(series.load(order[1].step), revisions[f"step{order[1].step}"]["model.safetensors"])
        following = {0: 1, 1000: 2000}.get(order[1].step)
        deadline = time.monotonic() + 20
        while following is not None and series.size(following) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert following is None or series.size(following) == 0, "it was fetched ahead"
        assert folders(ours) <= 2
    assert seen == [0, 1, 16, 1000, 2000]
    assert list(errors) == [16]
    assert "no revision 'step16'" in errors[16]
    assert folders(ours) == 0


def test_keep_leaves_what_was_downloaded(server, tmp_path):
    series = hub(REPO, cache_dir=tmp_path / "ours")
    assert [o[1].step for o, _ in prefetched(orders(series, [0, 1], keep=True))] == [0, 1]
    assert folders(tmp_path / "ours") == 2


def test_stopping_early_leaves_nothing_behind(server, tmp_path):
    series = hub(REPO, cache_dir=tmp_path / "ours")
    with closing(prefetched(orders(series))) as arrivals:
        next(arrivals)
        server.hold = threading.Event()
        threading.Timer(0.3, server.hold.set).start()
    deadline = time.monotonic() + 20
    while (folders(tmp_path / "ours") or _fetching()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert folders(tmp_path / "ours") == 0
    assert not _fetching()


def _fetching() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("ontogeny fetch")]


def test_in_a_process_of_its_own_only_the_environment_says_where_the_hub_is(server, revisions, tmp_path):
    """As users run it: HF_ENDPOINT and nothing patched; a failure of each kind on the way."""
    server.faults[:] = [("refs", "429"), ("GET .*model.safetensors", "cut"), ("GET .*config.json", "500")]
    code = (
        "from ontogeny.replay import hub; from ontogeny.extraction.weights import weights_hash\n"
        f"s = hub({REPO!r}, cache_dir={str(tmp_path / 'ours')!r})\n"
        "print(s.steps, weights_hash(s.load(1000)))"
    )
    environment = os.environ | {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    from ontogeny.extraction.weights import weights_hash

    assert done.stdout.split("\n")[-2] == f"{STEPS} {weights_hash(tiny_neox(seed=1000, dtype=torch.float16))}"
    assert server.faults == []
