"""The codes of all patches of an image in one pass."""

import keras
import numpy as np

from cpc_keras.encoders.dense_map import dense_map
from cpc_keras.ops.extract_patches import extract_patches
from cpc_keras.ops.grid_shape import grid_shape

# Rounding of sums in another order; a network that differs differs by more.
TOLERANCE = 1e-4


def shared_encoder(
    patch_encoder: keras.Model,
    *,
    image_shape: tuple[int, int, int],
    patch_size: int,
    patch_stride: int,
) -> keras.Model:
    """Run a patch encoder once over the whole image, with the codes of patch by patch.

    Overlapping patches share their pixels, and here what is computed of them. This is so for
    networks without padding, whose stride is that of the patches, whose receptive field is a patch
    and whose statistics do not span positions, such as `valid_cnn`. Whether a given one is such is
    found out: its codes of an image of noise are compared with those of the patches.

    Args:
        patch_encoder: functional model from patches to codes `[batch, d]` that ends in global
            pooling; its layers are shared.
        image_shape: `(height, width, channels)`.
        patch_size: side of a patch, in pixels.
        patch_stride: step between patches, in pixels.

    Returns:
        Model from images, pixels in [0, 255], to codes `[batch, rows, columns, d]`.

    Raises:
        ValueError: a patch encoder whose codes depend on what surrounds a patch.

    Example:
        >>> shared_encoder(valid_cnn((8, 8, 3)), image_shape=(32, 32, 3), patch_size=8,
        ...                patch_stride=4).output_shape
        (None, 7, 7, 128)
    """
    advice = (
        'Expected a network without padding and without statistics over positions, such as "valid" '
        '(encoders.valid_cnn); encoding="patches" takes any.'
    )
    images = keras.Input(image_shape, dtype="float32", name="images")
    grid = grid_shape(image_shape[:2], patch_size=patch_size, patch_stride=patch_stride)
    try:
        codes = dense_map(patch_encoder, images)
    except ValueError as error:
        raise ValueError(f'encoding="shared": {error} {advice}') from error
    if tuple(codes.shape[1:3]) != tuple(grid):
        raise ValueError(
            f'encoding="shared": over an image of {image_shape[0]}x{image_shape[1]} the patch '
            f"encoder {patch_encoder.name!r} gives a map of {codes.shape[1]}x{codes.shape[2]}, and "
            f"there are {grid[0]}x{grid[1]} patches of {patch_size} pixels at stride "
            f"{patch_stride}. {advice}"
        )
    model = keras.Model(images, codes, name="shared_encoder")
    difference = _difference(patch_encoder, model, patch_size, patch_stride)
    if not difference < TOLERANCE:
        raise ValueError(
            f'encoding="shared": the codes of the patch encoder {patch_encoder.name!r} over an '
            f"image differ from those of its patches, by {difference:.2g} of their size. {advice}"
        )
    return model


def _difference(patch_encoder, model, patch_size, patch_stride):
    """Largest difference of the codes of an image of noise, in units of the largest code."""
    noise = np.random.default_rng(0).uniform(0, 255, (1, *model.input_shape[1:]))
    noise = keras.ops.convert_to_tensor(noise.astype("float32"))
    patches = extract_patches(noise, patch_size=patch_size, patch_stride=patch_stride)
    patches = keras.ops.reshape(patches, (-1, *patches.shape[3:]))
    one_by_one, shared = (
        keras.ops.convert_to_numpy(keras.ops.cast(x, "float32"))
        for x in (patch_encoder(patches), model(noise))
    )
    largest = np.abs(one_by_one).max()
    if not largest:
        return 0.0
    return float(np.abs(one_by_one - shared.reshape(one_by_one.shape)).max() / largest)
