"""How many devices compute a batch together."""

import keras


def num_replicas() -> int:
    """Return the number of replicas of the `tf.distribute` strategy that is in force.

    Returns:
        1 outside of a strategy, and on JAX and PyTorch.

    Example:
        >>> num_replicas()
        1
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
