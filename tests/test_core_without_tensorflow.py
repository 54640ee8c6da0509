"""The core trains on Keras's JAX backend where TensorFlow cannot be imported."""

import pytest

SCRIPT = """
import sys

import keras
import numpy as np

import cpc_keras

assert keras.backend.backend() == "jax"
model = cpc_keras.CPCModel(
    (16, 20, 3),
    patch_encoder="tiny",
    patch_augmentation="light",
    patch_size=4,
    patch_stride=2,
    offsets=(2,),
    directions=("left",),
    context_blocks=1,
    context_filters=8,
    candidates="sampled",
    num_negatives=6,
)
model.compile(optimizer=keras.optimizers.SGD(0.1))
images = np.random.default_rng(0).integers(0, 256, (6, 16, 20, 3), "uint8")
before = model.get_weights()
history = model.fit(images, batch_size=6, verbose=0).history
assert set(history) == {"loss", "accuracy", "mutual_information"}, history
assert np.isfinite(history["loss"]).all()
assert any((a != b).any() for a, b in zip(before, model.get_weights()))
features = model.encoder.predict(images, verbose=0)
assert features.shape == (6, 64) and features.dtype == "float32" and np.isfinite(features).all()
# Sampled candidates are drawn anew: the generator's state must leave the compiled step.
losses = [model.evaluate(images, batch_size=6, verbose=0)[0] for _ in range(2)]
assert losses[0] != losses[1], losses
assert "tensorflow" not in sys.modules
print("all is well")
"""


@pytest.mark.slow
def test_the_core_trains_on_jax_where_tensorflow_cannot_be_imported(run_on_jax):
    assert run_on_jax(SCRIPT).strip().endswith("all is well")
