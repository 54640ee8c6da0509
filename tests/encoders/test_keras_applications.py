"""Networks of keras.applications as patch encoders."""

import keras
import numpy as np
import pytest
from keras import layers

from cpc_keras.encoders import image_encoder, patch_encoder

PATCH = (32, 32, 3)


def mobilenet(shape, **options):
    """MobileNetV2 on pixels in [0, 255]; 7 million products a patch."""
    base = keras.applications.MobileNetV2(
        shape, alpha=0.35, include_top=False, weights=None, **options
    )
    return keras.Sequential([keras.Input(shape), layers.Rescaling(1 / 127.5, offset=-1.0), base])


@pytest.fixture(scope="module")
def network():
    """One with frozen batch normalisation, its statistics not those it starts with."""
    model = mobilenet(PATCH)
    rng = np.random.default_rng(0)
    for layer in model.layers[-1].layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
    return model


@pytest.fixture(scope="module")
def encoder(network):
    return patch_encoder(network, patch_shape=PATCH)


def some_pixels(*shape):
    return np.random.default_rng(1).integers(0, 256, shape).astype("float32")


def test_its_maps_become_codes(network, encoder):
    patches = some_pixels(3, *PATCH)
    assert encoder.output_shape == (None, 1280)
    maps = np.asarray(network(patches))
    np.testing.assert_allclose(np.asarray(encoder(patches)), maps.mean((1, 2)), rtol=1e-5)
    assert encoder.trainable_weights


def test_its_frozen_statistics_link_no_patches(encoder):
    patches = some_pixels(3, *PATCH)
    before = np.asarray(encoder(patches, training=True))[0]
    patches[1:] = 0
    after = np.asarray(encoder(patches, training=True))[0]
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


def test_its_batch_normalisation_is_refused_before_it_is_frozen(network):
    layer = network.layers[-1].get_layer("bn_Conv1")
    layer.trainable = True
    try:
        with pytest.raises(ValueError, match=r"trainable batch normalisation .'bn_Conv1'"):
            patch_encoder(network, patch_shape=PATCH)
    finally:
        layer.trainable = False


def test_it_encodes_images_by_patches(encoder):
    whole = image_encoder(
        encoder, image_shape=(32, 48, 3), patch_size=32, patch_stride=16, return_grid=True
    )
    images = some_pixels(2, 32, 48, 3)
    grid = np.asarray(whole(images)["grid"])
    assert grid.shape == (2, 1, 2, 1280)
    np.testing.assert_allclose(
        grid[:, 0, 1], np.asarray(encoder(images[:, :, 16:])), rtol=1e-4, atol=1e-5
    )


def test_it_runs_over_whole_images(network, encoder):
    dense = image_encoder(
        encoder, image_shape=(64, 96, 3), patch_size=32, patch_stride=16, dense=True
    )
    images = some_pixels(1, 64, 96, 3)
    built_for_images = mobilenet((64, 96, 3))
    built_for_images.set_weights(network.get_weights())
    maps = np.asarray(built_for_images(images))
    assert maps.shape[1:3] == (2, 3)
    np.testing.assert_allclose(np.asarray(dense(images)), maps.mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_patches_of_another_size_are_refused(network):
    with pytest.raises(ValueError, match=r"does not take patches of shape \(16, 16, 3\)"):
        patch_encoder(network, patch_shape=(16, 16, 3))
