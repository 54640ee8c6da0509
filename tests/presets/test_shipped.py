"""The presets that are shipped: whole, small, as good as told, opened by every door."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.export import check_golden, verify_artifact
from cpc_keras.presets import list_presets, preset_directory
from cpc_keras.presets.list_presets import preset_directories

NAMES = sorted(preset_directories())


def test_there_are_presets():
    assert "cpc_v2_small_mnist5k" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_whole_small_and_gives_its_golden_features(name):
    directory = preset_directory(name)
    verify_artifact(directory)
    check_golden(directory)
    assert sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) < 12e6


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_as_an_encoder_and_as_a_model_to_train_on(name):
    model = CPCModel.from_preset(name)
    encoder = keras.saving.load_model(preset_directory(name))
    images = np.random.default_rng(0).integers(0, 256, (4, *model.image_shape), "uint8")
    np.testing.assert_allclose(encoder(images), model.encoder(images), rtol=1e-4, atol=1e-5)
    model.compile(optimizer="adam", run_eagerly=True)
    assert np.isfinite(model.fit(images, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("name", NAMES)
def test_its_card_tells_scores_of_three_seeds_with_command_and_protocol(name):
    facts = list_presets()[name]
    assert facts["command"] and facts["data"] and facts["facts"]["protocol"]
    rows = {score["row"] for score in facts["scores"]}
    assert {"cpc_frozen", "cpc_fine_tuned", "supervised", "random_frozen", "raw_pixels"} <= rows
    assert all(score["seeds"] >= 3 for score in facts["scores"])
