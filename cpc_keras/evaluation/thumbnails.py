"""Images made small enough to show many."""

import numpy as np


def thumbnails(images: np.ndarray, side: int) -> np.ndarray:
    """Make images of any channels into small grey or RGB ones.

    Args:
        images: `[n, height, width, channels]`, in [0, 255]. One channel stays grey and three RGB;
            others have no colors of their own, and the mean of the channels is shown.
        side: the longer side of a larger image is brought down to so many pixels; smaller images
            stay as they are.

    Returns:
        uint8 `[n, height, width, 1 or 3]`.

    Example:
        >>> thumbnails(np.zeros((2, 64, 32, 5), "uint8"), 16).shape
        (2, 16, 8, 1)
    """
    images = np.asarray(images)
    if images.shape[-1] not in (1, 3):
        images = images.mean(axis=-1, keepdims=True)
    images = np.clip(np.round(images), 0, 255).astype("uint8")
    height, width = images.shape[1:3]
    scale = side / max(height, width)
    if scale >= 1 or not len(images):
        return images
    import PIL.Image

    size = (max(1, round(width * scale)), max(1, round(height * scale)))

    def small(image):
        image = PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        image = np.asarray(image.resize(size, PIL.Image.Resampling.BOX))
        return image if image.ndim == 3 else image[..., None]

    return np.stack([small(image) for image in images])
