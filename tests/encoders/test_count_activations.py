"""Numbers that layers put out, against sums done by hand."""

import keras
from keras import layers

from cpc_keras.encoders import count_activations
from cpc_keras.layers import MaskedContext


def test_every_call_of_every_layer_that_holds_no_other_counts():
    inner = keras.Sequential([keras.Input((None, None, 4)), layers.Conv2D(4, 3), layers.ReLU()])
    inputs = keras.Input((7, 6, 4))
    once = inner(inputs)  # 5 x 4
    model = keras.Model(inputs, layers.Flatten()(inner(once)))  # 3 x 2
    assert count_activations(model) == 2 * (5 * 4 + 3 * 2) * 4 + 3 * 2 * 4


def test_layers_within_layers_count():
    inputs = keras.Input((5, 3, 4))
    model = keras.Model(inputs, MaskedContext(1, filters=8)(inputs))
    # At least the four convolutions of the block: to 8 channels thrice, and back to 4.
    assert count_activations(model) >= 5 * 3 * (3 * 8 + 4)


def test_the_count_grows_with_the_area():
    def count(side):
        inputs = keras.Input((side, side, 3))
        return count_activations(keras.Model(inputs, layers.Conv2D(5, 3, padding="same")(inputs)))

    assert count(16) == 4 * count(8) == 16 * 16 * 5
