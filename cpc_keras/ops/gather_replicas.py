"""One replica's examples beside those of all replicas."""

import keras


def gather_replicas(x):
    """Concatenate a tensor over the replicas of a `tf.distribute` strategy, along the first axis.

    Gradients flow back: each replica gets, for its own part, the sum of what all of them found.

    Args:
        x: `[n, ...]` in each replica; n may differ between them, the other axes may not.

    Returns:
        The tensor of all replicas, in their order, `[sum of n, ...]`, and the position in it of
        this replica's first example. Where there is but one replica, outside of a strategy, and on
        JAX and PyTorch (on JAX a batch is that of all devices already): `x` and 0.

    Example:
        >>> everything, first = gather_replicas(np.zeros((3, 2)))
        >>> everything.shape, first
        ((3, 2), 0)
    """
    if keras.backend.backend() != "tensorflow":
        return x, 0
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return x, 0
    sizes = replica.all_gather(tf.shape(x)[:1], axis=0)
    first = tf.reduce_sum(sizes[: replica.replica_id_in_sync_group])
    # Collectives on processors have no bfloat16.
    x = tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x
    everything = replica.all_gather(x, axis=0)
    everything.set_shape((None, *x.shape[1:]))
    return everything, first
