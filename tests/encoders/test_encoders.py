"""Patch encoders and the encoder of whole images."""

import keras
import numpy as np
import pytest
from keras import layers

from cpc_keras.encoders import (
    NAMED_RESNETS,
    PATCH_ENCODERS,
    count_flops,
    image_encoder,
    patch_encoder,
    resnet_v2,
)
from cpc_keras.encoders.image_encoder import pool_codes
from cpc_keras.methods import cpc_v1, cpc_v2, simclr, supervised
from cpc_keras.models import SemiSupervisedModel


def test_every_named_encoder_has_its_row_in_the_docstring():
    told = {x.split("`")[1].strip('"') for x in patch_encoder.__doc__.splitlines() if '| `"' in x}
    # The other name of resnet161 stands below the table.
    assert told == set(PATCH_ENCODERS) - {"resnet170"}


@pytest.mark.parametrize("name", sorted(set(PATCH_ENCODERS) - set(NAMED_RESNETS)))
def test_the_named_encoders_have_the_size_and_cost_their_docstring_tells(name):
    encoder = patch_encoder(name, patch_shape=(8, 8, 3))
    (row,) = (x for x in patch_encoder.__doc__.splitlines() if f'| `"{name}"` |' in x)
    size, cost = round(encoder.count_params() / 1e3), count_flops(encoder) / 1e6
    told = f"| {encoder.output_shape[-1]} | {size} thousand | {cost:.1f} million |"
    assert told in row
    assert {"tiny", "small"} <= set(PATCH_ENCODERS)


def test_what_artifacts_hold_of_the_tiny_encoder_stays():
    told = [
        (w.path.removeprefix("patch_encoder/"), w.shape)
        for w in patch_encoder("tiny", patch_shape=(4, 4, 1)).weights
    ]

    def norm(name, width):
        return [(f"{name}_norm/gamma", (width,)), (f"{name}_norm/beta", (width,))]

    def block(stage, before, width):
        name = f"stage{stage}_block0"
        shortcut = [(f"{name}_shortcut/kernel", (1, 1, before, width))] if stage else []
        inner = [
            (f"{name}_conv0/kernel", (3, 3, before, width)),
            *norm(f"{name}_1", width),
            (f"{name}_conv1/kernel", (3, 3, width, width)),
        ]
        return [*norm(f"{name}_0", before), *shortcut, *inner]

    stem = [("stem/kernel", (3, 3, 1, 16))]
    blocks = [*block(0, 16, 16), *block(1, 16, 32), *block(2, 32, 64)]
    assert sorted(told) == sorted([*stem, *blocks, *norm("final", 64)])


@pytest.mark.parametrize("normalization", ["group", "layer", "none"])
def test_the_normalization_is_the_one_asked_for(normalization):
    encoder = patch_encoder("tiny", patch_shape=(8, 8, 1), normalization=normalization)
    kinds = [type(x) for x in encoder.layers if "Normalization" in type(x).__name__]
    expected = {"group": {layers.GroupNormalization}, "layer": {layers.LayerNormalization}}
    assert set(kinds) == expected.get(normalization, set())
    assert np.isfinite(np.asarray(encoder(np.full((2, 8, 8, 1), 255.0)))).all()


def test_pixels_are_scaled_to_minus_1_to_1():
    scale = resnet_v2((4, 4, 1), widths=(8,), blocks=(1,)).get_layer("rescale")
    scaled = scale(np.array([0.0, 127.5, 255.0]).reshape(1, 3, 1, 1))
    np.testing.assert_allclose(np.asarray(scaled).ravel(), [-1, 0, 1], atol=1e-6)


@pytest.mark.parametrize("normalization", ["batch", "none ", None])
def test_another_normalization_is_refused(normalization):
    with pytest.raises(ValueError, match=r"normalization must be one of .*Batch normalisation is"):
        resnet_v2((8, 8, 1), widths=(8,), blocks=(1,), normalization=normalization)


def users_encoder(*more):
    return keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3), *more], name="mine")


def test_maps_are_averaged_and_codes_pass():
    maps = users_encoder()
    checked = patch_encoder(maps, patch_shape=(8, 8, 1))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("float32")
    np.testing.assert_allclose(
        np.asarray(checked(x)), np.asarray(maps(x)).mean((1, 2)), rtol=1e-5, atol=1e-6
    )
    codes = users_encoder(layers.Flatten())
    assert patch_encoder(codes, patch_shape=(8, 8, 1)) is codes


class BuiltLate(keras.Model):
    """Its batch normalisation does not exist before it is built."""

    def build(self, input_shape):
        self.normalize = layers.BatchNormalization()
        self.built = True

    def call(self, inputs):
        return self.normalize(keras.ops.mean(inputs, axis=(1, 2)))


@pytest.mark.parametrize(
    "encoder",
    [
        lambda: users_encoder(layers.BatchNormalization(), layers.Flatten()),
        lambda: keras.Sequential([users_encoder(layers.BatchNormalization()), layers.Flatten()]),
        lambda: keras.Sequential([layers.Flatten(), layers.BatchNormalization()]),
        BuiltLate,
    ],
)
def test_trainable_batch_normalisation_is_refused_wherever_it_hides(encoder):
    with pytest.raises(ValueError, match="holds trainable batch normalisation"):
        patch_encoder(encoder(), patch_shape=(8, 8, 1))


def test_frozen_batch_normalisation_is_accepted_and_links_no_patches():
    encoder = users_encoder(layers.BatchNormalization(), layers.Flatten())
    encoder.layers[1].trainable = False
    checked = patch_encoder(encoder, patch_shape=(8, 8, 1))
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    before = np.asarray(checked(x, training=True))
    x[1:] += 5
    np.testing.assert_array_equal(np.asarray(checked(x, training=True))[0], before[0])


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("large", r"patch_encoder must be one of \[.*'tiny'.*\].*Received: 'large'"),
        (3, "must be a name or a keras.Model .*Received: 3 of type int"),
        (lambda: layers.Dense(3), "must be a name or a keras.Model"),
        (users_encoder, r"'mine' does not take patches of shape \(8, 8, 3\)"),
        (
            lambda: keras.Sequential([layers.Reshape((64, 3))], name="rank3"),
            "'rank3' must return codes .*Received: .*64, 3",
        ),
    ],
)
def test_what_is_no_encoder_of_such_patches_is_refused(encoder, message):
    encoder = encoder() if callable(encoder) else encoder
    with pytest.raises(ValueError, match=message):
        patch_encoder(encoder, patch_shape=(8, 8, 3))


def test_a_model_takes_no_normalization_and_files_that_name_one_open():
    own = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"belongs to the named encoders .*'bogus' with"):
        patch_encoder(own, patch_shape=(8, 8, 1), normalization="bogus")
    model = SemiSupervisedModel((8, 8, 1), 3, encoder=own)
    again = SemiSupervisedModel.from_config({**model.get_config(), "normalization": "group"})
    assert again.encoder.count_params() == model.encoder.count_params()


@pytest.mark.parametrize("method", [simclr, supervised, cpc_v1, cpc_v2])
def test_methods_hand_normalization_to_named_encoders_and_take_models(method):
    is_patch = method in (cpc_v1, cpc_v2)
    argument = "patch_encoder" if is_patch else "encoder"
    options = {"num_classes": 3} if method is supervised else {}
    if is_patch:
        options = {"patch_size": 8, "patch_stride": 4, "context_blocks": 1, "context_filters": 4}
    shape = (32, 32, 1) if is_patch else (8, 8, 1)
    named = method(shape, **{argument: "mlp", "normalization": "none"}, **options)
    kinds = {type(layer).__name__ for layer in named.encoder._flatten_layers()}
    assert not kinds & {"LayerNormalization", "GroupNormalization", "FastGroupNormalization"}
    own = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)])
    assert method(shape, **{argument: own}, **options).encoder.output_shape == (None, 3)
    with pytest.raises(ValueError, match="normalization belongs to the named encoders"):
        method(shape, **{argument: own, "normalization": "layer"}, **options)


def windows(side, count):
    """First and last index of each of `count` equal windows that together cover `side`."""
    step = side // count
    size = side - (count - 1) * step
    return [(n * step, n * step + size) for n in range(count)]


@pytest.mark.parametrize("pooling", ["mean", "max", "3x3", "1x1", "7x9", "2x4", "5x1"])
def test_pooling_is_that_of_explicit_windows(pooling):
    codes = np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype("float32")
    if pooling in ("mean", "max"):
        expected = getattr(codes, pooling)((1, 2))
    else:
        rows, columns = map(int, pooling.split("x"))
        covered = np.zeros((7, 9), bool)
        parts = []
        for top, bottom in windows(7, rows):
            for left, right in windows(9, columns):
                covered[top:bottom, left:right] = True
                parts.append(codes[:, top:bottom, left:right].mean((1, 2)))
        assert covered.all()
        expected = np.concatenate(parts, -1)
    result = np.asarray(pool_codes(keras.ops.convert_to_tensor(codes), pooling))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["median", "3", "0x3", "3x", "3x3x3", 3, None])
def test_a_pooling_that_is_none_is_refused(pooling):
    with pytest.raises(ValueError, match=r"pooling must be .*Received"):
        pool_codes(np.zeros((1, 4, 4, 2), "float32"), pooling)


@pytest.mark.parametrize("pooling", ["5x4", "4x5"])
def test_a_pooling_finer_than_the_grid_is_refused(pooling):
    with pytest.raises(ValueError, match=f'{pooling}.*finer than the grid of 4x4.*at most "4x4"'):
        pool_codes(np.zeros((1, 4, 4, 2), "float32"), pooling)


def test_bytes_and_floats_give_the_same_features():
    encoder = image_encoder(
        users_encoder(layers.Flatten()), image_shape=(12, 16, 1), patch_size=8, patch_stride=4
    )
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 16, 1), "uint8")
    np.testing.assert_array_equal(
        np.asarray(encoder(images)), np.asarray(encoder(images.astype("float32")))
    )
