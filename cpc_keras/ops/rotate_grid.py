"""Turn a grid so that the direction of prediction points down."""

from keras import ops

DIRECTIONS = ("down", "up", "left", "right")


def rotate_grid(grid, direction: str):
    """Rotate a grid by quarter turns so that `direction` becomes downwards.

    A network whose row r sees the rows <= r then predicts in any direction (CPC v2,
    arXiv:1905.09272, section on four directions). Height and width swap for "left" and "right".

    Args:
        grid: `[batch, rows, columns, ...]`.
        direction: "down", "up", "left" or "right": where the predicted patch lies.

    Returns:
        The rotated grid, `[batch, columns, rows, ...]` for "left" and "right".

    Raises:
        ValueError: an unknown direction.

    Example:
        >>> turned = rotate_grid(np.array([[[1, 2, 3]]]), "right")
        >>> np.asarray(turned)[0]  # one row became one column
        array([[1],
               [2],
               [3]])
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {DIRECTIONS}. Received: {direction!r}.")
    if direction == "down":
        return grid
    if direction == "up":
        # One axis at a time: Keras before 3.14 flips along no more, and exports load there.
        return ops.flip(ops.flip(grid, axis=1), axis=2)
    # Transposed and mirrored once: the left (right) column becomes the bottom row.
    swapped = ops.transpose(grid, (0, 2, 1, *range(3, len(grid.shape))))
    return ops.flip(swapped, axis=1 if direction == "left" else 2)
