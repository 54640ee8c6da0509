"""A matrix of scores to those of true pairs and those of all others."""

from keras import ops


def split_pairs(scores):
    """Take the diagonal and the rest of square matrices.

    With `scores[i, j]` between x_i and y_j, and (x_i, y_i) drawn together: the diagonal holds draws
    from the joint distribution, the rest draws from the product of the marginals. The rest is cut
    out, not masked: a masked score that is infinite would become NaN.

    Args:
        scores: `[..., n, n]`, n at least 2, any float dtype.

    Returns:
        The diagonal, `[..., n]`, and the rest, `[..., n * (n - 1)]` in rows; both float32.

    Raises:
        ValueError: the last two axes differ, or n is below 2.

    Example:
        >>> joint, rest = split_pairs(np.arange(9.0).reshape(3, 3))
        >>> np.asarray(joint), np.asarray(rest)
        (array([0., 4., 8.], dtype=float32), array([1., 2., 3., 5., 6., 7.], dtype=float32))
    """
    shape = tuple(scores.shape)
    square = len(shape) >= 2 and (shape[-1] == shape[-2] or None in shape[-2:])
    if not square or shape[-1] in (0, 1):
        raise ValueError(
            "Expected scores [..., n, n] of n >= 2 pairs, the true ones on the diagonal. Received "
            f"shape {shape}."
        )
    scores = ops.cast(scores, "float32")
    *leading, n, _ = ops.shape(scores)
    # n * n - 1 scores without the first: every run of n + 1 ends with one of the diagonal.
    rest = ops.reshape(scores, (*leading, n * n))[..., 1:]
    rest = ops.reshape(rest, (*leading, n - 1, n + 1))[..., :-1]
    return (
        ops.diagonal(scores, axis1=-2, axis2=-1),
        ops.reshape(rest, (*leading, n * (n - 1))),
    )
