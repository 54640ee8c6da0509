"""One image file, decoded, or the reason why it cannot be."""

from __future__ import annotations

import functools
import io
import pathlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cpc_keras.data.fit_image import fit_image
from cpc_keras.data.read_array import TIFF, read_array
from cpc_keras.data.stored_values import StoredValues

Result = TypeVar("Result")


class Unreadable(NamedTuple):
    """Stands where an image should: it cannot be read.

    Attributes:
        reason: Why, in one line.
    """

    reason: str


def decode_image(
    path: pathlib.Path | bytes,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    stored: StoredValues | None = None,
) -> np.ndarray | Unreadable:
    """Decodes one file, turned as its EXIF orientation says; see `fit_image` for the conversions.

    Of animations and files of several pages the first is taken.

    Args:
        path: The file, of any format that Pillow reads, a `.npy` file, or TIFF of any number of
            channels (see `read_array`); or the bytes of a file that Pillow reads.
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None makes it RGB unless it is grey. Arrays keep theirs.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.
        stored: Told of the pixels, where they are scaled.

    Returns:
        uint8 `[height, width, channels]`, or an `Unreadable` with the reason.

    Example:
        >>> decode_image(pathlib.Path("/dev/null"))
        Unreadable(reason='empty file')
    """
    fit = functools.partial(
        fit_image,
        image_size=image_size,
        channels=channels,
        pixel_range=pixel_range,
        stored=stored,
    )

    def read() -> np.ndarray:
        if isinstance(path, bytes):
            return of_pillow(io.BytesIO(path))
        if path.suffix.lower() == ".npy":
            return fit(read_array(path))
        try:
            return of_pillow(path)
        except UnidentifiedImageError:
            if path.suffix.lower() not in TIFF:
                raise
            return fit(read_array(path))

    def of_pillow(file) -> np.ndarray:
        with Image.open(file) as image:
            if pixel_range is not None and _is_scaled(image):
                raise ValueError(
                    "PGM or PPM of other than 8 bits, or 16 in grey, which Pillow scales by the "
                    "maximum in the file, so that a pixel range (--pixel-range) cannot hold; store "
                    "it as TIFF or .npy"
                )
            if not _is_cut_to_8_bits(image):
                return fit(ImageOps.exif_transpose(image))
            if pixel_range is not None:
                if image.format == "TIFF" and not isinstance(path, bytes):
                    pixels = read_array(path)
                    return fit(pixels[..., :-1] if image.mode.endswith("A") else pixels)
                raise ValueError(
                    "16 bits a channel in colour, of which Pillow reads 8, so that a pixel range "
                    "(--pixel-range) cannot hold; store it as TIFF or .npy"
                )
            # The upper 8 bits are what the full range becomes; what they tell of the lower is told.
            pixels = fit(ImageOps.exif_transpose(image))
            if stored is not None:
                low, high = (256 * int(value) for value in (pixels.min(), pixels.max()))
                stored.note(np.array([low, high + 255], "uint16"))
            return pixels

    return attempt(read, path)


def _is_cut_to_8_bits(image: Image.Image) -> bool:
    """Whether Pillow leaves the lower 8 of 16 bits out, as it does of colours."""
    is_deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    return not is_deep and any(";16" in str(tile[3]) for tile in image.tile)


def _is_scaled(image: Image.Image) -> bool:
    """Whether Pillow scales the pixels of a PGM or PPM, by the maximum in its header."""
    if image.format != "PPM" or image.mode not in ("L", "I", "RGB"):
        return False
    arguments = image.tile[0][3]
    kept = 65535 if image.mode == "I" else 255
    return isinstance(arguments, tuple) and arguments[-1] != kept


def attempt(read: Callable[[], Result], path: pathlib.Path | bytes) -> Result | Unreadable:
    """Calls `read`, and gives the reason in one line where it fails.

    Args:
        read: Reads `path`; may raise anything.
        path: The file, to be left out of the reason but for its name; or what it holds.

    Returns:
        What `read` gives, or an `Unreadable`.

    Raises:
        MemoryError: If `read` does.
    """
    try:
        size = len(path) if isinstance(path, bytes) else path.stat().st_size
        return read() if size else Unreadable("empty file")
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's readers raise whatever a broken file leads them to: OSError, SyntaxError,
        # struct.error, ValueError, DecompressionBombError and more.
        reason = str(error)
        if not isinstance(path, bytes):
            reason = reason.replace(str(path), path.name)
        reason = " ".join(reason.split())
        return Unreadable(reason or type(error).__name__)
