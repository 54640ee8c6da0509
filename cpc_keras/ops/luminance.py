"""Grey values of images."""

from keras import ops

# ITU-R BT.601, as Pillow, TensorFlow and Keras weigh red, green and blue.
LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)


def luminance(images):
    """Return the grey value of every pixel: `0.299 R + 0.587 G + 0.114 B`.

    With any other number of channels than three, nobody says what colour they are: their mean.

    Args:
        images: `[..., channels]`, float.

    Returns:
        `[..., 1]`, dtype of `images`.

    Example:
        >>> round(float(luminance(np.array([[[100.0, 0.0, 0.0]]]))[0, 0, 0]), 1)
        29.9
    """
    if images.shape[-1] != 3:
        return ops.mean(images, axis=-1, keepdims=True)
    red, green, blue = LUMINANCE_WEIGHTS
    return red * images[..., :1] + green * images[..., 1:2] + blue * images[..., 2:]
