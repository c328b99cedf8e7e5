"""The tests' own check of shapes: it sees a wrong one in each test, and leaves hot loops alone."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.shape_checks import CHECKED_CALLS, check_again

from ontogeny.metrics._pairwise.dissimilarities import tau_a


def summed(values):
    return tau_a(values, values)


@pytest.mark.parametrize("_", range(2))
def test_a_wrong_shape_is_seen_in_the_first_calls_of_each_test(_):
    with pytest.raises(Exception, match="Type-check error whilst checking the parameters of"):
        summed(np.ones((3, 2)))


def test_after_the_first_calls_nothing_is_checked_until_the_next_test():
    values = np.arange(4.0)
    expected = summed(values)
    for _ in range(2 * CHECKED_CALLS):
        assert summed(values) == expected
    assert tau_a.__no_type_check__
    check_again()
    assert not tau_a.__no_type_check__
