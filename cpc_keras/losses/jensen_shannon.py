"""The Jensen-Shannon divergence between pairs and strangers."""

import math

from keras import ops

from cpc_keras.ops.split_pairs import split_pairs


def jensen_shannon(scores):
    """Lower bound of the Jensen-Shannon divergence of joint and product, from scores, in nats.

    `ln 2 + (E_joint[-softplus(-f)] - E_product[softplus(f)]) / 2`: the GAN's discriminator loss
    (Nowozin et al. 2016, arXiv:1606.00709, table 6); the bracket is the estimator of Deep InfoMax
    (Hjelm et al. 2019, arXiv:1808.06670, equation 4). It is largest at
    `f = ln p(x, y) / (p(x) p(y))`, where it is the divergence, between 0 and ln 2.

    A bound of the divergence, since both means are unbiased, of little variance; it is *no*
    estimate of the mutual information, of which it is neither a bound nor a function. Mutual
    information is read off the scores trained with it by `nwj(1.0 + scores)` (Poole et al. 2019,
    arXiv:1905.06922, I_JS): a lower bound as `nwj` is, for any scores, of the same large variance
    when evaluated, but with a gradient that was calm while training. Without the 1, as in a public
    notebook of that paper, it is 1/e nats below at the best scores.

    Args:
        scores: f(x_i, y_j), `[..., n, n]`, the pairs drawn together on the diagonal, n at least 2.

    Returns:
        `[...]` float32, at most ln 2. To train with it, minimise its negative.

    Raises:
        ValueError: `scores` is not square or of a single pair.

    Example:
        >>> round(float(jensen_shannon(np.zeros((4, 4)))), 6)  # scores that say nothing
        0.0
    """
    joint, product = split_pairs(scores)
    told = ops.mean(-ops.softplus(-joint), axis=-1) - ops.mean(ops.softplus(product), axis=-1)
    return math.log(2.0) + told / 2.0
