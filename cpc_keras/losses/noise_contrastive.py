"""Noise-contrastive estimation."""

from keras import ops


def noise_contrastive(positive, negatives, *, log_z, num_classes: int):
    """Return the loss of telling data from noise, for each example.

    In place of a softmax over very many classes: with `P(i|v) = exp(s_i) / Z` and m classes drawn
    evenly from n as noise, `h(i, v) = P(i|v) / (P(i|v) + m / n)` is the probability that i was not
    drawn, and the loss is `-log h(true) - sum_k log(1 - h(k))` over the m (Wu et al. 2018,
    arXiv:1805.01978, equations 5 to 7, with m times the mean as a sum). Computed from logits: h is
    a sigmoid of `s - log Z - log(m / n)`.

    Args:
        positive: scores s of the true classes, `[batch]`, any float dtype.
        negatives: scores of m classes that were drawn evenly from all, `[batch, m]`; the true one
            may be among them.
        log_z: ln Z, a number. The paper: that of the first batch.
        num_classes: n, how many classes there are.

    Returns:
        float32 `[batch]`, in nats.

    Example:
        >>> loss = noise_contrastive(np.array([9.0]), np.zeros((1, 4)), log_z=3.0, num_classes=100)
        >>> round(float(loss[0]), 3)
        3.234
    """
    shift = ops.cast(log_z, "float32") + ops.log(negatives.shape[-1] / num_classes)
    positive = ops.cast(positive, "float32") - shift
    negatives = ops.cast(negatives, "float32") - shift
    return ops.softplus(-positive) + ops.sum(ops.softplus(negatives), axis=-1)
