"""The demo: what it says, what it leaves, and that the planted answers come out."""

from __future__ import annotations

import numpy as np
import pytest

from ontogeny import Record, load
from ontogeny.cli import main
from ontogeny.cli.demo_training import real_or_planted, run_demo
from ontogeny.cli.demo_training.train_language import chunks, small_gpt, train_language, train_tokenizer
from ontogeny.cli.demo_training.train_vision import pixels, train_vision
from ontogeny.errors import ConfigError, DatasetNotFoundError


def missing() -> None:
    raise DatasetNotFoundError("it is not here; run `ontogeny data get it`")


def test_real_data_where_found_else_a_world_and_a_word():
    said: list[str] = []
    assert real_or_planted("auto", lambda: "here", said.append)
    assert said == []
    assert not real_or_planted("auto", missing, said.append)
    assert said == [
        "No real data, so an embedded SIMULATED world stands in: it is not here; run `ontogeny data get it`"
    ]
    assert not real_or_planted("planted", lambda: "here", said.append)
    with pytest.raises(DatasetNotFoundError, match="data get it"):
        real_or_planted("real", missing, said.append)
    with pytest.raises(ConfigError, match="data is 'auto', 'real' or 'planted', got 'fake'"):
        real_or_planted("fake", lambda: "here", said.append)


@pytest.mark.slow
def test_the_command_leaves_two_records_and_a_page(tmp_path, capsys):
    command = ["demo", "--data", "planted", "--vision-steps", "3", "--language-steps", "3", "--out", str(tmp_path)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "1/2  a small CNN under a Lightning Trainer, SIMULATED data (embedded world), 3 steps" in said
    done, _, language, vision = said.splitlines()[-4:]
    assert done.startswith("Done in ")
    assert str(tmp_path / "report.html") in done
    assert language.startswith("planted-language: Not")
    assert vision.startswith("planted-vision: Not")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<span class="chip simulated">SIMULATED</span>' in text
    assert "benchmarks planted-language, planted-vision" in text
    for name, metrics in (("vision", {"rsa-correlation-spearman", "cka-linear-debiased"}), ("language", {"ridge-gcv"})):
        record = Record(tmp_path / name)
        assert {s.step for s in record.events(kind="probe")} == {0, 1, 2, 3}
        assert {s.metric for s in record.select(kind="alignment")} == metrics
        assert {s.metric for s in record.select(kind="task")} == {"loss", "accuracy"}
        assert {s.layer for s in record.select(kind="control")} == {"random features", "permuted stimuli"}
        assert record.select(kind="baseline")
    language = Record(tmp_path / "language")
    assert {s.pooling for s in language.select(kind="alignment")} == {"last", "mean"}
    surprisal = language.select(kind="alignment", layer="surprisal")
    assert {s.n_features for s in surprisal} == {1}


@pytest.mark.long
def test_the_command_replaces_its_own_records(tmp_path):
    for steps in ("3", "1"):
        command = ["demo", "--data", "planted", "--vision-steps", steps, "--language-steps", steps]
        assert main([*command, "--out", str(tmp_path)]) == 0
    assert {s.step for s in Record(tmp_path / "vision").events(kind="probe")} == {0, 1}


def test_the_command_removes_nothing_that_is_not_its_record(tmp_path, capsys):
    (tmp_path / "vision").mkdir()
    (tmp_path / "vision" / "thesis.txt").write_text("years of work")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "is not a demo's record; choose another --out" in capsys.readouterr().err
    assert (tmp_path / "vision" / "thesis.txt").exists()


@pytest.mark.long
@pytest.mark.slow
def test_a_cnn_comes_to_resemble_what_was_planted(tmp_path):
    """Contrast energy in the middle, category at the end, neither before training."""
    record = train_vision(tmp_path / "r", real=False, steps=400, progress=False).record

    def curve(layer: str, roi: str) -> np.ndarray:
        return record.series(layer=f"net.{layer}", roi=roi, metric="cka-linear-debiased").values

    for roi in ("contrast energy", "shape", "category"):
        assert max(curve(f"stage{i}", roi)[0] for i in (1, 2, 3, 4)) < 0.05
    assert curve("stage4", "category")[-1] > 0.2
    assert curve("stage1", "category")[-1] < 0.05
    assert curve("stage3", "contrast energy")[-1] > curve("stage4", "contrast energy")[-1] + 0.1
    assert curve("stage4", "category")[-1] > curve("stage3", "category")[-1] + 0.1
    accuracy = record.series(kind="task", metric="accuracy").values
    assert accuracy[0] < 0.35
    assert accuracy[-1] > 0.5
    permuted = [s.value for s in record.select(kind="control", layer="permuted stimuli")]
    assert abs(np.mean(permuted)) < 0.01


@pytest.mark.long
@pytest.mark.slow
def test_a_gpt_comes_to_know_what_was_planted(tmp_path):
    """Surface form from the start; meaning of held-out words only after training."""
    record = train_language(tmp_path / "r", real=False, steps=400, progress=False).record

    def curve(roi: str) -> np.ndarray:
        return record.series(layer="transformer.h.1", roi=roi, metric="ridge-gcv", pooling="mean").values

    assert curve("surface form")[0] > 0.4
    assert abs(curve("meaning")[0]) < 0.1
    assert curve("meaning")[-1] > 0.25
    loss = record.series(kind="task", metric="loss").values
    assert loss[-1] < 0.4 * loss[0]


def test_the_tokenizer_gives_back_what_it_read():
    tokenizer = train_tokenizer(["the girl saw the apple .", "déjà vu"], vocabulary=300)
    assert tokenizer.decode(tokenizer("the girl saw the apple .")["input_ids"]).strip() == "the girl saw the apple ."
    rows = chunks(["the girl saw the apple ."] * 50, tokenizer)
    assert rows.shape[1] == 32
    assert (rows == tokenizer.eos_token_id).any()
    assert small_gpt(len(tokenizer))(rows[:2]).logits.shape == (2, 32, len(tokenizer))


def test_pixels_takes_arrays_of_any_size():
    assert pixels(np.zeros((50, 40, 3), dtype=np.uint8)).shape == (3, 32, 32)
    assert float(pixels(np.full((32, 32, 3), 255, dtype=np.uint8)).max()) == pytest.approx(2.0)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.real
def test_the_demo_runs_on_real_data_where_they_are(tmp_path):
    try:
        load("kriegeskorte2008"), load("tuckute2024")
    except DatasetNotFoundError as error:
        pytest.skip(f"needs the real data sets: {error}")
    said: list[str] = []
    folders = run_demo(tmp_path, data="real", vision_steps=2, language_steps=2, say=said.append)
    names = [next(iter(Record(folder).header["benchmarks"])) for folder in folders]
    assert names == ["kriegeskorte2008", "tuckute2024"]
    assert all("real data" in line for line in said)
