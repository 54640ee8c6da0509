"""Cut tiles at places of their own out of every image."""

from keras import ops


def cut_tiles(images, rows, columns, *, tile_size: int):
    """Cut square tiles out of images, wherever in each image they lie.

    One gather of all pixels, which are copied, never interpolated. Tiles on a regular grid, the
    same in all images, are `extract_patches`.

    Args:
        images: `[batch, height, width, channels]`, any dtype; height and width must be static.
        rows: integers `[batch, tiles]`: row of the upper left pixel of each tile; the tile must lie
            within the image.
        columns: the same for the columns.
        tile_size: side of the tiles, in pixels.

    Returns:
        `[batch, tiles, tile_size, tile_size, channels]`, dtype of `images`.

    Example:
        >>> image = np.arange(16).reshape(1, 4, 4, 1)
        >>> np.asarray(cut_tiles(image, [[2]], [[1]], tile_size=2))[0, 0, :, :, 0]
        array([[ 9, 10],
               [13, 14]])
    """
    _, height, width, channels = images.shape
    rows, columns = (ops.convert_to_tensor(x, dtype="int32") for x in (rows, columns))
    inside = ops.arange(tile_size, dtype="int32")
    rows = (rows[:, :, None] + inside)[:, :, :, None]
    columns = (columns[:, :, None] + inside)[:, :, None, :]
    image = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None, None]
    index = image * (height * width) + rows * width + columns
    return ops.take(ops.reshape(images, (-1, channels)), index, axis=0)
