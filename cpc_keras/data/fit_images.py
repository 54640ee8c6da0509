"""Many images of one size, brought to another."""

from __future__ import annotations

import numpy as np

from cpc_keras.data.stored_values import StoredValues


def fit_images(
    images: np.ndarray,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    stored: StoredValues | None = None,
) -> np.ndarray:
    """Brings images to a size and a number of channels, as uint8; each as `fit_image` does.

    Args:
        images: uint8 or uint16 `[n, height, width, channels]`; other integers pass where their
            range tells that they have 16 bits, and with a `pixel_range` all numeric types.
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None keeps what there is.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.
        stored: Told of the pixels, where they are scaled.

    Returns:
        uint8 `[n, height, width, channels]`: the array itself where nothing is to be done.

    Raises:
        ValueError: If without `pixel_range` the pixels have no known range (float; integers below
            0, beyond 16 bits, or of another type than uint8 and uint16 that might have 8 bits), or
            the channels cannot be converted.

    Example:
        >>> fit_images(np.zeros((5, 8, 8, 3), "uint8"), image_size=(4, 6), channels=1).shape
        (5, 4, 6, 1)
    """
    height, width, depth = images.shape[1:]
    same_size = image_size is None or tuple(image_size) == (height, width)
    if same_size and channels in (None, depth) and images.dtype == np.uint8 and not pixel_range:
        return images
    is_clear = (
        pixel_range is not None
        or images.dtype in (np.uint8, np.uint16)
        or not np.issubdtype(images.dtype, np.integer)
    )
    if not is_clear and len(images) and 0 <= images.min() <= images.max() <= 255:
        raise ValueError(
            f"{images.dtype} pixels from {images.min()} to {images.max()} may have 8 bits, or 16 "
            'and be dark. Expected uint8 or uint16. Convert them: images.astype("uint8"), or '
            '"uint16" where 65,535 is white; or name what is black and white by pixel_range= '
            "(--pixel-range)."
        )
    # Imported on demand, with Pillow: what fits already does without.
    from cpc_keras.data.fit_image import fit_image

    fitted = None
    for row, image in enumerate(images):
        image = fit_image(
            image,
            image_size=image_size,
            channels=channels,
            pixel_range=pixel_range,
            stored=stored,
        )
        if fitted is None:
            fitted = np.empty((len(images), *image.shape), np.uint8)
        fitted[row] = image
    return images.astype(np.uint8) if fitted is None else fitted
