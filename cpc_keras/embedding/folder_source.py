"""Shards of a folder of image files."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from cpc_keras.data.decode_image import Unreadable, decode_image
from cpc_keras.data.find_image_files import find_image_files
from cpc_keras.embedding.shard import Shard


class FolderSource:
    """All image files below a folder, sorted by path; names are paths relative to it.

    Args:
        path: the folder; `~` is the home directory. Every machine must reach it under this path.
        image_size: `(height, width)` to resize to.
        channels: 1 (grey) or 3 (RGB).
        shard_size: images a shard.
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; None is the whole range
            of 8 or 16 bits.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no image in it.

    Example:
        >>> FolderSource(".", image_size=(8, 8), channels=3, shard_size=100)
        Traceback (most recent call last):
        ValueError: FolderSource: found no image below '.'. Expected JPEG, PNG, ... files.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        image_size: tuple[int, int],
        channels: int,
        shard_size: int,
        pixel_range: tuple[float, float] | None = None,
    ):
        self.root = pathlib.Path(path).expanduser()
        self.image_size, self.channels, self.pixel_range = image_size, channels, pixel_range
        if not self.root.is_dir():
            raise FileNotFoundError(
                f"FolderSource: {os.fspath(path)!r} is no directory. Expected one with images."
            )
        names = ["/".join(file) for file in find_image_files(self.root).images]
        if not names:
            raise ValueError(
                f"FolderSource: found no image below {os.fspath(path)!r}. Expected JPEG, PNG, ... "
                "files."
            )
        digest = hashlib.sha256()
        for name in names:
            # A file that was replaced is another image under the same name.
            path = self.root / name
            found = path.stat() if path.exists() else path.lstat()  # a link to nothing
            digest.update(os.fsencode(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0"))
        self._identity = digest.hexdigest()
        self.shards = [
            Shard(number, len(names[start : start + shard_size]), names[start : start + shard_size])
            for number, start in enumerate(range(0, len(names), shard_size))
        ]

    def __getstate__(self):
        # A worker is given the shards one by one.
        return {**self.__dict__, "shards": []}

    def items(self, shard: Shard) -> Iterator[tuple[str, bytes]]:
        """Names, and the same as bytes: files are opened where they are decoded."""
        for name in shard.place:
            yield name, os.fsencode(name)

    def decode(self, raw: bytes) -> np.ndarray | Unreadable:
        """Read one file."""
        path = self.root / os.fsdecode(raw)
        return decode_image(
            path,
            image_size=self.image_size,
            channels=self.channels,
            pixel_range=self.pixel_range,
        )

    def identity(self) -> str:
        """Digest of all names in their order, with the sizes of the files and when they changed."""
        return self._identity
