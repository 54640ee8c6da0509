"""A run on Keras's JAX backend, where TensorFlow cannot be imported, is resumed to the last bit."""

import sys

import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.cli.main import main
from cpc_keras.training import load_newest

SCRIPT = """
import pathlib
import sys

import keras
import numpy as np

from cpc_keras.methods import METHODS
from cpc_keras.training import CheckpointSchedule, Recipe, pretrain, read_metrics

images = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1), "uint8")
labels = np.arange(24) % 2
MODELS = {
    "cpc": {
        "patch_encoder": "mlp",
        "patch_size": 4,
        "patch_stride": 2,
        "offsets": (2,),
        "directions": ("down",),
        "context_blocks": 1,
        "context_filters": 4,
        "candidates": "sampled",
        "num_negatives": 5,
        "patch_augmentation": "light",
    },
    "pseudo_label": {"encoder": "mlp", "num_classes": 2},
}


class Stop(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def run(method, where, callbacks=(), rate=1e-3):
    recipe = Recipe(
        method=method, model=MODELS[method], num_epochs=3, batch_size=8, flip=True, crop_size=8,
        learning_rate=rate,
    )
    index = np.arange(6) if method == "pseudo_label" else None
    model = pretrain(
        lambda: METHODS[method]((8, 8, 1), seed=0, **MODELS[method]),
        images,
        run_directory=pathlib.Path(sys.argv[1]) / method / where,
        recipe=recipe,
        held_out_images=images[:8],
        callbacks=callbacks,
        checkpoints=CheckpointSchedule(steps=1),
        labels=None if index is None else labels,
        labeled_index=index,
    )
    metrics = read_metrics(pathlib.Path(sys.argv[1]) / method / where / "metrics.csv")
    return model.get_weights(), metrics


assert keras.backend.backend() == "jax"
whole, told = run("cpc", "whole")
assert len(told) == 3 and all(np.isfinite(list(row.values())).all() for row in told)
try:
    run("cpc", "stopped", [Stop(4)])  # within the second epoch
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("not stopped")
resumed, told_again = run("cpc", "stopped")
assert all((a == b).all() for a, b in zip(whole, resumed, strict=True))
assert told == told_again, (told, told_again)
try:
    run("cpc", "broken", rate=1e30)
except FloatingPointError as error:
    assert "the learning rate is" in str(error), error
else:
    raise AssertionError("not broken")
_, told = run("pseudo_label", "whole")
assert len(told) == 3 and np.isfinite(told[-1]["cross_entropy"]), told
assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
print("all is well")
"""


COMMAND = """
from cpc_keras.cli.main import main

main()
"""


@pytest.mark.slow
def test_a_run_on_jax_goes_on_as_if_it_had_not_been_stopped(tmp_path, run_on_jax):
    assert run_on_jax(SCRIPT, tmp_path).strip().endswith("all is well")


@pytest.mark.slow
def test_the_command_trains_on_jax_and_writes_the_artifact_on_tensorflow(
    tmp_path, monkeypatch, capsys, run_on_jax
):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", images=rng.integers(0, 256, (24, 8, 8, 1), "uint8"))
    arguments = ["pretrain", "--data", str(tmp_path / "data.npz"), "--out", str(tmp_path / "run")]
    arguments += ["--epochs", "1", "--batch-size", "8", "--patch-encoder", "mlp"]
    arguments += ["--patch-size", "4", "--patch-stride", "2", "--offsets", "2"]
    arguments += ["--patch-augmentation", "light", "--set", "model.context_blocks=1"]
    told = run_on_jax(COMMAND, *arguments)
    artifact = tmp_path / "run" / "artifact"
    assert "KERAS_BACKEND=tensorflow" in told and not artifact.exists()

    monkeypatch.setattr(sys, "argv", ["cpc-keras", *arguments, "--no-deterministic"])
    main()
    assert "Going on after epoch 1 of 1 epochs" in capsys.readouterr().out
    trained = load_newest(tmp_path / "run")
    images = rng.integers(0, 256, (2, 8, 8, 1), "uint8")
    np.testing.assert_allclose(
        CPCModel.from_preset(artifact).encoder.predict(images, verbose=0),
        trained.encoder.predict(images, verbose=0),
        atol=1e-5,
    )
