"""Image files, decoded in parallel into one array."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
from PIL import Image, UnidentifiedImageError

from cpc_keras.data.decode_image import Unreadable, attempt, decode_image
from cpc_keras.data.mixed_sizes_error import MixedSizesError
from cpc_keras.data.progress_bar import progress_bar
from cpc_keras.data.read_array import TIFF, read_array
from cpc_keras.data.require_memory import require_memory
from cpc_keras.data.stored_values import StoredValues

_GREY_MODES = ("1", "L", "LA", "I", "F")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


class _Header(NamedTuple):
    size: tuple[int, int]
    channels: int


def read_images(
    paths: Sequence[pathlib.Path],
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    stored: StoredValues | None = None,
    source: str = "read_images",
) -> tuple[np.ndarray, list[str | None]]:
    """Reads image files into one uint8 array, and leaves out those that cannot be read.

    Turned as their EXIF orientation says; see `fit_image` for the conversions.

    Args:
        paths: The files, of any format that Pillow reads, `.npy`, or TIFF of any number of
            channels.
        image_size: `(height, width)` to resize to; None if all images have one size.
        channels: 1 (grey) or 3 (RGB); None is grey if all images are grey, RGB if they are grey or
            RGB, and otherwise the number that all have.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.
        stored: Told of the pixels, where they are scaled.
        source: Where the files come from, for messages.

    Returns:
        `(images, reasons)`: the readable images, uint8 `[m, height, width, channels]`, in the order
        of `paths`; and for each path None, or the reason why it could not be read.

    Raises:
        MixedSizesError: If the images have different sizes and `image_size` is None.
        ValueError: If no file can be read, or memory does not suffice.

    Example:
        >>> paths = sorted(pathlib.Path("photos").glob("*.jpg"))
        >>> images, reasons = read_images(paths, image_size=(96, 96))  # doctest: +SKIP
    """
    headers = _in_threads(_read_header, paths, f"{source}: scan")
    found = {
        path: header
        for path, header in zip(paths, headers, strict=True)
        if isinstance(header, _Header)
    }
    if not found:
        _raise_nothing_readable(source, paths, [header.reason for header in headers])
    size = tuple(image_size) if image_size else _only_size(found, pixel_range, source)
    if channels is None:
        channels = _only_channels(found, pixel_range, source)
    require_memory((len(found), *size, channels), source=source)
    images = np.empty((len(paths), *size, channels), np.uint8)

    def read(row: int) -> tuple[int, int] | Unreadable:
        if isinstance(headers[row], Unreadable):
            return headers[row]
        image = decode_image(
            paths[row],
            image_size=image_size,
            channels=channels,
            pixel_range=pixel_range,
            stored=stored,
        )
        if isinstance(image, Unreadable):
            return image
        if image.shape[:2] == size:
            images[row] = image
        return image.shape[:2]

    results = _in_threads(read, range(len(paths)), f"{source}: read")
    reasons = [result.reason if isinstance(result, Unreadable) else None for result in results]
    sizes = [result for result in results if not isinstance(result, Unreadable)]
    if not sizes:
        _raise_nothing_readable(source, paths, reasons)
    if set(sizes) != {size}:
        raise MixedSizesError(source, sizes)
    keep = [row for row, reason in enumerate(reasons) if reason is None]
    return _compact(images, keep), reasons


def _in_threads(function: Callable, items: Sequence, description: str) -> list:
    # Pillow decodes and resizes outside Python's global lock, so threads use every core.
    with concurrent.futures.ThreadPoolExecutor(min(32, 2 * (os.cpu_count() or 1))) as pool:
        try:
            results = pool.map(function, items)
            return list(progress_bar(results, description, total=len(items)))
        except BaseException:
            # Ctrl-C must not wait for the files that are still queued.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _read_header(path: pathlib.Path) -> _Header | Unreadable:
    """Size and channels, without decoding the pixels."""

    def read() -> _Header:
        if path.suffix.lower() == ".npy":
            return _of_array(read_array(path))
        try:
            return of_pillow()
        except UnidentifiedImageError:
            if path.suffix.lower() not in TIFF:
                raise
            return _of_array(read_array(path))

    def of_pillow() -> _Header:
        with Image.open(path) as image:
            width, height = image.size
            # Pillow turns a TIFF's size itself, and decodes a PNG to look for late EXIF.
            has_exif = image.format != "TIFF" and "exif" in image.info
            if has_exif and image.getexif().get(_ORIENTATION) in _SIDEWAYS:
                width, height = height, width
            grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
            return _Header((height, width), 1 if grey else 3)

    return attempt(read, path)


def _of_array(image: np.ndarray) -> _Header:
    return _Header(image.shape[:2], image.shape[2])


def _is_readable(path: pathlib.Path, pixel_range: tuple[float, float] | None) -> bool:
    image = decode_image(path, image_size=(1, 1), pixel_range=pixel_range)
    return not isinstance(image, Unreadable)


def _only_size(
    found: dict[pathlib.Path, _Header], pixel_range: tuple[float, float] | None, source: str
) -> tuple[int, int]:
    """The one size of the images; a broken file's header may hold any, and does not count."""
    groups = collections.defaultdict(list)
    for path, header in found.items():
        groups[header.size].append(path)
    if len(groups) == 1:
        return next(iter(groups))
    sizes = []
    for size, paths in sorted(groups.items(), key=lambda item: -len(item[1])):
        if any(_is_readable(path, pixel_range) for path in paths):
            sizes.append(size)
        if len(sizes) == 2:
            raise MixedSizesError(source, [header.size for header in found.values()])
    return sizes[0] if sizes else next(iter(groups))


def _only_channels(
    found: dict[pathlib.Path, _Header], pixel_range: tuple[float, float] | None, source: str
) -> int:
    """The number of channels of all images; a broken file's header does not count."""
    groups = collections.defaultdict(list)
    for path, header in found.items():
        groups[header.channels].append(path)
    if len(groups) == 1:
        return next(iter(groups))
    counts = sorted(
        count
        for count, paths in groups.items()
        if any(_is_readable(path, pixel_range) for path in paths)
    )
    if set(counts) <= {1, 3}:
        return max(counts, default=1)
    if len(counts) > 1:
        listed = ", ".join(f"{count} ({len(groups[count])} files)" for count in counts)
        raise ValueError(
            f"{source}: received images of {len(counts)} numbers of channels: {listed}. Expected "
            "one, or grey and RGB. Move the others elsewhere."
        )
    return counts[0]


def _compact(images: np.ndarray, keep: list[int]) -> np.ndarray:
    """Moves the kept rows to the front; `images[keep]` would hold two arrays for a moment."""
    for target, row in enumerate(keep):
        if target != row:
            images[target] = images[row]
    return images[: len(keep)]


def _raise_nothing_readable(
    source: str, paths: Sequence[pathlib.Path], reasons: Sequence[str | None]
) -> NoReturn:
    first = "; ".join(
        f"{path}: {reason}" for path, reason in list(zip(paths, reasons, strict=True))[:3]
    )
    raise ValueError(
        f"{source}: received {len(paths)} image files, and none can be read: {first}"
        f"{'; ...' if len(paths) > 3 else ''}. Expected images that Pillow can open. Check that "
        "the files were copied whole, and convert other formats first."
    )
