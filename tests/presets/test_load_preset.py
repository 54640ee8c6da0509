import hashlib
import json
import os
import shutil
import sys

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.export import ArtifactError
from cpc_keras.export.recover import sibling
from cpc_keras.presets import list_presets, load_preset, preset_directory

# The name in the package is the function's.
CATALOGUE = sys.modules["cpc_keras.presets.list_presets"]
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def trained():
    keras.utils.set_random_seed(0)
    model = CPCModel(
        (8, 8, 1),
        patch_encoder=keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(6, 4)]
        ),
        patch_size=4,
        patch_stride=2,
        offsets=(2,),
        directions=("down",),
        target_dim=4,
        context_blocks=1,
        context_filters=4,
        patch_augmentation=None,
    )
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(IMAGES, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "cpc_v2_tiny_noise"
    trained.export(path, facts={"data": "noise"})
    return path


@pytest.fixture
def shipped(exported, tmp_path, monkeypatch):
    """The artifact as a preset of an installed package; also an unfinished one beside it."""
    package = tmp_path / "site-packages" / "cpc_keras"
    shutil.copytree(exported, package / "saved_models" / exported.name)
    shutil.copytree(exported, package / "saved_models" / f".{exported.name}.old-1-00000000")
    (package / "saved_models" / "empty").mkdir()
    # Somebody else's.
    shutil.copytree(exported, package.parent / "saved_models" / "theirs")
    monkeypatch.setattr(CATALOGUE, "_PACKAGE", package)
    return package


def test_a_model_comes_back_whole(exported, trained):
    model = CPCModel.from_preset(exported)
    assert type(model) is CPCModel and not model.compiled
    received, expected = model.get_weights(), trained.get_weights()
    assert len(received) == len(expected)
    for r, e in zip(received, expected, strict=True):
        np.testing.assert_array_equal(r, e)
    np.testing.assert_array_equal(model.encoder(IMAGES), trained.encoder(IMAGES))


def test_it_is_compiled_before_it_is_trained_on(exported):
    # With the optimizer of the export, at the end of its schedule, training would change nothing.
    model = CPCModel.from_preset(str(exported))
    with pytest.raises(ValueError, match=r"must call `compile\(\)`"):
        model.fit(IMAGES, verbose=0)
    model.compile(keras.optimizers.Adam(0.01))
    before = model.encoder.get_weights()
    model.fit(IMAGES, batch_size=4, verbose=0)
    assert any(np.any(b != a) for b, a in zip(before, model.encoder.get_weights(), strict=True))


def test_training_goes_on_where_it_was_with_the_file_of_the_model(exported, trained):
    model = keras.saving.load_model(exported / "pretraining.keras")
    assert int(model.optimizer.iterations) == int(trained.optimizer.iterations) == 4
    for r, e in zip(model.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(r, e)
    assert any(np.any(v) for v in model.optimizer.variables[2:])
    before = model.encoder.get_weights()
    model.fit(IMAGES, batch_size=4, verbose=0)
    assert int(model.optimizer.iterations) == 6
    assert any(np.any(b != a) for b, a in zip(before, model.encoder.get_weights(), strict=True))


def test_a_shipped_preset_loads_by_name(shipped, trained):
    model = CPCModel.from_preset("cpc_v2_tiny_noise")
    np.testing.assert_array_equal(model.encoder(IMAGES), trained.encoder(IMAGES))


def test_the_catalogue_lists_what_is_shipped(shipped):
    presets = list_presets()
    assert list(presets) == ["cpc_v2_tiny_noise"]
    assert presets["cpc_v2_tiny_noise"]["data"] == "noise"
    assert presets["cpc_v2_tiny_noise"]["model"]["image_shape"] == [8, 8, 1]


def test_a_checkout_has_its_presets_at_the_top(shipped):
    (shipped.parent / "setup.py").write_text("")
    assert list(list_presets()) == ["cpc_v2_tiny_noise", "theirs"]
    assert preset_directory("theirs") == shipped.parent / "saved_models" / "theirs"


def test_the_catalogue_may_be_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(CATALOGUE, "_PACKAGE", tmp_path / "cpc_keras")
    assert list_presets() == {}
    with pytest.raises(ValueError, match="Shipped presets: none"):
        CPCModel.from_preset("cpc_v2_tiny_noise")


def test_an_unknown_name_is_told_the_names(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="did you mean 'cpc_v2_tiny_noise'") as error:
        CPCModel.from_preset("cpc_tiny_noise")
    for part in ("'cpc_tiny_noise'", "Shipped presets: cpc_v2_tiny_noise", "A path"):
        assert part in str(error.value)
    with pytest.raises(ValueError, match="Shipped presets: cpc_v2_tiny_noise") as error:
        CPCModel.from_preset("resnet50")
    assert "did you mean" not in str(error.value)


def test_a_path_goes_before_a_name(shipped, exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, tmp_path / "cpc_v2_tiny_noise")
    (tmp_path / "cpc_v2_tiny_noise" / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        CPCModel.from_preset("cpc_v2_tiny_noise")


@pytest.mark.parametrize("as_path", [str, os.fspath, lambda path: path])
def test_a_path_that_is_not_there_is_told(tmp_path, as_path):
    with pytest.raises(ArtifactError, match="does not exist"):
        CPCModel.from_preset(as_path(tmp_path / "nothing"))


def test_an_incomplete_directory_is_told_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for preset in ("mine", "./mine", tmp_path / "mine"):
        with pytest.raises(ArtifactError, match=r"preset\.json is missing"):
            CPCModel.from_preset(preset)


def test_damage_is_found_before_anything_is_loaded(exported, tmp_path):
    path = shutil.copytree(exported, tmp_path / "mine")
    content = bytearray((path / "pretraining.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "pretraining.keras").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"pretraining\.keras differs"):
        CPCModel.from_preset(path)


def test_an_artifact_whose_replacement_was_killed_loads(exported, tmp_path):
    path = tmp_path / "mine"
    shutil.copytree(exported, sibling(str(path), "old"))
    CPCModel.from_preset(path)
    assert os.listdir(tmp_path) == ["mine"]


def test_another_model_is_refused(exported):
    class Other(CPCModel):
        pass

    with pytest.raises(ValueError, match=r"holds a CPCModel\. Expected: Other"):
        load_preset(exported, Other)


def test_code_in_an_artifact_is_not_run(exported, tmp_path):
    path = shutil.copytree(exported, tmp_path / "mine")
    inputs = keras.Input((2,))
    unsafe = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    unsafe.save(path / "pretraining.keras")
    preset = json.loads((path / "preset.json").read_text())
    digest = hashlib.sha256((path / "pretraining.keras").read_bytes()).hexdigest()
    preset["sha256"]["pretraining.keras"] = digest
    (path / "preset.json").write_text(json.dumps(preset))
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        load_preset(path, keras.Model)
