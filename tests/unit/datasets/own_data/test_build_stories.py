"""Stories by the command line: what is refused, and how files are matched; numbers are in tests/oracles."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.helpers import story_lab as lab

from ontogeny.cli import main
from ontogeny.datasets import load
from ontogeny.datasets.folder import read_extras, verify_folder
from ontogeny.datasets.folder.benchmark_json import read_manifest
from ontogeny.datasets.own_data.story_files import read_words

ABOUT = ["--citation", "Us (2026)", "--licence", "CC0-1.0", "--about", "Made for tests."]
NAMES = ["a", "b", "c"]
VOXELS = 6


@pytest.fixture
def stories(rng):
    return [lab.Heard.make(rng, name, 30 + 2 * i) for i, name in enumerate(NAMES)]


@pytest.fixture
def given(tmp_path, monkeypatch, stories, rng):
    """Words in one table; two subjects with arrays."""
    monkeypatch.chdir(tmp_path)
    lab.write_words(tmp_path / "words.csv", stories)
    for who in ("s1", "s2"):
        for story in stories:
            np.save(f"{who}_{story.name}.npy", 50 + rng.standard_normal((story.volumes, VOXELS)))
    return ["--words", "words.csv", "--responses", *(f"{who}:{n}={who}_{n}.npy" for who in ("s1", "s2") for n in NAMES)]


def build(*more: str, out: str = "out") -> int:
    return main(["data", "build", out, "--name", "mine", "--tr", "2", *ABOUT, *more])


def failed(capsys, *more: str) -> str:
    capsys.readouterr()
    assert build(*more) == 2
    return capsys.readouterr().err


def test_the_same_files_give_the_same_bytes_and_a_folder_that_older_versions_refuse(given):
    assert build(*given) == 0
    assert build(*given, out="again") == 0
    assert read_manifest_files("out") == read_manifest_files("again")
    assert read_manifest(Path("out")).facts["format_version"] == 2
    assert verify_folder("out") == []
    made = load("./out")
    assert made.pieces.fingerprint() == load("./again").pieces.fingerprint()
    assert [m.name for m in made.metrics] == ["ridge-kfold"]
    assert made.stimuli.contiguous
    assert set(made.stimuli.groups) == set(NAMES)
    assert made.assemblies[0].ceiling is None


def read_manifest_files(folder: str) -> dict[str, str]:
    return {name: file.sha256 for name, file in read_manifest(Path(folder)).files.items()}


def test_a_textgrid_and_a_table_of_the_same_words_are_the_same(given, stories, tmp_path):
    for story in stories:
        lab.write_textgrid(tmp_path / f"{story.name}.TextGrid", story)
    assert build(*given) == 0
    grids = [f"{name}.TextGrid" for name in NAMES]
    assert build("--words", *grids, *given[2:], out="grids") == 0
    assert load("./out").pieces.fingerprint() == load("./grids").pieces.fingerprint()


def test_ceilings_between_subjects_are_correlations_with_the_others(given, capsys):
    assert build(*given, "--ceiling", "between-subjects") == 0
    first, second = load("./out").assemblies
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(first.responses.T, second.responses.T, strict=True)]
    np.testing.assert_allclose(first.ceiling, np.clip(r, 0, 1), atol=1e-6)
    assert "a lower bound" in first.ceiling_source
    np.save("s2_a.npy", np.load("s2_a.npy")[:, :5])
    assert "stories have [5, 6, 6] voxels" in failed(capsys, *given, "--overwrite")


def test_repeats_as_files_or_as_an_axis_are_the_same(given, rng, capsys):
    again = 50 + rng.standard_normal((30, VOXELS))
    np.save("again.npy", again)
    np.save("both.npy", np.stack([np.load("s1_a.npy"), again]))
    assert build(*given, "s1:a=again.npy") == 0
    axis = [part.replace("s1_a.npy", "both.npy") for part in given]
    assert build(*axis, out="axis") == 0
    assert load("./out").assemblies[0].fingerprint() == load("./axis").assemblies[0].fingerprint()
    assert "subject s1, a: 2 hearings of one story, s1_a.npy, again.npy" in capsys.readouterr().out
    extras = read_extras("out")["s1"]
    assert extras.repeats.shape == (2, 96, VOXELS)
    assert np.isnan(extras.repeats[1, 30:]).all()
    expected = np.mean([lab.z(np.load("s1_a.npy")), lab.z(again)], axis=0)
    np.testing.assert_allclose(load("./out").assemblies[0].responses[:30], expected, atol=1e-5)


def test_an_array_that_lies_on_its_side_is_seen_by_the_words(given, capsys):
    for name in NAMES:
        np.save(f"s1_{name}.npy", np.tile(np.load(f"s1_{name}.npy"), (1, 20)).T)
        np.save(f"s2_{name}.npy", np.tile(np.load(f"s2_{name}.npy"), (1, 20)).T)
    assert "is the array voxels x volumes" in failed(capsys, *given)
    assert "'01' and '1' are one number" in failed(
        capsys, "--words", "words.csv", "--responses", "1:a=s1_a.npy", "01:a=s2_a.npy"
    )


def test_volumes_that_differ_by_one_are_cut_and_said_and_more_are_refused(given, capsys):
    np.save("s2_b.npy", np.load("s2_b.npy")[:-1])
    assert build(*given) == 0
    assert "b: 31 to 32; the last ones that not every run has are left out" in capsys.readouterr().out
    np.save("s2_b.npy", np.load("s2_b.npy")[:-5])
    assert "story 'b' has 26 volumes in s2, s2_b.npy, 32 in s1, s1_b.npy" in failed(capsys, *given, "--overwrite")


def test_a_constant_voxel_is_refused_or_dropped_with_its_region(given, capsys):
    values = np.load("s1_b.npy")
    values[:, 2] = 7
    np.save("s1_b.npy", values)
    Path("rois.csv").write_text("roi\nx\nx\nlost\ny\ny\ny\n")
    rois = ["--rois", "s1=rois.csv", "s2=rois.csv"]
    assert "1 NaN or infinite (e.g. voxel 2)" in failed(capsys, *given, *rois)
    assert build(*given, *rois, "--drop-bad-voxels") == 0
    assert "no voxel is left of 'lost'" in capsys.readouterr().out
    assert load("./out").assemblies[0].roi == ("x", "x", "y", "y", "y")
    assert load("./out").assemblies[1].roi == ("x", "x", "lost", "y", "y", "y")


@pytest.mark.parametrize(
    ("change", "more", "text"),
    [
        (lambda g: g, ["--tr", "2000"], "milliseconds?"),
        (lambda g: g, ["--tr", "1.5"], "are the TR or --sound-onset|the last word of words.csv ends at"),
        (lambda g: g, ["--delays", "1,x"], "--delays: expected volumes, e.g. 1,2,3,4"),
        (lambda g: g, ["--delays", "1,1"], "each once, e.g. (1, 2, 3, 4)"),
        (lambda g: [*g, "s1:d=s1_a.npy"], [], "there are responses to story 'd', but no words of it"),
        (
            lambda g: g[:-1],
            [],
            "story 'c' has no responses of 's2'; leave it out, or say that subjects heard different",
        ),
        (
            lambda g: [*g[:-3], "s2:a=s2_a.npy", "s2:b=s2_c.npy", "s2:c=s2_b.npy"],
            [],
            "s2_c.npy is given for story 'b', but its name says story 'c'; which is right?",
        ),
        (
            lambda g: [*g[:2], *(p.replace("s2_", "s1_") if p[:2] == "s2" else p.replace("s1_", "s2_") for p in g[2:])],
            [],
            "s2_a.npy is given for subject 's1', but its name says subject 's2'",
        ),
        (lambda g: [*g, "s1:a=s1_a.npy"], [], "s1_a.npy is given twice"),
        (lambda g: [*g, "s1=s1_a.npy"], [], "there are responses to story 'words', but no words of it"),
        (lambda g: g, ["--stimuli", "words.csv"], "--stimuli is not for stories"),
        (lambda g: g, ["--bold", "x.nii.gz"], "give --responses SUBJECT:STORY=FILE, or --bold or --bids with --atlas"),
        (lambda g: g, ["--folds", "column"], "folds of stories leave out stories"),
        (lambda g: g, ["--word-features", "surprise"], "column 'surprise' is missing"),
        (lambda g: g, ["--rois", "s1=words.csv"], "ROIs are given for ['s1'], not for ['s2']"),
        (lambda g: g, ["--rois", "s3=words.csv"], "ROIs are given for 's3', which has no responses"),
        (lambda g: g, ["--ceiling", "ncsnr"], "a ceiling by ncsnr needs repeats"),
        (lambda g: g, ["--trim", "20", "20"], "leaves nothing of story"),
        (lambda g: g, ["--folds", "contiguous", "--n-folds", "30"], "cannot be cut into|folds need at least"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given, capsys, change, more, text):
    said = failed(capsys, *change(given), *more)
    assert any(part in said for part in text.split("|")), said


def test_words_are_read_by_what_tables_call_them(tmp_path, stories):
    """A missing cell, a run column without stories, no offsets: refused or said."""
    path = lab.write_words(tmp_path / "words.csv", stories)
    words, notes = read_words([path])
    assert (set(words), notes) == (set(NAMES), ())
    text = path.read_text()
    other = tmp_path / "sub-01_task-mine_events.tsv"
    lines = [
        "word\tonset\tduration",
        *(f"{w}\t{t}\t0.2" for w, t in zip(stories[0].words, stories[0].onset, strict=True)),
    ]
    other.write_text("\n".join(lines) + "\n")
    found, _ = read_words([other])
    np.testing.assert_allclose(found["mine"].middle, words["a"].middle)
    other.write_text("\n".join(line.rsplit("\t", 1)[0] for line in lines) + "\n")
    found, notes = read_words([other])
    assert notes == (
        ("words", "sub-01_task-mine_events.tsv has no column offset or duration: each word counts at its onset"),
    )
    np.testing.assert_allclose(found["mine"].middle, stories[0].onset)
    for change, said in [
        (lambda t: t.replace("word,onset,offset,story", "word,onset,offset,run"), "several runs; give a column story"),
        (lambda t: t.replace(",a\n", ",\n", 1), "row 1: column 'story' is empty"),
        (lambda t: t.replace(t.split("\n")[2].split(",")[1], "", 1), "row 2: column 'onset' is empty"),
        (lambda t: t.replace(line := t.split("\n")[3], f"{line}\n{line}", 1), "rows 3 and 4 are one word, "),
    ]:
        path.write_text(change(text))
        with pytest.raises(Exception, match=said):
            read_words([path])


def test_bold_is_matched_by_name_and_checked_against_atlas_and_tr(tmp_path, monkeypatch, stories, rng, capsys):
    monkeypatch.chdir(tmp_path)
    lab.write_words(tmp_path / "words.csv", stories)
    lab.write_atlas(tmp_path)
    for story in stories:
        values = 100 + rng.standard_normal((story.volumes, 24))
        lab.write_bold(tmp_path / f"sub-01_task-{story.name}_bold.nii.gz", values)
    bold = [f"sub-01_task-{name}_bold.nii.gz" for name in NAMES]
    given = ["--words", "words.csv", "--bold", *bold, "--atlas", "atlas_dseg.nii.gz"]
    assert build(*given, "--regions", "STG") == 0
    assert set(load("./out").assemblies[0].roi) == {"STG"}
    assert "polynomials up to order 3 taken out of each run" in read_extras("out")["01"].made_by
    assert "has no responses" not in failed(capsys, *given[:-2])
    assert "images but no atlas (--atlas)" in failed(capsys, *given[:-2])
    shutil.copy(bold[0], "other.nii.gz")
    assert "name it sub-SUBJECT_task-STORY" in failed(capsys, *given, "--bold", "other.nii.gz")
    lab.write_bold(tmp_path / bold[0], 100 + rng.standard_normal((stories[0].volumes, 24)), tr=1.5)
    assert "has a TR of 1.5 s, but 2 s is given" in failed(capsys, *given, "--overwrite")
    assert "02'" in failed(capsys, "--words", "words.csv", "--bold", f"02:a={bold[0]}", "--atlas", "atlas_dseg.nii.gz")


def test_preprocessed_runs_are_found_by_space_and_desc(tmp_path, monkeypatch, stories, rng, capsys):
    monkeypatch.chdir(tmp_path)
    lab.write_words(tmp_path / "words.csv", stories)
    lab.write_atlas(tmp_path)
    values = {}
    for who in ("01", "02"):
        (tmp_path / f"prep/sub-{who}/func").mkdir(parents=True)
        for story in stories:
            for space in ("T1w", "MNI"):
                stem = f"prep/sub-{who}/func/sub-{who}_task-{story.name}_space-{space}_desc-preproc_bold"
                values[who, story.name, space] = 100 + rng.standard_normal((story.volumes, 24))
                lab.write_bold(tmp_path / f"{stem}.nii.gz", values[who, story.name, space])
                (tmp_path / f"{stem}.json").write_text("{}")
    given = ["--words", "words.csv", "--bids", "prep", "--atlas", "atlas_dseg.nii.gz", "--drift", "0"]
    assert "are of the same run; choose space" in failed(capsys, *given)
    assert build(*given, "--select", "space=MNI", "desc=preproc", "--subjects", "02") == 0
    (made,) = load("./out").assemblies
    assert made.subject == "02"
    y = np.concatenate([lab.z(values["02", name, "MNI"][:, :22]) for name in NAMES])
    np.testing.assert_allclose(made.responses, y, atol=1e-4)


def test_words_that_outlast_the_scan_are_refused_and_frozen_designs_are_plain(given, stories):
    late = dataclasses.replace(stories[0], onset=stories[0].onset + 10, offset=stories[0].offset + 10)
    lab.write_words(Path("words.csv"), [late, *stories[1:]])
    assert build(*given) == 2
    assert build(*given, "--sound-onset", "10") == 2
    assert build(*given, "--sound-onset", "-10") == 0


def test_stories_of_some_subjects_alone_are_spread_over_folds(given, stories, capsys):
    """Two stories of one subject are cut into blocks; blocks of one story touch no other."""
    some = [part for part in given if part not in ("s1:c=s1_c.npy", "s2:a=s2_a.npy")]
    assert build(*some, "--own-stimuli") == 0
    said = capsys.readouterr().out
    assert "stories of each subject: s1 2, s2 2; 1 were heard by all" in said
    made = load("./out")
    assert verify_folder("out") == []
    assert made.folds.how.endswith(
        "balanced over who heard what, seed 0: contiguous blocks of a story, 4 volumes left out between two"
    )
    assert [(one.subject, sorted({k.partition("/")[0] for k in one.stimulus_ids})) for one in made.assemblies] == [
        ("s1", ["a", "b"]),
        ("s2", ["b", "c"]),
    ]
    for part in made.parts():
        assert min(np.bincount(part.folds.held_out)) > 0
        assert len(set(part.folds.held_out)) == 5
    rows = [k for k in made.stimuli.ids if k.startswith("b/")]
    folds = dict(zip(made.stimuli.ids, made.folds.held_out, strict=True))
    assert {a: folds[a] for a in rows} == {
        k: f
        for part in made.parts()
        for k, f in zip(part.stimuli.ids, [folds[k] for k in part.stimuli.ids], strict=True)
        if k in rows
    }
    assert "needs two subjects or more with the same voxels and stimuli" in failed(
        capsys, *some, "--own-stimuli", "--ceiling", "between-subjects", "--overwrite"
    )


def test_names_of_files_are_held_against_stories_and_tasks(tmp_path, monkeypatch, stories, rng, capsys):
    monkeypatch.chdir(tmp_path)
    lab.write_words(tmp_path / "words.csv", stories)
    lab.write_atlas(tmp_path)
    for story in stories:
        lab.write_bold(tmp_path / f"sub-01_task-{story.name}_bold.nii.gz", rng.standard_normal((story.volumes, 24)))
    swapped = [f"01:{one}=sub-01_task-{other}_bold.nii.gz" for one, other in zip("abc", "acb", strict=True)]
    assert "sub-01_task-c_bold.nii.gz is given for story 'b', but its name says story 'c'; which is right?" in failed(
        capsys, "--words", "words.csv", "--bold", *swapped, "--atlas", "atlas_dseg.nii.gz"
    )


def test_the_atlas_of_bold_is_named_with_what_was_lost_on_the_way_to_its_grid(tmp_path, monkeypatch, stories, rng):
    monkeypatch.chdir(tmp_path)
    lab.write_words(tmp_path / "words.csv", stories)
    fine = np.ones((8, 6, 4), dtype=np.int16)
    fine[0, 0, 0] = 2
    nib.Nifti1Image(fine, np.array([[1, 0, 0, 0.45], [0, 1, 0, 0.45], [0, 0, 1, 0.45], [0, 0, 0, 1]])).to_filename(
        "fine_dseg.nii.gz"
    )
    Path("fine_dseg.tsv").write_text("index\tname\n1\tbig\n2\ttiny\n")
    for story in stories:
        lab.write_bold(tmp_path / f"sub-01_task-{story.name}_bold.nii.gz", rng.standard_normal((story.volumes, 24)))
    bold = [f"sub-01_task-{name}_bold.nii.gz" for name in NAMES]
    given = ["--words", "words.csv", "--bold", *bold, "--atlas", "fine_dseg.nii.gz", "--resample"]
    assert build(*given) == 0
    assert set(load("./out").assemblies[0].roi) == {"big"}
    made_by = read_extras("out")["01"].made_by
    assert "atlas fine_dseg.nii.gz (sha256 " in made_by
    assert made_by.endswith("put on the betas' grid by nearest neighbour; no voxel is left of 'tiny'")
