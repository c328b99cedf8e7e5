"""Z-scores, drifts and repeats, against scipy and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from ontogeny.errors import DataError
from ontogeny.neuroimaging import average_repeats, detrend_runs, keep_repeats, zscore_runs

RUNS = ["b", "a", "b", "a", "a", "b", "b"]
IDS = ["y", "x", "y", "z", "x", "x", "y"]


def test_z_scores_within_run_are_scipys(rng):
    x = rng.standard_normal((7, 5)) * 3 + 100
    got = zscore_runs(x, RUNS)
    for run in "ab":
        rows = [i for i, r in enumerate(RUNS) if r == run]
        np.testing.assert_allclose(got[rows], scipy.stats.zscore(x[rows], axis=0), atol=1e-10)
    assert zscore_runs(x.astype(np.float32), RUNS).dtype == np.float32


def test_lines_are_taken_out_of_each_run_as_scipy_does(rng):
    x = rng.standard_normal((40, 3)).cumsum(axis=0)
    got = detrend_runs(x, ["1"] * 15 + ["2"] * 25)
    np.testing.assert_allclose(got, scipy.signal.detrend(x, axis=0, bp=[15]), atol=1e-10)
    time = np.arange(25.0)
    curved = (3 + 0.1 * time - 0.02 * time**2)[:, None]
    np.testing.assert_allclose(detrend_runs(curved, ["1"] * 25, order=2), 0, atol=1e-10)


def test_repeats_are_found_by_id(rng):
    x = rng.standard_normal((7, 4))
    ids, means = average_repeats(x, IDS)
    assert ids == ("y", "x", "z")
    for row, stimulus in enumerate(ids):
        np.testing.assert_allclose(means[row], np.mean([x[i] for i in range(7) if IDS[i] == stimulus], axis=0))
    ids, kept = keep_repeats(x, IDS)
    assert kept.shape == (3, 3, 4)
    np.testing.assert_array_equal(kept[1], x[[1, 4, 5]])
    np.testing.assert_array_equal(kept[2, 0], x[3])
    assert np.isnan(kept[2, 1:]).all()


def test_what_has_no_z_score_is_refused(rng):
    x = rng.standard_normal((4, 3))
    with pytest.raises(DataError, match="run '2' has 1 row; a z-score within run needs 2 or more"):
        zscore_runs(x, ["1", "1", "1", "2"])
    x[:2, 1] = 5
    with pytest.raises(DataError, match="1 voxels are constant in run '1', e.g. voxel 1; drop them"):
        zscore_runs(x, ["1", "1", "2", "2"])
    with pytest.raises(DataError, match="expected one run a row, 4, got 2"):
        zscore_runs(x, ["1", "1"])
    with pytest.raises(DataError, match="run '1' has 2 volumes; a polynomial of order 1 needs 3"):
        detrend_runs(x, ["1", "1", "2", "2"])
    with pytest.raises(DataError, match="expected one stimulus id a row, 4, got 1"):
        average_repeats(x, ["1"])
