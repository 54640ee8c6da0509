"""Directions and their gradients, against the definition in float64."""

import keras
import numpy as np
import pytest

from cpc_keras.ops import l2_normalize


def test_vectors_are_divided_by_their_norms():
    vectors = np.random.default_rng(0).normal(size=(3, 4, 5)).astype("float32")
    vectors *= 10.0 ** np.arange(-3, 1)[:, None]
    result = np.asarray(l2_normalize(vectors))
    for place in np.ndindex(3, 4):
        x = vectors[place].astype("float64")
        np.testing.assert_allclose(result[place], x / np.sqrt(sum(x * x)), rtol=1e-5)


def gradient(function, vectors):
    """Of the sum of what `function` returns, by TensorFlow."""
    tf = pytest.importorskip("tensorflow")
    vectors = tf.constant(vectors)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        total = keras.ops.sum(function(vectors))
    return np.asarray(tape.gradient(total, vectors))


def test_the_gradient_is_that_of_the_definition():
    x = np.array([0.3, -1.2, 0.8])
    norm = np.sqrt(sum(x * x))
    # d/dx_j of sum_i x_i / |x| = (1 - x_j * sum_i x_i / |x|^2) / |x|
    expected = (1 - x * x.sum() / norm**2) / norm
    found = gradient(l2_normalize, x.astype("float32")[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_vector_of_zeros_stays_zero_and_has_a_gradient_that_is_no_nan():
    zeros = np.zeros((1, 3), "float32")
    np.testing.assert_array_equal(np.asarray(l2_normalize(zeros)), zeros)
    np.testing.assert_allclose(gradient(l2_normalize, zeros), np.full((1, 3), 1e4), rtol=1e-6)


def test_a_nan_stays_a_nan():
    assert np.isnan(np.asarray(l2_normalize(np.array([[np.nan, 1.0]], "float32")))).all()
