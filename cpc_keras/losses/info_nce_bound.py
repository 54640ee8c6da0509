"""The InfoNCE lower bound of mutual information."""

from keras import ops

from cpc_keras.ops.info_nce import info_nce
from cpc_keras.ops.split_pairs import split_pairs


def info_nce_bound(scores):
    """Lower bound of the mutual information of x and y from a matrix of scores, in nats.

    `ln n - loss`, the loss being the mean over i of `logsumexp_j f(x_i, y_j) - f(x_i, y_i)` (van
    den Oord et al. 2018, arXiv:1807.03748, equations 4 and 5; Poole et al. 2019, arXiv:1905.06922,
    I_NCE). It is largest at `f = ln p(y | x) / p(y) + c(x)` with any c.

    A bound: the expectation over batches is at most the mutual information, for any scores that
    were not fitted on these very pairs, and of little variance. It never exceeds ln n, so that it
    says nothing of what lies above: more candidates, not more batches, raise it.

    Args:
        scores: f(x_i, y_j), `[..., n, n]`, the pairs drawn together on the diagonal, n at least 2.

    Returns:
        `[...]` float32, at most ln n. To train with it, minimise its negative, or use `InfoNCE`.

    Raises:
        ValueError: `scores` is not square or of a single pair.

    Example:
        >>> round(float(info_nce_bound(np.zeros((4, 4)))), 6)  # scores that say nothing
        0.0
    """
    joint, _ = split_pairs(scores)  # refuses what is no matrix of pairs
    contrast = info_nce(scores, ops.arange(ops.shape(joint)[-1]))
    return ops.mean(contrast.log_num_candidates - contrast.loss, axis=-1)
