"""The NWJ lower bound of mutual information."""

from keras import ops

from cpc_keras.ops.split_pairs import split_pairs


def nwj(scores):
    """Lower bound of the mutual information of x and y from a matrix of scores, in nats.

    `E_joint[f] - E_product[exp(f - 1)]` (Nguyen, Wainwright and Jordan 2010, arXiv:0809.0853; Poole
    et al. 2019, arXiv:1905.06922, I_NWJ; MINE's f-divergence form, arXiv:1801.04062). It is largest
    at `f = 1 + ln p(x, y) / (p(x) p(y))`, where it is the mutual information.

    A bound: both means are unbiased, so the expectation over batches is at most the mutual
    information for any scores that were not fitted on these very pairs. One batch may lie far
    above it, since the variance grows at least like exp(mutual information) / n^2 (Song and Ermon
    2020, arXiv:1910.06222), for Gaussians like exp(2 mutual information): far beyond ln n nats
    only a mean over thousands of batches is worth reading, and its standard error is itself
    uncertain. Nothing caps it at ln n, as InfoNCE is.

    Args:
        scores: f(x_i, y_j), `[..., n, n]`, the pairs drawn together on the diagonal, n at least 2.

    Returns:
        `[...]` float32. To train with it, minimise its negative. It is -inf where a score off the
        diagonal passes 89 or so, since the true value is beyond float32.

    Raises:
        ValueError: `scores` is not square or of a single pair.

    Example:
        >>> round(float(nwj(np.ones((4, 4)))), 6)  # scores that say nothing: f = 1
        0.0
    """
    joint, product = split_pairs(scores)
    num_product = ops.cast(ops.shape(product)[-1], "float32")
    log_mean = ops.logsumexp(product, axis=-1) - ops.log(num_product)
    return ops.mean(joint, axis=-1) - ops.exp(log_mean - 1.0)
