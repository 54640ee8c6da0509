"""One image, brought to the size and channels that are wanted."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cpc_keras.data.stored_values import StoredValues


def fit_image(
    image: np.ndarray | Image.Image,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    stored: StoredValues | None = None,
) -> np.ndarray:
    """Brings one image to a size and a number of channels, as uint8.

    Resizing is Pillow's bilinear filter, which averages over the pixels it leaves out
    (antialiased). 16-bit pixels are scaled by their full range: 65,535 becomes 255. Alpha is
    dropped.

    Args:
        image: uint8 or uint16 `[height, width, channels]`, with a `pixel_range` of any numeric
            type; or a Pillow image of any mode.
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None keeps an array's channels, and makes a Pillow image
            RGB unless it is grey. An array's own number is always possible.
        pixel_range: `(low, high)`, the pixels that become 0 and 255, those beyond as well; None is
            the whole range of 8 or 16 bits.
        stored: Told of the pixels, where they are scaled.

    Returns:
        uint8 `[height, width, channels]`.

    Raises:
        ValueError: If the pixels have no known range (without `pixel_range` floats, or integers
            below 0 or beyond 16 bits), are not numbers (NaN), or an array's channels cannot be
            converted.

    Example:
        >>> fit_image(np.zeros((8, 8, 3), "uint8"), image_size=(4, 6), channels=1).shape
        (4, 6, 1)
        >>> scan = np.array([[[0], [2000], [4000], [60000]]], "uint16")  # of 12 bits, one is broken
        >>> fit_image(scan, pixel_range=(0, 4000)).ravel().tolist()
        [0, 128, 255, 255]
    """
    if not isinstance(image, np.ndarray):
        if channels not in (None, 1, 3):
            raise ValueError(
                f"an image of mode {image.mode} cannot be converted to {channels} channels; only "
                "arrays (.npy) and TIFF have other numbers than 1 and 3"
            )
        is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
        if is_deep or pixel_range is not None:
            image = _pixels(image if is_deep else image.convert(_plain_mode(image)))
    if isinstance(image, np.ndarray):
        image = _to_eight_bits(image, pixel_range, stored)
        if channels in (None, image.shape[-1]):
            return _resize_planes(image, image_size)
        image = _to_pillow(image, channels)
    mode = _plain_mode(image) if channels is None else "L" if channels == 1 else "RGB"
    if mode == "L" and image.mode not in ("1", "L", "LA", "RGB"):
        image = image.convert("RGB")  # Pillow has no direct way to grey from every mode.
    image = image.convert(mode)
    if image_size is not None and image.size != image_size[::-1]:
        image = image.resize(image_size[::-1], Image.Resampling.BILINEAR)
    return _pixels(image)


def _plain_mode(image: Image.Image) -> str:
    return "L" if image.mode in ("1", "L", "LA") else "RGB"


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).reshape(image.height, image.width, -1)


def _to_eight_bits(
    pixels: np.ndarray, pixel_range: tuple[float, float] | None, stored: StoredValues | None
) -> np.ndarray:
    if pixel_range is None and pixels.dtype == np.uint8:
        return pixels
    scaled = _whole_range(pixels) if pixel_range is None else _scale(pixels, pixel_range)
    if stored is not None:
        stored.note(pixels)
    return scaled


def _scale(pixels: np.ndarray, pixel_range: tuple[float, float]) -> np.ndarray:
    if np.isnan(pixels).any():
        raise ValueError("pixels that are not numbers (NaN) cannot be scaled; replace them")
    low, high = pixel_range
    scaled = (pixels.astype(np.float64) - low) * 255 / (high - low)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def _whole_range(pixels: np.ndarray) -> np.ndarray:
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ValueError(
            f"{pixels.dtype} pixels have no known range; convert them to 8 or 16 bits, or name it: "
            "pixel_range=(0, 1) (--pixel-range 0,1)"
        )
    if pixels.dtype != np.uint16 and (pixels.min() < 0 or pixels.max() > 65535):
        raise ValueError(
            f"integer pixels from {pixels.min()} to {pixels.max()} go beyond 16 bits; convert them "
            "to 8 or 16 bits (uint8, uint16) over the range that matters, or name it by "
            "pixel_range= (--pixel-range)"
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
