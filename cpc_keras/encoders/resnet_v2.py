"""Pre-activation residual networks for patches."""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from cpc_keras.encoders.fast_convolution import fast_convolution
from cpc_keras.encoders.fast_normalization import fast_normalization

# Keras's default epsilon of 1e-3 is a visible share of the variance of a dark patch.
EPSILON = 1e-5

STEMS = ("small", "imagenet")

NORMALIZATIONS = {
    "none": None,
    # One group spans all channels and positions of a patch: layer normalisation as most ports of
    # CPC v2 read it, and close to free on CPUs.
    "group": lambda name: fast_normalization(
        layers.GroupNormalization(groups=1, epsilon=EPSILON, name=name)
    ),
    "layer": lambda name: layers.LayerNormalization(epsilon=EPSILON, name=name),
}


def resnet_v2(
    input_shape: tuple[int, int, int],
    *,
    widths: Sequence[int],
    blocks: Sequence[int],
    bottlenecks: Sequence[int] | None = None,
    stem: str = "small",
    smallest_map: int = 1,
    branch_variance: float = 1.0,
    normalization: str = "group",
    name: str = "patch_encoder",
) -> keras.Model:
    """Build a pre-activation ResNet (He et al. 2016, arXiv:1603.05027) of any depth and width.

    `named_resnet` builds those of the papers. A block is two 3x3 convolutions or, with
    `bottlenecks`, 1x1, 3x3 and 1x1; each stage after the first halves the map, in the first 3x3
    convolution of its first block and in its shortcut. Batch normalisation is not offered: batch
    statistics link the patches of an image and let the network cheat (CPC v2, arXiv:1905.09272).

    Args:
        input_shape: `(height, width, channels)` of a patch.
        widths: channels of each stage.
        blocks: residual blocks of each stage, as many as `widths`.
        bottlenecks: channels inside the blocks of each stage, as many as `widths`; `None` for basic
            blocks.
        stem: "small", a 3x3 convolution at stride 1 and no max-pooling, which keeps the maps of
            small patches large; or "imagenet", a 7x7 convolution and a 3x3 max-pooling, both at
            stride 2, as in the paper. Either has the first stage's channels, or its bottleneck's.
        smallest_map: stages halve the map only where its shorter side keeps at least this many
            rows or columns; the others run at stride 1.
        branch_variance: share of He's initial variance that the last convolution of each block
            starts with. Without normalisation every block at 1 doubles the variance of the map;
            1 / sum(blocks) keeps it within a factor of e.
        normalization: "group" (one group), "layer" (channels of each position) or "none".
        name: name of the model.

    Returns:
        Model from patches `[batch, height, width, channels]`, pixels in [0, 255], to codes
        `[batch, widths[-1]]`, the mean over the last map.

    Raises:
        ValueError: unknown normalization or stem, stages that are not told alike, or a
            `smallest_map` above 1 for patches of unknown sides.

    Example:
        >>> resnet_v2((8, 8, 3), widths=(16, 32), blocks=(1, 1)).output_shape
        (None, 32)
        >>> resnet_v2((8, 8, 3), widths=(64, 128), blocks=(2, 2), bottlenecks=(16, 32)).output_shape
        (None, 128)
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {sorted(NORMALIZATIONS)}. Received: {normalization!r}. "
            "Batch normalisation is refused: its statistics let patches see each other."
        )
    if stem not in STEMS:
        raise ValueError(f"stem must be one of {STEMS}. Received: {stem!r}.")
    if not len(widths) == len(blocks) == len(widths if bottlenecks is None else bottlenecks) > 0:
        raise ValueError(
            "widths, blocks and bottlenecks must tell the same number of stages, at least 1. "
            f"Received: widths={widths}, blocks={blocks}, bottlenecks={bottlenecks}."
        )
    if smallest_map > 1 and None in input_shape[:2]:
        raise ValueError(
            f"smallest_map={smallest_map} needs the sides of the patches. Received: "
            f"input_shape={input_shape}. Give both sides, or smallest_map=1."
        )
    normalize = NORMALIZATIONS[normalization]
    inputs = keras.Input(input_shape, name="patches")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(inputs)
    stem_width = widths[0] if bottlenecks is None else bottlenecks[0]
    if stem == "small":
        x = _convolution(stem_width, 1, "stem")(x)
    else:
        x = _convolution(stem_width, 2, "stem", size=7)(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        bottleneck = bottlenecks and bottlenecks[stage]
        for index in range(count):
            stride = 2 if stage and not index and _may_halve(x, smallest_map) else 1
            block = f"stage{stage}_block{index}"
            x = _block(x, width, bottleneck, stride, normalize, branch_variance, block)
    x = _activate(x, normalize, "final")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x, name=name)


def _may_halve(x, smallest_map):
    # "same" padding rounds up: 3 becomes 2.
    return smallest_map <= 1 or min(x.shape[1:3]) > 2 * (smallest_map - 1)


def _convolution(filters, stride, name, size=3, variance=1.0):
    layer = layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal"
        if variance == 1.0
        else keras.initializers.VarianceScaling(2.0 * variance, "fan_in", "truncated_normal"),
        name=name,
    )
    return fast_convolution(layer)


def _activate(x, normalize: Callable | None, name):
    if normalize is not None:
        x = normalize(f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _block(x, width, bottleneck, stride, normalize, variance, name):
    y = _activate(x, normalize, f"{name}_0")
    if stride > 1 or x.shape[-1] != width:
        shortcut = _convolution(width, stride, f"{name}_shortcut", size=1)(y)
    else:
        shortcut = x
    if bottleneck is None:
        y = _convolution(width, stride, f"{name}_conv0")(y)
        y = _activate(y, normalize, f"{name}_1")
        y = _convolution(width, 1, f"{name}_conv1", variance=variance)(y)
    else:
        y = _convolution(bottleneck, 1, f"{name}_conv0", size=1)(y)
        y = _activate(y, normalize, f"{name}_1")
        # At stride 2 here, not in the 1x1 before it, which would skip three pixels of four.
        y = _convolution(bottleneck, stride, f"{name}_conv1")(y)
        y = _activate(y, normalize, f"{name}_2")
        y = _convolution(width, 1, f"{name}_conv2", size=1, variance=variance)(y)
    return layers.Add(name=f"{name}_add")([shortcut, y])
