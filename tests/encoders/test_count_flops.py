"""Operations counted against sums done by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from cpc_keras.encoders import count_flops, image_encoder, resnet_v2
from cpc_keras.layers import MaskedContext

SHAPE = (7, 6, 4)


@pytest.mark.parametrize(
    ("layer", "products"),
    [
        (layers.Dense(5), 7 * 6 * 4 * 5),
        (layers.Conv2D(5, 3), 5 * 4 * (9 * 4 * 5)),
        (layers.Conv2D(5, (3, 1), padding="same", strides=2), 4 * 3 * (3 * 4 * 5)),
        (layers.Conv2D(6, 3, groups=2, padding="same"), 7 * 6 * (9 * 2 * 6)),
        (layers.Conv2D(5, 3, dilation_rate=2), 3 * 2 * (9 * 4 * 5)),
        (layers.DepthwiseConv2D(3), 5 * 4 * (9 * 4)),
        (layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), 7 * 6 * (9 * 8)),
        (layers.SeparableConv2D(5, 3, depth_multiplier=2), 5 * 4 * (9 * 8 + 8 * 5)),
        (layers.Conv2DTranspose(5, 2, strides=2), 7 * 6 * (4 * 4 * 5)),
        (layers.LayerNormalization(), 0),
        (layers.AveragePooling2D(2), 0),
    ],
    ids=lambda x: x.name if isinstance(x, layers.Layer) else str(x),
)
def test_a_layer_costs_two_operations_a_product(layer, products):
    assert count_flops(keras.Sequential([keras.Input(SHAPE), layer])) == 2 * products


def test_convolutions_over_sequences_and_volumes_are_counted():
    model = keras.Sequential([keras.Input((9, 2)), layers.Conv1D(3, 3), layers.Flatten()])
    assert count_flops(model) == 2 * 7 * 3 * 2 * 3
    model = keras.Sequential([keras.Input((4, 4, 4, 2)), layers.Conv3D(3, 3)])
    assert count_flops(model) == 2 * 8 * 27 * 2 * 3


def test_what_lies_in_models_and_layers_is_counted_at_the_size_it_runs_at():
    inner = keras.Sequential([keras.Input((None, None, 4)), layers.Conv2D(4, 3)])
    inputs = keras.Input(SHAPE)
    once = inner(inputs)  # 5 x 4
    twice = inner(once)  # 3 x 2
    model = keras.Model(inputs, layers.Flatten()(twice))
    assert count_flops(model) == 2 * (5 * 4 + 3 * 2) * 9 * 4 * 4
    context = keras.Model(inputs, MaskedContext(2, filters=3)(inputs))
    in_, row, above, out = 4 * 3, 3 * 9, 2 * 9, 3 * 4
    assert count_flops(context) == 2 * 2 * 7 * 6 * (in_ + row + above + out)


def test_models_with_a_fixed_batch_and_several_inputs_are_counted_for_one_example():
    inputs = keras.Input(batch_shape=(6, 3))
    assert count_flops(keras.Model(inputs, layers.Dense(2)(inputs))) == 2 * 3 * 2
    inputs = {n: keras.Input((3,), name=n) for n in "ab"}
    model = keras.Model(inputs, layers.Dense(2)(inputs["a"]) + layers.Dense(2)(inputs["b"]))
    assert count_flops(model) == 2 * 2 * 3 * 2


def test_an_image_costs_what_its_patches_cost():
    patches = resnet_v2((8, 8, 3), widths=(4, 6), blocks=(1, 1))
    encoder = image_encoder(patches, image_shape=(12, 20, 3), patch_size=8, patch_stride=4)
    # Stem, two 3x3 at 8x8; shortcut and two 3x3 at 4x4.
    patch = 64 * 9 * (3 * 4 + 2 * 4 * 4) + 16 * (4 * 6 + 9 * (4 * 6 + 6 * 6))
    assert count_flops(patches) == 2 * patch
    assert count_flops(encoder) == 2 * 4 * 2 * patch
    dense = image_encoder(
        patches, image_shape=(12, 20, 3), patch_size=8, patch_stride=4, dense=True
    )
    assert count_flops(dense) == 2 * patch * 12 * 20 // 64


def test_counting_leaves_the_model_as_it_was():
    model = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(5, 3), layers.EinsumDense("abcd,de->abce", (None, 4, 2))]
    )
    for _ in range(2):
        with pytest.raises(ValueError, match="does not count EinsumDense"):
            count_flops(model)
        assert "call" not in vars(model.layers[0])
    model.pop()
    assert count_flops(model) == count_flops(model) == 2 * 5 * 4 * 9 * 4 * 5
    assert "call" not in vars(model.layers[0])
    assert model.predict(np.ones((2, *SHAPE), "float32"), verbose=0).shape == (2, 5, 4, 5)


class NonZero(layers.Layer):
    """Whose number of rows only its input tells."""

    def call(self, inputs):
        return keras.ops.cast(keras.ops.stack(keras.ops.nonzero(inputs), -1), "float32")


class Subclassed(keras.Model):
    """A model without a graph."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_subclassed_model_is_counted_within_a_graph():
    with pytest.raises(ValueError, match=r"'subclassed' of type Subclassed.*keras.Model\(x, "):
        count_flops(Subclassed())
    inputs = keras.Input((3,))
    assert count_flops(keras.Model(inputs, Subclassed()(inputs))) == 2 * 3 * 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: keras.Sequential([layers.Dense(2)], name="open"), "model that is built.*'open'"),
        (lambda: layers.Dense(2, name="dense"), "Received: 'dense' of type Dense"),
        (lambda: 3, "Received: 3 of type int"),
        (
            lambda: keras.Sequential([keras.Input((None, 8, 1), name="x"), layers.Conv2D(2, 3)]),
            r"input .* has unknown sides, \(None, 8, 1\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), NonZero(), layers.Dense(2, name="last")]),
            r"\(None, 2\) at layer 'last' is not known",
        ),
        (
            lambda: keras.Sequential([keras.Input((4, 3)), layers.LSTM(2, name="lstm")]),
            r"does not count LSTM \('lstm'\)",
        ),
        (
            lambda: keras.Sequential([keras.Input((4, 3)), layers.GRU(2, name="gru")]),
            r"does not count GRU \('gru'\)",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        count_flops(build())
