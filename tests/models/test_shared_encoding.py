"""`encoding="shared"`: the same model, faster."""

import json

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.models import describe

SHAPE = (24, 32, 1)


def build(encoding, **arguments):
    keras.utils.set_random_seed(0)
    model = CPCModel(
        SHAPE,
        **{
            "patch_encoder": "valid",
            "encoding": encoding,
            "patch_augmentation": None,
            "offsets": (2, 3),
            # One direction of four: the graph of each takes seconds to build.
            "directions": ("down",),
            "context_blocks": 1,
            "context_filters": 8,
            "seed": 0,
            **arguments,
        },
    )
    model.compile(optimizer=keras.optimizers.SGD(0.1))
    return model


def some_images(count=8):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), "uint8")


@pytest.mark.slow
def test_it_trains_as_patch_by_patch():
    arguments = {"chunk_size": 3, "features": "contexts", "directions": ("down", "left")}
    patches, shared = (build(encoding, **arguments) for encoding in ("patches", "shared"))
    assert [w.shape for w in patches.get_weights()] == [w.shape for w in shared.get_weights()]
    shared.set_weights(patches.get_weights())
    before = patches.get_weights()
    histories = [
        m.fit(some_images(), batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
        for m in (patches, shared)
    ]
    np.testing.assert_allclose(*histories, rtol=1e-5)
    for a, b in zip(patches.get_weights(), shared.get_weights(), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=3e-5)
    assert any(
        np.abs(a - b).max() > 1e-3 for a, b in zip(before, shared.get_weights(), strict=True)
    )
    features = [m.encoder.predict(some_images(3), verbose=0) for m in (patches, shared)]
    np.testing.assert_allclose(*features, rtol=1e-3, atol=1e-5)


def test_images_are_augmented_and_targets_independently():
    flip = keras.layers.RandomFlip("horizontal", seed=1)
    model = build("shared", image_augmentation=flip, independent_targets=True, chunk_size=3)
    history = model.fit(some_images(), batch_size=8, epochs=3, verbose=0).history
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]


def test_it_comes_back_from_a_file(tmp_path):
    model = build("shared")
    model.fit(some_images(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["encoding"] == "shared" and loaded.shared_encoder is not None
    expected, found = (m.evaluate(some_images(), verbose=0) for m in (model, loaded))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_its_encoder_is_made_of_stock_layers(tmp_path):
    model = build("shared")
    model.encoder.save(tmp_path / "encoder.keras")
    config = keras.saving.serialize_keras_object(model.encoder)
    assert "cpc_keras" not in json.dumps(config)
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    # Stock convolutions add in another order than ours.
    expected, found = (m.predict(some_images(2), verbose=0) for m in (model.encoder, loaded))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_describe_counts_what_is_saved():
    patches, shared = (
        describe(build(encoding), batch_size=4).image_flops["patch encoder"]
        for encoding in ("patches", "shared")
    )
    assert 0.5 * patches < shared < 0.8 * patches


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"encoding": "both"},
            r"encoding must be one of \('patches', 'shared'\). Received: 'both'",
        ),
        ({"patch_augmentation": "light"}, "no patches to augment.*image_augmentation"),
        ({"patch_encoder": "tiny"}, '"valid"'),
        ({"patch_stride": 8, "offsets": (1,)}, r"3x4 patches of 8 pixels at stride 8"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**{"encoding": "shared", **arguments})
