"""The core on Keras's PyTorch backend: streamed losses equal whole matrices, and models train."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys

import torch
import torch._dynamo  # it asks for TensorFlow as it loads, and takes no error for an answer


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError("tensorflow is out of reach")


sys.meta_path.insert(0, Refuse())
import keras
import numpy as np

import cpc_keras
from cpc_keras.ops import DIRECTIONS, l2_normalize, rotate_grid, sample_bilinear

assert keras.backend.backend() == "torch"
torch.set_num_threads(1)
rng = np.random.default_rng(0)


def tensor(*shape):
    return torch.tensor(rng.normal(size=shape).astype("float32"), requires_grad=True)


def check_close(name, found, expected):
    found, expected = found.detach(), expected.detach()
    difference = (found - expected).abs().max() / expected.abs().max()
    assert difference <= 1e-5, (name, float(difference))


# 840 predictions, more than a block of the stream has.
targets = tensor(6, 5, 5, 8)
predictions = {(d, k): tensor(6, 5 - k, 5, 8) for d in DIRECTIONS for k in (1, 2)}
inputs = [targets, *predictions.values()]
for candidates in ("all", "other_images", "sampled"):
    # All are drawn, so that nothing is left to chance.
    number = {"num_negatives": 1000} if candidates == "sampled" else {}
    info_nce = cpc_keras.InfoNCE(1.0, candidates=candidates, **number)
    dense = {
        key: info_nce.contrast(rotate_grid(targets, key[0]), x) for key, x in predictions.items()
    }
    expected = sum(term.loss.mean() for term in dense.values()) / len(dense)
    loss, terms = info_nce.contrast_grid(targets, predictions)
    check_close("loss", loss, expected)
    # Scaled from outside, as mixed precision does.
    gradients = torch.autograd.grad(3.0 * loss, inputs)
    for found, wanted in zip(gradients, torch.autograd.grad(3.0 * expected, inputs), strict=True):
        check_close("gradient", found, wanted)
    without, _ = info_nce.contrast_grid(targets, predictions, with_gradient=False)
    check_close("loss alone", without, expected)
    for key, term in terms.items():
        check_close("losses", term.loss, dense[key].loss.reshape(-1))
        assert torch.equal(term.correct, dense[key].correct.reshape(-1))
        assert not term.loss.requires_grad

# Arrays will do where tensors do.
vectors = rng.normal(size=(3, 4)).astype("float32")
assert np.allclose(np.linalg.norm(l2_normalize(vectors), axis=-1), 1.0)
picture = rng.normal(size=(1, 2, 2, 1)).astype("float32")
middle = np.full((1, 1, 1), 0.5, "float32")
assert np.allclose(sample_bilinear(picture, middle, middle), picture.mean())

images = rng.integers(0, 256, (6, 16, 20, 3), "uint8")
for policy in ("float32", "mixed_bfloat16"):
    keras.mixed_precision.set_dtype_policy(policy)
    for arguments in (
        {"candidates": "all"},
        {"candidates": "other_images"},
        {"candidates": "all", "chunk_size": 4, "log_terms": True},
        {"candidates": "sampled", "num_negatives": 6},
    ):
        model = cpc_keras.CPCModel(
            (16, 20, 3),
            patch_encoder="tiny",
            patch_size=4,
            patch_stride=2,
            offsets=(2,),
            directions=("down", "left"),
            context_blocks=1,
            context_filters=8,
            **arguments,
        )
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        before = model.get_weights()
        history = model.fit(images, batch_size=6, epochs=2, verbose=0).history
        assert {"loss", "accuracy", "mutual_information"} <= set(history), history
        assert all(np.isfinite(values).all() for values in history.values()), history
        assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
        assert np.isfinite(model.evaluate(images, batch_size=6, verbose=0)[0])
        features = model.encoder.predict(images, verbose=0)
        assert features.shape == (6, 64) and np.isfinite(features).all()
        print(policy, arguments, history["loss"])
assert "tensorflow" not in sys.modules
print("all is well")
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_the_core_trains_on_torch_and_streams_the_same_loss():
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("all is well")
