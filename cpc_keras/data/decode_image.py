"""One image file, decoded, or the reason why it cannot be."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cpc_keras.data.fit_image import fit_image
from cpc_keras.data.read_array import TIFF, read_array

Result = TypeVar("Result")


class Unreadable(NamedTuple):
    """Stands where an image should: it cannot be read.

    Attributes:
        reason: Why, in one line.
    """

    reason: str


def decode_image(
    path: pathlib.Path,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> np.ndarray | Unreadable:
    """Decodes one file, turned as its EXIF orientation says; see `fit_image` for the conversions.

    Of animations and files of several pages the first is taken.

    Args:
        path: The file, of any format that Pillow reads, a `.npy` file, or TIFF of any number of
            channels (see `read_array`).
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None makes it RGB unless it is grey. Arrays keep theirs.

    Returns:
        uint8 `[height, width, channels]`, or an `Unreadable` with the reason.

    Example:
        >>> decode_image(pathlib.Path("/dev/null"))
        Unreadable(reason='empty file')
    """

    def read() -> np.ndarray:
        try:
            if path.suffix.lower() == ".npy":
                return fit_image(read_array(path), image_size=image_size, channels=channels)
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image)
                return fit_image(upright, image_size=image_size, channels=channels)
        except UnidentifiedImageError:
            if path.suffix.lower() not in TIFF:
                raise
            return fit_image(read_array(path), image_size=image_size, channels=channels)

    return attempt(read, path)


def attempt(read: Callable[[], Result], path: pathlib.Path) -> Result | Unreadable:
    """Calls `read`, and gives the reason in one line where it fails.

    Args:
        read: Reads `path`; may raise anything.
        path: The file, to be left out of the reason but for its name.

    Returns:
        What `read` gives, or an `Unreadable`.

    Raises:
        MemoryError: If `read` does.
    """
    try:
        if path.stat().st_size == 0:
            return Unreadable("empty file")
        return read()
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's readers raise whatever a broken file leads them to: OSError, SyntaxError,
        # struct.error, ValueError, DecompressionBombError and more.
        reason = " ".join(str(error).replace(str(path), path.name).split())
        return Unreadable(reason or type(error).__name__)
