"""The fastest patch encoder."""

import keras
from keras import layers

from cpc_keras.encoders.resnet_v2 import NORMALIZATIONS


def mlp(
    input_shape: tuple[int, int, int], *, width: int = 128, normalization: str = "layer"
) -> keras.Model:
    """Build a dense network for small patches and CPUs.

    A dense layer to `width`, one pre-activation residual block, layer normalisation and ReLU. It is
    matrix products alone, which run nearer to a processor's peak than thin convolutions do.

    Args:
        input_shape: `(height, width, channels)` of a patch.
        width: length of the codes.
        normalization: "layer" or "none"; "group" (of one group) is the same as "layer" here.

    Returns:
        Model from patches, pixels in [0, 255], to codes `[batch, width]`.

    Raises:
        ValueError: unknown normalization.

    Example:
        >>> mlp((8, 8, 1)).output_shape
        (None, 128)
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {sorted(NORMALIZATIONS)}. Received: {normalization!r}."
        )

    def activate(x, name):
        if normalization != "none":
            x = layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    inputs = keras.Input(input_shape, name="patches")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(inputs)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(width, name="dense")(x)
    y = layers.Dense(width, name="block_dense")(activate(x, "block"))
    x = layers.Add(name="block_add")([x, y])
    return keras.Model(inputs, activate(x, "final"), name="patch_encoder")
