"""The patch encoder whose codes can be shared by overlapping patches."""

import math

import keras
from keras import layers

from cpc_keras.encoders.fast_convolution import fast_convolution
from cpc_keras.encoders.resnet_v2 import NORMALIZATIONS

# Of the smallest patch: 2x2, 2x2, 3x3 and 4x4 convolutions see exactly 8 pixels.
SMALLEST_PATCH = 8
# Blocks at the two finest maps, which gain the most from being shared.
FIRST_BLOCKS = (2, 1)


def valid_cnn(
    input_shape: tuple[int, int, int], *, width: int = 64, normalization: str = "layer"
) -> keras.Model:
    """Build a residual network without padding, which sees exactly its patch.

    No position is padded and no statistic spans positions, so that it gives the same codes whether
    it runs over each patch or once over the whole image (`shared_encoder`, `CPCModel(...,
    encoding="shared")`), where patches are half a patch apart: each pixel, which lies in up to four
    patches, is then encoded once.

    | patch | stride | convolutions (size/stride, "valid"; `b` a block of two 1x1) |
    |---|---|---|
    | 8 | 4 | 2 b b 2 b 3 4/4 |
    | 16 | 8 | 2 b b 2 b 3 2/2 b 3 4/4 |
    | 32 | 16 | 2 b b 2 b 3 2/2 b 3 2/2 b 3 4/4 |

    and so on: twice as many pixels with one `2/2 b 3` more. Blocks are residual; normalisation and
    ReLU stand before every convolution but the first, and at the end. The last convolution has
    `2 * width` channels, all others `width`.

    Args:
        input_shape: `(height, width, channels)` of a patch: square, 8 pixels times a power of two.
        width: channels of the maps.
        normalization: "layer" (over the channels of each position) or "none". "group" spans
            positions and is refused.

    Returns:
        Model from patches, pixels in [0, 255], to codes `[batch, 2 * width]`.

    Raises:
        ValueError: patches of another size, another normalization.

    Example:
        >>> valid_cnn((16, 16, 3), width=32).output_shape
        (None, 64)
    """
    side = input_shape[0]
    halvings = math.log2(side / SMALLEST_PATCH) if side else -1
    if input_shape[1] != side or halvings < 0 or halvings % 1:
        raise ValueError(
            "valid_cnn takes square patches of 8 pixels times a power of two: 8, 16, 32, ... "
            f"Received: input_shape={tuple(input_shape)}."
        )
    if normalization not in ("layer", "none"):
        raise ValueError(
            'normalization of valid_cnn must be "layer" or "none": the codes of a patch would '
            f"otherwise depend on its surroundings. Received: {normalization!r}."
        )
    halvings = int(halvings)
    num_blocks = sum(FIRST_BLOCKS) + halvings

    def convolve(x, filters, size, name, stride=1, variance=1.0):
        convolution = layers.Conv2D(
            filters,
            size,
            strides=stride,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0 * variance, "fan_in", "truncated_normal"
            ),
            name=name,
        )
        return fast_convolution(convolution)(x)

    def activate(x, name):
        normalize = NORMALIZATIONS[normalization]
        if normalize is not None:
            x = normalize(f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    def activate_and_convolve(x, filters, size, name, **options):
        return convolve(activate(x, name), filters, size, name, **options)

    def add_block(x, name):
        y = activate_and_convolve(x, width, 1, f"{name}_conv0")
        # Without normalisation the variance would double with each block.
        y = activate_and_convolve(y, width, 1, f"{name}_conv1", variance=1.0 / num_blocks)
        return layers.Add(name=f"{name}_add")([x, y])

    inputs = keras.Input(input_shape, name="patches")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(inputs)
    x = convolve(x, width, 2, "stem")
    for index in range(FIRST_BLOCKS[0]):
        x = add_block(x, f"stem_block{index}")
    x = activate_and_convolve(x, width, 2, "widen")
    for index in range(FIRST_BLOCKS[1]):
        x = add_block(x, f"widen_block{index}")
    x = activate_and_convolve(x, width, 3, "stage0")
    for stage in range(1, halvings + 1):
        x = activate_and_convolve(x, width, 2, f"stage{stage}_halve", stride=2)
        x = add_block(x, f"stage{stage}_block")
        x = activate_and_convolve(x, width, 3, f"stage{stage}")
    x = activate_and_convolve(x, 2 * width, 4, "code", stride=4)
    x = activate(x, "final")
    # Of one position where there is a patch, and what `dense` leaves out where there is an image.
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, x, name="patch_encoder")
