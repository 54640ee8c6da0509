"""Checks on images before they are trained on."""

import warnings

import keras
import numpy as np


def check_images(
    data,
    image_shape: tuple[int, int, int],
    *,
    clips: bool = False,
    batch_size: int = 32,
    smallest_batch: int = 1,
):
    """Refuse what cannot be images of the model's shape; warn of a suspicious value range.

    Arrays are looked at. Of a `tf.data.Dataset` the element spec is, and its first batch when it is
    read: reading it twice would fill shuffle buffers twice and cost a one-shot dataset a batch.
    Anything else, such as a generator, which a look would use up, passes.

    Args:
        data: array `[n, height, width, channels]`, or a batched dataset of images,
            `(image, label)` pairs or dicts with the key "image".
        image_shape: `(height, width, channels)` that is expected.
        clips: expect clips of such images instead, `[n, time, height, width, channels]`.
        batch_size: of the batches that will be cut from an array.
        smallest_batch: least number of images in a batch.

    Returns:
        What to train on: `data`, or a dataset of the same elements that warns as it is read, or
        ends with `tf.errors.InvalidArgumentError` where the first batch is one to refuse.

    Raises:
        ValueError: wrong rank, shape or dtype, an unbatched dataset, or batches too small.
    """
    options = {"clips": clips, "smallest_batch": smallest_batch}
    if hasattr(data, "element_spec") and hasattr(data, "enumerate"):
        spec = _images_of(data.element_spec)
        if spec.shape.rank is not None:
            _check_dataset(data, spec, len(image_shape) + 1 + clips)
            _check_kind(tuple(spec.shape), spec.dtype, tuple(image_shape), clips)
            _check_batch_size(None, spec.shape[0], smallest_batch)

        def look(batch):
            check_images(batch, image_shape, batch_size=len(batch), **options)

        return _observed(data, look)
    images = _images_of(data) if isinstance(data, dict) else data
    if hasattr(images, "shape") and hasattr(images, "dtype"):
        _check_kind(tuple(images.shape), images.dtype, tuple(image_shape), clips)
        # The last batch of an array holds what is left.
        num_images = len(images)
        _check_batch_size(num_images, num_images % batch_size or batch_size, smallest_batch)
        _warn_of_range(np.asarray(keras.ops.convert_to_numpy(images[:256]), "float32"))
    return data


def _check_dataset(dataset, spec, expected_rank):
    if spec.shape.rank == expected_rank - 1:
        raise ValueError(
            "Expected a dataset of batches [batch, height, width, channels]. Received single "
            "images: batch it, for example dataset.batch(64)."
        )
    if int(dataset.cardinality()) == 0:
        raise ValueError("The dataset is empty. Expected at least one batch of images.")


def _observed(dataset, look):
    """The same dataset, which shows a function its first batch of images, once, as it goes by."""
    import tensorflow as tf

    shown = []

    def show(images):
        if not shown:
            shown.append(True)
            look(images)
        return True

    def pass_on(number, element):
        def first():
            # NumPy knows no bfloat16; the dtype was looked at in the spec.
            images = tf.cast(_images_of(element), tf.float32)
            return tf.numpy_function(show, [images], tf.bool)

        tf.cond(number > 0, lambda: True, first)
        return element

    return dataset.enumerate().map(pass_on)


def _check_kind(shape, dtype, image_shape, clips):
    """Shape, of which a dataset may leave sides open, and type of a batch."""

    def fits(found):
        return all(a in (None, b) for a, b in zip(found, image_shape, strict=True))

    if clips:
        if len(shape) != 5 or not fits(shape[2:]):
            raise ValueError(
                "Expected clips [batch, time, height, width, channels] of shape "
                f"(batch, time, {', '.join(map(str, image_shape))}). Received shape {shape}. The "
                "views of this model take two frames of each clip."
            )
    elif len(shape) != 4:
        hint = ""
        if len(shape) == 3:
            hint = " A channel axis may be missing (grey images: images[..., None])."
            if shape == image_shape:
                hint = " For a single image add a batch axis: images[None]."
        raise ValueError(
            "Expected images [batch, height, width, channels] of shape "
            f"(batch, {', '.join(map(str, image_shape))}). Received shape {shape}.{hint}"
        )
    elif not fits(shape[1:]):
        hint = "Resize or convert the images, or build the model with image_shape="
        raise ValueError(
            f"Expected images of shape {image_shape}. Received {shape[1:]}. {hint}{shape[1:]}."
        )
    # TensorFlow's and PyTorch's dtypes print as "<dtype: 'uint8'>" and "torch.uint8".
    dtype = getattr(dtype, "name", None) or str(dtype).removeprefix("torch.")
    if not dtype.startswith(("uint", "int", "float", "bfloat16")):
        raise ValueError(
            f"Expected images of an integer or float type in [0, 255]. Received {dtype}."
        )


def _images_of(element):
    while isinstance(element, tuple | list):
        element = element[0]
    if not isinstance(element, dict):
        return element
    if "image" not in element:
        raise ValueError(
            f'Expected images under the key "image". Received the keys {sorted(element)}.'
        )
    return element["image"]


def _check_batch_size(num_images, size, smallest_batch):
    if num_images == 0:
        raise ValueError("Expected at least one image. Received an empty array.")
    if size is not None and size < smallest_batch:
        raise ValueError(
            f"A batch of {size} leaves a single candidate, and there is nothing to tell it from. "
            f"Use batches of at least {smallest_batch} images, the last of the array's "
            "included, or another kind of candidates."
        )


def _warn_of_range(images):
    low, high = float(images.min()), float(images.max())
    # Written so that NaN is told of as well.
    if not 0 <= low <= high < 256 or 0 < high <= 1:
        looks = "[0, 1]" if 0 <= low <= high <= 1 else f"[{low:.4g}, {high:.4g}]"
        warnings.warn(
            f"The image values look like {looks}, but [0, 255] is expected: scaling happens inside "
            "the model. Pass the pixels as they are (for [0, 1]: images * 255; for 16 bits: "
            "images / 257).",
            stacklevel=5,  # where `fit` or `evaluate` was called
        )
