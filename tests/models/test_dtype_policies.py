"""Models compute in what their own dtype policy says, whatever the session's is."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.export import load_artifact
from cpc_keras.layers.dtype_scope import dtype_scope
from cpc_keras.methods import simclr
from cpc_keras.models import PretextModel, PretrainingModel
from cpc_keras.views import Rotations

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), dtype=np.uint8)
BUILDS = {
    "cpc": lambda **dtype: CPCModel(
        SHAPE,
        patch_encoder="mlp",
        patch_size=4,
        patch_stride=2,
        offsets=(2,),
        directions=("down",),
        context_blocks=1,
        context_filters=4,
        features="contexts",
        **dtype,
    ),
    "pairs": lambda **dtype: simclr(SHAPE, encoder="mlp", **dtype),
    "pretext": lambda **dtype: PretextModel(SHAPE, views=Rotations(), encoder="mlp", **dtype),
}


def policies(encoder):
    # Models within and inputs do not compute, and their configurations hold no policy.
    idle = (keras.Model, keras.layers.InputLayer)
    layers = encoder._flatten_layers()
    return [layer.dtype_policy.name for layer in layers if not isinstance(layer, idle)]


def hidden(model):
    """What the encoder's matrix products compute in."""
    layers = model.encoder._flatten_layers()
    kinds = (keras.layers.Dense, keras.layers.Conv2D)
    return {layer.compute_dtype for layer in layers if isinstance(layer, kinds)}


@pytest.mark.parametrize("name", BUILDS)
def test_the_models_policy_is_that_of_its_layers(name):
    assert hidden(BUILDS[name](dtype="mixed_bfloat16")) == {"bfloat16"}
    with dtype_scope("mixed_bfloat16"):
        assert hidden(BUILDS[name](dtype="float32")) == {"float32"}
        assert hidden(BUILDS[name]()) == {"bfloat16"}
    assert keras.config.dtype_policy().name == "float32"
    assert hidden(BUILDS[name]()) == {"float32"}


def test_an_error_leaves_the_sessions_policy_as_it_was():
    with pytest.raises(ValueError, match="patch_encoder must be one of"):
        CPCModel(
            SHAPE,
            patch_encoder="none",
            patch_size=4,
            patch_stride=4,
            offsets=(1,),
            dtype="mixed_float16",
        )
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", BUILDS)
def test_a_saved_model_comes_back_with_the_policies_of_its_layers(name, tmp_path):
    with dtype_scope("mixed_bfloat16"):
        model = BUILDS[name]()
    assert hidden(model) == {"bfloat16"}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy.name == "mixed_bfloat16"
    assert policies(loaded.encoder) == policies(model.encoder)
    np.testing.assert_array_equal(loaded.encoder(IMAGES), model.encoder(IMAGES))


def test_an_encoder_for_another_size_has_the_models_policy():
    model = BUILDS["cpc"](dtype="mixed_bfloat16")
    larger = model.image_encoder((10, 10, 1))
    assert policies(larger) == policies(model.encoder)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_an_artifact_of_mixed_precision_comes_back(policy, tmp_path):
    model = BUILDS["cpc"](dtype=policy)
    model.export(tmp_path / "mine")
    again = PretrainingModel.from_preset(tmp_path / "mine")
    assert policies(again.encoder) == policies(model.encoder)
    np.testing.assert_array_equal(again.encoder(IMAGES), model.encoder(IMAGES))
    np.testing.assert_array_equal(load_artifact(tmp_path / "mine")(IMAGES), model.encoder(IMAGES))
