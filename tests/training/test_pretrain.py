"""pretrain: run directory, resume, refusals."""

import dataclasses

import numpy as np
import pytest
import yaml

from cpc_keras import CPCModel
from cpc_keras.training import Recipe, pretrain, read_metrics

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), "uint8")
RECIPE = Recipe(
    model={
        "patch_encoder": "tiny",
        "patch_size": 4,
        "patch_stride": 4,
        "offsets": (1, 2),
        "directions": ("down", "right"),
        "context_blocks": 1,
        "context_filters": 8,
        "candidates": "sampled",
        "num_negatives": 20,
    },
    num_epochs=3,
    batch_size=8,
    seed=3,
)


def _pretrain(directory, recipe=RECIPE, **kwargs):
    return pretrain(
        lambda: CPCModel((16, 16, 1), seed=recipe.seed, **recipe.model),
        IMAGES,
        run_directory=directory,
        recipe=recipe,
        held_out_images=IMAGES[:8],
        **kwargs,
    )


class _Stop(Exception):
    pass


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "whole"
    return directory, _pretrain(directory)


def test_a_run_directory_holds_config_metrics_and_checkpoint(whole_run):
    directory, _ = whole_run
    config = yaml.safe_load((directory / "config.yaml").read_text())
    assert config["model"]["offsets"] == [1, 2]
    rows = read_metrics(directory / "metrics.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {"loss", "accuracy", "mutual_information", "val_loss"} <= set(rows[0])
    assert (directory / "checkpoints" / "epoch-0003.keras").exists()


def test_a_run_that_was_stopped_ends_as_one_that_was_not(whole_run, tmp_path, monkeypatch):
    from cpc_keras.training import callbacks

    def stop_in_the_third_epoch(self, epoch, logs=None):
        callbacks.save_checkpoint(self.model, self._directory, epoch=epoch + 1)
        if epoch == 1:
            raise _Stop

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Checkpoints, "on_epoch_end", stop_in_the_third_epoch)
        with pytest.raises(_Stop):
            _pretrain(tmp_path / "run")
    resumed = _pretrain(tmp_path / "run")

    directory, whole = whole_run
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    rows, expected = (read_metrics(d / "metrics.csv") for d in (tmp_path / "run", directory))
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] == pytest.approx(expected[-1]["loss"], rel=1e-5)


def test_a_finished_run_is_loaded_and_not_trained_again(whole_run, monkeypatch):
    directory, whole = whole_run
    monkeypatch.setattr(CPCModel, "fit", lambda *a, **k: pytest.fail("trained again"))
    again = _pretrain(directory)
    np.testing.assert_array_equal(again.get_weights()[0], whole.get_weights()[0])


def test_a_directory_with_other_settings_is_refused(whole_run):
    with pytest.raises(FileExistsError, match=r"other settings \(batch_size differ"):
        _pretrain(whole_run[0], dataclasses.replace(RECIPE, batch_size=4))


def test_a_directory_that_is_no_run_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is no run of cpc-keras"):
        _pretrain(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_fewer_images_than_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match="20 images do not fill one batch of 32"):
        _pretrain(tmp_path / "run", dataclasses.replace(RECIPE, batch_size=32))
