"""Pre-activation residual networks for patches."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

# Keras's default epsilon of 1e-3 is a visible share of the variance of a dark patch.
EPSILON = 1e-5

NORMALIZATIONS = {
    "none": None,
    # One group spans all channels and positions of a patch: layer normalisation as most ports of
    # CPC v2 read it, and close to free on CPUs.
    "group": lambda name: layers.GroupNormalization(groups=1, epsilon=EPSILON, name=name),
    "layer": lambda name: layers.LayerNormalization(epsilon=EPSILON, name=name),
}


def resnet_v2(
    input_shape: tuple[int, int, int],
    *,
    widths: Sequence[int],
    blocks: Sequence[int],
    normalization: str = "group",
    name: str = "patch_encoder",
) -> keras.Model:
    """Build a pre-activation ResNet of basic blocks (He et al. 2016, arXiv:1603.05027).

    A 3x3 stem at stride 1 and no max-pooling keep the maps of small patches large; each stage after
    the first halves them. Batch normalisation is not offered: batch statistics link the patches of
    an image and let the network cheat (CPC v2, arXiv:1905.09272).

    Args:
        input_shape: `(height, width, channels)` of a patch.
        widths: channels of each stage.
        blocks: residual blocks of each stage, as many as `widths`.
        normalization: "group" (one group), "layer" (channels of each position) or "none".
        name: name of the model.

    Returns:
        Model from patches `[batch, height, width, channels]`, pixels in [0, 255], to codes
        `[batch, widths[-1]]`, the mean over the last map.

    Example:
        >>> resnet_v2((8, 8, 3), widths=(16, 32), blocks=(1, 1)).output_shape
        (None, 32)
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {sorted(NORMALIZATIONS)}. Received: {normalization!r}. "
            "Batch normalisation is refused: its statistics let patches see each other."
        )
    normalize = NORMALIZATIONS[normalization]
    inputs = keras.Input(input_shape, name="patches")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(inputs)
    x = _convolution(widths[0], 1, "stem")(x)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for index in range(count):
            stride = 2 if stage and not index else 1
            x = _block(x, width, stride, normalize, f"stage{stage}_block{index}")
    x = _activate(x, normalize, "final")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x, name=name)


def _convolution(filters, stride, name, size=3):
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def _activate(x, normalize: Callable | None, name):
    if normalize is not None:
        x = normalize(f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _block(x, width, stride, normalize, name):
    y = _activate(x, normalize, f"{name}_0")
    if stride > 1 or x.shape[-1] != width:
        shortcut = _convolution(width, stride, f"{name}_shortcut", size=1)(y)
    else:
        shortcut = x
    y = _convolution(width, stride, f"{name}_conv0")(y)
    y = _activate(y, normalize, f"{name}_1")
    y = _convolution(width, 1, f"{name}_conv1")(y)
    return layers.Add(name=f"{name}_add")([shortcut, y])
