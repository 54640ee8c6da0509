"""Embed one shard: the step that one machine and Beam share."""

from __future__ import annotations

import itertools
import os
from typing import NamedTuple

import keras
import numpy as np

from cpc_keras.data.decode_image import Unreadable
from cpc_keras.data.skipped_file import SkippedFile
from cpc_keras.embedding.shard import Shard, ShardedSource


class ShardFeatures(NamedTuple):
    """What came of a shard.

    Attributes:
        names: of the readable images, in their order.
        features: float32 `[len(names), d]`.
        unreadable: name and reason of the others.
    """

    names: list[str]
    features: np.ndarray
    unreadable: list[SkippedFile]


def embed_shard(
    encoder: keras.Model, source: ShardedSource, shard: Shard, *, batch_size: int = 64
) -> ShardFeatures:
    """Read, decode and encode the images of a shard.

    Decoding runs in the threads of `tf.data` while the encoder computes; a batch, not the shard, is
    in memory. The features are `encoder.predict`'s.

    Args:
        encoder: images to features.
        source: where the shard is of.
        shard: one of `source.shards`.
        batch_size: images at a time.

    Returns:
        Names and features of the images that could be read, and the others with reasons.

    Raises:
        ValueError: features that are not all finite.

    Example:
        >>> import os; os.makedirs("photos"); keras.utils.save_img("photos/a.png", images[0])
        >>> source = image_source("photos", image_size=(8, 8), channels=1)
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> embed_shard(encoder, source, source.shards[0]).features.shape
        (1, 64)
    """
    import tensorflow as tf

    names: list[str] = []
    reasons: dict[int, str] = {}
    # The encoder may take any size; the source has resized.
    shape = (*source.image_size, source.channels)

    def batches():
        items = source.items(shard)
        while batch := list(itertools.islice(items, batch_size)):
            first = len(names)
            names.extend(name for name, _ in batch)
            yield first, [raw for _, raw in batch]

    def decode(first, raws):
        # What cannot be read is black, so that all batches have one size, and left out below.
        decoded = np.zeros((len(raws), *shape), np.uint8)
        for row, raw in enumerate(raws):
            image = source.decode(raw)
            if isinstance(image, Unreadable):
                reasons[int(first) + row] = image.reason
            else:
                decoded[row] = image
        return decoded

    def prepare(first, raws):
        decoded = tf.numpy_function(decode, [first, raws], tf.uint8)
        return tf.ensure_shape(decoded, (None, *shape))

    signature = (tf.TensorSpec((), tf.int64), tf.TensorSpec((None,), tf.string))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    # By batches: a call of Python from `tf.data` costs as much as decoding a small image.
    dataset = dataset.map(prepare, num_parallel_calls=os.cpu_count(), deterministic=True)
    # As in `image_batches`: the thread that tunes would outlive each shard, asleep.
    options = tf.data.Options()
    options.autotune.enabled = False
    encoded = [
        keras.ops.convert_to_numpy(encoder.predict_on_batch(batch)).astype("float32")
        for batch in dataset.prefetch(2).with_options(options)
    ]
    features = np.concatenate([batch.reshape(len(batch), -1) for batch in encoded])
    features = np.delete(features, sorted(reasons), axis=0)
    kept = [name for index, name in enumerate(names) if index not in reasons]
    if not np.isfinite(features).all():
        broken = kept[int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])]
        raise ValueError(
            f"embed_shard: the encoder {encoder.name!r} gave NaN or infinite features, first for "
            f"{broken!r}. Expected finite numbers: check the weights and the pixel range."
        )
    if len(kept) != len(features) or len(names) != shard.num_images:
        raise ValueError(
            f"embed_shard: shard {shard.number} has {shard.num_images} images; {len(names)} were "
            f"found and {len(features)} of {len(kept)} readable ones embedded. The source changed "
            "while it was read: embed it anew into another directory."
        )
    return ShardFeatures(
        kept, features, [SkippedFile(names[i], reasons[i]) for i in sorted(reasons)]
    )
