"""How far one softmax is from another."""

from keras import ops


def kl_divergence(logits, other_logits):
    """Return `KL(p || q)` of the softmax p of logits and q of other logits, in nats.

    In float32, of the logarithms themselves: `p log(p / q)` with a small number added under the
    logarithm would be cut off where q is sure and wrong.

    Args:
        logits: `[..., classes]`, any float dtype.
        other_logits: of the same shape.

    Returns:
        float32 `[...]`, 0 or more up to rounding.

    Example:
        >>> float(kl_divergence(np.log([0.5, 0.5]), np.log([0.25, 0.75]))).__round__(4)
        0.1438
    """
    log_p = ops.log_softmax(ops.cast(logits, "float32"))
    log_q = ops.log_softmax(ops.cast(other_logits, "float32"))
    return ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
