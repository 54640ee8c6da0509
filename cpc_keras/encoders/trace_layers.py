"""What the layers of a model do with one example, without computing it."""

from collections.abc import Callable

import keras


def trace_layers(model: keras.Model, watched: Callable, note: Callable) -> None:
    """Run a forward pass of one example without values, and note what layers take and give.

    Args:
        model: a functional or sequential model whose inputs have known sides.
        watched: function of a layer: whether to watch it, wherever in the model it is.
        note: `note(layer, inputs, outputs)`, called as often as a watched layer is.

    Raises:
        ValueError: a model without inputs of its own (subclassed, or not built), or sides that are
            unknown.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> trace_layers(model, lambda layer: True, lambda layer, x, y: print(y.shape))
        (1, 4)
    """
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "Tracing needs a functional or sequential model that is built, to know its inputs. "
            f"Received: {getattr(model, 'name', model)!r} of type {type(model).__name__}. For a "
            "subclassed model: keras.Model(x, model(x)) with x = keras.Input(shape)."
        )
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(
                f"Tracing: the input {tensor.name!r} of {model.name!r} has unknown sides, "
                f"{tuple(tensor.shape[1:])}, on which the result depends. Build the model for a "
                "fixed size."
            )
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    example = keras.tree.map_structure(
        lambda t: keras.KerasTensor((1, *t.shape[1:]), dtype=t.dtype), inputs
    )
    layers = [layer for layer in model._flatten_layers(include_self=False) if watched(layer)]
    plain_calls = {id(layer): vars(layer).get("call") for layer in layers}
    try:
        for layer in layers:
            layer.call = _noted(layer, note)
        _Trace(model).compute_output_spec(example)
    finally:
        for layer in layers:
            del layer.call
            if plain_calls[id(layer)] is not None:
                layer.call = plain_calls[id(layer)]


class _Trace(keras.Operation):
    """Calls the model itself: its own `compute_output_spec` does not go through all its layers."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, inputs):
        return self.model(inputs, training=False)


def _noted(layer, note):
    call = layer.call

    def noted(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        note(layer, inputs, outputs)
        return outputs

    return noted
