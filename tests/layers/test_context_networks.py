"""GatedPixelCNN and RowGRU against loops over single positions, and the factory of all three."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from cpc_keras.layers import (
    CONTEXT_NETWORKS,
    GatedPixelCNN,
    MaskedContext,
    RowGRU,
    context_network,
)

tf = pytest.importorskip("tensorflow")


def normal(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(size=shape, scale=scale).astype("float32")


def with_random_weights(layer, dim, seed=3, scale=0.4):
    """Biases start at zero and would hide a bias that is added in the wrong place."""
    if not layer.built:
        layer.build((None, 4, 3, dim))
    layer.set_weights(
        [normal(*w.shape, seed=seed + i, scale=scale) for i, w in enumerate(layer.weights)]
    )
    return layer


def weight(layer, name):
    found = [np.asarray(w) for w in layer.weights if w.path.endswith(name)]
    assert len(found) == 1, name
    return found[0].astype("float64")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gate(x):
    half = x.shape[-1] // 2
    return np.tanh(x[..., :half]) * sigmoid(x[..., half:])


def window(grid, row, column, kernel, steps):
    """Sum of kernel products over `steps`, (rows, columns) to go; what lies outside is zero."""
    total = 0.0
    for down, right in steps:
        r, c = row + down[0], column + right[0]
        if 0 <= r < grid.shape[0] and 0 <= c < grid.shape[1]:
            total = total + grid[r, c] @ kernel[down[1], right[1]]
    return total


def gated_pixel_cnn_of_the_paper(layer, codes, num_blocks, kernel_size):
    """Figure 2 of arXiv:1606.05328 with masks: each position sums what its mask lets it see."""
    reach = kernel_size // 2
    outputs = []
    for image in codes.astype("float64"):
        vertical, horizontal = image, image
        rows, columns = image.shape[:2]
        for n in range(num_blocks):
            w_v, b_v = (weight(layer, f"block_{n}_vertical/{x}") for x in ("kernel", "bias"))
            w_h, b_h = (weight(layer, f"block_{n}_horizontal/{x}") for x in ("kernel", "bias"))
            w_l, b_l = (weight(layer, f"block_{n}_link/{x}") for x in ("kernel", "bias"))
            w_o, b_o = (weight(layer, f"block_{n}_out/{x}") for x in ("kernel", "bias"))
            across = [(s, s + reach) for s in range(-reach, reach + 1)]

            def rows_ending_at(last, reach=reach):
                return [(last - reach + i, i) for i in range(reach + 1)]

            next_vertical = np.zeros((rows, columns, b_v.size // 2))
            next_horizontal = np.zeros_like(horizontal)
            for r in range(rows):
                for c in range(columns):
                    steps = [(d, a) for d in rows_ending_at(0) for a in across]
                    next_vertical[r, c] = gate(window(vertical, r, c, w_v, steps) + b_v)
                    steps = [(d, a) for d in rows_ending_at(-1) for a in across]
                    above = window(vertical, r, c, w_v, steps) + b_v
                    steps = [((0, 0), (i - reach, i)) for i in range(reach + 1)]
                    own = window(horizontal, r, c, w_h, steps) + b_h
                    inner = gate(own + above @ w_l[0, 0] + b_l)
                    next_horizontal[r, c] = horizontal[r, c] + inner @ w_o[0, 0] + b_o
            vertical, horizontal = next_vertical, next_horizontal
        outputs.append(horizontal)
    return np.maximum(np.stack(outputs), 0)


def row_gru_of_the_docstring(layer, codes, num_blocks, kernel_size):
    """The three equations, one position after another."""
    filters = layer.filters
    across = [
        ((0, 0), (s, s + kernel_size // 2))
        for s in range(-(kernel_size // 2), kernel_size // 2 + 1)
    ]
    outputs = []
    for image in codes.astype("float64"):
        total = image
        rows, columns = image.shape[:2]
        for n in range(num_blocks):
            w_in, b_in = (weight(layer, f"block_{n}_in/{x}") for x in ("kernel", "bias"))
            w_out, b_out = (weight(layer, f"block_{n}_out/{x}") for x in ("kernel", "bias"))
            w_state = weight(layer, f"block_{n}_state/kernel")[None]
            cut = [slice(i * filters, (i + 1) * filters) for i in range(3)]
            state, states = np.zeros((1, columns, filters)), []
            for r in range(rows):
                new = np.zeros_like(state)
                for c in range(columns):
                    x = window(total, r, c, w_in, across) + b_in
                    h = window(state, 0, c, w_state, across)
                    u, s = (sigmoid(x[i] + h[i]) for i in cut[:2])
                    value = np.tanh(x[cut[2]] + s * h[cut[2]])
                    new[0, c] = u * state[0, c] + (1 - u) * value
                state = new
                states.append(state[0])
            total = total + np.stack(states) @ w_out[0, 0] + b_out
        outputs.append(total)
    return np.maximum(np.stack(outputs), 0)


REFERENCES = [(GatedPixelCNN, gated_pixel_cnn_of_the_paper), (RowGRU, row_gru_of_the_docstring)]


@pytest.mark.parametrize(("kind", "reference"), REFERENCES)
@settings(max_examples=5, deadline=None)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    num_blocks=st.integers(1, 3),
    dim=st.integers(1, 4),
    filters=st.integers(1, 3),
    kernel_size=st.sampled_from([3, 5]),
)
def test_the_context_is_that_of_an_explicit_loop(
    kind, reference, rows, columns, num_blocks, dim, filters, kernel_size
):
    layer = kind(num_blocks, filters=filters, kernel_size=kernel_size)
    with_random_weights(layer, dim)
    codes = normal(2, rows, columns, dim)
    expected = reference(layer, codes, num_blocks, kernel_size)
    np.testing.assert_allclose(np.asarray(layer(codes)), expected, rtol=1e-4, atol=1e-4)


def codes_seen(layer, rows, columns, dim=8, num_draws=3):
    """`[row, column, row of the codes, column of the codes]`: which gradient is not zero."""
    seen = np.zeros((rows * columns, rows, columns), bool)
    places = [(n, *divmod(n, columns)) for n in range(rows * columns)]
    for draw in range(num_draws):  # a position whose ReLU is off in one draw is on in another
        codes = normal(rows * columns, rows, columns, dim, seed=draw)
        with tf.GradientTape() as tape:
            codes = tf.constant(codes)
            tape.watch(codes)
            contexts = tf.gather_nd(layer(codes), places)
            total = tf.reduce_sum(contexts * normal(dim, seed=10 + draw))
        seen |= tape.gradient(total, codes).numpy().any(-1)
    return seen.reshape(rows, columns, rows, columns)


def expected_of_gated_pixel_cnn(num_blocks, reach, row, column, r, c):
    wide = np.abs(c - column) <= num_blocks * reach
    above = (r < row) & (r >= row - 1 - num_blocks * reach)
    return wide & (above | ((r == row) & (c <= column)))


def expected_of_row_gru(num_blocks, reach, row, column, r, c):
    return (r <= row) & (np.abs(c - column) <= (row - r + num_blocks) * reach)


CASES = [
    (GatedPixelCNN, expected_of_gated_pixel_cnn, 1, 3, (5, 7)),
    (GatedPixelCNN, expected_of_gated_pixel_cnn, 2, 3, (6, 4)),
    (GatedPixelCNN, expected_of_gated_pixel_cnn, 1, 5, (5, 7)),
    (RowGRU, expected_of_row_gru, 1, 3, (3, 9)),
    (RowGRU, expected_of_row_gru, 2, 3, (4, 9)),
    (RowGRU, expected_of_row_gru, 1, 1, (5, 3)),
]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients with TensorFlow")
@pytest.mark.parametrize(("kind", "expected", "num_blocks", "kernel_size", "grid"), CASES)
def test_a_context_sees_exactly_what_the_docstring_says(
    kind, expected, num_blocks, kernel_size, grid
):
    """No row below, no blind spot above: every code in the field has a gradient, no other has."""
    layer = with_random_weights(kind(num_blocks, filters=8, kernel_size=kernel_size), 8)
    seen = codes_seen(layer, *grid)
    row, column, r, c = np.mgrid[: grid[0], : grid[1], : grid[0], : grid[1]]
    np.testing.assert_array_equal(seen, expected(num_blocks, kernel_size // 2, row, column, r, c))
    assert not seen[r > row].any() and seen[(r == row) & (c == column)].all()


class SeesBelow(GatedPixelCNN):
    """A planted fault: zeros at the bottom, so that windows end one row too low."""

    def build(self, input_shape):
        super().build(input_shape)
        self.pad_above = keras.layers.ZeroPadding2D(((1, 1), (1, 1)))


class RunsUp(RowGRU):
    """A planted fault: a state that is carried up the rows."""

    def call(self, inputs):
        return ops.flip(super().call(ops.flip(inputs, 1)), 1)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradients with TensorFlow")
@pytest.mark.parametrize("kind", [SeesBelow, RunsUp])
def test_the_check_finds_a_context_that_sees_rows_below(kind):
    layer = with_random_weights(kind(2, filters=8), 8)
    row, _, r, _ = np.mgrid[:4, :3, :4, :3]
    assert codes_seen(layer, 4, 3)[r > row].any()


NETWORKS = [
    (GatedPixelCNN, {"num_blocks": 2, "filters": 3, "kernel_size": 5, "name": "context"}),
    (RowGRU, {"num_blocks": 2, "filters": 3, "kernel_size": 5, "name": "context"}),
]


@pytest.mark.parametrize(("kind", "arguments"), NETWORKS)
def test_a_model_of_the_layer_saves_and_loads_to_the_last_bit(kind, arguments, tmp_path):
    layer = kind(**arguments)
    inputs = keras.Input((4, 3, 5))
    model = keras.Model(inputs, layer(inputs))
    with_random_weights(layer, 5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for name, value in arguments.items():
        assert getattr(loaded.layers[-1], name) == value
    codes = normal(2, 4, 3, 5)
    np.testing.assert_array_equal(np.asarray(model(codes)), np.asarray(loaded(codes)))
    assert layer.compute_output_shape((2, 4, 3, 5)) == tuple(model(codes).shape)


@pytest.mark.parametrize(("kind", "arguments"), NETWORKS)
def test_a_graph_of_its_call_is_of_stock_layers_also_on_fewer_rows(kind, arguments, tmp_path):
    layer = with_random_weights(kind(**arguments), 5)
    inputs = keras.Input((2, 6, 5))  # it was built on 4 x 3
    model = keras.Model(inputs, layer.call(inputs))
    assert "cpc_keras" not in json.dumps(model.get_config(), default=str)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    codes = normal(2, 4, 6, 5)
    few = np.asarray(loaded(codes[:, :2]))
    np.testing.assert_array_equal(few, np.asarray(layer(codes[:, :2])))
    # What lies above does not change when rows below are left out.
    np.testing.assert_allclose(few, np.asarray(layer(codes))[:, :2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "arguments"), NETWORKS)
def test_mixed_precision_computes_in_bfloat16_with_float32_weights(kind, arguments, tmp_path):
    exact = with_random_weights(kind(**arguments), 5)
    mixed = with_random_weights(kind(**arguments, dtype="mixed_bfloat16"), 5)
    assert {w.dtype for w in mixed.weights} == {"float32"}
    codes = normal(2, 4, 3, 5)
    contexts = mixed(codes)
    assert keras.backend.standardize_dtype(contexts.dtype) == "bfloat16"
    contexts = np.asarray(ops.cast(contexts, "float32"))
    np.testing.assert_allclose(contexts, np.asarray(exact(codes)), rtol=0.1, atol=0.1)
    assert (contexts != np.asarray(exact(codes))).any()
    # The policy is the layer's own: it comes back whatever the policy is where it is loaded.
    inputs = keras.Input((4, 3, 5))
    keras.Model(inputs, mixed(inputs)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(ops.cast(loaded(codes), "float32")), contexts)


@pytest.mark.parametrize("kind", [GatedPixelCNN, RowGRU])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_blocks": 0}, "needs num_blocks >= 1 and filters >= 1. Received: num_blocks=0"),
        (
            {"filters": 0},
            "needs num_blocks >= 1 and filters >= 1. Received: num_blocks=.*filters=0",
        ),
        ({"kernel_size": 4}, "needs an odd kernel_size >= .*Received: kernel_size=4"),
        ({"kernel_size": -1}, "needs an odd kernel_size >= .*Received: kernel_size=-1"),
    ],
)
def test_what_makes_no_context_is_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


def test_an_unknown_number_of_rows_is_refused_by_the_recurrent_network():
    with pytest.raises(ValueError, match="RowGRU unrolls the rows, and their number must be known"):
        with_random_weights(RowGRU(filters=2), 2).call(keras.Input((None, 3, 2)))


@pytest.mark.parametrize("name", sorted(CONTEXT_NETWORKS))
def test_a_name_gives_a_built_network(name):
    layer = context_network(name, codes_shape=(3, 5, 4), num_blocks=2, filters=6)
    assert layer.built and layer.name == "context_network"
    assert (layer.num_blocks, layer.filters) == (2, 6)
    assert len(layer.weights) > 0
    default = context_network(name, codes_shape=(3, 5, 4), name="other")
    assert default.name == "other"
    assert default.num_blocks == type(default)().num_blocks


def any_size(*parts, dim=4):
    return keras.Sequential([keras.Input((None, None, dim)), *parts])


def test_a_layer_of_ones_own_is_taken_as_it_is():
    for own in (
        any_size(keras.layers.Conv2D(4, 1)),
        keras.layers.Conv2D(4, 3, padding="same"),
        MaskedContext(1, filters=2),
    ):
        assert context_network(own, codes_shape=(3, 5, 4)) is own
        assert own.built


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("gru", "must be one of .*'gated_pixel_cnn', 'masked', 'row_gru'.* Received: 'gru'"),
        (3, "a name or a keras.layers.Layer from codes to contexts. Received: 3 of type int"),
        (
            keras.layers.Conv2D(5, 1),
            r"must keep the shape .*\(1, 3, 5, 4\).*Received: \(1, 3, 5, 5\)",
        ),
        (keras.layers.Conv2D(4, 3), r"must keep the shape .*Received: \(1, 1, 3, 4\)"),
        (
            keras.Sequential(
                [
                    keras.Input((3, 5, 4)),
                    keras.layers.Flatten(),
                    keras.layers.Dense(60),
                    keras.layers.Reshape((3, 5, 4)),
                ]
            ),
            r"must keep the shape .*\(1, 5, 3, 4\).*Received: \(1, 3, 5, 4\)",
        ),
        (
            keras.layers.Conv1D(4, 1),
            r"does not take codes of shape \(1, 3, 5, 4\).*leave rows and columns open",
        ),
        (
            any_size(keras.layers.Conv2D(4, 1), keras.layers.BatchNormalization(name="bn")),
            r"holds trainable batch normalisation \('bn'\).*bn.trainable = False",
        ),
    ],
)
def test_what_is_no_context_network_is_refused(network, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        context_network(network, codes_shape=(3, 5, 4))


def test_frozen_batch_normalisation_is_let_pass():
    own = any_size(keras.layers.BatchNormalization())
    own.trainable = False
    assert context_network(own, codes_shape=(3, 5, 4)) is own


def test_sizes_of_the_named_networks_do_not_go_with_a_layer():
    with pytest.raises(ValueError, match=r"Received \{'filters': 8\} together with the layer"):
        context_network(keras.layers.Conv2D(4, 1), codes_shape=(3, 5, 4), filters=8)


ON_JAX = """
import sys
import jax
import keras
import numpy as np
from cpc_keras.layers import GatedPixelCNN, RowGRU

assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules
stored = np.load(sys.argv[1])
for kind in (GatedPixelCNN, RowGRU):
    layer = kind(2, filters=3)
    layer.build((None, 4, 3, 5))
    layer.set_weights([stored[f"{kind.__name__}_{i}"] for i in range(len(layer.weights))])
    contexts = np.asarray(layer(stored["codes"]))
    np.testing.assert_allclose(contexts, stored[kind.__name__], rtol=1e-4, atol=1e-5)
    for row in range(4):
        gradient = jax.grad(lambda z: (layer(z)[:, row] * np.arange(1, 6)).sum())(stored["codes"])
        gradient = np.asarray(gradient).any((0, 2, 3))
        assert gradient.tolist() == [r <= row for r in range(4)], (kind, row, gradient)
print("all is well")
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_gives_the_same_contexts_and_the_same_mask(tmp_path):
    stored = {"codes": normal(2, 4, 3, 5)}
    for kind in (GatedPixelCNN, RowGRU):
        layer = with_random_weights(kind(2, filters=3), 5)
        stored.update({f"{kind.__name__}_{i}": w for i, w in enumerate(layer.get_weights())})
        stored[kind.__name__] = np.asarray(layer(stored["codes"]))
    np.savez(tmp_path / "stored.npz", **stored)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX, str(tmp_path / "stored.npz")],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("all is well")
