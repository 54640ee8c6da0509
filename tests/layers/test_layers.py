"""PatchGrid, MaskedContext and OffsetPrediction against loops over single positions."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.layers import MaskedContext, OffsetPrediction, PatchGrid


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def with_random_weights(layer, seed=3):
    """Biases start at zero and would hide a bias that is added in the wrong place."""
    layer.set_weights([normal(*w.shape, seed=seed + i) for i, w in enumerate(layer.weights)])
    return layer


def weight(layer, name):
    found = [w.numpy() for w in layer.weights if w.path.endswith(name)]
    assert len(found) == 1, name
    return found[0].astype("float64")


def context_of_the_paper(layer, codes, num_blocks):
    """FACTS: 1x1, ReLU; 1x3; a row of zeros on top; 2x1, ReLU; 1x1; added; one ReLU at the end."""
    total = codes.astype("float64")
    batch, rows, columns, _ = codes.shape
    for n in range(num_blocks):
        w_in, b_in = (weight(layer, f"block_{n}_in/{x}") for x in ("kernel", "bias"))
        w_row, b_row = (weight(layer, f"block_{n}_row/{x}") for x in ("kernel", "bias"))
        w_above, b_above = (weight(layer, f"block_{n}_above/{x}") for x in ("kernel", "bias"))
        w_out, b_out = (weight(layer, f"block_{n}_out/{x}") for x in ("kernel", "bias"))
        result = np.zeros_like(total)
        for b in range(batch):
            inner = np.maximum(total[b] @ w_in[0, 0] + b_in, 0)
            wide = np.zeros((rows + 1, *inner.shape[1:]))  # row 0 is the row of zeros
            for r in range(rows):
                for c in range(columns):
                    value = b_row.copy()
                    for step, kernel in zip((-1, 0, 1), w_row[0], strict=True):
                        if 0 <= c + step < columns:
                            value += inner[r, c + step] @ kernel
                    wide[r + 1, c] = value
            for r in range(rows):
                for c in range(columns):
                    own = wide[r + 1, c] @ w_above[1, 0]
                    above = wide[r, c] @ w_above[0, 0]
                    result[b, r, c] = np.maximum(own + above + b_above, 0) @ w_out[0, 0] + b_out
        total = total + result
    return np.maximum(total, 0)


@settings(max_examples=6, deadline=None)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    num_blocks=st.integers(1, 3),
    dim=st.integers(1, 4),
    filters=st.integers(1, 3),
)
def test_the_context_is_that_of_an_explicit_loop(rows, columns, num_blocks, dim, filters):
    layer = MaskedContext(num_blocks, filters=filters)
    codes = normal(2, rows, columns, dim)
    layer(codes)
    with_random_weights(layer)
    expected = context_of_the_paper(layer, codes, num_blocks)
    np.testing.assert_allclose(np.asarray(layer(codes)), expected, rtol=1e-4, atol=1e-3)


def rows_that_matter(layer, codes):
    """`[row of the context, row of the codes]`: whether changing the codes changes the context."""
    rows = codes.shape[1]
    before = np.asarray(layer(codes))
    result = np.zeros((rows, rows), bool)
    for row in range(rows):
        changed = codes.copy()
        changed[:, row] += 5 * normal(*codes[:, row].shape, seed=9)
        result[:, row] = (np.asarray(layer(changed)) != before).any((0, 2, 3))
    return result


def test_a_context_ignores_the_rows_below_and_sees_num_blocks_rows_above():
    layer = MaskedContext(2, filters=8)
    codes = normal(2, 6, 4, 5)
    layer(codes)
    seen = rows_that_matter(with_random_weights(layer), codes)
    row, source = np.mgrid[:6, :6]
    np.testing.assert_array_equal(seen, (source <= row) & (source >= row - 2))


def test_the_check_finds_a_context_that_sees_the_row_below():
    class Leaky(MaskedContext):
        def build(self, input_shape):
            super().build(input_shape)
            for block in self.blocks:
                block[2] = keras.layers.ZeroPadding2D(((0, 1), (0, 0)))

    layer = Leaky(1, filters=8)
    codes = normal(2, 6, 4, 5)
    layer(codes)
    assert np.triu(rows_that_matter(with_random_weights(layer), codes), 1).any()


def test_images_do_not_see_each_other_in_the_context():
    layer = MaskedContext(2, filters=8)
    codes = normal(3, 4, 5, 6)
    before = np.asarray(layer(codes))
    with_random_weights(layer)
    before = np.asarray(layer(codes))
    codes[2] = 7
    np.testing.assert_array_equal(np.asarray(layer(codes))[:2], before[:2])


@settings(max_examples=8, deadline=None)
@given(
    offsets=st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    columns=st.integers(1, 4),
    dim=st.integers(1, 4),
)
def test_predictions_are_linear_maps_of_the_rows_that_have_a_target(offsets, columns, dim):
    contexts = normal(2, 5, columns, dim)
    layer = OffsetPrediction(offsets, target_dim=3)
    predictions = layer(contexts)
    assert len(layer.weights) == len(predictions) == len(offsets)
    for offset, prediction in zip(offsets, predictions, strict=True):
        matrix = weight(layer, f"offset_{offset}/kernel")
        expected = np.zeros((2, 5 - offset, columns, 3))
        for r in range(5 - offset):
            for c in range(columns):
                expected[:, r, c] = contexts[:, r, c] @ matrix
        np.testing.assert_allclose(np.asarray(prediction), expected, rtol=1e-5, atol=1e-5)


def test_each_offset_has_its_own_map():
    layer = OffsetPrediction((1, 2), target_dim=3)
    layer(normal(1, 4, 1, 5))
    assert (layer.weights[0].numpy() != layer.weights[1].numpy()).any()


def test_skipped_rows_change_nothing_but_the_contexts_that_are_needed():
    contexts = normal(2, 5, 3, 4)
    whole = OffsetPrediction((2, 3), target_dim=3)
    cut = OffsetPrediction((2, 3), target_dim=3, skipped_rows=2)
    expected = whole(contexts)
    cut.build((2, 3, 3, 4))
    cut.set_weights(whole.get_weights())
    for prediction, other in zip(cut(contexts[:, :3]), expected, strict=True):
        np.testing.assert_array_equal(np.asarray(prediction), np.asarray(other))
    assert cut.compute_output_shape((2, 3, 3, 4)) == [tuple(p.shape) for p in expected]


@pytest.mark.parametrize("skipped_rows", [-1, 3])
def test_more_skipped_rows_than_the_smallest_offset_are_refused(skipped_rows):
    with pytest.raises(ValueError, match="skipped_rows must be 0 to 2"):
        OffsetPrediction((2, 3), skipped_rows=skipped_rows)


LAYERS = [
    (PatchGrid, {"patch_size": 4, "patch_stride": 2, "name": "cut"}, (2, 8, 12, 3)),
    (MaskedContext, {"num_blocks": 2, "filters": 3, "name": "context"}, (2, 4, 3, 5)),
    (OffsetPrediction, {"offsets": (3, 1), "target_dim": 6, "name": "predict"}, (2, 4, 3, 5)),
    (OffsetPrediction, {"offsets": (3, 2), "skipped_rows": 2, "name": "predict"}, (2, 2, 3, 5)),
]


@pytest.mark.parametrize(("kind", "arguments", "shape"), LAYERS)
def test_a_model_of_the_layer_saves_and_loads_to_the_last_bit(kind, arguments, shape, tmp_path):
    layer = kind(**arguments)
    inputs = keras.Input(shape[1:])
    model = keras.Model(inputs, layer(inputs))
    with_random_weights(layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    restored = loaded.layers[-1]
    assert type(restored) is kind
    for name, value in arguments.items():
        assert getattr(restored, name) == value
    x = normal(*shape)
    for a, b in zip(_list(model(x)), _list(loaded(x)), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize(("kind", "arguments", "shape"), LAYERS)
def test_the_promised_shape_is_the_real_one(kind, arguments, shape):
    layer = kind(**arguments)
    promised = layer.compute_output_shape(shape)
    real = [tuple(x.shape) for x in _list(layer(normal(*shape)))]
    assert real == (promised if isinstance(promised, list) else [promised])


def _list(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.parametrize("arguments", [{"num_blocks": 0}, {"filters": 0}])
def test_a_context_without_blocks_or_filters_is_refused(arguments):
    with pytest.raises(ValueError, match=r"needs num_blocks >= 1 and filters >= 1. Received"):
        MaskedContext(**arguments)


@pytest.mark.parametrize("offsets", [(), (0,), (-1, 2), (2, 2)])
def test_offsets_that_are_no_different_counts_of_rows_are_refused(offsets):
    with pytest.raises(ValueError, match=r"one or more different whole numbers >= 1. Received"):
        OffsetPrediction(offsets)


def test_an_offset_that_leaves_no_row_is_refused():
    with pytest.raises(ValueError, match="a grid of 4 rows leaves no row to predict at offset 4"):
        OffsetPrediction((2, 4))(normal(1, 4, 3, 2))


def test_a_grid_layer_refuses_sides_that_give_no_whole_grid():
    with pytest.raises(ValueError, match="The nearest sizes that do are 28 and 32"):
        PatchGrid(8, 4)(np.zeros((1, 32, 30, 3)))


@pytest.mark.parametrize(
    "layer", [MaskedContext(1, filters=4), OffsetPrediction((1,), target_dim=4)]
)
def test_layers_inside_compute_as_the_layer_is_told(layer):
    told = type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})
    outputs = keras.tree.flatten(told(np.zeros((1, 5, 5, 4), "float32")))
    assert {keras.backend.standardize_dtype(output.dtype) for output in outputs} == {"bfloat16"}
    inside = told._flatten_layers(include_self=False)
    assert {part.compute_dtype for part in inside} == {"bfloat16"}
