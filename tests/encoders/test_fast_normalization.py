"""A normalization in fewer passes is the same normalization, and so are its gradients."""

import keras
import numpy as np
import pytest

from cpc_keras.encoders import resnet_v2
from cpc_keras.encoders.fast_normalization import fast_normalization

tf = pytest.importorskip("tensorflow", reason="only TensorFlow's normalizations are replaced")


def outputs_and_gradients(layer, maps):
    with tf.GradientTape() as tape:
        tape.watch(maps)
        outputs = layer(maps)
        loss = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
    return [outputs, *tape.gradient(loss, [maps, *layer.trainable_variables])]


def two(maps, **arguments):
    """A stock layer and a fast one with the same weights, which are not 1 and 0."""
    layers = [keras.layers.GroupNormalization(groups=1, **arguments) for _ in range(2)]
    rng = np.random.default_rng(0)
    weights = [rng.normal(1, 0.5, maps.shape[-1]), rng.normal(0, 1, maps.shape[-1])]
    for layer in layers:
        layer.build(maps.shape)
        layer.set_weights(weights)
    return layers[0], fast_normalization(layers[1])


@pytest.mark.parametrize("shape", [(6, 1, 1, 3), (6, 5, 3, 4), (2, 7, 4), (3, 5)], ids=str)
@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_outputs_and_gradients_are_keras_s(shape, mean):
    maps = tf.random.stateless_normal(shape, (0, 1), mean, 2.0)
    plain, fast = two(maps)
    assert "call" in vars(fast)
    expected, found = (outputs_and_gradients(layer, maps) for layer in (plain, fast))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 if mean else 1e-5)


def test_a_map_of_one_value_has_finite_gradients():
    maps = tf.fill((2, 4, 4, 3), 7.0)
    expected, found = (outputs_and_gradients(layer, maps) for layer in two(maps))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_in_16_bits_it_computes_in_32(policy):
    maps = tf.cast(300 * tf.random.stateless_normal((4, 3, 3, 5), (0, 1)), policy[6:])
    plain, fast = two(maps, dtype=policy)
    assert fast(maps).dtype == plain(maps).dtype == policy[6:]
    expected, found = (outputs_and_gradients(layer, maps) for layer in (plain, fast))
    for a, b in zip(expected, found, strict=True):
        a, b = (np.asarray(tf.cast(x, "float32")) for x in (a, b))
        assert np.isfinite(b).all()
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    "arguments", [{"groups": 2}, {"scale": False}, {"center": False}, {"axis": 1}], ids=str
)
def test_others_are_left_as_they_are(arguments):
    layer = keras.layers.GroupNormalization(**{"groups": 1, **arguments})
    assert "call" not in vars(fast_normalization(layer))


def test_an_encoder_saves_and_loads_as_without(tmp_path):
    encoder = resnet_v2((8, 8, 3), widths=(8, 16), blocks=(1, 1))
    fast = [x for x in encoder._flatten_layers() if "call" in vars(x)]
    assert fast and all(isinstance(x, keras.layers.GroupNormalization) for x in fast)
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    assert not any("call" in vars(x) for x in again._flatten_layers())
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(again(images), encoder(images), rtol=1e-4, atol=1e-5)


def test_a_graph_of_unknown_sides_takes_any():
    layer = fast_normalization(keras.layers.GroupNormalization(groups=1))
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    for sides in ((5, 4), (6, 7)):
        maps = np.random.default_rng(0).normal(size=(2, *sides, 3)).astype("float32")
        found = np.asarray(model(maps))
        np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(found.std(axis=(1, 2, 3)), 1, rtol=1e-2)
