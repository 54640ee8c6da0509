"""Batches of labelled and unlabelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cpc_keras.data.image_batches import image_batches
from cpc_keras.data.image_files import ImageFiles

if TYPE_CHECKING:
    import tensorflow as tf

    from cpc_keras.data.numpy_batches import NumPyBatches


def mixed_batches(
    images: np.ndarray | ImageFiles,
    labels: np.ndarray,
    labeled_index: np.ndarray,
    *,
    batch_size: int,
    ratio: int = 1,
    seed: int = 0,
    first_epoch: int = 0,
    first_step: int = 0,
    epochs: int | None = None,
    crop_size: int | None = None,
    flip: bool = False,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset | NumPyBatches:
    """Makes batches of some labelled and `ratio` times as many unlabelled images.

    Labelled rows come first. They are drawn from `labeled_index`, the others from all images with
    their labels hidden, each kind in an order of its own that goes on from epoch to epoch and
    depends on the seed and the step alone: a run goes on with `first_epoch` and `first_step` as
    with `image_batches`. An epoch is `n // batch_size` batches, as many as a method without labels
    takes for a pass over the images, so that equal epochs are equal steps.

    Args:
        images: `[n, height, width, channels]`, pixels in [0, 255]; see `image_batches`.
        labels: Integers `[n]`; those outside `labeled_index` are not read.
        labeled_index: Positions `[k]` of the labelled images, such as of `label_subset`.
        batch_size: Rows of a batch in all, 1 to `n`, a multiple of `1 + ratio`.
        ratio: Unlabelled rows for each labelled one; 0 gives labelled rows alone, for the
            supervised baseline.
        seed: Chooses the orders.
        first_epoch: Epoch to begin with, >= 0.
        first_step: Batches of that epoch to leave out, 0 to one less than it has.
        epochs: Number of epochs to give; None is without end.
        crop_size: Side of a random square part to give of each image; see `image_batches`.
        flip: Whether to mirror every second image.
        share: `(i, m)`: give the i-th of m equal parts of each batch; see `image_batches`. Each
            worker reads the whole batch.

    Returns:
        A dataset of `{"image": [b, height, width, channels], "label": int32 [b] (-1: hidden),
        "index": int64 [b], positions in images}`; of the same kind as `image_batches`.

    Raises:
        ValueError: If numbers or shapes are not as above, or a labelled image has no label.

    Example:
        >>> labels = np.arange(10) % 2
        >>> dataset = mixed_batches(np.zeros((10, 8, 8, 1), "uint8"), labels, np.array([3, 4]),
        ...                         batch_size=4, ratio=3, epochs=1)
        >>> [int((batch["label"] >= 0).numpy().sum()) for batch in dataset]
        [1, 1]
    """
    labels, labeled_index = np.asarray(labels), np.asarray(labeled_index)
    num_labeled = _check_mixture(len(images), labels, labeled_index, batch_size, ratio)
    num_steps = len(images) // batch_size
    if not 0 <= first_step < num_steps or first_epoch < 0 or (epochs is not None and epochs < 1):
        raise ValueError(
            f"mixed_batches: received first_epoch={first_epoch}, first_step={first_step}, "
            f"epochs={epochs} for epochs of {num_steps} batches. Expected first_epoch >= 0, "
            f"first_step 0 to {num_steps - 1}, and epochs >= 1 or None."
        )
    # Fewer labelled images than rows for them: each stands in a batch more than once.
    index = np.tile(labeled_index, -(-num_labeled // len(labeled_index))).astype(np.int64)
    parts = [(index, labels[index], num_labeled)]
    if ratio:
        parts.append((None, None, ratio * num_labeled))
    # One seed a kind, so that what is drawn of one tells nothing of the other.
    seeds = np.random.SeedSequence([seed, 0x6D6978]).generate_state(len(parts)) & 0x7FFFFFFF
    done = first_epoch * num_steps + first_step
    streams = []
    for (chosen, known, size), part_seed in zip(parts, seeds, strict=True):
        passes, steps = divmod(done, (len(images) if chosen is None else len(chosen)) // size)
        streams.append(
            image_batches(
                images if chosen is None else _take(images, chosen),
                labels=known,
                batch_size=size,
                seed=int(part_seed),
                first_epoch=passes,
                first_step=steps,
                crop_size=crop_size,
                flip=flip,
            )
        )
    own = slice(*(n * batch_size // share[1] for n in (share[0], share[0] + 1)))

    def together(rows, take, concatenate):
        labeled = {**rows[0], "index": take(index, rows[0]["index"])}  # positions in all images
        rows = [labeled, *rows[1:]]
        return {key: concatenate([part[key] for part in rows], axis=0)[own] for key in labeled}

    num_batches = None if epochs is None else epochs * num_steps - first_step
    # Imported here, as TensorFlow below: the package's other functions do without.
    import keras

    if keras.backend.backend() != "tensorflow":
        from cpc_keras.data.numpy_batches import NumPyBatches

        return NumPyBatches(
            lambda position: together(
                [stream[position] for stream in streams], np.take, np.concatenate
            ),
            num_batches,
        )
    import tensorflow as tf

    dataset = tf.data.Dataset.zip(tuple(streams))
    dataset = dataset.map(lambda *rows: together(rows, tf.gather, tf.concat))
    if num_batches is not None:
        dataset = dataset.take(num_batches)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.autotune.enabled = False  # as in `image_batches`
    return dataset.with_options(options)


def _take(images, index):
    if np.array_equal(index, np.arange(len(images))):
        return images  # all of them: a copy could be as large as the memory
    return images.subset(index) if isinstance(images, ImageFiles) else np.asarray(images)[index]


def _check_mixture(num_images, labels, labeled_index, batch_size, ratio):
    """Return the number of labelled rows of a batch."""
    if int(ratio) != ratio or ratio < 0 or batch_size < 1 or batch_size % (1 + ratio):
        raise ValueError(
            f"mixed_batches: received batch_size={batch_size} and ratio={ratio}. Expected a whole "
            "ratio >= 0 of unlabelled to labelled rows, and a batch that both share: a multiple of "
            f"1 + ratio, such as {max(1, round(64 / (1 + max(0, int(ratio))))) * (1 + int(ratio))}."
        )
    if batch_size > num_images:
        raise ValueError(
            f"mixed_batches: received batch_size={batch_size} for {num_images} images. Expected at "
            f"most {num_images}."
        )
    if labels.shape != (num_images,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"mixed_batches: received labels of shape {labels.shape} and type {labels.dtype} for "
            f"{num_images} images. Expected integers of shape ({num_images},), -1 for none."
        )
    inside = (
        labeled_index.ndim == 1
        and labeled_index.size
        and np.issubdtype(labeled_index.dtype, np.integer)
        and labeled_index.min() >= 0
        and labeled_index.max() < num_images
    )
    if not inside or (labels[labeled_index] < 0).any():
        raise ValueError(
            f"mixed_batches: received a labeled_index of shape {labeled_index.shape} and type "
            f"{labeled_index.dtype}. Expected positions in the {num_images} images, at least one, "
            "each of an image with a label >= 0, such as of label_subset."
        )
    return batch_size // (1 + int(ratio))
