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
) -> None:
    """Refuse what cannot be images of the model's shape; warn of a suspicious value range.

    Arrays and `tf.data.Dataset`s are looked at (of a dataset one batch is drawn); anything else,
    such as a generator, which a look would use up, passes.

    Args:
        data: array `[n, height, width, channels]`, or a batched dataset of images,
            `(image, label)` pairs or dicts with the key "image".
        image_shape: `(height, width, channels)` that is expected.
        clips: expect clips of such images instead, `[n, time, height, width, channels]`.
        batch_size: of the batches that will be cut from an array.
        smallest_batch: least number of images in a batch.

    Raises:
        ValueError: wrong rank, shape or dtype, an unbatched dataset, or batches too small.
    """
    if isinstance(data, dict):
        data = _images_of(data)
    if hasattr(data, "element_spec") and hasattr(data, "take"):
        images = _first_batch(data, len(image_shape) + 1 + clips)
        num_images = None
    elif hasattr(data, "shape") and hasattr(data, "dtype"):
        images, num_images = data, data.shape[0] if len(data.shape) else 0
    else:
        return
    shape = tuple(images.shape)
    if clips:
        if len(shape) != 5 or shape[2:] != tuple(image_shape):
            raise ValueError(
                "Expected clips [batch, time, height, width, channels] of shape "
                f"(batch, time, {', '.join(map(str, image_shape))}). Received shape {shape}. The "
                "views of this model take two frames of each clip."
            )
    elif len(shape) != 4:
        hint = ""
        if len(shape) == 3:
            hint = " A channel axis may be missing (grey images: images[..., None])."
            if shape == tuple(image_shape):
                hint = " For a single image add a batch axis: images[None]."
        raise ValueError(
            "Expected images [batch, height, width, channels] of shape "
            f"(batch, {', '.join(map(str, image_shape))}). Received shape {shape}.{hint}"
        )
    elif shape[1:] != tuple(image_shape):
        hint = "Resize or convert the images, or build the model with image_shape="
        raise ValueError(
            f"Expected images of shape {tuple(image_shape)}. Received {shape[1:]}. "
            f"{hint}{shape[1:]}."
        )
    # TensorFlow's and PyTorch's dtypes print as "<dtype: 'uint8'>" and "torch.uint8".
    dtype = getattr(images.dtype, "name", None) or str(images.dtype).removeprefix("torch.")
    if not dtype.startswith(("uint", "int", "float", "bfloat16")):
        raise ValueError(
            f"Expected images of an integer or float type in [0, 255]. Received {dtype}."
        )
    _check_batch_size(num_images, len(images), batch_size, smallest_batch)
    _warn_of_range(np.asarray(keras.ops.convert_to_numpy(images[:256]), "float32"))


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


def _first_batch(dataset, expected_rank):
    rank = _images_of(dataset.element_spec).shape.rank
    if rank == expected_rank - 1:
        raise ValueError(
            "Expected a dataset of batches [batch, height, width, channels]. Received single "
            "images: batch it, for example dataset.batch(64)."
        )
    for element in dataset.take(1):
        return _images_of(element)
    raise ValueError("The dataset is empty. Expected at least one batch of images.")


def _check_batch_size(num_images, num_seen, batch_size, smallest_batch):
    if num_images == 0:
        raise ValueError("Expected at least one image. Received an empty array.")
    size = num_seen
    if num_images is not None:  # the last batch of an array holds what is left
        size = num_images % batch_size or batch_size
    if size < smallest_batch:
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
