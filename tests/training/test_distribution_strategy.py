"""Runs on several devices, by name and in `pretrain`."""

import json
import subprocess
import sys

import numpy as np
import pytest

from cpc_keras.training import Recipe, distribution_strategy, pretrain

tf = pytest.importorskip("tensorflow", reason="strategies are TensorFlow's")

RUN = """
import json
import os
import sys
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from cpc_keras import CPCModel
from cpc_keras.training import (
    CheckpointSchedule, CollapseMonitor, LinearProbe, Recipe, SaveEncoders, pretrain, read_metrics)

images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 1), "uint8")


def build():
    return CPCModel((16, 16, 1), patch_encoder="mlp", offsets=(2,), directions=("down",),
                    context_blocks=1, context_filters=8, patch_augmentation=None,
                    candidates="sampled", num_negatives=20, seed=0)


class Stop(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left == -1:
            raise KeyboardInterrupt


def run(name, strategy, stop=-1):
    recipe = Recipe(num_epochs=3, batch_size=8, learning_rate=0.02, seed=4)
    try:
        pretrain(build, images, run_directory=f"{sys.argv[1]}/{name}", recipe=recipe,
                 held_out_images=images[:8], strategy=strategy, callbacks=[
                     Stop(stop), CollapseMonitor(images),
                     LinearProbe(images, np.arange(24) % 2),
                     SaveEncoders(f"{sys.argv[1]}/{name}-encoders")],
                 checkpoints=CheckpointSchedule(steps=1))
    except KeyboardInterrupt:
        pass
    return read_metrics(f"{sys.argv[1]}/{name}/metrics.csv")


# One for all: TensorFlow's collectives of another one in the same process mix up their numbers.
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


print(json.dumps({
    "one": run("one", None),
    "two": run("two", mirrored),
    # Three steps an epoch: within the second.
    "stopped": run("changed", None, stop=4),
    "changed": run("changed", mirrored),
}), flush=True)
# TensorFlow's threads of a strategy may crash while Python takes itself down.
os._exit(0)
"""


@pytest.mark.slow
def test_a_run_is_the_same_on_two_devices_and_goes_on_with_another_number(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert [row["epoch"] for row in told["stopped"]] == [1]
    for name in ("two", "changed"):
        assert [row["epoch"] for row in told[name]] == [1, 2, 3]
        for found, expected in zip(told[name], told["one"], strict=True):
            assert found.keys() == expected.keys() >= {"loss", "val_loss"}
            assert {"effective_rank", "linear_accuracy_untrained"} <= expected.keys()
            for key, value in expected.items():
                if key == "linear_accuracy":  # rounding may change an image's class
                    continue
                np.testing.assert_allclose(found[key], value, rtol=2e-3, atol=2e-3, err_msg=key)
    kept = {path.name for path in (tmp_path / "two-encoders").iterdir()}
    assert kept == {path.name for path in (tmp_path / "one-encoders").iterdir()} and len(kept) == 4
    losses = [row["loss"] for row in told["one"]]
    assert losses[0] - losses[-1] > 0.02  # more than the tolerance: there was something to differ


def test_a_batch_that_replicas_cannot_share_is_refused(tmp_path):
    class Three:
        num_replicas_in_sync = 3

    with pytest.raises(ValueError, match=r"batch of 8 images.*3 replicas.*multiple of 3"):
        pretrain(
            None,
            np.zeros((8, 16, 16, 1), "uint8"),
            run_directory=tmp_path / "run",
            recipe=Recipe(batch_size=8),
            strategy=Three(),
        )
    assert not (tmp_path / "run").exists()


def test_strategies_by_name(monkeypatch):
    assert distribution_strategy() is None and distribution_strategy("none") is None
    assert isinstance(distribution_strategy("mirrored"), tf.distribute.MirroredStrategy)
    with pytest.raises(ValueError, match=r"strategy must be one of .*'all'"):
        distribution_strategy("all")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0", "GPU:1"])
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "both")
    assert distribution_strategy() == "both"
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    assert distribution_strategy() is None
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        distribution_strategy("mirrored")
