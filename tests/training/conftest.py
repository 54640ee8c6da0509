"""A model that draws at random and traces fast, for tests of runs."""

import keras
import numpy as np
import pytest

from cpc_keras.training import Recipe


@keras.saving.register_keras_serializable("cpc_keras_tests")
class Noisy(keras.Model):
    """Tells the brightness of images through dropout; pre-training models take such dicts."""

    judges_held_out = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten = keras.layers.Flatten()
        self.drop = keras.layers.Dropout(0.4, seed=1)
        self.dense = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(2))
        self.error = keras.metrics.Mean(name="error")
        self.dense.build((None, 64))
        self.built = True

    def call(self, inputs, training=False):
        x = self.flatten(keras.ops.cast(inputs["image"], self.compute_dtype)) / 255.0
        return self.dense(self.drop(x, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        target = keras.ops.mean(keras.ops.cast(x["image"], "float32"), axis=(1, 2)) / 255.0
        loss = keras.ops.mean(keras.ops.square(keras.ops.cast(y_pred, "float32") - target))
        self.error.update_state(keras.ops.sqrt(loss))
        return loss


@pytest.fixture(scope="session")
def noisy():
    return Noisy


@pytest.fixture(scope="session")
def noisy_images():
    return np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), "uint8")


@pytest.fixture(scope="session")
def noisy_recipe():
    """Five steps an epoch, three epochs; the weights are averaged."""
    return Recipe(
        num_epochs=3,
        batch_size=8,
        learning_rate=0.05,
        optimizer="adam",
        optimizer_options={"use_ema": True, "ema_momentum": 0.8},
        seed=5,
    )
