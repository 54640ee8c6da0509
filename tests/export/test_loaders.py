import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cpc_keras import CPCModel

LOADERS = [
    "load_model",
    "load_model_uint8",
    "load_model_predict",
    "saved_model",
    "saved_model_uint8",
    "serving_default",
    "tfsm_layer",
    "tfsm_layer_uint8",
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """What each loader gives where cpc_keras is hidden, and what the encoder gave here."""
    directory = tmp_path_factory.mktemp("loaders")
    model = CPCModel((16, 20, 1), patch_encoder="tiny", patch_size=4, patch_stride=2, offsets=(2,))
    model.export(directory / "mine")
    images = np.random.default_rng(1).integers(0, 256, (3, 16, 20, 1), dtype=np.uint8)
    np.save(directory / "images.npy", images)
    subprocess.run(
        [
            sys.executable,
            Path(__file__).with_name("load_without_package.py"),
            directory / "mine",
            directory / "images.npy",
            directory / "results.npz",
        ],
        cwd=directory,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        check=True,
        timeout=300,
    )
    with np.load(directory / "results.npz") as results:
        return {**results, "expected": np.asarray(model.encoder(images))}


def test_the_package_was_hidden(loaded):
    assert loaded["hidden"]


@pytest.mark.parametrize("loader", LOADERS)
def test_every_loader_gives_the_same_features(loaded, loader):
    assert loaded[loader].dtype == np.float32
    assert np.ptp(loaded["expected"]) > 0.01
    np.testing.assert_allclose(loaded[loader], loaded["expected"], rtol=1e-5, atol=1e-5)


def test_the_loaded_encoder_trains_within_another_model(loaded):
    # The kernels and the scales: a bias before a normalisation may stand still.
    assert len(loaded["moved"]) == 23
    assert np.mean(loaded["moved"]) > 0.7
