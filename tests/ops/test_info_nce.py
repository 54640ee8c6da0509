"""The cross-entropy of scores against its definition in float64."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.ops import info_nce


def reference(logits, positives, excluded=None):
    """Loss, hit and ln N, one prediction after the other."""
    losses, hits, sizes = [], [], []
    for i, row in enumerate(np.asarray(logits, "float64")):
        kept = [j for j in range(len(row)) if excluded is None or not excluded[i, j]]
        top = max(row[j] for j in kept)
        total = sum(np.exp(row[j] - top) for j in kept)
        losses.append(np.log(total) + top - row[positives[i]])
        hits.append(all(row[positives[i]] > row[j] for j in kept if j != positives[i]))
        sizes.append(np.log(len(kept)))
    return np.array(losses), np.array(hits, float), np.array(sizes)


def assert_equal(contrast, expected):
    loss, hits, sizes = expected
    np.testing.assert_allclose(np.asarray(contrast.loss), loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(contrast.correct), hits)
    np.testing.assert_allclose(np.asarray(contrast.log_num_candidates), sizes, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 7),
    scale=st.sampled_from([0.0, 0.1, 30.0, 1e4]),
    exclude=st.booleans(),
    seed=st.integers(0, 999),
)
def test_info_nce_is_the_cross_entropy_of_its_definition(rows, columns, scale, exclude, seed):
    rng = np.random.default_rng(seed)
    # Rounded, so that ties occur.
    logits = (scale * rng.normal(size=(rows, columns)).round(1)).astype("float32")
    positives = rng.integers(0, columns, rows)
    excluded = rng.random((rows, columns)) < 0.4 if exclude else None
    if exclude:
        excluded[np.arange(rows), positives] = False
    contrast = info_nce(logits, positives, excluded=excluded)
    assert_equal(contrast, reference(logits, positives, excluded))


def test_a_tie_with_the_positive_is_wrong():
    contrast = info_nce(np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 1.0]]), np.array([0, 0]))
    np.testing.assert_array_equal(np.asarray(contrast.correct), [0, 1])


def test_a_nan_is_not_correct():
    contrast = info_nce(np.full((2, 3), np.nan), np.array([0, 1]))
    np.testing.assert_array_equal(np.asarray(contrast.correct), [0, 0])


@pytest.mark.parametrize("gap", [25.3, 60.7, 1e4, 2e4])
def test_the_loss_of_a_lost_positive_is_its_true_value(gap):
    """`log(softmax + e)` gives 25.3 for the 60.7 and no gradient."""
    tf = pytest.importorskip("tensorflow")
    logits = tf.constant([[-gap / 2, gap / 2, -gap / 2]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = info_nce(logits, np.array([0])).loss[0]
    np.testing.assert_allclose(float(loss), gap, rtol=1e-6)
    gradient = tape.gradient(loss, logits)
    np.testing.assert_allclose(np.asarray(gradient), [[-1, 1, 0]], atol=1e-6)


def test_an_excluded_candidate_gets_no_gradient_and_makes_no_nan():
    tf = pytest.importorskip("tensorflow")
    logits = tf.constant([[0.0, 1e4, -1e4]])
    excluded = np.array([[False, True, True]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = info_nce(logits, np.array([0]), excluded=excluded).loss[0]
    assert float(loss) == 0
    np.testing.assert_array_equal(np.asarray(tape.gradient(loss, logits)), [[0, 0, 0]])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_the_result_is_float32(dtype):
    logits = keras.ops.convert_to_tensor(np.eye(3) * 8, dtype)
    for value in info_nce(logits, np.arange(3)):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"


def test_leading_axes_are_kept():
    logits = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    positives = np.random.default_rng(1).integers(0, 3, (4, 5))
    contrast = info_nce(logits, positives)
    expected = reference(logits.reshape(20, 3), positives.reshape(20))
    assert_equal(contrast, [x.reshape(4, 5) for x in expected])
