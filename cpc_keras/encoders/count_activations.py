"""What a model keeps for its gradients."""

import math

import keras

from cpc_keras.encoders.trace_layers import trace_layers


def count_activations(model: keras.Model) -> int:
    """Count the numbers that the layers of a model put out for one example.

    Backpropagation keeps about these: the outputs of all layers that hold no others, as often as
    each is called. What a layer makes inside (normalisation does) and what a library keeps beside
    is not seen, so memory is a small multiple; see `evaluation.describe`, which uses it.

    Args:
        model: a functional or sequential model whose inputs have known sides.

    Returns:
        Number of values, of one example; times four for bytes in float32.

    Raises:
        ValueError: as `count_flops`: a model that is not built, or of unknown sides.

    Example:
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
        >>> count_activations(model)
        4
    """
    counts = []

    def note(layer, inputs, outputs):
        for tensor in keras.tree.flatten(outputs):
            if None not in tensor.shape:
                counts.append(math.prod(tensor.shape))

    trace_layers(model, _holds_no_layers, note)
    return sum(counts)


def _holds_no_layers(layer):
    inside = list(layer._flatten_layers(include_self=False))
    return not inside and not isinstance(layer, keras.layers.InputLayer)
