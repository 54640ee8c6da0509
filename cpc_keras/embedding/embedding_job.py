"""What is to be embedded, with what, into where; and what is left to do."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

import keras
import numpy as np

from cpc_keras.embedding.image_source import image_source
from cpc_keras.embedding.output_directory import OutputDirectory
from cpc_keras.embedding.shard import Shard, ShardedSource
from cpc_keras.export.check_golden import weights_digest


class EmbeddingJob(NamedTuple):
    """An embedding that was begun.

    Attributes:
        source: the images.
        output: the directory.
        pending: shards that are not finished.
    """

    source: ShardedSource
    output: OutputDirectory
    pending: list[Shard]

    def summary(self) -> dict[str, int]:
        """Counts of images, of those that could not be read, and of shards.

        Raises:
            RuntimeError: a shard is missing: the work did not come to its end.
        """
        missing = [s.number for s in self.source.shards if not self.output.is_done(s.number)]
        if missing:
            raise RuntimeError(
                f"embed: {len(missing)} of {len(self.source.shards)} shards are not finished. Run "
                "the same command again to go on."
            )
        return {
            "images": sum(shard.num_images for shard in self.source.shards),
            "unreadable": len(self.output.unreadable()),
            "shards": len(self.source.shards),
        }


def begin_embedding(
    encoder: keras.Model,
    spec: str,
    out: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None,
    pixel_range: tuple[float, float] | None,
    file_format: str,
    shard_size: int,
) -> EmbeddingJob:
    """Open the source, and claim or resume the directory.

    Args:
        encoder: images to features.
        spec: see `image_source`.
        out: the directory.
        image_size: `(height, width)`; by default the encoder's own.
        pixel_range: see `image_source`.
        file_format: "parquet" or "npy".
        shard_size: images a file.

    Raises:
        FileExistsError: the directory belongs to another embedding, or is none.
        ValueError: an encoder of any size without `image_size`, or of other than 1 or 3 channels.
    """
    height, width, channels = encoder.input_shape[1:]
    size = image_size or (height, width)
    if None in size or channels not in (1, 3):
        raise ValueError(
            f"embed: the encoder takes images {encoder.input_shape[1:]}. Expected known sides and "
            "1 or 3 channels. Pass image_size= (--image-size) for an encoder of any size."
        )
    source = image_source(
        spec,
        image_size=size,
        channels=channels,
        pixel_range=pixel_range,
        shard_size=shard_size,
    )
    output = OutputDirectory(out, file_format=file_format, num_shards=len(source.shards))
    dims = encoder.output_shape[1:]
    output.claim(
        {
            "data": spec,
            "images": source.identity(),
            "num_images": sum(shard.num_images for shard in source.shards),
            "num_shards": len(source.shards),
            "shard_sizes": _digest([shard.num_images for shard in source.shards]),
            "image_shape": [*size, channels],
            "encoder": weights_digest(encoder),
            "feature_dim": int(np.prod(dims)),
            "format": file_format,
            # Directories of before have none.
            **({} if pixel_range is None else {"pixel_range": list(map(float, pixel_range))}),
        }
    )
    pending = [shard for shard in source.shards if not output.is_done(shard.number)]
    return EmbeddingJob(source, output, pending)


def _digest(numbers):
    return hashlib.blake2b(str(numbers).encode(), digest_size=8).hexdigest()
