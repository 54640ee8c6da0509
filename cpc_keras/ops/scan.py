"""Loops whose steps run one after the other, so that memory is that of one."""

from collections.abc import Callable, Sequence

import keras
from keras import ops


def scan(step: Callable, carry, xs: tuple, *, output_types: Sequence[str]):
    """`keras.ops.scan`, on TensorFlow too with outputs of any shape.

    Keras 3.15's on TensorFlow wants every output to have the shape of the carry.

    Args:
        step: `(carry, x) -> (carry, outputs)`, `outputs` a sequence of tensors.
        carry: tensor or list of tensors that goes from step to step.
        xs: tuple of tensors; their first axes are gone along.
        output_types: type of each output.

    Returns:
        The last carry, and the outputs of all steps, stacked.

    Example:
        >>> total, (doubled,) = scan(
        ...     lambda total, x: (total + x[0], [2 * x[0]]),
        ...     ops.zeros(()), (np.float32([1, 2, 3]),), output_types=["float32"],
        ... )
        >>> float(total), np.asarray(doubled)
        (6.0, array([2., 4., 6.], dtype=float32))
    """
    if keras.backend.backend() != "tensorflow":
        carry, outputs = ops.scan(lambda c, x: _as_lists(step(c, x)), carry, xs)
        return carry, outputs
    import tensorflow as tf

    xs = [tf.convert_to_tensor(x) for x in xs]
    num_steps = tf.shape(xs[0])[0]
    arrays = [tf.TensorArray(t, size=num_steps, infer_shape=False) for t in output_types]

    def body(index, carry, arrays):
        carry, outputs = step(carry, tuple(x[index] for x in xs))
        arrays = [a.write(index, y) for a, y in zip(arrays, outputs, strict=True)]
        return index + 1, carry, arrays

    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < num_steps, body, (0, carry, arrays), parallel_iterations=1
    )
    return carry, [array.stack() for array in arrays]


def _as_lists(result):
    carry, outputs = result
    return carry, list(outputs)
