"""The layers of one model on inputs of another size."""

import keras


def reapply_layers(model: keras.Model, inputs, *, without_last: bool = False):
    """Call the layers of a model on symbolic inputs of another size; the weights stay the same.

    Functional models refuse all but the shape they were built for, also where their layers, such as
    convolutions and global pooling, take any.

    Args:
        model: functional or sequential model with one input; other functional models may be inside.
        inputs: symbolic tensor of the input's rank.
        without_last: leave out the last layer, wherever inside the model it is.

    Returns:
        The symbolic output.

    Raises:
        ValueError: as the layers raise, where one of them takes inputs of one size alone.

    Example:
        >>> encoder = resnet_v2((32, 32, 3), widths=(8, 16), blocks=(1, 1))
        >>> reapply_layers(encoder, keras.Input((9, 9, 3))).shape
        (None, 16)
    """
    is_sequential = isinstance(model, keras.Sequential)
    last = (model.layers if is_sequential else model.operations)[-1]

    def call(operation, x, *args, **kwargs):
        ends_here = without_last and operation is last
        if isinstance(operation, (keras.Function, keras.Sequential)):
            # Functional models take inputs of their own shape alone: a new one, of the same layers.
            inner = keras.tree.map_structure(
                lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype), x
            )
            outputs = reapply_layers(operation, inner, without_last=ends_here)
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
