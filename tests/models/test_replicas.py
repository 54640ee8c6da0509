"""Two replicas: the loss is their mean, and so are the gradients."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="strategies are TensorFlow's")

TRAIN = """
import sys
import numpy as np
import tensorflow as tf

number = int(sys.argv[1])
(cpu,) = tf.config.list_physical_devices("CPU")
devices = [tf.config.LogicalDeviceConfiguration()] * number
tf.config.set_logical_device_configuration(cpu, devices)
import keras
from cpc_keras import CPCModel

strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(number)])
with strategy.scope():
    keras.utils.set_random_seed(0)
    model = CPCModel((16, 16, 1), patch_encoder="mlp", offsets=(2,), patch_augmentation=None,
                     context_blocks=1, context_filters=8)
    model.compile(optimizer=keras.optimizers.SGD(0.5))
# Every replica gets the same four images.
images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 1), "uint8")
images = np.concatenate([images] * number)
history = model.fit(images, batch_size=4 * number, shuffle=False, epochs=2, verbose=0).history
print(*history["loss"], *[float(np.abs(w).sum()) for w in model.get_weights()])
"""


def test_replicas_of_equal_images_train_as_one():
    """Gradients that were added up would be twice as large."""
    one, two = (
        np.array(
            subprocess.run(
                [sys.executable, "-c", TRAIN, str(number)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split(),
            float,
        )
        for number in (1, 2)
    )
    # What has no gradient, such as the bias of targets, is rounding.
    np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-6)
