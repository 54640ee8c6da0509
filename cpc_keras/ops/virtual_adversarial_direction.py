"""The direction that changes a prediction most."""

from collections.abc import Callable

from keras import ops

from cpc_keras.ops.kl_hessian_product import kl_hessian_product


def virtual_adversarial_direction(
    classify: Callable, images, *, start, num_power_iterations: int = 1
):
    """Return the unit direction in which a classifier's prediction changes most, of each image.

    The leading eigenvector of the Hessian of `KL(p(x) || p(x + r))` by r at r = 0, by power
    iteration from a random direction (Miyato et al. 2018, arXiv:1704.03976, section 3.3): one step
    does for training. Its sign is arbitrary. Constant to the gradient.

    Args:
        classify: function from images to logits `[batch, classes]`; images do not see each other,
            and nothing is drawn at random.
        images: `[batch, ...]`.
        start: directions to begin with, of the shape of `images`, such as normal draws.
        num_power_iterations: 1 or more.

    Returns:
        `(logits, directions)`: the clean logits, constant to the gradient, and float32 directions
        of the shape of `images` and norm 1; 0 where the prediction does not change at all.

    Example:
        >>> def classify(x):
        ...     return x * np.array([3.0, 1.0, 0.0], "float32")
        >>> x, start = np.zeros((1, 3), "float32"), np.ones((1, 3), "float32")
        >>> _, direction = virtual_adversarial_direction(
        ...     classify, x, start=start, num_power_iterations=9)
        >>> np.abs(np.asarray(direction)).round(2)
        array([[0.98, 0.18, 0.  ]], dtype=float32)
    """
    directions = _unit(ops.cast(start, "float32"))
    for _ in range(num_power_iterations):
        logits, directions = kl_hessian_product(classify, images, directions)
        directions = _unit(directions)
    return logits, ops.stop_gradient(directions)


def _unit(x):
    axes = tuple(range(1, len(x.shape)))
    # By the largest first: the squares of a sure prediction's changes would be lost.
    x = x / ops.maximum(ops.max(ops.abs(x), axis=axes, keepdims=True), 1e-30)
    square = ops.sum(ops.square(x), axis=axes, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, 1e-12))
