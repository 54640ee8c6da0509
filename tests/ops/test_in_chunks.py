"""Functions of a batch, chunk by chunk: the same values, the same gradients."""

import numpy as np
import pytest

from cpc_keras.ops import in_chunks

tf = pytest.importorskip("tensorflow", reason="gradients are taken by TensorFlow here")


def function(weights, x):
    hidden = tf.tanh(x @ weights[0] + weights[1])
    return [hidden @ weights[2], tf.reduce_sum(hidden, axis=-1)]


def weights_of(rng):
    shapes = [(3, 4), (4,), (4, 2), (5,)]  # the last is not used
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def loss_of(outputs):
    """A loss over the whole batch: no sum of losses of examples."""
    first, second = outputs
    scores = tf.matmul(first, first, transpose_b=True)
    return tf.reduce_mean(tf.reduce_logsumexp(scores, axis=1)) + tf.reduce_max(second)


@pytest.mark.parametrize("batch", [1, 6, 7])
@pytest.mark.parametrize("chunk_size", [1, 3, 6, 100])
@pytest.mark.parametrize("compiled", [False, True])
def test_values_and_gradients_are_those_of_the_whole_batch(batch, chunk_size, compiled):
    rng = np.random.default_rng(0)
    weights = [tf.Variable(w) for w in weights_of(rng)]
    x = rng.normal(size=(batch, 3)).astype("float32")

    def step(x, chunked):
        with tf.GradientTape() as tape:
            values = [tf.convert_to_tensor(w) for w in weights]
            if chunked:
                outputs = in_chunks(function, x, values, chunk_size=chunk_size)
            else:
                outputs = function(values, x)
            loss = loss_of(outputs)
        return outputs, loss, tape.gradient(loss, weights[:3])

    def chunked(x):
        return step(x, True)

    if compiled:
        # The size of the batch is known only when it runs.
        chunked = tf.function(chunked, input_signature=[tf.TensorSpec((None, 3))])
    outputs, loss, gradients = chunked(tf.constant(x))
    expected, whole, exact = step(tf.constant(x), False)
    np.testing.assert_allclose(loss, whole, rtol=1e-6)
    for a, b in zip([*outputs, *gradients], [*expected, *exact], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
