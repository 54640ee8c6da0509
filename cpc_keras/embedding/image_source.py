"""Shards of images by name: the one door to every source."""

import pathlib

from cpc_keras.data.check_pixel_range import check_pixel_range
from cpc_keras.embedding.folder_source import FolderSource
from cpc_keras.embedding.parquet_source import ParquetSource
from cpc_keras.embedding.shard import ShardedSource
from cpc_keras.embedding.tfds_shards import TFDSShards


def image_source(
    spec: str,
    *,
    image_size: tuple[int, int],
    channels: int,
    pixel_range: tuple[float, float] | None = None,
    shard_size: int = 4096,
) -> ShardedSource:
    """Open a folder, a TFDS dataset or Parquet files as shards of images; decodes nothing yet.

    Unlike `data.load_data` it takes every image: of all splits, whatever the folders are called.

    Args:
        spec: `"folder:PATH"` or the path of a directory; `"tfds:NAME"`; `"parquet:PATH"`, a file or
            a directory, or the path of a `.parquet` file.
        image_size: `(height, width)` to resize to.
        channels: 1 (grey) or 3 (RGB).
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; None is the whole range
            of 8 or 16 bits.
        shard_size: images a shard, at least 1; of Parquet files a row group is a shard.

    Returns:
        The source.

    Raises:
        FileNotFoundError: no such path.
        ValueError: none of these, no image, or a `shard_size` below 1.

    Example:
        >>> import os; os.makedirs("photos"); keras.utils.save_img("photos/a.png", images[0])
        >>> image_source("photos", image_size=(8, 8), channels=1).shards
        [Shard(number=0, num_images=1, place=['a.png'])]
    """
    if shard_size < 1:
        raise ValueError(f"image_source: shard_size must be 1 or more. Received: {shard_size}.")
    options = {
        "image_size": tuple(image_size),
        "channels": channels,
        "pixel_range": check_pixel_range(pixel_range),
    }
    kind, _, name = spec.partition(":")
    if kind == "tfds" and name:
        return TFDSShards(name, shard_size=shard_size, **options)
    if kind == "parquet" and name:
        return ParquetSource(name, **options)
    if kind == "folder" and name:
        return FolderSource(name, shard_size=shard_size, **options)
    path = pathlib.Path(spec).expanduser()
    if path.suffix == ".parquet":
        return ParquetSource(path, **options)
    if path.is_dir():
        return FolderSource(path, shard_size=shard_size, **options)
    raise ValueError(
        f'image_source: received {spec!r}. Expected "folder:PATH", "tfds:NAME", "parquet:PATH" or '
        "the path of a directory of images or of a .parquet file."
    )
