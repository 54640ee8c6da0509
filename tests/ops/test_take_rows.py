"""take_rows."""

import numpy as np
import pytest

from cpc_keras.ops import take_rows


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (0, 3), (2, 5), (1, 4), (4, 5)])
def test_rows_are_those_of_a_slice(start, stop):
    grid = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype("float32")
    np.testing.assert_array_equal(np.asarray(take_rows(grid, start, stop)), grid[:, start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (4, 2), (0, 6)])
def test_rows_that_are_not_there_are_refused(start, stop):
    with pytest.raises(ValueError, match=f"start={start}, stop={stop} for a grid of 5 rows"):
        take_rows(np.zeros((2, 5, 3, 4)), start, stop)
