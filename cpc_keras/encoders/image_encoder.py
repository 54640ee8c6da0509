"""A patch encoder put to work on whole images."""

import re
from collections.abc import Callable

import keras
from keras import layers

from cpc_keras.ops.extract_patches import extract_patches
from cpc_keras.ops.grid_shape import grid_shape


def image_encoder(
    patch_encoder: keras.Model,
    *,
    image_shape: tuple[int, int, int],
    patch_size: int,
    patch_stride: int,
    pooling: str = "mean",
    summarize: Callable | None = None,
    return_grid: bool = False,
    name: str = "encoder",
) -> keras.Model:
    """Build the model from images to features that other projects load.

    It is made of stock layers and `keras.ops` alone, so that it loads where this package is not
    installed.

    Args:
        patch_encoder: model from patches to codes `[batch, d]`; its weights are shared.
        image_shape: `(height, width, channels)`.
        patch_size: side of a patch, in pixels.
        patch_stride: step between patches, in pixels.
        pooling: how the grid of codes becomes features: "mean" (CPC v1) or "max" over all
            positions, `d` features; or a coarse grid of means such as "3x3" (rows x columns), which
            keeps where something was, `rows * columns * d` features.
        summarize: function of stock layers from the grid of codes to the grid that is pooled, for
            example to contexts; by default the codes themselves.
        return_grid: also return the grid that is pooled.
        name: name of the model.

    Returns:
        `keras.Model` from images `[batch, height, width, channels]`, uint8 or float in [0, 255], to
        features `[batch, features]`; with `return_grid` to a dict of `features` and `grid`
        `[batch, rows, columns, d]`.

    Raises:
        ValueError: the image gives no whole grid, or the pooling does not fit it.

    Example:
        >>> patches = resnet_v2((8, 8, 1), widths=(8, 16), blocks=(1, 1))
        >>> image_encoder(patches, image_shape=(28, 28, 1), patch_size=8, patch_stride=4,
        ...               pooling="3x3").output_shape
        (None, 144)
    """
    images = keras.Input(image_shape, dtype="float32", name="images")
    rows, columns = grid_shape(image_shape[:2], patch_size=patch_size, patch_stride=patch_stride)
    patches = extract_patches(images, patch_size=patch_size, patch_stride=patch_stride)
    patches = keras.ops.reshape(patches, (-1, patch_size, patch_size, image_shape[-1]))
    codes = patch_encoder(patches)
    codes = keras.ops.reshape(codes, (-1, rows, columns, codes.shape[-1]))
    grid = codes if summarize is None else summarize(codes)
    features = pool_codes(grid, pooling)
    # Features leave in float32 whatever the encoder computed in.
    features = layers.Activation("linear", dtype="float32", name="features")(features)
    outputs = {"features": features, "grid": grid} if return_grid else features
    return keras.Model(images, outputs, name=name)


def pool_codes(codes, pooling: str):
    """Pool a grid of codes, `[batch, rows, columns, d]`, to features; see `image_encoder`."""
    if pooling == "mean":
        return layers.GlobalAveragePooling2D(name="mean_codes")(codes)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_codes")(codes)
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", str(pooling))
    if not match:
        raise ValueError(
            'pooling must be "mean", "max", or a coarse grid such as "3x3" (rows x columns). '
            f"Received: {pooling!r}."
        )
    coarse, grid = [int(n) for n in match.groups()], codes.shape[1:3]
    if any(c > g for c, g in zip(coarse, grid, strict=True)):
        raise ValueError(
            f"pooling={pooling!r} is finer than the grid of {grid[0]}x{grid[1]} codes. Use at most "
            f'"{grid[0]}x{grid[1]}".'
        )
    strides = [g // c for g, c in zip(grid, coarse, strict=True)]
    # Windows overlap where the grid is no multiple of the coarse one, so that no code is left out.
    sizes = [g - (c - 1) * s for g, c, s in zip(grid, coarse, strides, strict=True)]
    codes = layers.AveragePooling2D(tuple(sizes), tuple(strides), name="pool_codes")(codes)
    return layers.Flatten(name="flatten_codes")(codes)
