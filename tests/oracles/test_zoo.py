"""Every family of models: what a probe reads is what hooks of plain torch read, one stimulus at a time, unpadded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers import zoo_checks
from tests.helpers.zoo import Family
from tests.helpers.zoo_encoders import encoders
from tests.helpers.zoo_libraries import LIBRARIES, families
from tests.helpers.zoo_pairs import parts, towers
from tests.helpers.zoo_plain import plain
from tests.helpers.zoo_text import decoders, encoder_decoders, states
from tests.helpers.zoo_vision import convolutions, hierarchies, speech, transformers_of_patches

# The whole zoo, 222 families, takes ten minutes of CPU time: by hand, ONTOGENY_ZOO=all. Else each twelfth, and
# those that once were read wrongly.
EVERY = 1 if os.environ.get("ONTOGENY_ZOO") == "all" else 12
ODD = ("albert", "jamba", "funnel", "longformer", "minGPT", "LSTM", "GRUs in a list", "clip, call=", "t5", "xlnet")

SHELVES = (decoders, states, encoder_decoders, encoders, towers, parts, plain)
SHELVES += (transformers_of_patches, hierarchies, convolutions, speech)
WHOLE: dict[str, Family] = {family.name: family for shelf in SHELVES for family in shelf()}
FAMILIES = {name: family for i, (name, family) in enumerate(WHOLE.items()) if i % EVERY == 0 or name in ODD}

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:The use of `x.T`")]


def test_every_family_is_here_once():
    assert len(WHOLE) == sum(len(shelf()) for shelf in SHELVES)
    assert len(WHOLE) > 180
    assert set(ODD) <= set(WHOLE)


@pytest.mark.parametrize("name", FAMILIES)
def test_features_are_those_of_hooks_one_stimulus_at_a_time(name):
    assert zoo_checks.problems(FAMILIES[name]) == []


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.hidden])
def test_the_references_are_the_models_own_hidden_states(name):
    assert zoo_checks.hidden_states_differ(FAMILIES[name]) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_references_differ_between_stimuli(name):
    assert zoo_checks.alike(FAMILIES[name]) == []


ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, dict[str, dict[str, list[str]]]]:
    """What `tests.helpers.zoo_run` found, in a process of its own: library -> family -> what is wrong."""
    beside = [str(ROOT / ".venv" / name) for name in ("timm", "extra") if (ROOT / ".venv" / name).is_dir()]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")]), *beside])
    environment = os.environ | {"PYTHONPATH": path, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-m", "tests.helpers.zoo_run"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("library", "name"), [(lib, name) for lib in LIBRARIES for name in families(lib)])
def test_so_are_those_of_other_libraries(elsewhere, library, name):
    if library not in elsewhere:
        pytest.skip(f"{library} is not installed here")
    assert elsewhere[library][name] == {"references": [], "read": []}


def changed(features, site=None, *, by: float = 1.0):
    """Features with one row of one site a little longer; without the site where the factor is 0."""
    values = {key: x.clone() for key, x in features.values.items()}
    site = site or list(values)[-1]
    values[site][3] *= by
    if not by:
        del values[site]
    return replace(features, values=values)


@pytest.mark.parametrize(
    ("by", "said"),
    [(1.0, None), (1.001, "encoder.layer.2@last: (19, 32) is 0.001 away"), (0.0, "encoder.layer.2@last: not read")],
)
def test_a_wrong_row_and_a_lost_layer_are_seen(monkeypatch, by, said):
    family = FAMILIES["bert without [CLS] and [SEP]"]
    read = zoo_checks.read
    monkeypatch.setattr(zoo_checks, "read", lambda *given: changed(read(*given), by=by))
    found = zoo_checks.problems(family)
    assert len(found) == (0 if said is None else 1), found
    assert said is None or found[0].startswith(said)


def test_a_refusal_needs_a_reason_that_is_known(monkeypatch):
    family, read = FAMILIES["bert without [CLS] and [SEP]"], zoo_checks.read

    def refusing(*given):
        features = changed(read(*given), by=0.0)
        site = next(site for site in read(*given).values if site not in features.values)
        return replace(features, refused={site: "said so"})

    monkeypatch.setattr(zoo_checks, "read", refusing)
    assert zoo_checks.problems(family) == ["encoder.layer.2@last: refused: said so"]
    assert zoo_checks.problems(replace(family, refusals={"encoder.layer.2@last": "known"})) == []
