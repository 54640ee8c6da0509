"""A patch encoder put to work on whole images."""

import re
from collections.abc import Callable

import keras
from keras import layers

from cpc_keras.encoders.dense_map import dense_map
from cpc_keras.encoders.shared_encoder import shared_encoder
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
    dense: bool = False,
    encoding: str = "patches",
    name: str = "encoder",
) -> keras.Model:
    """Build the model from images to features that other projects load.

    It is made of stock layers and `keras.ops` alone, so that it loads where this package is not
    installed.

    With `dense` the patch encoder's layers, up to its global pooling, run once over the whole image
    instead of once over each of many overlapping patches: about a third of the operations at half
    overlap, and a map as fine as the network's stride, for classifiers and detectors on top (CPC
    v2, Henaff et al. 2019, arXiv:1905.09272, efficient classification). The weights are the same,
    the features are not: each position sees its neighbours' pixels where a patch saw its own zero
    padding, and group normalisation takes its statistics over the image instead of the patch; layer
    normalisation, of single positions, stays what it was.

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
        dense: run the patch encoder over the whole image. The grid is then the map before its
            global pooling, and `pooling` alone says how it is pooled; `patch_size` and
            `patch_stride` play no part, and images need not give a whole grid of patches.
        encoding: "patches", or "shared": the same codes in one pass, of patch encoders that allow
            it (`shared_encoder`). Has no effect with `dense`.
        name: name of the model.

    Returns:
        `keras.Model` from images `[batch, height, width, channels]`, uint8 or float in [0, 255], to
        features `[batch, features]`; with `return_grid` to a dict of `features` and `grid`
        `[batch, rows, columns, d]`.

    Raises:
        ValueError: the image gives no whole grid, or the pooling does not fit it; with `dense`, a
            patch encoder that does not end in global pooling or holds a layer that takes patches of
            one size alone, or `summarize`.

    Example:
        >>> patches = resnet_v2((8, 8, 1), widths=(8, 16), blocks=(1, 1))
        >>> image_encoder(patches, image_shape=(28, 28, 1), patch_size=8, patch_stride=4,
        ...               pooling="3x3").output_shape
        (None, 144)
        >>> image_encoder(patches, image_shape=(28, 28, 1), patch_size=8, patch_stride=4,
        ...               dense=True, return_grid=True).output["grid"].shape
        (None, 14, 14, 16)
    """
    images = keras.Input(image_shape, dtype="float32", name="images")
    if dense and summarize is not None:
        raise ValueError(
            "dense=True pools the patch encoder's map: `summarize`, such as a context network, was "
            "made for the grid of patches. Use dense=False or summarize=None."
        )
    if dense:
        grid = dense_map(patch_encoder, images)
    else:
        cut = {"patch_size": patch_size, "patch_stride": patch_stride}
        if encoding == "shared":
            codes = shared_encoder(patch_encoder, image_shape=image_shape, **cut)(images)
        else:
            codes = _codes_of_patches(patch_encoder, images, **cut)
        grid = codes if summarize is None else summarize(codes)
    features = pool_codes(grid, pooling)
    # Features leave in float32 whatever the encoder computed in.
    features = layers.Activation("linear", dtype="float32", name="features")(features)
    outputs = {"features": features, "grid": grid} if return_grid else features
    return keras.Model(images, outputs, name=name)


def _codes_of_patches(patch_encoder, images, patch_size, patch_stride):
    image_shape = images.shape[1:]
    rows, columns = grid_shape(image_shape[:2], patch_size=patch_size, patch_stride=patch_stride)
    patches = extract_patches(images, patch_size=patch_size, patch_stride=patch_stride)
    patches = keras.ops.reshape(patches, (-1, patch_size, patch_size, image_shape[-1]))
    codes = patch_encoder(patches)
    return keras.ops.reshape(codes, (-1, rows, columns, codes.shape[-1]))


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
