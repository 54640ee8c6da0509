"""Weights to start from."""

import keras
import numpy as np
import pytest
import yaml

from cpc_keras import CPCModel
from cpc_keras.cli.main import cli
from cpc_keras.methods import rotation, supervised
from cpc_keras.models import PretextModel
from cpc_keras.training import Recipe, pretrain, start_from


def cpc(side=8, *, seed=1, **options):
    sizes = {"patch_encoder": "mlp", "patch_size": 4, "patch_stride": 2, "encoder_width": 8}
    return CPCModel((side, side, 1), seed=seed, **{**sizes, "offsets": (2,), **options})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A `.keras` file, and the model in it."""
    path, model = tmp_path_factory.mktemp("source") / "source.keras", cpc(seed=0)
    for number, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, 1e-3 * (number + 1)))
    model.save(path)
    return path, model


def same(ours, theirs):
    return [np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)]


def test_a_model_of_the_same_settings_gets_all_weights(source, capsys):
    path, expected = source
    model = cpc()
    assert start_from(model, path) is model
    assert all(same(model.network.get_weights(), expected.network.get_weights()))
    assert capsys.readouterr().out == f"Starting from {path}: all weights.\n"


def test_the_size_of_images_is_free_where_no_weight_depends_on_it(source):
    path, expected = source
    model = start_from(cpc(12), path)
    assert model.image_shape == (12, 12, 1)
    assert all(same(model.network.get_weights(), expected.network.get_weights()))


def test_of_other_predictions_the_encoder_alone_is_taken_over(source, capsys):
    path, expected = source
    model = cpc(12, offsets=(2, 3))
    around = [w for w in model.network.weights if not any(w is e for e in model.encoder.weights)]
    before = [w.numpy() for w in around]
    start_from(model, path)
    assert all(same(model.encoder.get_weights(), expected.encoder.get_weights()))
    assert around and all(same([w.numpy() for w in around], before))
    assert capsys.readouterr().out.endswith(": the encoder's weights.\n")


def test_the_encoder_may_come_from_another_method(tmp_path):
    shape = (8, 8, 1)
    trained, head = rotation(shape, encoder="tiny", seed=0), supervised
    assert isinstance(trained, PretextModel)
    trained.save(tmp_path / "rotation.keras")
    model = start_from(
        head(shape, num_classes=3, encoder="tiny", seed=1), tmp_path / "rotation.keras"
    )
    assert all(same(model.encoder.get_weights(), trained.encoder.get_weights()))


def test_an_encoder_with_other_weights_is_refused_and_told_what_differs(source):
    path, _ = source
    with pytest.raises(
        ValueError, match=r"other weights.*encoder_width=8 \(here 16\).*--set model"
    ):
        start_from(cpc(encoder_width=16), path)
    with pytest.raises(ValueError, match="It is of a CPCModel, this is a PretextModel"):
        start_from(rotation((8, 8, 1), encoder="tiny"), path)


def test_what_labels_have_shaped_is_no_start_for_training_without(tmp_path):
    supervised((8, 8, 1), num_classes=3, encoder="tiny").save(tmp_path / "model.keras")
    with pytest.raises(
        ValueError, match="was trained with labels, and PretextModel learns without"
    ):
        start_from(rotation((8, 8, 1), encoder="tiny"), tmp_path / "model.keras")


def test_a_source_is_a_model_of_this_package_that_is_there(tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"holds a Sequential\. Expected a model of this package"):
        start_from(cpc(), tmp_path / "own.keras")
    with pytest.raises(ValueError, match="Shipped presets: "):
        start_from(cpc(), "cpc_v3")
    with pytest.raises(FileNotFoundError, match="no readable checkpoint"):
        start_from(cpc(), tmp_path)


def test_a_run_is_a_source(source, tmp_path):
    path, expected = source
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")
    recipe = Recipe(num_epochs=1, batch_size=8, learning_rate=0.0, optimizer_options={})
    pretrain(lambda: start_from(cpc(), path), images, run_directory=tmp_path / "a", recipe=recipe)
    model = start_from(cpc(seed=2), tmp_path / "a")
    assert all(same(model.network.get_weights(), expected.network.get_weights()))


def test_the_command_starts_from_weights_and_its_settings_repeat_it(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")
    np.savez(tmp_path / "scans.npz", images=images)
    seen = []

    def build_and_stop(build, images, *, facts, **options):
        seen.append((build(), facts))
        raise StopIteration

    monkeypatch.setattr("cpc_keras.cli.pretrain.run_pretraining", build_and_stop)
    monkeypatch.setattr("cpc_keras.cli.pretrain.start_from", lambda model, source: source)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"data": str(tmp_path / "scans.npz"), "init": "from_file"}))
    command = ["pretrain", "--out", str(tmp_path / "out"), "--patch-size", "4", "--offsets", "2"]
    command += ["--patch-stride", "2", "--patch-encoder", "mlp", "--config", str(config)]
    for more, expected in (([], "from_file"), (["--init", "given"], "given")):
        with pytest.raises(StopIteration):
            cli.main([*command, *more], standalone_mode=False)
        assert seen[-1][0] == expected and seen[-1][1]["init"] == expected
