"""The Donsker-Varadhan estimate of mutual information."""

from keras import ops

from cpc_keras.ops.split_pairs import split_pairs


def donsker_varadhan(scores):
    """Estimate of the mutual information of x and y from a matrix of scores, in nats.

    `E_joint[f] - ln E_product[exp(f)]` (Donsker and Varadhan 1983; MINE, Belghazi et al. 2018,
    arXiv:1801.04062, equation 10). It is largest at `f = ln p(x, y) / (p(x) p(y)) + constant`,
    where it is the mutual information.

    Not a bound of either kind: with the true expectations it is a lower bound, but the logarithm of
    a mean over a batch is on average below the logarithm of the true mean, so that the estimate is
    biased upwards (Poole et al. 2019, arXiv:1905.06922, section 2.1), the more the larger the
    mutual information. Its gradient on a batch is biased as well; MINE's moving average, which
    lessens that, is not in here.

    Args:
        scores: f(x_i, y_j), `[..., n, n]`, the pairs drawn together on the diagonal, n at least 2.

    Returns:
        `[...]` float32. To train with it, minimise its negative.

    Raises:
        ValueError: `scores` is not square or of a single pair.

    Example:
        >>> round(float(donsker_varadhan(np.full((4, 4), 7.0))), 6)  # scores that say nothing
        0.0
    """
    joint, product = split_pairs(scores)
    num_product = ops.cast(ops.shape(product)[-1], "float32")
    # The same number off all scores changes nothing: taken off first, since of two large, nearly
    # equal numbers little would be left.
    start = ops.stop_gradient(joint[..., :1])
    log_mean = ops.logsumexp(product - start, axis=-1) - ops.log(num_product)
    return ops.mean(joint - start, axis=-1) - log_mean
