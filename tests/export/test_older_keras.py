"""An artifact is a Keras model for projects with another Keras than this package's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.evaluation import image_classifier
from cpc_keras.export.portable_config import NEW_ARGUMENTS, OLDEST_KERAS
from cpc_keras.export.save_portable import save_portable

# The layers that no encoder of images holds.
NO_ENCODER = {
    *("IntegerLookup", "JaxLayer", "RandomContrast", "StringLookup", "TorchModuleWrapper")
}
# An older `InputLayer` takes it among its further arguments.
TAKEN = {"ragged"}

ARGUMENTS = """
import inspect, json, keras

found = {
    f"{module}.{name}": list(inspect.signature(kind.__init__).parameters)
    for module in ("layers", "initializers")
    for name, kind in vars(getattr(keras, module)).items()
    if inspect.isclass(kind)
}
print(json.dumps([keras.__version__, found]))
"""

PREDICT = """
import sys, keras, numpy

model, images, logits = sys.argv[1:]
numpy.save(logits, keras.saving.load_model(model).predict(numpy.load(images), verbose=0))
"""


def run(script, *arguments, keras_folder=None):
    """What Python prints, with an older Keras before the installed one."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if keras_folder is not None:
        environment["PYTHONPATH"] = str(keras_folder)
    done = subprocess.run(
        [sys.executable, *map(str, [*script, *arguments])],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module", params=[f"{OLDEST_KERAS}.0", "3.12.0"])
def older_keras(request, tmp_path_factory):
    """The folder of an older Keras, which runs on the TensorFlow that is installed."""
    folder = tmp_path_factory.mktemp("keras")
    wanted = f"keras=={request.param}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    done = subprocess.run([*command, folder, wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot fetch {wanted}: {' '.join(done.stderr.split())[-300:]}")
    return folder


@pytest.mark.slow
def test_an_older_keras_loads_an_artifact_and_trains_on_it(older_keras, tmp_path):
    # Of contexts in four directions, so that the grid is turned in every way.
    model = CPCModel(
        (12, 16, 1),
        patch_encoder="mlp",
        patch_size=4,
        patch_stride=4,
        offsets=(1,),
        features="contexts",
        context_blocks=1,
        context_filters=8,
    )
    model.export(tmp_path / "mine")
    images = np.random.default_rng(1).integers(0, 256, (3, 12, 16, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    script = Path(__file__).with_name("load_without_package.py")
    files = [tmp_path / name for name in ("mine", "images.npy", "results.npz")]
    run([script], *files, keras_folder=older_keras)
    expected = np.asarray(model.encoder(images))
    assert np.ptp(expected) > 0.01
    with np.load(tmp_path / "results.npz") as results:
        assert (older_keras / f"keras-{results['keras']}.dist-info").is_dir()
        for loader in ("load_model", "load_model_uint8", "load_model_predict", "tfsm_layer"):
            np.testing.assert_allclose(results[loader], expected, rtol=1e-4, atol=1e-4)
        assert results["hidden"] and np.mean(results["moved"]) > 0.7
    # So does a classifier on it, in one file.
    logits = image_classifier(model.encoder, num_classes=2)
    save_portable(logits, tmp_path / "classifier.keras")
    files = [tmp_path / name for name in ("classifier.keras", "images.npy", "logits.npy")]
    run(["-c", PREDICT], *files, keras_folder=older_keras)
    expected = np.asarray(logits(images))
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_every_argument_that_an_older_keras_lacks_is_known(older_keras):
    version, old = json.loads(run(["-c", ARGUMENTS], keras_folder=older_keras).splitlines()[-1])
    newest, new = json.loads(run(["-c", ARGUMENTS]).splitlines()[-1])
    assert newest == keras.__version__ != version
    added = {
        argument
        for kind, arguments in new.items()
        if kind.partition(".")[2] not in NO_ENCODER
        for argument in set(arguments) - set(old.get(kind, arguments))
    }
    assert added and added - TAKEN <= set(NEW_ARGUMENTS)
