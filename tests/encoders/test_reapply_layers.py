"""The layers of an encoder on images of another size."""

import keras
import numpy as np
import pytest

from cpc_keras.encoders import patch_encoder, reapply_layers


def test_the_weights_are_those_of_the_encoder_and_tiles_are_encoded_by_them():
    encoder = patch_encoder("tiny", patch_shape=(16, 16, 1))
    images = keras.Input((16, 16, 1))
    nested = keras.Model(images, keras.layers.Rescaling(2.0)(encoder(images)))
    tile = keras.Input((9, 9, 1))
    tower = keras.Model(tile, reapply_layers(nested, tile))
    assert {id(w) for w in tower.weights} == {id(w) for w in nested.weights}
    # One that was built for tiles, with the weights of the other.
    built = patch_encoder("tiny", patch_shape=(9, 9, 1))
    built.set_weights(encoder.get_weights())
    tiles = np.random.default_rng(0).uniform(0, 255, (3, 9, 9, 1)).astype("float32")
    np.testing.assert_allclose(tower(tiles), 2.0 * built(tiles), rtol=1e-5, atol=1e-6)


def test_sequential_models_and_leaving_out_the_last_layer():
    last = keras.layers.GlobalMaxPooling2D()
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), last])
    assert reapply_layers(model, keras.Input((6, 6, 1))).shape == (None, 4)
    assert reapply_layers(model, keras.Input((6, 6, 1)), without_last=True).shape == (None, 4, 4, 4)


def test_layers_for_one_size_alone_are_refused():
    with pytest.raises(ValueError, match="incompatible"):
        reapply_layers(patch_encoder("mlp", patch_shape=(8, 8, 1)), keras.Input((6, 6, 1)))
