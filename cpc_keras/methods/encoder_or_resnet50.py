"""The encoder of methods whose paper has a whole ResNet-50."""

from typing import Any

import keras

from cpc_keras.encoders import named_resnet
from cpc_keras.layers.dtype_scope import dtype_scope


def encoder_or_resnet50(
    encoder: str | keras.Model | None,
    image_shape: tuple[int, int, int],
    *,
    normalization: str | None = None,
    dtype: Any = None,
) -> tuple[str | keras.Model, str | None]:
    """Return an encoder as it was chosen, or ResNet-50 of all four stages, 2048 features.

    The name `"resnet50"` stands for the three stages that CPC takes (`encoders.named_resnet`). For
    sides below 64 pixels the stem is 3x3 without pooling, as SimCLR's for CIFAR-10 (Chen et al.
    2020, arXiv:2002.05709, appendix B.9).

    Args:
        encoder: a name or a model, or `None` for ResNet-50.
        image_shape: `(height, width, channels)`.
        normalization: of named encoders and of ResNet-50; by default that of one group, which
            takes the place of that of batches.
        dtype: policy that ResNet-50 is built with, its name or its configuration.

    Returns:
        The encoder, and the normalization that a model is still to give it: none of ResNet-50.

    Example:
        >>> encoder_or_resnet50("tiny", (32, 32, 3), normalization="layer")
        ('tiny', 'layer')
    """
    if encoder is not None:
        return encoder, normalization
    with dtype_scope(dtype):
        resnet = named_resnet(
            "resnet50", image_shape, num_stages=4, normalization=normalization or "group"
        )
    return resnet, None
