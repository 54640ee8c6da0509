"""The patch encoder run over whole images."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from cpc_keras.encoders import image_encoder, mlp, named_resnet, patch_encoder, resnet_v2
from cpc_keras.encoders.image_encoder import pool_codes

SHAPE = (14, 20, 2)
CUT = {"image_shape": SHAPE, "patch_size": 8, "patch_stride": 4}


def some_images(shape=SHAPE):
    return np.random.default_rng(0).integers(0, 256, (3, *shape)).astype("float32")


def shuffled(model):
    """The model with weights that are all different from what layers start with."""
    rng = np.random.default_rng(1)
    model.set_weights([w + rng.normal(0, 0.3, w.shape) for w in model.get_weights()])
    return model


def convolutional(shape, *more, **pooling):
    """A user's encoder that excites channels by their mean, in the middle of its graph."""
    x = inputs = keras.Input(shape)
    x = layers.Conv2D(6, 3, padding="same", name="conv")(x / 255.0)
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = x * layers.Dense(6, activation="sigmoid", name="excite")(mean)
    for layer in more:
        x = layer(x)
    x = layers.GlobalMaxPooling2D(**pooling)(keras.ops.relu(x))
    return keras.Model(inputs, x, name="mine")


@pytest.mark.parametrize(
    "build",
    [
        *(
            lambda shape, n=n: resnet_v2(shape, widths=(4, 6), blocks=(1, 1), normalization=n)
            for n in ("group", "layer", "none")
        ),
        lambda shape: resnet_v2(shape, widths=(8,), blocks=(2,), bottlenecks=(4,), stem="imagenet"),
    ],
)
def test_the_map_is_that_of_the_same_network_built_for_the_image(build):
    patches = shuffled(build((8, 8, 2)))
    whole = build(SHAPE)
    whole.set_weights(patches.get_weights())
    whole = keras.Model(whole.input, [whole.output, whole.get_layer("final_relu").output])
    outputs = image_encoder(patches, **CUT, dense=True, return_grid=True)(some_images())
    codes, grid = whole(some_images())
    np.testing.assert_allclose(np.asarray(outputs["grid"]), np.asarray(grid), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(outputs["features"]), np.asarray(codes), rtol=1e-5, atol=1e-5
    )


def test_an_image_of_one_patch_gives_its_code():
    patches = shuffled(named_resnet("resnet14", (8, 8, 2), num_stages=2))
    dense = image_encoder(patches, image_shape=(8, 8, 2), patch_size=8, patch_stride=4, dense=True)
    images = some_images((8, 8, 2))
    np.testing.assert_allclose(
        np.asarray(dense(images)), np.asarray(patches(images)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("pooling", ["mean", "max", "2x3"])
def test_the_map_is_pooled_as_told(pooling):
    patches = resnet_v2((8, 8, 2), widths=(4, 6), blocks=(1, 1))
    dense = image_encoder(patches, **CUT, dense=True, return_grid=True, pooling=pooling)
    outputs = dense(some_images())
    assert outputs["grid"].shape == (3, 7, 10, 6)
    expected = np.asarray(pool_codes(outputs["grid"], pooling))
    np.testing.assert_allclose(np.asarray(outputs["features"]), expected, rtol=1e-6)
    alone = image_encoder(patches, **CUT, dense=True, pooling=pooling)
    np.testing.assert_allclose(np.asarray(alone(some_images())), expected, rtol=1e-6)


def test_weights_are_shared():
    patches = resnet_v2((8, 8, 2), widths=(4, 6), blocks=(1, 1))
    dense = image_encoder(patches, **CUT, dense=True)
    images = some_images()
    before = np.asarray(dense(images))
    assert {id(w) for w in dense.weights} == {id(w) for w in patches.weights}
    shuffled(patches)
    assert np.abs(np.asarray(dense(images)) - before).max() > 0.01


def test_the_patch_encoder_and_its_encoder_of_patches_stay_as_they_were():
    patches = resnet_v2((8, 8, 2), widths=(4, 6), blocks=(1, 1))
    encoder = image_encoder(patches, **{**CUT, "image_shape": (12, 20, 2)})
    images = some_images((12, 20, 2))
    codes, features = np.asarray(patches(images[:, :8, :8])), np.asarray(encoder(images))
    config = patches.get_config()
    image_encoder(patches, **CUT, dense=True)
    assert patches.get_config() == config
    assert patches.get_layer("final_relu").output.shape == (None, 4, 4, 6)
    np.testing.assert_array_equal(np.asarray(patches(images[:, :8, :8])), codes)
    np.testing.assert_array_equal(np.asarray(encoder(images)), features)


@pytest.mark.parametrize(
    "build",
    [
        lambda shape: resnet_v2(shape, widths=(4, 6), blocks=(1, 1)),
        lambda shape: patch_encoder(
            keras.Sequential([keras.Input(shape), layers.Rescaling(0.01), layers.Conv2D(4, 3)]),
            patch_shape=shape,
        ),
    ],
)
def test_it_loads_where_the_package_is_not_installed(build, tmp_path):
    dense = image_encoder(shuffled(build((8, 8, 2))), **CUT, dense=True, return_grid=True)
    path = tmp_path / "dense.keras"
    dense.save(path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    assert "cpc_keras" not in config
    assert json.loads(config)["class_name"] == "Functional"
    loaded = keras.models.load_model(path)
    outputs, expected = loaded(some_images()), dense(some_images())
    for name in ("features", "grid"):
        np.testing.assert_array_equal(np.asarray(outputs[name]), np.asarray(expected[name]))
        assert outputs[name].shape == expected[name].shape


def test_pooling_in_the_middle_of_the_graph_is_kept():
    patches, whole = shuffled(convolutional((8, 8, 2))), convolutional(SHAPE)
    whole.set_weights(patches.get_weights())
    dense = image_encoder(patches, **CUT, dense=True, pooling="max")
    np.testing.assert_allclose(
        np.asarray(dense(some_images())), np.asarray(whole(some_images())), rtol=1e-5
    )


def nested(shape, *, base_pools, sequential):
    """A pooled model in a model, or a model of maps and its pooling."""
    pooling = layers.GlobalAveragePooling2D()
    parts = [layers.Conv2D(5, 3, name="conv"), layers.Dropout(0.5)]
    base = keras.Sequential([keras.Input(shape), *parts, *([pooling] if base_pools else [])])
    if not sequential:
        base = keras.Model(base.inputs, base.outputs[0])
    inputs = keras.Input(shape)
    outputs = base(layers.Rescaling(0.01)(inputs), training=False)
    return keras.Model(inputs, outputs if base_pools else pooling(outputs))


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("base_pools", [True, False])
def test_models_in_models_run_over_the_image(base_pools, sequential):
    arguments = {"base_pools": base_pools, "sequential": sequential}
    patches, whole = shuffled(nested((8, 8, 2), **arguments)), nested(SHAPE, **arguments)
    whole.set_weights(patches.get_weights())
    dense = image_encoder(patches, **CUT, dense=True)
    np.testing.assert_allclose(
        np.asarray(dense(some_images())), np.asarray(whole(some_images())), rtol=1e-4, atol=1e-5
    )


class Halves(keras.Model):
    """A subclassed model, whose layers no graph tells."""

    def __init__(self):
        super().__init__(name="halves")
        self.conv = layers.Conv2D(3, 3)

    def call(self, inputs):
        return self.conv(inputs / 2)


def test_a_subclassed_model_of_maps_runs_over_the_image():
    base = Halves()
    dense = image_encoder(patch_encoder(base, patch_shape=(8, 8, 2)), **CUT, dense=True)
    expected = np.asarray(base(some_images())).mean((1, 2))
    np.testing.assert_allclose(np.asarray(dense(some_images())), expected, rtol=1e-4, atol=1e-4)


def with_head(shape):
    base = convolutional(shape)
    return keras.Model(base.input, layers.Dense(3, name="head")(base.output), name="headed")


class Codes(keras.Model):
    """A subclassed model of codes."""

    def call(self, inputs):
        return keras.ops.mean(inputs, (1, 2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (mlp, r"'patch_encoder', which ends in 'final_relu' \(ReLU\). Use dense=False"),
        (with_head, r"'headed', which ends in 'head' \(Dense\)"),
        (lambda shape: convolutional(shape, keepdims=True), "'mine', which ends in 'global_max"),
        (lambda shape: Codes(name="codes"), r"'codes', which ends in 'codes' \(Codes\)"),
    ],
)
def test_an_encoder_without_global_pooling_at_its_end_is_refused(build, message):
    with pytest.raises(ValueError, match=f"dense=True needs .* ends in Global.*{message}"):
        image_encoder(build((8, 8, 2)), **CUT, dense=True)


def test_an_encoder_that_takes_one_size_alone_is_refused():
    patches = convolutional((8, 8, 2), layers.Flatten(), layers.Dense(4), layers.Reshape((1, 2, 2)))
    with pytest.raises(ValueError, match=r"'mine' does not run over images of shape \(14, 20, 2\)"):
        image_encoder(patches, **CUT, dense=True)


def test_a_context_network_does_not_read_the_map():
    patches = resnet_v2((8, 8, 2), widths=(4,), blocks=(1,))
    with pytest.raises(ValueError, match=r"dense=True pools .*Use dense=False or summarize=None"):
        image_encoder(patches, **CUT, dense=True, summarize=layers.ReLU())


def test_a_pooling_finer_than_the_map_is_refused():
    patches = resnet_v2((8, 8, 2), widths=(4, 4), blocks=(1, 1))
    with pytest.raises(ValueError, match="'8x2' is finer than the grid of 7x10"):
        image_encoder(patches, **CUT, dense=True, pooling="8x2")
