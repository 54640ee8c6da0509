"""The same steps give the same bits."""

import keras


def deterministic_ops(wanted: bool | None = None) -> bool:
    """Have TensorFlow compute the same bits every time, for the rest of the process.

    Args:
        wanted: whether to; by default where there is no GPU, on which it costs more.

    Returns:
        Whether the operations are deterministic now. On other backends than TensorFlow nothing is
        done: JAX is deterministic on a CPU.

    Example:
        >>> deterministic_ops(False)
        False
    """
    if wanted is False or keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    if wanted is None and tf.config.list_physical_devices("GPU"):
        return False
    tf.config.experimental.enable_op_determinism()
    return True
