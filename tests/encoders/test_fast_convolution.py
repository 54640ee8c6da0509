"""Convolutions in another form are the same convolutions, and so are their gradients."""

import keras
import numpy as np
import pytest

from cpc_keras.encoders import resnet_v2
from cpc_keras.encoders.fast_convolution import fast_convolution

tf = pytest.importorskip("tensorflow", reason="only TensorFlow's convolutions are replaced")


def outputs_and_gradients(layer, images):
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = layer(images)
        loss = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
    return [outputs, *tape.gradient(loss, [images, *layer.trainable_variables])]


@pytest.mark.parametrize("size", [1, 3, 5, (1, 3), (3, 1)])
@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (5, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_outputs_and_gradients_are_keras_s(size, sides, use_bias):
    arguments = {"filters": 4, "kernel_size": size, "padding": "same", "use_bias": use_bias}
    plain, fast = keras.layers.Conv2D(**arguments), keras.layers.Conv2D(**arguments)
    images = tf.random.stateless_normal((6, *sides, 3), (0, 1))
    plain(images), fast(images)
    fast.set_weights(plain.get_weights())
    fast_convolution(fast)
    assert fast.convolution_op != plain.convolution_op
    expected, found = (outputs_and_gradients(layer, images) for layer in (plain, fast))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, (1, 3), (4, 2)])
@pytest.mark.parametrize("sides", [(4, 3), (7, 9)])
@pytest.mark.parametrize("is_strided", [False, True])
def test_without_padding_too(size, sides, is_strided):
    arguments = {"kernel_size": size, "strides": size if is_strided else 1}
    plain, fast = (keras.layers.Conv2D(4, **arguments) for _ in range(2))
    images = tf.random.stateless_normal((6, *sides, 3), (0, 1))
    plain(images), fast(images)
    fast.set_weights(plain.get_weights())
    fast_convolution(fast)
    assert fast.convolution_op != plain.convolution_op
    expected, found = (outputs_and_gradients(layer, images) for layer in (plain, fast))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_sides_may_be_unknown():
    layer = fast_convolution(keras.layers.Conv2D(4, 2, strides=2))
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    for sides in ((5, 4), (6, 7)):
        assert model(np.zeros((1, *sides, 3))).shape == (1, sides[0] // 2, sides[1] // 2, 4)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize(
    ("size", "sides"),
    [(3, (3, 3)), (3, (4, 4)), (3, (3, 5)), (2, (2, 3)), ((3, 2), (3, 4)), (1, (1, 1))],
)
def test_with_strides_too(size, sides, stride, padding):
    arguments = {"kernel_size": size, "strides": stride, "padding": padding}
    plain, fast = (keras.layers.Conv2D(4, **arguments) for _ in range(2))
    images = tf.random.stateless_normal((6, *sides, 3), (0, 1))
    plain(images), fast(images)
    fast.set_weights(plain.get_weights())
    fast_convolution(fast)
    expected, found = (outputs_and_gradients(layer, images) for layer in (plain, fast))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("sides", "stride", "is_product"),
    [
        ((2, 2), 1, True),
        ((3, 3), 1, True),
        ((4, 4), 1, False),
        ((4, 4), 2, True),
        ((8, 8), 2, False),
    ],
)
def test_small_maps_take_one_product_and_no_convolution(sides, stride, is_product):
    layer = fast_convolution(keras.layers.Conv2D(4, 3, strides=stride, padding="same"))
    inputs = keras.Input((*sides, 3))
    layer(inputs)
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, *sides, 3))).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert ("Conv2D" in kinds) != is_product and ("MatMul" in kinds) == is_product


@pytest.mark.parametrize(
    "arguments",
    [{"dilation_rate": 2, "padding": "same"}, {"groups": 2, "padding": "same"}],
    ids=str,
)
def test_other_convolutions_are_left_alone(arguments):
    layer = fast_convolution(keras.layers.Conv2D(**{"filters": 4, "kernel_size": 3, **arguments}))
    assert "convolution_op" not in vars(layer)


def test_an_encoder_saves_as_the_stock_layers_that_it_is_made_of(tmp_path):
    encoder = resnet_v2((8, 8, 3), widths=(8, 16), blocks=(1, 1))
    assert any("convolution_op" in vars(layer) for layer in encoder.layers)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras", custom_objects={})
    images = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5)
    assert encoder.to_json() == loaded.to_json()


@pytest.mark.parametrize("sides", [(2, 2), (4, 4)])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_gradients_keep_the_types_of_mixed_precision(policy, sides):
    layer = fast_convolution(keras.layers.Conv2D(4, 3, padding="same", dtype=policy))
    images = tf.random.stateless_normal((2, *sides, 3), (0, 1))
    outputs, by_images, *by_weights = outputs_and_gradients(layer, images)
    assert outputs.dtype == layer.compute_dtype and by_images.dtype == "float32"
    assert {g.dtype for g in by_weights} == {tf.float32}
