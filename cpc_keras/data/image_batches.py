"""From an array of images to batches in a seeded order."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from cpc_keras.data.image_files import ImageFiles

if TYPE_CHECKING:
    import tensorflow as tf

    from cpc_keras.data.numpy_batches import NumPyBatches


def image_batches(
    images: np.ndarray | ImageFiles,
    *,
    batch_size: int,
    seed: int = 0,
    labels: np.ndarray | None = None,
    first_epoch: int = 0,
    first_step: int = 0,
    epochs: int | None = None,
    shuffle: bool = True,
    drop_remainder: bool = True,
    crop_size: int | None = None,
    flip: bool = False,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset | NumPyBatches:
    """Makes batches of images, in an order that depends on the seed and the epoch alone.

    A run that stopped `s` steps after epoch `e` goes on with `first_epoch=e, first_step=s` and
    sees the batches it would have seen. One TensorFlow version gives one order; another may give
    another, and so may Keras's other backends, where TensorFlow is not needed.

    Args:
        images: `[n, height, width, channels]`, pixels in [0, 255], uint8 or float. Read in place
            while the dataset lives, not copied, so a `np.memmap` may exceed memory, as may
            `ImageFiles`.
        batch_size: Images a batch, 1 to `n` (any number >= 1 without `drop_remainder`).
        seed: Chooses the order, together with the epoch.
        labels: Integers `[n]`, -1 for none; None if there are none.
        first_epoch: Epoch to begin with, >= 0.
        first_step: Batches of that epoch to leave out, 0 to one less than it has.
        epochs: Number of epochs to give; None is without end (pass `steps_per_epoch` to `fit`).
        shuffle: Whether to shuffle; without, every epoch is in the order of `images`.
        drop_remainder: Whether to drop the last batch of an epoch if it is smaller.
        crop_size: Side of a square part of each image to give, 1 to its shorter side: a random one
            with `shuffle`, the centre without. None gives whole images.
        flip: Whether to mirror every second image, at random, left to right; with `shuffle` alone.
        share: `(i, m)`: give the i-th of m equal parts of each batch and read no more, for m
            workers that share each batch. Together these are the batches, crops and flips of one.

    Returns:
        A dataset of `{"image": [b, height, width, channels] as given or cropped, "label": int32 [b]
        (-1: none), "index": int64 [b], positions in images}`: TensorFlow's, or on Keras's other
        backends `NumPyBatches`.

    Raises:
        ValueError: If shapes, types or numbers are not as above.

    Example:
        >>> dataset = image_batches(np.zeros((10, 8, 8, 1), "uint8"), batch_size=4, epochs=2)
        >>> [batch["image"].shape[0] for batch in dataset]
        [4, 4, 4, 4]
    """
    if not isinstance(images, ImageFiles):
        images = np.asanyarray(images)
    _check_images(images)
    _check_numbers(len(images), batch_size, first_epoch, epochs, drop_remainder)
    _check_crop(images, crop_size, flip, shuffle)
    _check_share(share, batch_size, drop_remainder)
    labels = _check_labels(labels, len(images))
    num_images = len(images)
    num_steps = num_images // batch_size if drop_remainder else -(-num_images // batch_size)
    _check_first_step(first_step, num_steps)

    def take(index: np.ndarray, epoch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, int(epoch), int(index[0])]) if shuffle else None
        # Drawn for the whole batch, whatever the share.
        own = _part(len(index), share)
        corners = None if crop_size is None else _corners(images, crop_size, rng, len(index))[own]
        mirrored = rng.random(len(index))[own] < 0.5 if flip else None
        batch = images[index[own]]
        batch = batch if crop_size is None else _crop(batch, crop_size, corners)
        if flip:
            batch = np.where(mirrored[:, None, None, None], batch[:, :, ::-1], batch)
        return batch, labels[index[own]]

    num_batches = None if epochs is None else epochs * num_steps - first_step
    # Imported here, as TensorFlow below: the package's other functions do without.
    import keras

    if keras.backend.backend() != "tensorflow":
        from cpc_keras.data.numpy_batches import NumPyBatches

        @functools.lru_cache(maxsize=2)
        def order_of(epoch: int) -> np.ndarray:
            # Apart from what a batch draws, which is seeded by its first image as well.
            own = np.random.SeedSequence([seed, epoch], spawn_key=(0,))
            order = np.arange(num_images)
            return np.random.default_rng(own).permutation(order) if shuffle else order

        def batch_at(position: int) -> dict[str, np.ndarray]:
            epoch, step = divmod(first_epoch * num_steps + first_step + position, num_steps)
            index = order_of(epoch)[step * batch_size :][:batch_size]
            image, label = take(index, epoch)
            return {"image": image, "label": label, "index": index[_part(len(index), share)]}

        return NumPyBatches(batch_at, num_batches)
    import tensorflow as tf

    def epoch_order(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.range(num_images, dtype=tf.int64)
        if shuffle:
            # Stateless: an epoch's order does not depend on the epochs drawn before it.
            order = tf.random.experimental.stateless_shuffle(order, seed=tf.stack([seed, epoch]))
        done = tf.where(epoch == first_epoch, tf.constant(first_step * batch_size, tf.int64), 0)
        order = tf.data.Dataset.from_tensor_slices(order[done:])
        order = order.batch(batch_size, drop_remainder=drop_remainder)
        return order.map(lambda index: (index, epoch))

    def gather(index: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        # NumPy gathers as fast as tf.gather (measured), and needs no second copy of the images.
        image, label = tf.numpy_function(take, [index, epoch], (images.dtype, tf.int32))
        if share != (0, 1):
            index = index[_part(batch_size, share)]
        sides = images.shape[1:3] if crop_size is None else (crop_size, crop_size)
        image.set_shape([index.shape[0], *sides, images.shape[3]])
        label.set_shape([index.shape[0]])
        return {"image": image, "label": label, "index": index}

    last_epoch = np.iinfo(np.int64).max if epochs is None else first_epoch + epochs
    dataset = tf.data.Dataset.range(first_epoch, last_epoch).flat_map(epoch_order)
    dataset = dataset.map(gather, num_parallel_calls=2)
    # tf.data cannot count through flat_map; Keras's progress bar wants the number.
    cardinality = tf.data.INFINITE_CARDINALITY if num_batches is None else num_batches
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    dataset = dataset.prefetch(2)
    # There is nothing to tune, and the thread that tunes sleeps twice as long each time, without
    # waking when its iterator goes: short fits would take up to twice as long (measured).
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _part(count, share):
    """The rows of a share of so many."""
    which, num_shares = share
    return slice(which * count // num_shares, (which + 1) * count // num_shares)


def _corners(images, size, rng, count):
    """Top and left of parts of images: anywhere, or of the centre without a generator."""
    spare = np.array(images.shape[1:3]) - size
    return (
        np.tile(spare // 2, (count, 1)) if rng is None else rng.integers(spare + 1, size=(count, 2))
    )


def _crop(images, size, corners):
    """Square parts of images, with these corners."""
    parts = np.empty((len(images), size, size, images.shape[3]), images.dtype)
    for part, image, (top, left) in zip(parts, images, corners, strict=True):
        part[...] = image[top : top + size, left : left + size]
    return parts


def _check_crop(images, crop_size, flip, shuffle):
    shorter = min(images.shape[1:3])
    if crop_size is not None and not 1 <= crop_size <= shorter:
        raise ValueError(
            f"image_batches: received crop_size={crop_size} for images of "
            f"{images.shape[1]}x{images.shape[2]}. Expected 1 to {shorter}. Resize the images, or "
            "crop less."
        )
    if flip and not shuffle:
        raise ValueError(
            "image_batches: received flip=True with shuffle=False. Expected flips with shuffle "
            "alone: without, every epoch is the same. Leave one of them out."
        )


def _check_share(share, batch_size, drop_remainder):
    which, num_shares = share
    if num_shares == 1 and which == 0:
        return
    if not 0 <= which < num_shares or batch_size % num_shares or not drop_remainder:
        raise ValueError(
            f"image_batches: received share={share} with batch_size={batch_size} and "
            f"drop_remainder={drop_remainder}. Expected (i, m) with 0 <= i < m, a batch size that "
            "is a multiple of m, and whole batches alone: all parts are equal."
        )


def _check_images(images: np.ndarray) -> None:
    is_pixels = images.dtype == np.uint8 or np.issubdtype(images.dtype, np.floating)
    if images.ndim != 4 or not len(images) or not is_pixels:
        raise ValueError(
            f"image_batches: received images of shape {images.shape} and type {images.dtype}. "
            "Expected [n, height, width, channels], n >= 1, uint8 or float in [0, 255]. Of an "
            "ImageData pass images=data.images, labels=data.labels; grey images need a channel "
            "axis: images[..., np.newaxis]."
        )


def _check_numbers(
    num_images: int, batch_size: int, first_epoch: int, epochs: int | None, drop_remainder: bool
) -> None:
    if batch_size < 1:
        raise ValueError(
            f"image_batches: received batch_size={batch_size}. Expected at least 1. Try 64."
        )
    if drop_remainder and batch_size > num_images:
        raise ValueError(
            f"image_batches: received batch_size={batch_size} for {num_images} images, which gives "
            f"no full batch. Expected at most {num_images}. Pass batch_size={num_images} or less, "
            "or drop_remainder=False."
        )
    if first_epoch < 0 or (epochs is not None and epochs < 1):
        raise ValueError(
            f"image_batches: received first_epoch={first_epoch}, epochs={epochs}. Expected "
            "first_epoch >= 0, and epochs >= 1 or None for no end. epochs counts from first_epoch."
        )


def _check_first_step(first_step: int, num_steps: int) -> None:
    if not 0 <= first_step < num_steps:
        raise ValueError(
            f"image_batches: received first_step={first_step} for epochs of {num_steps} batches. "
            f"Expected 0 to {num_steps - 1}. After the last batch comes first_epoch + 1, with "
            "first_step=0."
        )


def _check_labels(labels: np.ndarray | None, num_images: int) -> np.ndarray:
    if labels is None:
        return np.full(num_images, -1, np.int32)
    labels = np.asarray(labels)
    if labels.shape != (num_images,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"image_batches: received labels of shape {labels.shape} and type {labels.dtype} for "
            f"{num_images} images. Expected integers of shape ({num_images},), -1 for none. Pass "
            "labels=None if there are none."
        )
    return labels.astype(np.int32)
