"""Cut images into overlapping patches."""

from keras import ops

from cpc_keras.ops.grid_shape import grid_shape


def extract_patches(images, *, patch_size: int, patch_stride: int):
    """Cut images into a grid of square, possibly overlapping patches.

    Pixels are copied, never multiplied, so every dtype comes through exactly. (A convolution with
    an identity kernel, which `keras.ops.image.extract_patches` uses, costs
    `(patch_size**2 * channels) ** 2` products a patch: 19,200 squared for CPC v2.)

    Args:
        images: `[batch, height, width, channels]`, any dtype; height and width must be static.
        patch_size: side of the patches, in pixels.
        patch_stride: step between patches, in pixels.

    Returns:
        `[batch, rows, columns, patch_size, patch_size, channels]`, dtype of `images`.

    Raises:
        ValueError: the rank is not 4, or the sides give no whole grid.

    Example:
        >>> patches = extract_patches(np.zeros((2, 32, 32, 3)), patch_size=8, patch_stride=4)
        >>> tuple(patches.shape)
        (2, 7, 7, 8, 8, 3)
    """
    if len(images.shape) != 4:
        raise ValueError(
            "Images must have rank 4, [batch, height, width, channels]. Received shape "
            f"{tuple(images.shape)}. For one image add a batch axis: images[None]."
        )
    _, height, width, channels = images.shape
    rows, columns = grid_shape((height, width), patch_size=patch_size, patch_stride=patch_stride)
    row_pixels = [r * patch_stride + i for r in range(rows) for i in range(patch_size)]
    column_pixels = [c * patch_stride + i for c in range(columns) for i in range(patch_size)]
    patches = ops.take(ops.take(images, row_pixels, axis=1), column_pixels, axis=2)
    patches = ops.reshape(patches, (-1, rows, patch_size, columns, patch_size, channels))
    return ops.transpose(patches, (0, 1, 3, 2, 4, 5))
