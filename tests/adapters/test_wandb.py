"""WandbSink beside real offline runs: what is in the file that would be uploaded."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import warnings

import pytest
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.helpers.models import TinyCNN, image_data, image_loader, transform
from tests.helpers.wandb_files import config, history, metrics, run_folder, summary
from tests.unit.lag.test_across_runs import record_of
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from ontogeny import HeldOutLoss, Record, watch
from ontogeny.lag import record_shares
from ontogeny.record import Event, Score
from ontogeny.simulated.planted_leads import planted_lead
from ontogeny.sinks import Refresher, metric_keys
from ontogeny.sinks.charts import BAND, LAG
from ontogeny.sinks.tensorboard_pictures import TensorboardPictures
from ontogeny.sinks.wandb_sink import AXIS, WandbSink, newest_probes

METRICS = ("rsa-correlation-spearman", "cka-linear-debiased")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts an offline run in an empty folder, which the client forgets afterwards, as it would not by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("ONTOGENY_WANDB_CHARTS", raising=False)
    yield lambda: wandb.init(project="p", dir=tmp_path)
    wandb.teardown()


def train(benchmark, folder, *, sinks, updates=6) -> Record:
    """A plain loop over a small CNN, probed at steps 0, 2 and the last."""
    torch.manual_seed(0)
    model = TinyCNN()
    task = HeldOutLoss(batches=list(DataLoader(image_data(32, seed=5), batch_size=16)))
    monitor = watch(benchmark, record=folder, transform=transform, task=task, schedule="at:0,2", sinks=sinks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    monitor(model, 0)
    for step, (images, labels) in zip(range(1, updates + 1), image_loader(), strict=False):
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor(model, step)
    monitor.finish(model, updates)
    return monitor.record


def probes(folder) -> list[dict]:
    return [row for row in history(folder) if "task/loss" in row]


def defined(folder) -> dict[str, str]:
    return {m.name or m.glob_name: m.step_metric for m in metrics(folder)}


def test_every_probe_is_one_row_on_its_own_axis_with_the_record_s_values(image_benchmark, tmp_path, start):
    with start():
        for _ in range(9):
            wandb.run.log({"user/loss": 1.0})
        record = train(image_benchmark, tmp_path / "r", sinks=[WandbSink()])
    folder = run_folder(tmp_path)
    rows = probes(folder)
    assert [row[AXIS] for row in rows] == [0, 2, 6], "steps lower than the run's own are not lost"
    for step, row in zip((0, 2, 6), rows, strict=True):
        wanted = metric_keys(record.select(step=step))
        assert {name: row[name] for name in wanted} == pytest.approx(wanted)
        assert {n for n in row if not n.startswith("_")} == {*wanted, AXIS}
    series = record.series(layer="late", metric="rsa-correlation-spearman")
    assert [row["alignment/IT.rsa-correlation-spearman.late.spatial_mean"] for row in rows] == pytest.approx(
        series.values.tolist()
    )
    axes = defined(folder)
    assert {axes[name] for name in (*metric_keys(record.select(step=0)), "alignment/*")} == {AXIS}
    (own,) = [m for m in metrics(folder) if m.name == AXIS]
    assert own.options.hidden
    assert len(metrics(folder)) == len(axes), "each is defined once a run"
    assert "task/*" not in axes, "a user's own task/... stays on its axis"


def test_a_trainer_that_claims_every_key_does_not_get_ours(tmp_path, start):
    """Weights & Biases picks any of several patterns that match a key; W&B loggers of trainers define "*"."""
    logger = WandbLogger(project="p", save_dir=str(tmp_path), offline=True)
    run = logger.experiment
    sink = WandbSink(run)
    names = [f"alignment/roi{i}" for i in range(12)]
    logger.log_metrics({"train_loss": 1.0}, step=3)
    for name in names:
        sink.write(3, {name: 0.5})
    run.finish()
    rows = history(run_folder(tmp_path))
    ours = [row for row in rows if any(name in row for name in names)]
    assert len(ours) == 12
    assert not [row for row in ours if "trainer/global_step" in row], "it would be put in, were it the key's axis"
    assert any("trainer/global_step" in row for row in rows if "train_loss" in row)


def test_other_axes_get_the_same_step(tmp_path, start):
    with start() as run:
        WandbSink(run, also=["train/global_step"]).write(7, {"task/loss": 1.0})
    (row,) = probes(run_folder(tmp_path))
    assert (row[AXIS], row["train/global_step"]) == (7, 7)


def test_the_end_brings_table_charts_pictures_and_summary(image_benchmark, tmp_path, start):
    with start():
        record = train(image_benchmark, tmp_path / "r", sinks=[WandbSink()])
    folder = run_folder(tmp_path)
    told = summary(folder)
    table = json.loads((folder / "files" / told["alignment/scores/path"]).read_text())
    assert table["columns"][:3] == ["step", "kind", "benchmark"]
    assert len(table["data"]) == len(record.scores) == told["alignment/scores/nrows"]
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    wanted = sorted(record.rows(), key=lambda row: row["step"])
    assert [{**row, "run": record.run} for row in rows] == wanted
    panels = {key: value for key, value in config(folder).items() if key.startswith("_wandb/visualize/")}
    curves = [f"alignment/curves.IT.{metric}" for metric in ("rsa-correlation-spearman", "cka-linear-debiased")]
    assert set(panels) >= {f"_wandb/visualize/{key}" for key in curves}
    for key in curves:
        drawn = panels[f"_wandb/visualize/{key}"]
        assert (drawn["panel_type"], drawn["panel_config"]["panelDefId"]) == ("Vega2", "wandb/lineseries/v0")
        assert f"Custom Chart Tables/{key}_table/path" in told
    pictures = list((folder / "files" / "media" / "images" / "alignment").glob("pictures_*.png"))
    assert len(pictures) == 2
    with Image.open(pictures[0]) as picture:
        assert picture.size == (1720, 880)
    at = f"alignment/best.IT.{METRICS[0]}"
    last = {n: record.series(layer=n, metric=METRICS[0]).values[-1] for n in ("early", "late", "head")}
    assert told[f"{at}.layer"] == max(last, key=last.get)
    assert told[f"{at}.value"] == pytest.approx(max(last.values()))


def test_registered_charts_are_used_where_an_entity_is_named(image_benchmark, tmp_path, start, monkeypatch):
    monkeypatch.setenv("ONTOGENY_WANDB_CHARTS", "me")
    with start():
        train(image_benchmark, tmp_path / "r", sinks=[WandbSink()])
    folder = run_folder(tmp_path)
    panels = [v["panel_config"] for k, v in config(folder).items() if k.startswith("_wandb/visualize/")]
    assert {p["panelDefId"] for p in panels} == {f"me/{BAND}"}
    told = summary(folder)
    for panel in panels:
        key = panel["userQuery"]["queryFields"][0]["fields"][-1]["args"][0]["value"]
        table = json.loads((folder / "files" / told[f"{key}/path"]).read_text())
        assert list(panel["fieldSettings"].values()) == table["columns"]
        assert {"title", "subtitle", "note", "unit"} == set(panel["stringSettings"])


def test_which_moves_first_is_drawn_where_leads_are_given(tmp_path, start):
    record = record_of(tmp_path / "r", [("IT", "head", planted_lead("lead_trend", 30, seed=1))])
    with start() as run:
        WandbSink(run, leads=record_shares, charts="me").finish(record)
    folder = run_folder(tmp_path)
    panels = {k: v["panel_config"] for k, v in config(folder).items() if k.startswith("_wandb/visualize/")}
    lag = [p for k, p in panels.items() if k.startswith("_wandb/visualize/alignment/lag.")]
    assert [p["panelDefId"] for p in lag] == [f"me/{LAG}"]
    assert lag[0]["stringSettings"]["subtitle"].startswith("Yes, in this run: the model is half-way")
    told = summary(folder)
    (says,) = [v for k, v in told.items() if k.startswith("alignment/lag.") and k.endswith(".says")]
    assert says.startswith("Yes, in this run: ")
    assert "95 % interval" in says
    assert "30 checkpoints" in says
    assert len(list((folder / "files/media/images/alignment").glob("which_first_*.png"))) == 1


def test_charts_are_refreshed_while_training_runs_with_the_words_so_far(tmp_path, start):
    record = record_of(tmp_path / "r", [("IT", "head", planted_lead("lead_trend", 30, seed=1))])
    probe = {"run": record.run, "kind": "probe", "metric": "seconds", "value": 1.0}
    with start() as run:
        sink, refresh = WandbSink(run, leads=record_shares), Refresher()
        record.append([Event(**probe, step=0)])
        refresh([sink], record, 1e6)  # one probe is no curve
        assert not list((run_folder(tmp_path) / "files").glob("media/images/alignment/*.png"))
        record.append([Event(**probe, step=1)])
        refresh([sink], record, 1e6)
        refresh([sink], record, 1.0)  # no time for it
    folder = run_folder(tmp_path)
    assert len(list(folder.glob("files/media/images/alignment/pictures_*.png"))) == 1
    assert "So far: Yes, in this run: " in str(summary(folder)["alignment/which_first/captions"])
    assert any(key.endswith("alignment/curves.IT") for key in config(folder))


def test_tensorboard_gets_the_same_pictures(tmp_path):
    record = record_of(tmp_path / "r", [("IT", "head", planted_lead("lead_trend", 30, seed=1))])
    probe = {"run": record.run, "kind": "probe", "metric": "seconds", "value": 1.0}
    record.append([Event(**probe, step=step) for step in (0, 1)])
    with SummaryWriter(tmp_path / "tb") as writer:
        sink = TensorboardPictures(writer, leads=record_shares)
        Refresher()([sink], record, 1e6)
        sink.finish(record)
    events = EventAccumulator(str(tmp_path / "tb"), size_guidance={"images": 0})
    events.Reload()
    first, *_ = events.Tags()["images"]
    assert {tag.partition("/")[0] for tag in events.Tags()["images"]} == {"alignment_curves", "alignment_first"}
    assert first == "alignment_curves/IT"
    drawn = events.Images(first)
    assert [one.step for one in drawn] == [record.series(roi="IT").steps[-1]] * 2
    assert (drawn[0].width, drawn[0].height) == (1720, 880)


def test_a_short_record_says_why_nothing_can_be_tested(image_benchmark, tmp_path, start):
    with start():
        train(image_benchmark, tmp_path / "r", sinks=[WandbSink(leads=record_shares)])
    told = summary(run_folder(tmp_path))
    says = {v for k, v in told.items() if k.endswith(".says")}
    grid = "(3 checkpoints, steps 0 to 6)"
    assert f"Not yet: 3 checkpoints with both, 12 are needed. Train on, or probe more often. {grid}" in says
    assert all(text.startswith(("Not yet: 3 checkpoints", "Nothing to time: ")) for text in says)
    assert "alignment/which_first/count" not in told


def test_without_a_run_nothing_happens(image_benchmark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wandb.run is None
    record = train(image_benchmark, tmp_path / "r", sinks=[WandbSink()])
    assert len(record.events(kind="probe")) == 3
    assert not (tmp_path / "wandb").exists()
    code = "import sys; from ontogeny.sinks.wandb_sink import WandbSink; WandbSink().write(0, {'task/loss': 1.0}); "
    code += "assert 'wandb' not in sys.modules and 'PIL' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)})


def test_a_run_that_was_closed_warns_and_training_goes_on(image_benchmark, tmp_path, start):
    run = start()
    run.finish()
    with pytest.warns(UserWarning, match=r"Weights & Biases could not (log step|finish).*is finished") as caught:
        record = train(image_benchmark, tmp_path / "r", sinks=[WandbSink(run)])
    assert len(record.events(kind="probe")) == 3
    assert len([w for w in caught if "could not finish" in str(w.message)]) == 1


def test_a_second_run_gets_its_own_axis(tmp_path, start):
    sink = WandbSink()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with wandb.init(project="p", dir=tmp_path / folder):
            sink.write(4, {"task/loss": 1.0})
        assert defined(run_folder(tmp_path / folder))["task/loss"] == AXIS


def test_numbers_that_are_not_finite_are_logged_as_they_are(tmp_path, start):
    with start() as run:
        WandbSink(run).write(1, {"task/loss": math.nan, "alignment/IT": math.inf, "alignment/V1": 0.1})
    (row,) = probes(run_folder(tmp_path))
    assert math.isnan(row["task/loss"])
    assert (row["alignment/IT"], row["alignment/V1"]) == (math.inf, 0.1)


def test_and_in_the_table_they_are_missing_with_a_note(tmp_path, start):
    record = Record(tmp_path / "r", create=True)
    blank = {"run": "r", "kind": "alignment", "roi": "IT", "metric": "rsa", "layer": "one"}
    record.append([Score(**blank, step=0, value=0.1, chance=0.0), Score(**blank, step=1, value=math.nan)])
    with start() as run:
        WandbSink(run).finish(record)
    folder = run_folder(tmp_path)
    table = json.loads((folder / "files" / summary(folder)["alignment/scores/path"]).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["value"], row["note"]) for row in rows] == [(0.1, ""), (None, "value was nan")]


def test_a_record_too_large_to_be_drawn_is_said_and_not_read_into_memory(tmp_path, start, monkeypatch, capsys):
    monkeypatch.setattr("ontogeny.sinks.wandb_sink._MOST_DRAWN", 1)
    record = Record(tmp_path / "r", create=True)
    record.append([Score(run="r", step=i, kind="alignment", roi="IT", value=0.1) for i in range(2)])
    with start() as run:
        WandbSink(run).finish(record)
    assert "2 scores are more than are drawn or tabled at the end of a run (up to 1)" in capsys.readouterr().err
    assert "alignment/scores" not in summary(run_folder(tmp_path))


NAMES = [
    "alignment/left IFG/BA 44",
    "alignment/V1.dorsal",
    "alignment/größe",
    "alignment/日本語",
    "alignment/a b",
    "alignment/a_b",
    "alignment/a\tb",
    "alignment/*",
    "alignment/" + chr(0x65) + chr(0x301),
    "alignment/step",
    "alignment/scores",
    'alignment/"quoted"',
    "task/loss",
]


def test_any_name_becomes_a_readable_key_of_its_own(tmp_path, start):
    with start() as run:
        sink = WandbSink(run)
        sink.write(5, {name: float(i) for i, name in enumerate(NAMES)})
        sink.write(6, {name: float(i) for i, name in reversed(list(enumerate(NAMES)))})
    first, second = probes(run_folder(tmp_path))
    keys = {value: key for key, value in first.items() if not key.startswith("_") and key != AXIS}
    assert sorted(keys) == [float(i) for i in range(len(NAMES))]
    assert first[AXIS] == 5
    assert [keys[i] for i in (0, 1, 2, 3, 4, 5)] == [
        "alignment/left_IFG_BA_44",
        "alignment/V1.dorsal",
        "alignment/größe",
        "alignment/日本語",
        "alignment/a_b",
        "alignment/a_b_2",
    ]
    for key in keys.values():
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", key), key
    assert {key: second[key] for key in keys.values()} == {key: first[key] for key in keys.values()}


def many(rois, layers) -> dict[str, float]:
    details = {f"alignment/{r}.rsa.{layer}": 0.01 * i for r in rois for i, layer in enumerate(layers)}
    return {"alignment/mean": 0.3, **{f"alignment/{r}": 0.3 for r in rois}, **details, "task/loss": 1.0}


def test_with_many_curves_the_best_layer_of_each_roi_is_logged_and_that_is_said_once(tmp_path, start, capsys):
    rois, layers = ["V1", "V1.dorsal", "IT"], [f"h.{i}{part}" for i in range(12) for part in ("", ".attn")]
    with start() as run:
        sink = WandbSink(run)
        for step in (0, 1):
            sink.write(step, many(rois, layers))
    for row in probes(run_folder(tmp_path)):
        shown = {key for key in row if not key.startswith("_")}
        assert shown == {"alignment/mean", *(f"alignment/{r}" for r in rois), "task/loss", AXIS}
    said = capsys.readouterr().err
    assert said.count("72 curves of single layers are too many") == 1
    assert "WandbSink(most_details=72) logs them all" in said


def test_with_few_curves_or_a_higher_limit_all_are_logged(tmp_path, start, capsys):
    layers = [f"h.{i}" for i in range(72)]
    with start() as run:
        WandbSink(run, most_details=72).write(0, many(["V1"], layers))
        WandbSink(run).write(1, many(["V1"], layers[:60]))
    every, few = probes(run_folder(tmp_path))
    assert sum("rsa.h" in key for key in every) == 72
    assert sum("rsa.h" in key for key in few) == 60
    assert "too many" not in capsys.readouterr().err


def test_names_without_a_headline_above_them_are_never_left_out(tmp_path, start):
    with start() as run:
        WandbSink(run, most_details=3).write(
            0, {**{f"alignment/V1.rsa.h.{i}": 0.1 for i in range(9)}, "task/loss": 1.0}
        )
    (row,) = probes(run_folder(tmp_path))
    assert sum("rsa.h" in key for key in row) == 9


def test_a_tracker_that_has_log_alone_takes_the_curves(image_benchmark, tmp_path):
    class Tracker:
        def __init__(self):
            self.rows = []

        def log(self, row):
            self.rows.append(row)

    tracker = Tracker()
    record = train(image_benchmark, tmp_path / "r", sinks=[WandbSink(tracker)])
    assert [row[AXIS] for row in tracker.rows] == [0, 2, 6]
    assert tracker.rows[2]["task/loss"] == record.series(kind="task", metric="loss").values[-1]


def test_a_probe_that_raises_in_finish_is_a_warning_and_the_table_is_there(image_benchmark, tmp_path, start):
    def broken(record):
        raise ValueError("no leads today")

    with start(), pytest.warns(UserWarning, match="Weights & Biases could not finish: no leads today"):
        train(image_benchmark, tmp_path / "r", sinks=[WandbSink(leads=broken)])
    assert "alignment/scores/path" in summary(run_folder(tmp_path))


def test_two_benchmarks_with_the_same_roi_are_two_charts(tmp_path, start):
    record = Record(tmp_path / "r", create=True)
    for name in ("b1", "b2"):
        blank = {"run": "r", "kind": "alignment", "benchmark": name, "roi": "IT", "metric": "rsa", "layer": "one"}
        record.append([Score(**blank, step=step, value=0.1 * step, chance=0.0) for step in range(3)])
    with start() as run:
        WandbSink(run).finish(record)
    folder = run_folder(tmp_path)
    panels = {
        k.removeprefix("_wandb/visualize/alignment/") for k in config(folder) if k.startswith("_wandb/visualize/")
    }
    assert panels == {"curves.b1.IT", "curves.b2.IT"}
    assert summary(folder)["alignment/best.b2.IT.value"] == pytest.approx(0.2)


def test_a_disabled_run_takes_everything_in_silence(image_benchmark, tmp_path, start):
    with wandb.init(project="p", dir=tmp_path, mode="disabled"):
        record = train(image_benchmark, tmp_path / "r", sinks=[WandbSink(leads=record_shares)])
    assert len(record.events(kind="probe")) == 3
    assert not list(tmp_path.rglob("*.wandb"))


def scores(rows_a_probe) -> list[Score]:
    return [
        Score(run="r", step=step, kind="alignment", layer=str(i), value=0.0)
        for step, n in rows_a_probe.items()
        for i in range(n)
    ]


def test_the_newest_whole_probes_are_kept():
    given = scores({0: 4, 1: 4, 10: 4})
    assert newest_probes(given, 12) == (given, "")
    kept, said = newest_probes(given, 11)
    assert kept == given[4:]
    assert said == "holds 8 of 12 rows: 1 of 3 probes, up to step 0, are left out"
    kept, said = newest_probes(given, 3)
    assert kept == given[8:11]
    assert said == "holds 3 of 12 rows, all of step 10"


def test_a_table_of_a_long_run_says_what_it_lacks(tmp_path, start, capsys):
    record = Record(tmp_path / "r", create=True)
    record.append(scores({step: 700 for step in range(15)}))
    with start() as run, warnings.catch_warnings():
        WandbSink(run).finish(record)
    folder = run_folder(tmp_path)
    table = json.loads((folder / "files" / summary(folder)["alignment/scores/path"]).read_text())
    assert len(table["data"]) == 9800
    assert {row[0] for row in table["data"]} == set(range(1, 15))
    said = "holds 9800 of 10500 rows: 1 of 15 probes, up to step 0, are left out; the record has all"
    assert f"the table alignment/scores {said}" in capsys.readouterr().err
