"""The task at the probed weights, and confounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.helpers.models import TinyCNN, image_data, tiny_gpt, token_rows
from torch import nn

from ontogeny import Features, HeldOutLoss
from ontogeny.errors import FeatureError, ProbeError
from ontogeny.extraction.features import Site
from ontogeny.metrics import LayerGeometry
from ontogeny.metrics.dimensionality import intrinsic_dimension, mean_norm, participation_ratio


def measured(task, model):
    return {m.metric: (m.value, m.n) for m in task(model)}


def test_a_classifiers_loss_and_accuracy_over_uneven_batches():
    model = TinyCNN().eval()
    x, y = image_data(25).tensors
    with torch.no_grad():
        logits = model(x)
    expected = nn.functional.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()
    got = measured(HeldOutLoss(batches=[(x[:20], y[:20]), [x[20:], y[20:]]]), model)
    assert got["loss"] == (pytest.approx(expected[0], abs=1e-6), 25)
    assert got["accuracy"] == (pytest.approx(expected[1]), 25)


def test_a_language_models_loss_counts_predicted_tokens_only():
    model = tiny_gpt().eval()
    ids = torch.stack([r["input_ids"] for r in token_rows(6)])
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    with torch.no_grad():
        logits = model(ids, attention_mask=mask).logits
    losses = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    expected = losses[mask[:, 1:] > 0].mean().item()
    got = measured(HeldOutLoss(batches=[{"input_ids": ids, "attention_mask": mask}]), model)
    assert got["loss"] == (pytest.approx(expected, abs=1e-6), 6 * 7 - 3)
    labels = ids.clone()
    labels[1:] = -100
    assert measured(HeldOutLoss(batches=[{"input_ids": ids, "labels": labels}]), model)["loss"][1] == 7


def test_a_loss_of_ones_own():
    x, _ = image_data(10).tensors
    got = HeldOutLoss(batches=[x, x], loss=lambda model, batch: model(batch).abs().sum(dim=1))(TinyCNN().eval())
    assert [(m.metric, m.n) for m in got] == [("loss", 20)]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([torch.rand(2, 3)], "HeldOutLoss cannot use a batch of type Tensor"),
        ([], "got no batches"),
        ([(torch.rand(2, 3, 4), torch.tensor([0, 1]))], "needs a model that returns logits, cases x classes"),
        ([{"input_ids": torch.zeros(2, 3)}], "returns logits, batch x tokens x vocabulary"),
    ],
)
def test_batches_that_cannot_be_used(batches, message):
    class Gives(nn.Module):
        def forward(self, input_ids, attention_mask=None):
            return input_ids.float()

    with pytest.raises(ProbeError, match=message):
        HeldOutLoss(batches=batches)(Gives())


def test_participation_ratio_counts_equal_dimensions(rng):
    directions, _ = np.linalg.qr(rng.standard_normal((50, 5)))
    directions = directions - directions.mean(axis=0)
    directions, _ = np.linalg.qr(directions)
    gram = torch.as_tensor(directions @ directions.T)
    assert participation_ratio(gram) == pytest.approx(5)
    assert mean_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]])) == pytest.approx(3)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.repeat(np.eye(9), 4, axis=0), "an intrinsic dimension needs 10 different stimuli; of 36, 9 differ"),
        (np.eye(12), "12 of 12 stimuli have two nearest neighbours, as on a lattice"),
        (np.arange(40.0)[:, None], "38 of 40 stimuli have two nearest neighbours"),
    ],
)
def test_where_there_is_no_intrinsic_dimension(x, message):
    with pytest.raises(FeatureError, match=message):
        intrinsic_dimension(LayerGeometry(torch.as_tensor(x)).squared_distances)


def test_confounds_stand_beside_each_layer_and_what_cannot_be_had_is_refused(text_benchmark, rng):
    """Class labels have a participation ratio and a norm, and lie on no surface."""
    values = {Site("noise", "none"): torch.randn(40, 9), Site("labels", "none"): torch.eye(4).repeat(10, 1)}
    features = Features(stimulus_ids=text_benchmark.stimuli.ids, values=values, refused={})
    rows = {(s.layer, s.metric): s for s in text_benchmark.score(features) if not s.roi}
    assert {(layer, metric, s.kind) for (layer, metric), s in rows.items()} == {
        (layer, metric, "refusal" if (layer, metric) == ("labels", "intrinsic dimension") else "confound")
        for layer in ("noise", "labels")
        for metric in ("participation ratio", "intrinsic dimension", "feature norm")
    }
    assert "of 40, 4 differ" in rows["labels", "intrinsic dimension"].note
    assert rows["labels", "participation ratio"].value == pytest.approx(3)
    assert 3 < rows["noise", "intrinsic dimension"].value < 15
