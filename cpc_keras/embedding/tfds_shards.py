"""Shards of a TFDS dataset."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import numpy as np

from cpc_keras.data.decode_image import Unreadable
from cpc_keras.data.fit_image import fit_image
from cpc_keras.embedding.shard import Shard


class TFDSShards:
    """All splits of a dataset, in the order of its files; names are "SPLIT/POSITION".

    TFDS reads several files in turns by default. The order of the names is that of
    `tfds.ReadConfig(interleave_cycle_length=1)`.

    Args:
        name: TFDS name, such as `"cifar10"`; prepared in `TFDS_DATA_DIR`, else downloaded.
        image_size: `(height, width)` to resize to.
        channels: 1 (grey) or 3 (RGB).
        shard_size: images a shard; splits do not share one.
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; None is the whole range
            of 8 or 16 bits.

    Raises:
        ImportError: tensorflow-datasets is not installed.
        ValueError: a dataset without images.

    Example:
        >>> source = TFDSShards(  # doctest: +SKIP
        ...     "cifar10", image_size=(32, 32), channels=3, shard_size=4096
        ... )
    """

    def __init__(
        self,
        name: str,
        *,
        image_size: tuple[int, int],
        channels: int,
        shard_size: int,
        pixel_range: tuple[float, float] | None = None,
    ):
        self.name = name
        self.image_size, self.channels, self.pixel_range = image_size, channels, pixel_range
        self.data_dir = os.environ.get("TFDS_DATA_DIR") or None
        if not self._builder.is_prepared():
            self._builder.download_and_prepare()
        self.shards = []
        for split, info in self._builder.info.splits.items():
            for start in range(0, info.num_examples, shard_size):
                stop = min(start + shard_size, info.num_examples)
                place = (str(split), start, stop)
                self.shards.append(Shard(len(self.shards), stop - start, place))

    def __getstate__(self):
        state = {**self.__dict__, "shards": []}
        state.pop("_builder", None)  # each process finds its own
        return state

    @functools.cached_property
    def _builder(self):
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise ImportError(
                f"TFDSShards: tensorflow-datasets cannot be imported ({error}). Run: pip install "
                '"cpc-keras[tfds]"'
            ) from error
        builder = tfds.builder(self.name, data_dir=self.data_dir)
        if "image" not in builder.info.features:
            raise ValueError(
                f"TFDSShards: tfds:{self.name} has the features {[*builder.info.features]}. "
                "Expected one named image. Choose another dataset."
            )
        return builder

    def items(self, shard: Shard) -> Iterator[tuple[str, bytes]]:
        """Encoded images, as the dataset's files hold them."""
        import tensorflow_datasets as tfds

        split, start, stop = shard.place
        dataset = self._builder.as_dataset(
            split=tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs"),
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            # In turns, positions would depend on where shards begin.
            read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
        )
        for position, example in enumerate(dataset.as_numpy_iterator(), start):
            yield f"{split}/{position:09d}", example["image"]

    def decode(self, raw: bytes) -> np.ndarray | Unreadable:
        """Decode as TFDS does, so that the pixels are those of every other use of the dataset."""
        import tensorflow as tf

        try:
            with tf.init_scope():
                pixels = self._builder.info.features["image"].decode_example(raw).numpy()
            return fit_image(
                pixels,
                image_size=self.image_size,
                channels=self.channels,
                pixel_range=self.pixel_range,
            )
        except (ValueError, tf.errors.OpError) as error:
            return Unreadable(" ".join(str(error).split())[:300])

    def identity(self) -> str:
        """Full name with version, and the sizes of the splits."""
        splits = {str(k): v.num_examples for k, v in self._builder.info.splits.items()}
        return f"{self._builder.info.full_name} {splits}"
