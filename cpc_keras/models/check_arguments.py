"""What the arguments of a pre-training model must be."""

from collections.abc import Iterable

import keras

from cpc_keras.augmentations import image_augmentation as named_image_augmentation
from cpc_keras.ops import DIRECTIONS


def check_augmentation(name, augmentation):
    """Refuse what is neither a layer nor `None`."""
    if augmentation is not None and not isinstance(augmentation, keras.layers.Layer):
        raise ValueError(
            f"{name} must be a keras.layers.Layer, None or a name. Received: {augmentation!r}."
        )


def checked_image_augmentation(augmentation, image_shape, *, seed=None):
    """Return the layer that a name stands for, a layer or `None`, or refuse what is neither."""
    if isinstance(augmentation, str):
        return named_image_augmentation(augmentation, image_shape, seed=seed)
    check_augmentation("image_augmentation", augmentation)
    return augmentation


def checked_image_shape(image_shape):
    """Return `(height, width, channels)` or refuse it."""
    shape = tuple(image_shape) if isinstance(image_shape, Iterable) else ()
    if len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(
            "image_shape must be (height, width, channels), three positive whole numbers. "
            f"Received: {image_shape!r}."
        )
    return shape


def check_directions(directions):
    """Refuse unknown and repeated directions, and none at all."""
    if not directions or len(set(directions)) < len(directions) or set(directions) - {*DIRECTIONS}:
        raise ValueError(
            f"directions must be one or more of {DIRECTIONS}, each once. Received: {directions!r}."
        )


def check_offsets(offsets, directions, grid, patch_size, patch_stride, allow_overlap):
    """Refuse offsets that see their targets' pixels or leave nothing to predict."""
    if not offsets or not all(isinstance(k, int) and k > 0 for k in offsets):
        raise ValueError(
            f"offsets must be one or more whole numbers of rows >= 1. Received: {offsets!r}."
        )
    smallest = -(-patch_size // patch_stride)
    if min(offsets) < smallest and not allow_overlap:
        shared = patch_size - min(offsets) * patch_stride
        raise ValueError(
            f"CPCModel: offset {min(offsets)} with patch_size={patch_size} and "
            f"patch_stride={patch_stride} lets a prediction see {shared} pixel rows of its target. "
            f"Use offsets >= {smallest}, or pass allow_overlap=True."
        )
    for sides, name, count in (
        ({"down", "up"}, "rows", grid[0]),
        ({"left", "right"}, "columns", grid[1]),
    ):
        if sides & set(directions) and count <= max(offsets):
            raise ValueError(
                f"CPCModel: a grid of {grid[0]}x{grid[1]} patches leaves no {name} to predict at "
                f"offset {max(offsets)}. Use offsets below {count}, larger images or a smaller "
                "patch_stride."
            )
