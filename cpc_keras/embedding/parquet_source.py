"""Shards of images in Parquet files."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from cpc_keras.data.decode_image import Unreadable, decode_image
from cpc_keras.embedding.shard import Shard

_NAMES = ("name", "path", "filename", "file_name", "image_path", "key", "id")


class ParquetSource:
    """Encoded images (JPEG, PNG, ...) in a column "image" of Parquet files; a row group a shard.

    The column holds bytes, or structures with "bytes" (and "path"), as Hugging Face writes them.
    An image is named by the first of the columns "name", "path", "filename", "file_name",
    "image_path", "key", "id" that is there, else by FILE and row.

    Args:
        path: a file, or a folder with `*.parquet` below it, read in the order of their names. Every
            machine must reach it under this path.
        image_size: `(height, width)` to resize to.
        channels: 1 (grey) or 3 (RGB).
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; None is the whole range
            of 8 or 16 bits.

    Raises:
        FileNotFoundError: no such file.
        ImportError: pyarrow is not installed.
        ValueError: no rows, or no column "image" of bytes.

    Example:
        >>> source = ParquetSource("photos", image_size=(96, 96), channels=3)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        image_size: tuple[int, int],
        channels: int,
        pixel_range: tuple[float, float] | None = None,
    ) -> None:
        parquet = import_parquet()
        root = pathlib.Path(path).expanduser()
        files = sorted(root.rglob("*.parquet")) if root.is_dir() else [root]
        if not files or not files[0].is_file():
            raise FileNotFoundError(
                f"ParquetSource: {os.fspath(path)!r} is no file and no folder with *.parquet."
            )
        self.root = root if root.is_dir() else root.parent
        self.image_size, self.channels, self.pixel_range = image_size, channels, pixel_range
        self.shards, described = [], hashlib.sha256()
        for file in files:
            name = file.relative_to(self.root).as_posix()
            found = file.stat()
            described.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
            with parquet.ParquetFile(file) as opened:
                metadata = opened.metadata
                if "image" not in opened.schema_arrow.names:
                    raise ValueError(
                        f"ParquetSource: {file} has the columns {opened.schema_arrow.names}. "
                        'Expected one named "image" that holds encoded images.'
                    )
                row = 0
                for group in range(metadata.num_row_groups):
                    count = metadata.row_group(group).num_rows
                    if count:
                        place = (name, group, row)
                        self.shards.append(Shard(len(self.shards), count, place))
                    row += count
                    described.update(f"{name}\0{group}\0{count}\0".encode())
        self._identity = described.hexdigest()
        if not self.shards:
            raise ValueError(f"ParquetSource: {os.fspath(path)!r} holds no rows.")

    def __getstate__(self):
        return {**self.__dict__, "shards": []}

    def items(self, shard: Shard) -> Iterator[tuple[str, bytes]]:
        """The rows of a group."""
        file, group, first = shard.place
        with import_parquet().ParquetFile(self.root / file) as opened:
            present = opened.schema_arrow.names
            named = next((name for name in _NAMES if name in present), None)
            columns = ["image", named] if named else ["image"]
            # Not the whole group, which may hold gigabytes.
            batches = opened.iter_batches(64, row_groups=[group], columns=columns)
            rows = (row for batch in batches for row in batch.to_pylist())
            yield from self._named(rows, named, file, first)

    @staticmethod
    def _named(rows, named, file, first):
        for row, columns in enumerate(rows):
            value = columns["image"]
            inside = value.get("path") if isinstance(value, dict) else None
            data = value.get("bytes") if isinstance(value, dict) else value
            name = columns[named] if named else inside
            # None or another type is decoded to the reason why it cannot be.
            data = data if isinstance(data, bytes) else b""
            yield str(name) if name is not None else f"{file}:{first + row}", data

    def decode(self, raw: bytes) -> np.ndarray | Unreadable:
        """Decode one image."""
        return decode_image(
            bytes(raw),
            image_size=self.image_size,
            channels=self.channels,
            pixel_range=self.pixel_range,
        )

    def identity(self) -> str:
        """Digest of files, their sizes and when they changed, row groups and their lengths."""
        return self._identity


def import_parquet():
    """`pyarrow.parquet`, or an error that tells how to get it."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"Parquet files need pyarrow ({error}). Run: pip install "
            '"cpc-keras[parquet]", or write --format npy.'
        ) from error
    return pyarrow.parquet
