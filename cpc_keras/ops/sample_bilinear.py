"""Read images between their pixels."""

from keras import ops


def sample_bilinear(images, rows, columns, *, fill_value: float | None = None):
    """Read each image of a batch at its own positions, with bilinear interpolation.

    Geometry in one step: whatever moves pixels (rotation, shear, elastic deformation) says where
    each output pixel comes from, and this function fetches it. (Keras's `affine_transform` is not
    compiled by XLA, and its `map_coordinates` takes one image.)

    Args:
        images: `[batch, height, width, channels]`, float; height and width must be static.
        rows: `[batch, new_height, new_width]`, float: row to read at, 0 is the centre of the first
            row of pixels.
        columns: the same for the columns.
        fill_value: value of all that lies outside the image; `None`: the nearest pixel.

    Returns:
        `[batch, new_height, new_width, channels]`, dtype of `images`.

    Example:
        >>> image = np.array([[[[0.0], [10.0]]]], "float32")
        >>> where = np.array([[[0.25]]], "float32")
        >>> float(sample_bilinear(image, 0 * where, where)[0, 0, 0, 0])
        2.5
    """
    _, height, width, channels = images.shape
    # PyTorch's tensors do not go with arrays.
    rows, columns = ops.convert_to_tensor(rows), ops.convert_to_tensor(columns)
    if fill_value is None:
        rows, columns = ops.clip(rows, 0, height - 1), ops.clip(columns, 0, width - 1)
    flat = ops.reshape(images, (-1, channels))
    first = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None] * (height * width)
    top, left = ops.floor(rows), ops.floor(columns)
    down, right = rows - top, columns - left
    result = 0.0
    for row, row_weight in ((top, 1 - down), (top + 1, down)):
        for column, column_weight in ((left, 1 - right), (left + 1, right)):
            y = ops.cast(ops.clip(row, 0, height - 1), "int32")
            x = ops.cast(ops.clip(column, 0, width - 1), "int32")
            pixels = ops.take(flat, first + y * width + x, axis=0)
            if fill_value is not None:
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                pixels = ops.where(inside[..., None], pixels, fill_value)
            result = result + pixels * (row_weight * column_weight)[..., None]
    return result
