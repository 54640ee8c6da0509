"""What a model costs to run."""

import math

import keras
from keras import layers

from cpc_keras.encoders.trace_layers import trace_layers

# Layers whose kernels multiply every output position, and those whose kernels multiply every input
# position; the second kernel of separable convolutions is applied where the first is.
_PER_OUTPUT = (
    layers.Dense,
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_PER_INPUT = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_UNCOUNTED = (layers.EinsumDense, layers.RNN, layers.Attention)


def count_flops(model: keras.Model) -> int:
    """Count the floating-point operations of one example in a forward pass.

    Two for every multiplication and addition of the dense and convolutional layers, wherever in the
    model they are and as often as each is called: 2 * (size of the kernel) * (positions it is
    applied to). Biases, normalisation, activations, pooling and `keras.ops` are not counted; in
    convolutional networks they are a per cent of the operations, though not of the time. Zero
    padding counts as pixels do. A training step costs about three times as many.

    Nothing is computed: the model is traced on an example without values.

    Args:
        model: a functional or sequential model whose inputs have known sides. For the weights there
            is `model.count_params()`.

    Returns:
        Floating-point operations, of one example.

    Raises:
        ValueError: a model without inputs of its own (subclassed, or not built), sides that are
            unknown, or a layer with products that are not counted (`EinsumDense` and attention,
            recurrent layers).

    Example:
        >>> count_flops(keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)]))
        64
        >>> count_flops(patch_encoder("mlp", patch_shape=(8, 8, 3)))
        81920
    """
    counts = []

    def note(layer, inputs, outputs):
        if isinstance(layer, _UNCOUNTED):
            raise ValueError(
                f"count_flops does not count {type(layer).__name__} ({layer.name!r}). It counts "
                "dense and convolutional layers."
            )
        counts.append(_layer_flops(layer, inputs, outputs))

    trace_layers(model, _has_products, note)
    return sum(counts)


def _has_products(layer):
    return isinstance(layer, (*_PER_OUTPUT, *_SEPARABLE, *_PER_INPUT, *_UNCOUNTED))


def _layer_flops(layer, inputs, outputs):
    if isinstance(layer, _SEPARABLE):
        kernels = (layer.depthwise_kernel, layer.pointwise_kernel)
        tensor, channels = outputs, layer.pointwise_kernel.shape[-1]
    elif isinstance(layer, _PER_INPUT):
        # The kernel of a transposed convolution is [..., output channels, input channels].
        kernels, tensor, channels = (layer.kernel,), inputs, layer.kernel.shape[-1]
    else:
        kernels, tensor, channels = (layer.kernel,), outputs, layer.kernel.shape[-1]
        if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
            channels *= layer.kernel.shape[-2]
    if None in tensor.shape:
        raise ValueError(
            f"count_flops: the shape {tuple(tensor.shape)} at layer {layer.name!r} is not known "
            "before the model runs. Give every reshape its sizes."
        )
    positions = math.prod(tensor.shape) // channels
    return 2 * positions * sum(math.prod(kernel.shape) for kernel in kernels)
