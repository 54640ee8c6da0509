"""A patch encoder's map of whole images."""

import keras
from keras import layers

from cpc_keras.encoders.reapply_layers import reapply_layers

GLOBAL_POOLINGS = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)


def dense_map(patch_encoder: keras.Model, images):
    """Call a patch encoder's layers, up to its global pooling, on whole images.

    Args:
        patch_encoder: functional or sequential model that ends in global pooling.
        images: symbolic images, `[batch, height, width, channels]`.

    Returns:
        The map that the global pooling would pool, `[batch, rows, columns, d]`.

    Raises:
        ValueError: another ending, or a layer that takes patches of one size alone.

    Example:
        >>> dense_map(resnet_v2((8, 8, 1), widths=(8, 16), blocks=(1, 1)),
        ...           keras.Input((28, 28, 1))).shape
        (None, 14, 14, 16)
    """
    last = _last_operation(patch_encoder)
    if not isinstance(last, GLOBAL_POOLINGS) or last.keepdims:
        names = " or ".join(pooling.__name__ for pooling in GLOBAL_POOLINGS)
        raise ValueError(
            f"dense=True needs a functional patch encoder that ends in {names}, to run it over the "
            f"whole image up to there. Received: {patch_encoder.name!r}, which ends in "
            f"{last.name!r} ({type(last).__name__}). Use dense=False or a convolutional encoder "
            'such as "small".'
        )
    try:
        return reapply_layers(patch_encoder, images, without_last=True)
    except Exception as error:
        raise ValueError(
            f"dense=True: the patch encoder {patch_encoder.name!r} does not run over images of "
            f"shape {tuple(images.shape[1:])}, as convolutions and other layers for maps of any "
            f"size do. Use dense=False. The cause: {error}"
        ) from error


def _last_operation(model):
    while isinstance(model, (keras.Function, keras.Sequential)):
        model = (model.layers if isinstance(model, keras.Sequential) else model.operations)[-1]
    return model
