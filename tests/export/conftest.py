import shutil
import types

import keras
import pytest

from cpc_keras.export import write_artifact


@pytest.fixture(scope="session")
def small_model():
    """What write_artifact needs of a pre-training model, on the smallest encoder there is."""
    encoder = keras.Sequential(
        [keras.Input((4, 5, 2)), keras.layers.Flatten(), keras.layers.Dense(3)], name="encoder"
    )
    config = {"name": "small", "sizes": (1, 2), "layer": {"class_name": "Dense", "config": {}}}
    return types.SimpleNamespace(
        encoder=encoder, image_shape=(4, 5, 2), get_config=lambda: config, save=encoder.save
    )


@pytest.fixture(scope="session")
def exported(small_model, tmp_path_factory):
    """An artifact that tests only read."""
    path = tmp_path_factory.mktemp("exported") / "small"
    write_artifact(small_model, path, facts={"description": "exported once"})
    return path


@pytest.fixture
def artifact(exported, tmp_path):
    """An artifact of the test's own."""
    return shutil.copytree(exported, tmp_path / "small")
