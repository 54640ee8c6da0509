"""All augmentations train within one compiled step of Keras's JAX backend, without TensorFlow."""

import pytest

SCRIPT = """
import sys

import keras
import numpy as np

from cpc_keras.augmentations import RandomImageLayer, patch_augmentation

assert keras.backend.backend() == "jax"
# Between them the stacks hold every layer of the folder.
stacks = [patch_augmentation(n, (8, 8, 3), seed=0) for n in ("cpc_v1", "light", "cpc_v2")]
layers = [layer for stack in stacks for layer in stack.layers]
model = keras.Sequential(
    [keras.Input((8, 8, 3)), *layers, keras.layers.Flatten(), keras.layers.Dense(1)]
)
model.compile("sgd", "mse", jit_compile="auto")
assert model.jit_compile
drawing = [layer for layer in model._flatten_layers() if isinstance(layer, RandomImageLayer)]
drawing = [layer for layer in drawing if type(layer).__name__ != "HistogramEqualization"]
assert len(drawing) > 25, len(drawing)
states = [keras.ops.convert_to_numpy(layer.seed_generator.state) for layer in drawing]
images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype("float32")
history = model.fit(images / 2, np.zeros((6, 1)), batch_size=6, verbose=0).history
assert np.isfinite(history["loss"]).all()
# What was drawn leaves the compiled step: the next one draws anew.
for layer, state in zip(drawing, states):
    assert (keras.ops.convert_to_numpy(layer.seed_generator.state) != state).any(), layer.name
outside = model.layers[0](images, training=False)
np.testing.assert_array_equal(np.asarray(outside), images)
assert "tensorflow" not in sys.modules
print("all is well")
"""


@pytest.mark.slow
def test_all_augmentations_train_in_one_compiled_step_on_jax(run_on_jax):
    assert run_on_jax(SCRIPT).strip().endswith("all is well")
