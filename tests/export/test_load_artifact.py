import hashlib
import json

import keras
import numpy as np
import pytest

from cpc_keras.export import (
    ArtifactError,
    check_loaders,
    load_artifact,
    load_saved_model,
)

IMAGES = np.random.default_rng(3).integers(0, 256, (2, 4, 5, 2), "uint8")


def new_checksum(artifact, name):
    """As one does who changes a file and hides it."""
    file = artifact / "preset.json"
    preset = json.loads(file.read_text())
    preset["sha256"][name] = hashlib.sha256((artifact / name).read_bytes()).hexdigest()
    file.write_text(json.dumps(preset))


def test_an_artifact_gives_its_encoder_and_its_saved_model(exported, small_model):
    expected = np.asarray(small_model.encoder(IMAGES))
    np.testing.assert_array_equal(load_artifact(exported)(IMAGES), expected)
    saved = load_saved_model(exported)
    np.testing.assert_allclose(saved.serve_uint8(IMAGES), expected, rtol=1e-6)


def test_one_changed_bit_of_a_weight_is_found_though_its_checksum_is_new(artifact):
    weights = artifact / "model.weights.h5"
    encoder = keras.saving.load_model(artifact)
    kernel = encoder.get_weights()[0]
    data = bytearray(weights.read_bytes())
    place = data.find(kernel.tobytes())
    assert place > 0
    data[place] ^= 1  # the last bit of the mantissa: no tolerance would find it
    weights.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"model\.weights\.h5 differs"):
        load_artifact(artifact)
    new_checksum(artifact, "model.weights.h5")
    with pytest.raises(ArtifactError, match=r"weights of .* are not those"):
        load_artifact(artifact)


def test_a_changed_configuration_is_found_though_its_checksum_is_new(artifact):
    config = artifact / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"activation": "linear"', '"activation": "tanh"'))
    assert config.read_text() != text
    new_checksum(artifact, "config.json")
    with pytest.raises(ArtifactError, match="deviate by"):
        load_artifact(artifact)


def test_golden_features_in_a_pickle_are_refused(artifact):
    with np.load(artifact / "golden.npz") as golden:
        kept = dict(golden)
    kept["images"] = np.array([{"a": 1}], dtype=object)
    np.savez(artifact / "golden.npz", **kept)
    new_checksum(artifact, "golden.npz")
    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be read: ValueError"):
        load_artifact(artifact)


def test_an_older_artifact_without_a_digest_of_its_weights_loads(artifact):
    with np.load(artifact / "golden.npz") as golden:
        kept = {key: golden[key] for key in ("images", "features")}
    np.savez(artifact / "golden.npz", **kept)
    new_checksum(artifact, "golden.npz")
    assert load_artifact(artifact).output_shape == (None, 3)


def test_changed_variables_of_the_saved_model_are_found(artifact, exported):
    variables = artifact / "variables" / "variables.data-00000-of-00001"
    data = bytearray(variables.read_bytes())
    kernel = keras.saving.load_model(exported).get_weights()[0]
    place = data.find(kernel.tobytes())
    data[place + 3] ^= 0x40
    variables.write_bytes(data)
    new_checksum(artifact, "variables/variables.data-00000-of-00001")
    with pytest.raises(ArtifactError, match=r"TensorFlow cannot load|other features"):
        load_saved_model(artifact)


@pytest.mark.slow
def test_loaders_are_tried_in_a_process_that_may_die_or_hang(artifact, monkeypatch):
    from cpc_keras.export import check_loaders as function

    check_loaders(artifact)
    module = __import__("sys").modules[function.__module__]
    monkeypatch.setattr(module, "_CHILD", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(ArtifactError, match="ended with signal SIGSEGV"):
        check_loaders(artifact)
    monkeypatch.setattr(module, "_CHILD", "import time; time.sleep(60)")
    with pytest.raises(ArtifactError, match="did not end within timeout=1 seconds"):
        check_loaders(artifact, timeout=1)
    monkeypatch.undo()
    (artifact / "saved_model.pb").write_bytes(b"\x00" * 100)
    new_checksum(artifact, "saved_model.pb")
    with pytest.raises(ArtifactError, match=r"SavedModel: .*TensorFlow cannot load"):
        check_loaders(artifact)
