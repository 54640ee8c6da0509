"""A function of many examples in the memory of a few."""

from collections.abc import Callable

import keras
from keras import ops

from cpc_keras.ops.scan import scan


def in_chunks(function: Callable, inputs, weights: list, *, chunk_size: int) -> list:
    """Compute a function of a batch chunk by chunk, and its gradients by the weights likewise.

    What the function keeps for its gradients is dropped after each chunk and computed again when
    they are asked for: one more forward pass, and the memory of one chunk instead of the batch
    (gradient caching, Gao et al. 2021, arXiv:2101.06983). A loss over all outputs has the same
    value and the same gradients as without.

    Args:
        function: `(weights, inputs) -> list of tensors`, of which each example's depends on that
            example alone. It must not draw at random: it is run twice.
        inputs: `[batch, ...]`; not differentiated.
        weights: tensors by which the outputs are differentiated.
        chunk_size: examples at a time, 1 or more. The last chunk is filled with zeros.

    Returns:
        What `function(weights, inputs)` returns.

    Example:
        >>> def square(weights, x):
        ...     return [weights[0] * x**2]
        >>> x = np.arange(5, dtype="float32")
        >>> np.asarray(in_chunks(square, x, [np.float32(2)], chunk_size=2)[0])
        array([ 0.,  2.,  8., 18., 32.], dtype=float32)
    """
    batch = ops.shape(inputs)[0]
    num_chunks = (batch + chunk_size - 1) // chunk_size
    inputs = _chunks(ops.stop_gradient(inputs), num_chunks, chunk_size)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        outputs = _tensorflow(function, inputs, weights)
    else:
        again = keras.remat(lambda x: tuple(function(weights, x)))
        outputs = ops.map(again, inputs)
    return [ops.reshape(y, (-1, *y.shape[2:]))[:batch] for y in outputs]


def _chunks(x, num_chunks, chunk_size):
    missing = num_chunks * chunk_size - ops.shape(x)[0]
    x = ops.concatenate([x, ops.zeros((missing, *x.shape[1:]), x.dtype)])
    return ops.reshape(x, (num_chunks, chunk_size, *x.shape[1:]))


def _tensorflow(function, inputs, weights):
    import tensorflow as tf

    # What comes out, of which types and shapes, without running it.
    example = tf.TensorSpec(inputs.shape[1:], inputs.dtype)
    traced = tf.function(lambda x: function(weights, x)).get_concrete_function(example)
    specs = tf.nest.flatten(traced.structured_outputs)

    @tf.custom_gradient
    def run(*weights):
        _, outputs = scan(
            lambda carry, x: (carry, function(weights, x[0])),
            tf.zeros(()),
            (inputs,),
            output_types=[spec.dtype for spec in specs],
        )
        for output, spec in zip(outputs, specs, strict=True):
            output.set_shape((inputs.shape[0], *spec.shape))

        def gradient(*upstream):
            def step(sums, xs):
                x, *pulled = xs
                with tf.GradientTape() as tape:
                    tape.watch(weights)
                    outputs = function(weights, x)
                found = tape.gradient(
                    outputs,
                    weights,
                    output_gradients=pulled,
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                return [a + b for a, b in zip(sums, found, strict=True)], []

            sums, _ = scan(
                step, [tf.zeros_like(w) for w in weights], (inputs, *upstream), output_types=[]
            )
            return sums

        return outputs, gradient

    return run(*[tf.convert_to_tensor(w) for w in weights])
