"""A patch encoder's map of whole images."""

import keras
from keras import layers

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
        return _without_pooling(patch_encoder, images)
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


def _without_pooling(model, inputs, *, pooling_ends_it=True):
    """Call a model's layers on other inputs, all but the global pooling that ends it."""
    is_sequential = isinstance(model, keras.Sequential)
    last = (model.layers if is_sequential else model.operations)[-1]

    def call(operation, x, *args, **kwargs):
        ends_here = pooling_ends_it and operation is last
        if isinstance(operation, (keras.Function, keras.Sequential)):
            # Functional models take inputs of their own shape alone: a new one, of the same layers.
            inner = keras.tree.map_structure(
                lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype), x
            )
            outputs = _without_pooling(operation, inner, pooling_ends_it=ends_here)
            return keras.Model(inner, outputs, name=operation.name)(x, *args, **kwargs)
        return x if ends_here else operation(x, *args, **kwargs)

    if is_sequential:
        for layer in model.layers:
            inputs = call(layer, inputs)
        return inputs
    # Some models hold their one input in a list, others do not.
    inputs = keras.tree.pack_sequence_as(model.input, keras.tree.flatten(inputs))
    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
    ).output
