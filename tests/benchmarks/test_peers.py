"""The step beside PyTorch: both sides compute the same, and what other steps amount to."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks import peers, step
from cpc_keras.ops import DIRECTIONS

BATCH = 3


@pytest.fixture(scope="module")
def model():
    """Ours, away from the initial values, at which biases are nothing."""
    keras.utils.set_random_seed(0)
    model = peers.our_model()
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign_add(rng.normal(scale=0.02, size=weight.shape).astype("float32"))
    return model


def test_the_sides_have_the_same_weights(model):
    pytest.importorskip("torch")
    theirs = peers.torch_weights(peers.our_arrays(model))
    random = peers.torch_weights(peers._random_arrays())
    assert {k: v.shape for k, v in random.items()} == {k: v.shape for k, v in theirs.items()}
    ours = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert sum(v.numel() for v in theirs.values()) == ours


@pytest.mark.slow
def test_the_sides_have_the_same_loss_and_gradients_and_make_the_same_step(model):
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(1).integers(0, 256, (BATCH, 32, 32, 3), "uint8")
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        our_loss = model.compute_loss(y_pred=model(images.astype("float32"), training=True))
    found = tape.gradient(our_loss, [v.value for v in variables])
    theirs = peers.torch_weights(peers.our_arrays(model))
    optimizer = peers.torch_optimizer(theirs)
    their_loss = peers.torch_loss(theirs, torch.from_numpy(images), peers.torch_labels(BATCH))
    their_loss.backward()
    assert their_loss.item() == pytest.approx(float(our_loss), rel=1e-4)
    by_path = {v.path: np.asarray(g) for v, g in zip(variables, found, strict=True)}
    # Turned as the weights were.
    gradients = peers.torch_weights(peers.our_arrays(model, lambda v: by_path[v.path]))
    for name, gradient in gradients.items():
        # Before a ReLU whose input is within rounding of zero, and passes on one side alone, a
        # gradient jumps: by up to 0.015 of the largest where weights change by 3e-6 of themselves.
        tolerance = 1e-4 if name in ("targets/kernel", "predict/kernel") else 0.02
        # The bias moves all scores of a prediction alike: what is there is rounding.
        scale = 1.0 if name == "targets/bias" else gradient.norm().item()
        assert (theirs[name].grad - gradient).norm().item() <= tolerance * scale, name
    model.optimizer.apply(found, variables)
    optimizer.step()
    moved = 0
    for name, weight in peers.torch_weights(peers.our_arrays(model)).items():
        # Where rounding, and AdamW's epsilon, which the two count differently, are nothing.
        large = gradients[name].abs() > 1e-3
        moved += int(large.sum())
        # A step is 1e-3.
        assert ((theirs[name] - weight)[large].abs() <= 1e-5).all(), name
    assert moved > 1000


def test_the_shape_is_that_of_the_benchmark_of_a_step(model):
    assert (step.BATCH, step.PATCH[0]) == (peers.BATCH, peers.SIDE)
    assert model.grid == (peers.GRID, peers.GRID)
    assert peers.DIRECTIONS == DIRECTIONS
    assert model.terms == tuple(f"{d}_{k}" for d in DIRECTIONS for k in peers.OFFSETS)
    other = step.build(candidates="all")
    ours, theirs = model.get_config(), other.get_config()
    changed = {name for name in ours if ours[name] != theirs[name]}
    assert changed <= {"patch_augmentation", "patch_encoder", "name"}
    assert model.patch_encoder.count_params() == other.patch_encoder.count_params()


def test_steps_are_counted_as_their_loops_go():
    told = peers.count(64)
    # Of 7 rows, 5, 4 and 3 predict 2, 3 and 4 rows further on.
    ours = told[peers.OURS]
    assert ours["predictions"] == 4 * 64 * 7 * (5 + 4 + 3) and ours["terms"] == 12
    assert ours["scores"] == ours["distinct scores"] == ours["predictions"] * 64 * 49
    assert ours["contexts"] == 4 * 64 * 5 * 7
    bolts = told["Lightning Bolts"]
    assert bolts["terms"] == 21
    assert bolts["predictions"] == 64 * 7 * (1 * 5 + 2 * 4 + 3 * 3 + 4 * 2 + 5 * 1)
    assert bolts["distinct scores"] == 64 * 7 * (5 + 4 + 3 + 2 + 1) * 64 * 49
    port = told["CPCV2-PyTorch"]
    assert port["terms"] == 5 and port["scores"] == 64 * 7 * (5 + 4 + 3 + 2 + 1) * 17
    assert {row["patches"] for row in told.values()} == {64 * 49}


@pytest.mark.skipif(not peers.RESULTS.exists(), reason="no results are published")
def test_what_is_published_counts_as_the_code_does():
    found = json.loads(peers.RESULTS.read_text())
    assert found["batch"] == peers.BATCH and found["counts"] == peers.count(peers.BATCH)
    fastest = min(found["to ours"].values())
    assert fastest == pytest.approx(
        min(v for k, v in found["seconds"].items() if k != peers.OURS)
        / found["seconds"][peers.OURS],
        rel=0.01,
    )
