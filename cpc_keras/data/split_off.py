"""Test images for data that has none of its own."""

from __future__ import annotations

import dataclasses

import numpy as np

from cpc_keras.data.hold_out import hold_out
from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.require_memory import require_memory


def split_off(data: ImageData, fraction: float, *, seed: int = 0) -> Splits:
    """Splits test images off, by class where there are labels, and whole groups where there are.

    Where some images have labels, test images are split off those; images without a label (below 0)
    stay on the other side, except those of groups that are split off.

    The same images, labels, groups and seed give the same split.

    Args:
        data: All images.
        fraction: Share of the test images, in (0, 1).
        seed: Non-negative integer; chooses them.

    Returns:
        The other images, and the test images.

    Raises:
        ValueError: If there is nothing to split, or the copies do not fit into memory.

    Example:
        >>> data = ImageData(np.zeros((10, 8, 8, 1), "uint8"), labels=np.arange(10) % 2)
        >>> [len(part) for part in split_off(data, 0.2)]
        [8, 2]
    """
    return split_at(data, split_positions(data, fraction, seed=seed))


def split_positions(data: ImageData, fraction: float, *, seed: int = 0) -> np.ndarray:
    """Chooses the images that `split_off` splits off.

    Args:
        data: All images.
        fraction: Share of the test images, in (0, 1).
        seed: Non-negative integer; chooses them.

    Returns:
        Sorted int64 positions, `[k]`.

    Raises:
        ValueError: If there is nothing to split.
    """
    if len(data) < 2:
        raise ValueError(
            f"split_off: received test_fraction={fraction} for {len(data)} image. Expected at "
            "least 2 images to split. Add images, or split nothing off (--test-fraction 0)."
        )
    test = _positions(data, fraction, seed)
    if not len(test) and data.groups is not None:
        raise ValueError(
            f"split_off: received test_fraction={fraction} for {len(data)} images of one group. "
            "Expected at least two groups to split. Leave groups (--groups) out, or choose others."
        )
    if not len(test):
        raise ValueError(
            f"split_off: received test_fraction={fraction} for {len(data)} images, each the only "
            "one of its class. Expected a class with at least 2 images. Add images, or split "
            "nothing off (--test-fraction 0)."
        )
    return test


def split_at(data: ImageData, test: np.ndarray) -> Splits:
    """Splits images off.

    Args:
        data: All images.
        test: Positions of those to split off, `[k]`.

    Returns:
        The other images, and those.

    Raises:
        ValueError: If the copies do not fit into memory.
    """
    # The two parts are copies, and the whole stands in memory beside them for a moment.
    if isinstance(data.images, np.ndarray):
        require_memory(data.images.shape, source=data.source)
    train = np.setdiff1d(np.arange(len(data)), test)
    split = Splits(data.subset(train), data.subset(test))
    if not isinstance(data.images, np.ndarray):
        return split
    # What was skipped before is told once.
    return Splits(split.train, dataclasses.replace(split.test, skipped=()))


def _positions(data: ImageData, fraction: float, seed: int) -> np.ndarray:
    labels, groups = data.labels, data.groups
    # Images without any labels, and those of several classes each, are split as one class.
    if labels is None or labels.ndim == 2 or (labels < 0).all():
        labels = np.zeros(len(data), np.int64)
    known = np.flatnonzero(labels >= 0)
    _, test = hold_out(
        labels[known],
        fraction=fraction,
        seed=seed,
        groups=None if groups is None else groups[known],
    )
    is_test = np.zeros(len(data), bool)
    is_test[known[test]] = True
    if groups is not None:
        is_test = np.isin(groups, groups[is_test])
    return np.flatnonzero(is_test)
