"""Image files that are read when they are asked for."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import pathlib
import threading
import warnings
from collections.abc import Sequence

import numpy as np

from cpc_keras.data.skipped_file import SkippedFile


class ImageFiles:
    """Stands for the array of a list of image files, and reads them when it is indexed.

    For more images than fit into memory. Indexing decodes in threads, gives what `read_images`
    would have given, and keeps nothing.

    A file that cannot be read is found out only then. The next one in the list that can be read
    stands in for it (after the last, the first), and it is listed in `skipped`, with one warning
    for the first. What an index gives so depends on the files alone.

    Args:
        paths: The files, of any format that `decode_image` reads; at least one.
        image_size: `(height, width)` to resize to.
        channels: 1 (grey), 3 (RGB), or the number that all of them have.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.
        skipped: Other files, which are known not to be readable, to be listed with these.

    Attributes:
        shape: `(n, height, width, channels)`.
        dtype: uint8.
        ndim: 4.
        skipped: `SkippedFile` of each file that was known or found to be unreadable so far; grows.

    Raises:
        ValueError: If there is no file; in indexing, if none of the files can be read.

    Example:
        >>> paths = sorted(pathlib.Path("photos").rglob("*.jpg"))  # doctest: +SKIP
        >>> images = ImageFiles(paths, image_size=(96, 96), channels=3)  # doctest: +SKIP
        >>> images[:32].shape  # doctest: +SKIP
        (32, 96, 96, 3)
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        paths: Sequence[pathlib.Path],
        *,
        image_size: tuple[int, int],
        channels: int,
        pixel_range: tuple[float, float] | None = None,
        skipped: Sequence[SkippedFile] = (),
    ) -> None:
        if not len(paths):
            raise ValueError("ImageFiles: received no files. Expected at least one.")
        self._paths = list(paths)
        self._fit = {
            "image_size": tuple(image_size),
            "channels": channels,
            "pixel_range": pixel_range,
        }
        self.shape = (len(self._paths), *image_size, channels)
        self.skipped = list(skipped)
        self._bad: set[int] = set()
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(
            min(32, 2 * (os.cpu_count() or 1)), thread_name_prefix="ImageFiles"
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        """Reads images.

        Args:
            index: A position, a slice, or positions `[m]` (integers) or a mask `[n]` (bool).

        Returns:
            uint8 `[height, width, channels]` of one position, else `[m, height, width, channels]`.
        """
        rows = np.arange(len(self))[index]
        if rows.ndim == 0:
            return self._read(int(rows))
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for place, image in enumerate(self._pool.map(self._read, rows.tolist())):
            images[place] = image
        return images

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        # NumPy would read every file through this without being asked.
        raise TypeError(
            f"ImageFiles: received a request for all {len(self)} images as one array. Expected "
            "indexing, images[index], by batches. Where they fit into memory, load them with "
            "in_memory=True."
        )

    def subset(self, index: np.ndarray) -> ImageFiles:
        """Stands for some of the files; reads nothing.

        Args:
            index: Positions `[m]`, integers.

        Returns:
            An `ImageFiles` of the `m` files, with `skipped` of its own.
        """
        paths = [self._paths[row] for row in np.asarray(index)]
        return ImageFiles(paths, **self._fit)

    def _read(self, row: int) -> np.ndarray:
        # Imported on demand, with Pillow: arrays of images do without.
        from cpc_keras.data.decode_image import Unreadable, decode_image

        for candidate in itertools.chain(range(row, len(self)), range(row)):
            if candidate in self._bad:
                continue
            path = self._paths[candidate]
            image = decode_image(path, **self._fit)
            if not isinstance(image, Unreadable):
                return image
            self._note(candidate, SkippedFile(str(path), image.reason))
        last = self.skipped[-1]
        raise ValueError(
            f"ImageFiles: none of {len(self)} image files can be read, such as {last.path}: "
            f"{last.reason}. Expected images that Pillow can open. Check that the files were "
            "copied whole, and convert other formats first."
        )

    def _note(self, row: int, skipped: SkippedFile) -> None:
        with self._lock:
            if row in self._bad:
                return
            self._bad.add(row)
            self.skipped.append(skipped)
            first = len(self._bad) == 1
        if first:
            warnings.warn(
                f"ImageFiles: {skipped.path} cannot be read: {skipped.reason}. The next file "
                "stands in for it. This is said once; ImageFiles.skipped lists all.",
                stacklevel=2,
            )
