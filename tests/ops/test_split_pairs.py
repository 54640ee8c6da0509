"""Scores of pairs and of strangers, one entry after the other."""

import numpy as np
import pytest

from cpc_keras.ops import split_pairs


@pytest.mark.parametrize("shape", [(2, 2), (5, 5), (3, 4, 4), (2, 1, 3, 3)])
def test_the_diagonal_and_the_rest_are_each_entry_once(shape):
    scores = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape)
    joint, rest = (np.asarray(x) for x in split_pairs(scores))
    n = shape[-1]
    assert joint.shape == (*shape[:-2], n)
    assert rest.shape == (*shape[:-2], n * (n - 1))
    for place in np.ndindex(shape[:-2]):
        np.testing.assert_array_equal(joint[place], [scores[place][i, i] for i in range(n)])
        expected = [scores[place][i, j] for i in range(n) for j in range(n) if i != j]
        np.testing.assert_array_equal(rest[place], expected)


@pytest.mark.parametrize("shape", [(4,), (1, 1), (0, 0), (3, 4), (4, 4, 1)])
def test_what_is_no_matrix_of_pairs_is_refused(shape):
    with pytest.raises(ValueError, match=r"scores \[..., n, n\] of n >= 2 pairs.*Received"):
        split_pairs(np.zeros(shape, "float32"))
