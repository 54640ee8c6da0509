"""Image files, decoded in parallel into one array."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
from PIL import Image

from cpc_keras.data.decode_image import Unreadable, attempt, decode_image
from cpc_keras.data.progress_bar import progress_bar
from cpc_keras.data.require_memory import require_memory

_GREY_MODES = ("1", "L", "LA", "I", "F")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


class _Header(NamedTuple):
    size: tuple[int, int]
    grey: bool


def read_images(
    paths: Sequence[pathlib.Path],
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    source: str = "read_images",
) -> tuple[np.ndarray, list[str | None]]:
    """Reads image files into one uint8 array, and leaves out those that cannot be read.

    Turned as their EXIF orientation says; see `fit_image` for the conversions.

    Args:
        paths: The files, of any format that Pillow reads.
        image_size: `(height, width)` to resize to; None if all images have one size.
        channels: 1 (grey) or 3 (RGB); None is grey if all images are grey, RGB otherwise.
        source: Where the files come from, for messages.

    Returns:
        `(images, reasons)`: the readable images, uint8 `[m, height, width, channels]`, in the order
        of `paths`; and for each path None, or the reason why it could not be read.

    Raises:
        ValueError: If no file can be read, the images have different sizes and `image_size` is
            None, or memory does not suffice.

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
    size = tuple(image_size) if image_size else _only_size(found, source)
    if channels is None:
        channels = 1 if _all_grey(found) else 3
    require_memory((len(found), *size, channels), source=source)
    images = np.empty((len(paths), *size, channels), np.uint8)

    def read(row: int) -> tuple[int, int] | Unreadable:
        if isinstance(headers[row], Unreadable):
            return headers[row]
        image = decode_image(paths[row], image_size=image_size, channels=channels)
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
        raise ValueError(_mixed_sizes(source, sizes))
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
    """Size and colour, without decoding the pixels."""

    def read() -> _Header:
        with Image.open(path) as image:
            width, height = image.size
            # Pillow turns a TIFF's size itself, and decodes a PNG to look for late EXIF.
            has_exif = image.format != "TIFF" and "exif" in image.info
            if has_exif and image.getexif().get(_ORIENTATION) in _SIDEWAYS:
                width, height = height, width
            grey = image.mode in _GREY_MODES or image.mode.startswith("I;16")
            return _Header((height, width), grey)

    return attempt(read, path)


def _is_readable(path: pathlib.Path) -> bool:
    return not isinstance(decode_image(path, image_size=(1, 1)), Unreadable)


def _only_size(found: dict[pathlib.Path, _Header], source: str) -> tuple[int, int]:
    """The one size of the images; a broken file's header may hold any, and does not count."""
    groups = collections.defaultdict(list)
    for path, header in found.items():
        groups[header.size].append(path)
    if len(groups) == 1:
        return next(iter(groups))
    sizes = []
    for size, paths in sorted(groups.items(), key=lambda item: -len(item[1])):
        if any(_is_readable(path) for path in paths):
            sizes.append(size)
        if len(sizes) == 2:
            raise ValueError(_mixed_sizes(source, [header.size for header in found.values()]))
    return sizes[0] if sizes else next(iter(groups))


def _all_grey(found: dict[pathlib.Path, _Header]) -> bool:
    coloured = (path for path, header in found.items() if not header.grey)
    return not any(_is_readable(path) for path in coloured)


def _mixed_sizes(source: str, sizes: Iterable[tuple[int, int]]) -> str:
    counts = collections.Counter(sizes)
    listed = ", ".join(f"{h}x{w} ({count} files)" for (h, w), count in counts.most_common(5))
    return (
        f"{source}: received images of {len(counts)} sizes (height x width): {listed}"
        f"{', ...' if len(counts) > 5 else ''}. Expected one size. Pass image_size= "
        "(--image-size) to resize them, for example image_size=96."
    )


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
