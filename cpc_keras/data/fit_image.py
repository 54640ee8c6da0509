"""One image, brought to the size and channels that are wanted."""

from __future__ import annotations

import numpy as np
from PIL import Image


def fit_image(
    image: np.ndarray | Image.Image,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> np.ndarray:
    """Brings one image to a size and a number of channels, as uint8.

    Resizing is Pillow's bilinear filter, which averages over the pixels it leaves out
    (antialiased). 16-bit pixels are scaled by their full range: 65,535 becomes 255. Alpha is
    dropped.

    Args:
        image: uint8 or uint16 `[height, width, channels]`, or a Pillow image of any mode.
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None keeps an array's channels, and makes a Pillow image
            RGB unless it is grey. An array's own number is always possible.

    Returns:
        uint8 `[height, width, channels]`.

    Raises:
        ValueError: If the pixels have no known range (float, or integers below 0 or beyond 16
            bits), or an array's channels cannot be converted.

    Example:
        >>> fit_image(np.zeros((8, 8, 3), "uint8"), image_size=(4, 6), channels=1).shape
        (4, 6, 1)
    """
    if not isinstance(image, np.ndarray) and channels not in (None, 1, 3):
        raise ValueError(
            f"an image of mode {image.mode} cannot be converted to {channels} channels; only "
            "arrays (.npy) and TIFF have other numbers than 1 and 3"
        )
    if isinstance(image, np.ndarray):
        image = _eight_bits(image)
        if channels in (None, image.shape[-1]):
            return _resize_planes(image, image_size)
        image = _to_pillow(image, channels)
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if channels is None:
        channels = 1 if image.mode in ("1", "L", "LA") else 3
    if channels == 1 and image.mode not in ("1", "L", "LA", "RGB"):
        image = image.convert("RGB")  # Pillow has no direct way to grey from every mode.
    image = image.convert("L" if channels == 1 else "RGB")
    if image_size is not None and image.size != image_size[::-1]:
        image = image.resize(image_size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, channels)


def _eight_bits(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError(f"{pixels.dtype} pixels have no known range; convert them to 8 or 16 bits")
    if pixels.dtype != np.uint16 and (pixels.min() < 0 or pixels.max() > 65535):
        raise ValueError(
            f"integer pixels from {pixels.min()} to {pixels.max()} go beyond 16 bits; convert them "
            "to 8 or 16 bits (uint8, uint16) over the range that matters"
        )
    # 65,535 = 255 * 257; half of 257 rounds to the nearest.
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _resize_planes(image: np.ndarray, image_size: tuple[int, int] | None) -> np.ndarray:
    if image_size is None or image.shape[:2] == tuple(image_size):
        return image
    if image.shape[-1] == 3:
        pillow = Image.fromarray(image)
        return np.asarray(pillow.resize(image_size[::-1], Image.Resampling.BILINEAR))
    planes = [Image.fromarray(image[..., plane]) for plane in range(image.shape[-1])]
    planes = [plane.resize(image_size[::-1], Image.Resampling.BILINEAR) for plane in planes]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _to_pillow(image: np.ndarray, channels: int) -> Image.Image:
    if channels not in (1, 3):
        raise ValueError(
            f"received an image of {image.shape[-1]} channels to convert to {channels!r}. Expected "
            "1 (grey) or 3 (RGB). Leave channels= (--channels) out to keep them as they are"
        )
    if image.shape[-1] == 1:
        return Image.fromarray(image[..., 0])
    if image.shape[-1] in (3, 4):
        return Image.fromarray(image)
    raise ValueError(
        f"received an image of {image.shape[-1]} channels to convert to {channels}. Expected 1, 3 "
        "or 4 channels. Leave channels= (--channels) out to keep them as they are"
    )
