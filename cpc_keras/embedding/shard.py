"""A part of the images, and what is read of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from cpc_keras.data.decode_image import Unreadable


class Shard(NamedTuple):
    """Images that are embedded together, into one file.

    Attributes:
        number: position among the shards of a source, from 0.
        num_images: how many there are, readable or not.
        place: what the source needs to find them; small, and able to travel to other machines.
    """

    number: int
    num_images: int
    place: Any


class ShardedSource(Protocol):
    """Images in an order that is the same each time, cut into shards; travels between processes.

    Attributes:
        shards: all shards.
    """

    shards: list[Shard]

    def items(self, shard: Shard) -> Iterator[tuple[str, bytes]]:
        """Name and encoded image (or where it is) of each image of a shard; cheap."""

    def decode(self, raw: bytes) -> np.ndarray | Unreadable:
        """The pixels, uint8 `[height, width, channels]`; called in several threads at once."""

    def identity(self) -> str:
        """What changes when other images, or the same in another order, are there."""
