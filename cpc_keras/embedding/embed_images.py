"""Features of many images, on one machine."""

import os

import keras

from cpc_keras.embedding.embed_shard import embed_shard
from cpc_keras.embedding.embedding_job import begin_embedding


def embed_images(
    encoder: keras.Model,
    spec: str,
    out: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    pixel_range: tuple[float, float] | None = None,
    file_format: str = "parquet",
    batch_size: int = 64,
    shard_size: int = 4096,
) -> dict[str, int]:
    """Write names and features of all images of a source, resumably.

    The same call goes on after the last finished shard. The directory gets
    `features-00000-of-00012.parquet` (columns "name" and "features", a list of fixed length) or
    `.npy` with `names-....json`, and `unreadable-....csv` with name and reason of images that could
    not be read. `read_embedding` reads it all.

    Args:
        encoder: images to features; see `open_encoder`.
        spec: `"folder:PATH"`, `"tfds:NAME"`, `"parquet:PATH"`, or a path; see `image_source`.
        out: directory; made, or resumed.
        image_size: `(height, width)`, for an encoder that takes any; by default its own.
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; None is the whole range
            of 8 or 16 bits.
        file_format: "parquet" (needs pyarrow) or "npy".
        batch_size: images at a time.
        shard_size: images a file.

    Returns:
        `{"images": ..., "unreadable": ..., "shards": ...}`.

    Raises:
        FileExistsError: the directory belongs to another embedding, or is none.
        ImportError: pyarrow or tensorflow-datasets is needed and not installed.
        ValueError: see `image_source`; features that are not finite.

    Example:
        >>> import os; os.makedirs("photos"); keras.utils.save_img("photos/a.png", images[0])
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> embed_images(encoder, "photos", "features", file_format="npy")
        {'images': 1, 'unreadable': 0, 'shards': 1}
        >>> read_embedding("features")[0]
        ['a.png']
    """
    from tqdm import tqdm

    job = begin_embedding(
        encoder,
        spec,
        out,
        image_size=image_size,
        pixel_range=pixel_range,
        file_format=file_format,
        shard_size=shard_size,
    )
    total = sum(shard.num_images for shard in job.source.shards)
    left = sum(shard.num_images for shard in job.pending)
    with tqdm(desc="embed", total=total, initial=total - left, unit="image", disable=None) as bar:
        for shard in job.pending:
            job.output.write(shard, embed_shard(encoder, job.source, shard, batch_size=batch_size))
            bar.update(shard.num_images)
    return job.summary()
