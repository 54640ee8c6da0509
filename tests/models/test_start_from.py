"""Weights to start from."""

import keras
import numpy as np
import pytest
import yaml

from cpc_keras import CPCModel
from cpc_keras.augmentations import image_augmentation
from cpc_keras.cli.main import cli
from cpc_keras.cli.pretrain import build_model
from cpc_keras.methods import instance_discrimination, rotation, simclr, supervised
from cpc_keras.models import PretextModel, start_from, trained_on
from cpc_keras.training import RECIPES, Recipe, pretrain


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
        ValueError, match=r"is another than.*encoder_width=8 \(here 16\).*--set model"
    ):
        start_from(cpc(encoder_width=16), path)
    with pytest.raises(ValueError, match="It is of a CPCModel, this is a PretextModel"):
        start_from(rotation((8, 8, 1), encoder="tiny"), path)


def test_what_labels_have_shaped_is_no_start(tmp_path):
    supervised((8, 8, 1), num_classes=3, encoder="tiny").save(tmp_path / "model.keras")
    for model in (
        rotation((8, 8, 1), encoder="tiny"),
        # Its few labels would be said to have done what all did.
        supervised((8, 8, 1), num_classes=3, encoder="tiny"),
    ):
        with pytest.raises(
            ValueError, match=r"was trained with labels: .*Expected an encoder that"
        ):
            start_from(model, tmp_path / "model.keras")


def test_weights_that_fit_an_encoder_that_computes_something_else_are_refused(tmp_path):
    shape = (8, 8, 1)
    rotation(shape, encoder="tiny", normalization="layer").save(tmp_path / "layer.keras")
    model = rotation(shape, encoder="tiny", normalization="group")
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(ValueError, match=r"normalization='layer' \(here 'group'\)"):
        start_from(model, tmp_path / "layer.keras")
    assert all(same(model.get_weights(), before))
    # Where sizes differ, the settings tell.
    with pytest.raises(ValueError, match=r"normalization='layer' \(here 'group'\)"):
        start_from(
            rotation((12, 12, 1), encoder="tiny", normalization="group"), tmp_path / "layer.keras"
        )


def test_predictions_of_other_patches_are_not_taken_over(source, capsys):
    start_from(cpc(12, offsets=(3,)), source[0])
    assert capsys.readouterr().out.endswith(": the encoder's weights.\n")
    start_from(cpc(candidates="same_position", num_anchors=4), source[0])
    assert capsys.readouterr().out.endswith(": all weights.\n")


def test_a_memory_of_other_images_is_not_taken_over(tmp_path, capsys):
    shape = (8, 8, 1)
    trained = instance_discrimination(shape, num_images=6, encoder="tiny")
    trained.save(tmp_path / "model.keras")
    start_from(
        instance_discrimination(shape, num_images=6, encoder="tiny"), tmp_path / "model.keras"
    )
    assert capsys.readouterr().out.endswith(": the encoder's weights.\n")


def test_a_source_is_a_model_of_this_package_that_is_there(tmp_path):
    keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"holds a Sequential\. Expected a model of this package"):
        start_from(cpc(), tmp_path / "own.keras")
    with pytest.raises(ValueError, match="Shipped presets: "):
        start_from(cpc(), "cpc_v3")
    with pytest.raises(FileNotFoundError, match="no readable checkpoint"):
        start_from(cpc(), tmp_path)


def test_runs_artifacts_and_shipped_presets_are_sources(source, tmp_path, capsys):
    path, expected = source
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")
    recipe = Recipe(num_epochs=1, batch_size=8, learning_rate=0.0, optimizer_options={})
    run = tmp_path / "run"
    model = pretrain(lambda: start_from(cpc(), path), images, run_directory=run, recipe=recipe)

    def is_taken_from(place):
        got = start_from(cpc(seed=2), place).network.get_weights()
        return all(same(got, expected.network.get_weights()))

    assert is_taken_from(run)
    model.export(run / "artifact", facts={"data": "made up, 8 images"})
    # What is read is the artifact, where there is one.
    for checkpoint in (run / "checkpoints").iterdir():
        checkpoint.unlink()
    assert is_taken_from(run) and is_taken_from(str(run / "artifact"))
    assert trained_on(run) == trained_on(run / "artifact") == "made up, 8 images"
    assert trained_on(path) == trained_on("nowhere") == "images that are not known"
    shipped = build_model(RECIPES["mnist_5k"], (28, 28, 1))
    capsys.readouterr()
    start_from(shipped, "cpc_v2_small_mnist5k")
    assert capsys.readouterr().out == "Starting from cpc_v2_small_mnist5k: all weights.\n"
    assert trained_on("cpc_v2_small_mnist5k") == "mnist_5k, 4000 images, no labels"


def test_the_command_starts_from_weights_and_its_settings_repeat_it(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")
    np.savez(tmp_path / "scans.npz", images=images, labels=np.arange(8) % 2)
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
    # What an earlier run on the images has left out, is left out again.
    assert "test_fraction" not in seen[-1][1]
    (tmp_path / "run").mkdir()
    left_out = {"data": str(tmp_path / "scans.npz"), "test_fraction": 0.5}
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(left_out))
    with pytest.raises(StopIteration):
        cli.main([*command, "--init", str(tmp_path / "run")], standalone_mode=False)
    assert seen[-1][1]["test_fraction"] == 0.5
    with pytest.raises(ValueError, match="other test images would be split off"):
        both = ["--init", str(tmp_path / "run"), "--test-fraction", "0.25"]
        cli.main([*command, *both], standalone_mode=False)


def test_what_is_done_to_images_before_the_encoder_may_be_of_one_size(tmp_path, capsys):
    trained = cpc(12, image_augmentation=image_augmentation("digits", (12, 12, 1)))
    trained.save(tmp_path / "augmented.keras")
    model = start_from(cpc(8), tmp_path / "augmented.keras")
    assert all(same(model.encoder.get_weights(), trained.encoder.get_weights()))
    trained = simclr((12, 12, 1), encoder="tiny", seed=0)
    trained.save(tmp_path / "simclr.keras")
    model = start_from(simclr((8, 8, 1), encoder="tiny", seed=1), tmp_path / "simclr.keras")
    assert all(same(model.encoder.get_weights(), trained.encoder.get_weights()))


def test_weights_are_put_back_where_encoders_cannot_be_compared(tmp_path, monkeypatch):
    def fail(*args):
        raise ValueError("of one size alone")

    cpc(12, seed=0).save(tmp_path / "other.keras")
    model = cpc(8)
    before = [weight.copy() for weight in model.get_weights()]
    monkeypatch.setattr(CPCModel, "image_encoder", fail)
    with pytest.raises(ValueError, match="of one size alone"):
        start_from(model, tmp_path / "other.keras")
    assert all(same(model.get_weights(), before))
