"""An exported encoder serves those who are still on tensorflow-addons.

tensorflow-addons ended with TensorFlow 2.15 and cannot be imported beside the TensorFlow of this
package, so the test builds a virtual environment of that time and uses the artifact from there. Set
CPC_KERAS_INTEROP_ENV to a directory, and the environment is kept there and used again.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from cpc_keras import CPCModel

# hub 0.16.1 is the last for TensorFlow 2.15; it imports pkg_resources, which setuptools 81 dropped.
PINS = [
    "tensorflow==2.15.1",
    "tensorflow-addons==0.23.0",
    "tensorflow-hub==0.16.1",
    "numpy==1.26.4",
    "setuptools<80",
]

# Runs in the old environment. It must not need anything of this package.
OLD_USER = """
import json
import sys

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa
import tensorflow_hub as hub

artifact, folder = sys.argv[1:]
images = np.load(folder + "/images.npy")
labels = np.load(folder + "/labels.npy")
tf.keras.utils.set_random_seed(0)

encoder = hub.KerasLayer(
    artifact, signature="serving_default", output_key="output_0", trainable=False
)
np.save(folder + "/features.npy", encoder(tf.constant(images)).numpy())

inputs = tf.keras.Input(images.shape[1:])
normalized = tf.keras.layers.BatchNormalization()(encoder(inputs))
classifier = tf.keras.Model(inputs, tf.keras.layers.Dense(2)(normalized))
classifier.compile(
    optimizer=tfa.optimizers.LAMB(1e-2),
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
history = classifier.fit(images, labels, batch_size=len(images), epochs=20, verbose=0)
print(json.dumps({"tensorflow": tf.__version__, "losses": history.history["loss"]}))
"""


def run(*command: object) -> str:
    """What a command prints; its whole output is in the failure."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    clean |= {"CUDA_VISIBLE_DEVICES": "-1", "PIP_USER": "0"}
    done = subprocess.run(
        [str(part) for part in command], env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def old_python(tmp_path_factory) -> Path:
    """The Python of an environment with TensorFlow 2.15 and tensorflow-addons."""
    if sys.version_info[:2] != (3, 11):
        found = sys.version.split()[0]
        pytest.skip(f"tensorflow-addons has no wheels beyond Python 3.11; this is {found}")
    kept = os.environ.get("CPC_KERAS_INTEROP_ENV")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("tensorflow_addons")
    python = folder / "bin" / "python"
    complete = folder / "pins.json"  # written last
    if complete.exists() and json.loads(complete.read_text()) == PINS and python.exists():
        return python
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        pytest.fail(f"CPC_KERAS_INTEROP_ENV={kept} is a folder of something else; name a new one")
    complete.unlink(missing_ok=True)
    venv.create(folder, with_pip=True)
    run(python, "-m", "pip", "install", "--quiet", *PINS)
    complete.write_text(json.dumps(PINS))
    return python


@pytest.mark.slow
def test_a_head_trains_on_the_artifact_with_tensorflow_addons(old_python, tmp_path):
    model = CPCModel((16, 20, 1), patch_encoder="tiny", patch_size=4, patch_stride=2, offsets=(2,))
    model.export(str(tmp_path / "artifact"))
    random = np.random.default_rng(0)
    labels = np.arange(32) % 2
    # Two kinds of images: dark and bright noise.
    images = random.integers(0, 128, (32, 16, 20, 1)) + 127 * labels[:, None, None, None]
    np.save(tmp_path / "images.npy", images.astype("float32"))
    np.save(tmp_path / "labels.npy", labels)
    script = tmp_path / "old_user.py"
    script.write_text(OLD_USER)

    printed = run(old_python, script, tmp_path / "artifact", tmp_path)

    report = json.loads(printed.splitlines()[-1])
    assert report["tensorflow"].startswith("2.15.")
    assert np.isfinite(report["losses"]).all()
    assert report["losses"][-1] < 0.8 * report["losses"][0]
    features = np.load(tmp_path / "features.npy")
    expected = np.asarray(model.encoder(images.astype("float32")))
    assert features.shape == expected.shape
    assert expected.std() > 1e-3  # features that are all alike would agree trivially
    np.testing.assert_allclose(features, expected, atol=1e-4, rtol=1e-4)
