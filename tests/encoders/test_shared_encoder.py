"""Codes of overlapping patches in one pass are those of each patch."""

import keras
import numpy as np
import pytest
from keras import layers

from cpc_keras.encoders import image_encoder, resnet_v2, shared_encoder, valid_cnn
from cpc_keras.ops import extract_patches


def shuffled(model):
    """The model with weights that are all different from what layers start with."""
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return model


def some_images(shape):
    return np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("float32")


@pytest.mark.parametrize("normalization", ["layer", "none"])
@pytest.mark.parametrize(
    ("size", "image"), [(8, (20, 32, 3)), (16, (48, 32, 1)), (32, (64, 48, 2)), (64, (96, 64, 3))]
)
def test_codes_are_those_of_patch_by_patch(size, image, normalization):
    channels = image[-1]
    patches = shuffled(valid_cnn((size, size, channels), width=6, normalization=normalization))
    cut = {"patch_size": size, "patch_stride": size // 2}
    images = some_images(image)
    expected = np.asarray(
        patches(keras.ops.reshape(extract_patches(images, **cut), (-1, size, size, channels)))
    )
    assert expected.std() > 0.01
    found = np.asarray(shared_encoder(patches, image_shape=image, **cut)(images))
    assert found.shape == (2, image[0] // (size // 2) - 1, image[1] // (size // 2) - 1, 12)
    np.testing.assert_allclose(
        found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("size", [8, 16, 32])
def test_a_code_sees_all_of_its_patch_and_nothing_else(size):
    tf = pytest.importorskip("tensorflow", reason="takes a gradient")
    stride = size // 2
    shape = (stride * 4, stride * 5, 1)
    patches = shuffled(valid_cnn((size, size, 1), width=8))
    model = shared_encoder(patches, image_shape=shape, patch_size=size, patch_stride=stride)
    for row, column in ((0, 0), (1, 2), (2, 3)):
        seen = np.zeros(shape[:2], bool)
        for seed in range(3):  # a ReLU may hide a pixel from one image
            images = tf.random.stateless_uniform((1, *shape), (seed, 1), 0, 255)
            with tf.GradientTape() as tape:
                tape.watch(images)
                code = model(images)[0, row, column]
                loss = tf.reduce_sum(code * tf.random.stateless_normal(code.shape, (seed, 2)))
            seen |= tape.gradient(loss, images)[0, ..., 0].numpy() != 0
        expected = np.zeros_like(seen)
        expected[row * stride : row * stride + size, column * stride : column * stride + size] = 1
        np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ("encoder", "stride", "message"),
    [
        (lambda: resnet_v2((8, 8, 1), widths=(4, 6), blocks=(1, 1)), 4, "gives a map of 8x10"),
        # The stride fits and no position is lost, but borders are padded.
        (
            lambda: resnet_v2((8, 8, 1), widths=(4, 6), blocks=(1, 1), normalization="none"),
            2,
            "gives a map of 8x10",
        ),
        (lambda: valid_cnn((8, 8, 1)), 2, "there are 5x7 patches of 8 pixels at stride 2"),
        (
            lambda: keras.Sequential(
                [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, name="last")]
            ),
            4,
            "ends in 'last'",
        ),
        (
            lambda: keras.Sequential(
                [
                    keras.Input((8, 8, 1)),
                    layers.Conv2D(4, 8, strides=4),
                    layers.GroupNormalization(1),
                    layers.GlobalAveragePooling2D(),
                ]
            ),
            4,
            r"differ from those of its patches, by [\d.]+",
        ),
        (
            lambda: keras.Sequential(
                [
                    keras.Input((8, 8, 1)),
                    layers.ZeroPadding2D(1),
                    layers.Conv2D(4, 10, strides=4),
                    layers.GlobalAveragePooling2D(),
                ]
            ),
            4,
            r"differ from those of its patches, by [\d.]+",
        ),
    ],
)
def test_an_encoder_that_sees_more_or_less_than_its_patch_is_refused(encoder, stride, message):
    with pytest.raises(ValueError, match=f'encoding="shared": .*{message}.*"valid"'):
        shared_encoder(encoder(), image_shape=(16, 20, 1), patch_size=8, patch_stride=stride)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((12, 12, 3), {}, r"8 pixels times a power of two.*\(12, 12, 3\)"),
        ((4, 4, 3), {}, "8 pixels times a power of two"),
        ((8, 16, 3), {}, "square patches"),
        ((None, None, 3), {}, "square patches"),
        ((8, 8, 3), {"normalization": "group"}, '"layer" or "none".*surroundings'),
    ],
)
def test_what_cannot_be_built_is_refused(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        valid_cnn(shape, **arguments)


def test_features_of_an_image_are_the_same_in_one_pass():
    patches = shuffled(valid_cnn((8, 8, 1), width=6))
    cut = {"image_shape": (20, 24, 1), "patch_size": 8, "patch_stride": 4, "pooling": "2x2"}
    images = some_images((20, 24, 1))
    one_by_one, shared, dense = (
        np.asarray(image_encoder(patches, **cut, **how)(images))
        for how in ({}, {"encoding": "shared"}, {"dense": True})
    )
    np.testing.assert_allclose(shared, one_by_one, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dense, one_by_one, rtol=1e-4, atol=1e-5)
