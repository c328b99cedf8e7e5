"""Names of checkpoints: templates, tokens, and names that say nothing or the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontogeny.errors import CheckpointError
from ontogeny.replay.checkpoint_series import UPDATES
from ontogeny.replay.step_templates import Named, Naming, named

OLMO = ("stage1-step{step}-tokens{tokens:B}", "step{step}-tokens{tokens:B}")


@pytest.mark.parametrize(
    ("template", "name", "step"),
    [
        ("step{step}", "step143000", 143_000),
        ("step-{step}", "step-125000", 125_000),
        ("checkpoint-{step}", "checkpoint-0", 0),
        ("google/multiberts-seed_0-step_{step:k}", "google/multiberts-seed_0-step_20k", 20_000),
        ("ep{count}.pt", "ep7.pt", 7),
        ("ckpt_{count:03}", "ckpt_042", 42),
    ],
)
def test_a_template_reads_a_name_and_writes_it_again(template, name, step):
    naming = Naming.of(template)
    said = naming.read(name)
    assert said == (Named(name=name, step=step), None)
    assert naming.write(step).name == name
    assert naming.read(name + "x") is None
    assert naming.read("x" + name) is None


@pytest.mark.parametrize(
    ("step", "name", "per_step"),
    [
        (300, "stage1-step300-tokens1B", 2_097_152),
        (23_100, "stage1-step23100-tokens49B", 2_097_152),
        (140_000, "stage1-step140000-tokens294B", 2_097_152),
        (1_907_359, "stage1-step1907359-tokens4001B", 2_097_152),
        (1_000, "stage1-step1000-tokens5B", 4_194_304),
        (928_000, "stage1-step928000-tokens3893B", 4_194_304),
    ],
)
def test_olmos_names_are_rounded_up_and_tokens_are_counted(step, name, per_step):
    naming = Naming.of(OLMO, tokens_per_step=per_step)
    assert naming.read(name) == (Named(name=name, step=step, tokens=step * per_step), None)
    assert naming.write(step).name == name


def test_earlier_names_without_a_prefix_are_rounded_down_and_read_by_the_second_template():
    naming = Naming.of(OLMO, tokens_per_step=2_097_152)
    said, problem = naming.read("step10000-tokens20B")
    assert (said.step, said.tokens, problem) == (10_000, 20_971_520_000, None)
    assert Naming.of(OLMO).read("step10000-tokens20B")[0].tokens == 20_000_000_000


def test_tokens_that_do_not_fit_the_step_are_named_and_the_counted_ones_used():
    said, problem = Naming.of(OLMO, tokens_per_step=2_097_152).read("step10000-tokens42B")
    assert said.tokens == 20_971_520_000
    assert str(problem) == (
        "tokens: step10000-tokens42B: says 42B tokens, but 10000 steps are 20971520000; the counted ones are used"
    )


def test_counts_become_updates_where_it_is_known_how_many_one_has():
    amber = Naming(templates=("ckpt_{count:03}",), updates_per_count=762, tokens_per_count=3_495_886_848, zero_count=-1)
    assert amber.read("ckpt_000")[0] == Named(name="ckpt_000", step=762, tokens=3_495_886_848)
    assert amber.write(762 * 360) == Named(name="ckpt_359", step=762 * 360, tokens=360 * 3_495_886_848)
    assert amber.unit == UPDATES
    assert Naming.of("ep{count}.pt").unit == "counts in the name"
    with pytest.raises(CheckpointError, match="step 763 is not a multiple of 762, which one count has"):
        amber.write(763)


@given(st.integers(0, 10**7), st.sampled_from(["step{step}", "a-{step}-b", "{step}.pt", "s{count:05}"]))
def test_what_is_written_is_read(step, template):
    naming = Naming.of(template)
    assert naming.read(naming.write(step).name) == (naming.write(step), None)


def test_names_that_say_no_step_and_two_of_one_step_are_problems():
    found, problems = named(
        ["main", "step2", "wip", "step10", "step02", "step1"], Naming.of("step{step}"), ignore=("main",)
    )
    assert {step: one.name for step, one in found.items()} == {1: "step1", 2: "step02", 10: "step10"}
    assert list(found) == [1, 2, 10]
    assert [(p.kind, p.what) for p in problems] == [("twice", "step2"), ("unread", "wip")]
    assert problems[0].reason == "duplicate of step 2; step02 is used"
    assert problems[1].reason == "does not say its step as step{step} does; left out"


def test_the_first_template_wins_where_two_names_say_the_same():
    found, problems = named(["step5-tokens1B", "stage1-step5-tokens1B"], Naming.of(OLMO))
    assert found[5].name == "stage1-step5-tokens1B"
    assert [p.what for p in problems] == ["step5-tokens1B"]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("step", "has to have {step} or {count} in it, once"),
        ("{step}{step}", "has to have {step} or {count} in it, once"),
        ("step{stp}", "{stp} is not understood; write {step}, {count} or {tokens}"),
        ("step{step:x}", "{step:x} is not understood"),
    ],
)
def test_a_template_that_cannot_be_read_says_how_to_write_it(template, said):
    with pytest.raises(CheckpointError) as error:
        Naming.of(template)
    assert said in str(error.value)


def test_names_that_cannot_be_made():
    with pytest.raises(CheckpointError, match=r"a name with \{tokens:B\} can only be made with tokens_per_step"):
        Naming.of(OLMO).write(3)
    with pytest.raises(CheckpointError, match=r"step 1500 is no whole number of 1000s, as \{step:k\} needs"):
        Naming.of("s{step:k}").write(1500)


def test_text_that_a_pattern_would_take_for_signs_is_plain():
    assert Naming.of("a.b+{step}(x)").read("a.b+3(x)")[0].step == 3
    assert Naming.of("a.b+{step}(x)").read("aXb+3(x)") is None
