"""Batches of arrays for Keras's other backends, without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np


class NumPyBatches(keras.utils.PyDataset):
    """The batches that a function gives, as `fit` and `evaluate` take them on every backend.

    `image_batches` and `mixed_batches` give it where Keras does not run on TensorFlow.

    Args:
        batch_at: Function from a position, 0 for the first batch, to a dict of arrays.
        num_batches: How many there are; None is without end.

    Example:
        >>> batches = NumPyBatches(lambda position: {"index": np.array([position])}, 2)
        >>> [batch["index"].tolist() for batch in batches]
        [[0], [1]]
    """

    def __init__(self, batch_at: Callable[[int], dict[str, np.ndarray]], num_batches: int | None):
        super().__init__()
        self._batch_at, self._num_batches = batch_at, num_batches

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None is without end."""
        return self._num_batches

    def __getitem__(self, position: int) -> dict[str, np.ndarray]:
        """Return one of the batches."""
        return self._batch_at(position)
