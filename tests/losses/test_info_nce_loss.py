"""InfoNCE against loops over images, rows, columns and candidates."""

import inspect

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.losses import CANDIDATES, InfoNCE

DENSE = [c for c in CANDIDATES if c != "sampled"]


def grids(batch=3, rows=4, columns=3, dim=5, offset=2, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(batch, rows, columns, dim)).astype("float32")
    predictions = rng.normal(size=(batch, rows - offset, columns, dim)).astype("float32")
    return targets, predictions


def is_candidate(kind, mine, other):
    """Whether the target at `other` is told from the true one at `mine`; both (b, r, c)."""
    if mine == other:
        return True
    if kind == "all":
        return True
    if kind == "other_images":
        return mine[0] != other[0]
    if kind == "same_position":
        return mine[1:] == other[1:]
    if kind == "same_row":
        return mine[1] == other[1]
    raise AssertionError(kind)


def reference(targets, predictions, kind, scale):
    """Loss, hit and ln N of each prediction, by its place (image, row, column)."""
    targets, predictions = targets.astype("float64"), predictions.astype("float64")
    offset = targets.shape[1] - predictions.shape[1]
    result = {}
    for b, r, c in np.ndindex(predictions.shape[:3]):
        mine = (b, r + offset, c)
        positive = scale * predictions[b, r, c] @ targets[mine]
        others = [
            scale * predictions[b, r, c] @ targets[other]
            for other in np.ndindex(targets.shape[:3])
            if other != mine and is_candidate(kind, mine, other)
        ]
        scores = np.array([positive, *others])
        loss = np.log(np.exp(scores - scores.max()).sum()) + scores.max() - positive
        result[b, r, c] = loss, float(all(positive > s for s in others)), np.log(len(scores))
    return result


def as_sorted(contrast):
    """The order of predictions is left open: compare the sorted triples."""
    columns = [np.asarray(x, "float64").reshape(-1) for x in contrast]
    return np.array(sorted(zip(*columns, strict=True)))


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(DENSE),
    batch=st.integers(2, 4),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    dim=st.integers(1, 5),
    data=st.data(),
)
def test_the_loss_is_that_of_explicit_loops(kind, batch, rows, columns, dim, data):
    offset = data.draw(st.integers(0, rows - 1))
    targets, predictions = grids(batch, rows, columns, dim, offset, seed=dim)
    loss = InfoNCE(0.7, candidates=kind)
    expected = reference(targets, predictions, kind, 0.7)
    contrast = loss.contrast(targets, predictions)
    np.testing.assert_allclose(
        as_sorted(contrast), np.array(sorted(expected.values())), rtol=1e-4, atol=1e-5
    )
    mean = np.mean([triple[0] for triple in expected.values()])
    np.testing.assert_allclose(float(loss(targets, predictions)), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("all", lambda b, h, w: b * h * w),
        ("other_images", lambda b, h, w: (b - 1) * h * w + 1),
        ("same_position", lambda b, h, w: b),
        ("same_row", lambda b, h, w: b * w),
    ],
)
def test_n_is_that_of_the_docstrings_table(kind, count):
    contrast = InfoNCE(candidates=kind).contrast(*grids(batch=5, rows=4, columns=3))
    np.testing.assert_allclose(np.exp(contrast.log_num_candidates), count(5, 4, 3), rtol=1e-5)


def test_the_table_lists_every_kind():
    for kind in CANDIDATES:
        assert f'| `"{kind}"` |' in InfoNCE.__doc__


@pytest.mark.parametrize("dim", [7, 64, 300])
@pytest.mark.parametrize("kind", CANDIDATES)
def test_codes_that_say_nothing_cost_ln_n_and_are_never_right(kind, dim):
    """All targets equal: every candidate ties with the positive."""
    _, predictions = grids(batch=6, rows=5, columns=4, dim=dim)
    targets = np.broadcast_to(np.random.default_rng(5).normal(size=dim), (6, 5, 4, dim))
    number = {"num_negatives": 30} if kind == "sampled" else {}
    contrast = InfoNCE(candidates=kind, **number).contrast(targets.astype("float32"), predictions)
    np.testing.assert_allclose(contrast.loss, contrast.log_num_candidates, rtol=1e-4)
    assert np.asarray(contrast.correct).sum() == 0


@pytest.mark.parametrize("kind", CANDIDATES)
def test_row_r_of_the_predictions_belongs_to_the_target_rows_below(kind):
    """Perfect predictions of the right rows are always right; those of other rows are not."""
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(4, 5, 3, 64)).astype("float32")
    number = {"num_negatives": 20} if kind == "sampled" else {}
    loss = InfoNCE(candidates=kind, seed=1, **number)
    for offset in (1, 2, 3):
        right, wrong = targets[:, offset:], targets[:, : 5 - offset]
        assert np.mean(loss.contrast(targets, right).correct) == 1
        assert np.mean(loss.contrast(targets, wrong).correct) < 0.7


def test_sampled_candidates_leave_the_own_positive_out():
    """With every target drawn, each prediction meets each other target exactly once."""
    targets, predictions = grids(batch=3, rows=4, columns=3)
    sampled = InfoNCE(0.7, candidates="sampled", num_negatives=36).contrast(targets, predictions)
    expected = sorted(reference(targets, predictions, "all", 0.7).values())
    np.testing.assert_allclose(as_sorted(sampled), expected, rtol=1e-4, atol=1e-5)


def test_sampled_n_is_one_less_where_the_own_positive_was_drawn():
    targets, predictions = grids(batch=4, rows=4, columns=3, dim=16)
    contrast = InfoNCE(candidates="sampled", num_negatives=10, seed=3).contrast(
        targets, predictions
    )
    sizes = np.exp(np.asarray(contrast.log_num_candidates)).round().astype(int)
    # 10 of 48 targets are drawn; those of the last two rows are positives, one prediction each.
    assert set(sizes) == {10, 11}
    assert 1 <= (sizes == 10).sum() <= 10


def test_sampled_candidates_are_drawn_anew_and_one_seed_repeats_them():
    targets, predictions = grids(batch=6)
    first, second = (
        InfoNCE(candidates="sampled", num_negatives=5, seed=s)
        for s in (4, keras.random.SeedGenerator(4))
    )
    draws = [np.asarray(first.contrast(targets, predictions).loss) for _ in range(2)]
    assert (draws[0] != draws[1]).any()
    again = [np.asarray(second.contrast(targets, predictions).loss) for _ in range(2)]
    np.testing.assert_array_equal(draws, again)


@pytest.mark.parametrize("kind", DENSE)
def test_pairs_are_a_grid_of_one_position(kind):
    targets, predictions = grids(batch=5, rows=1, columns=1, offset=0)
    loss = InfoNCE(candidates=kind)
    grid, pairs = loss(targets, predictions), loss(targets[:, 0, 0], predictions[:, 0, 0])
    assert float(grid) == float(pairs)


def test_extreme_scores_give_the_true_loss_and_a_gradient():
    tf = pytest.importorskip("tensorflow")
    targets = np.array([[[[1.0, 0.0]]], [[[0.0, 1.0]]]], "float32")
    for size in (60.7, 1e4):
        # The first image is predicted as the second, and the other way about: loss = size.
        predictions = tf.constant(size * targets[::-1])
        with tf.GradientTape() as tape:
            tape.watch(predictions)
            loss = InfoNCE(1.0)(targets, predictions)
        np.testing.assert_allclose(float(loss), size, rtol=1e-6)
        gradient = np.asarray(tape.gradient(loss, predictions))
        np.testing.assert_allclose(gradient, (targets[::-1] - targets) / 2, atol=1e-6)


@pytest.mark.parametrize("kind", CANDIDATES)
def test_the_loss_is_float32_under_mixed_precision(kind):
    targets, predictions = grids(batch=4, dim=64)
    number = {"num_negatives": 47} if kind == "sampled" else {}
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = [keras.ops.cast(x, "bfloat16") for x in (targets, predictions)]
        value = InfoNCE(1.0, candidates=kind, seed=2, **number)(*half)
        contrast = InfoNCE(1.0, candidates=kind, seed=2, **number).contrast(*half)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {keras.backend.standardize_dtype(x.dtype) for x in (value, *contrast)} == {"float32"}
    # The scores are computed in float32 from the rounded vectors, not rounded themselves.
    rounded = [np.asarray(keras.ops.cast(x, "float32")) for x in half]
    exact = float(InfoNCE(1.0, candidates=kind, seed=2, **number)(*rounded))
    np.testing.assert_allclose(float(value), exact, rtol=1e-6)
    np.testing.assert_allclose(np.mean(contrast.loss), exact, rtol=1e-6)


def test_every_argument_survives_the_config():
    arguments = {
        "scale": 0.3,
        "similarity": "cosine",
        "temperature": None,  # in place of scale: see test_scores.py
        "candidates": "sampled",
        "num_negatives": 7,
        "num_anchors": 4,
        "gather_candidates": False,
        "seed": 11,
        "name": "other",
    }
    assert set(inspect.signature(InfoNCE).parameters) == set(arguments)
    config = keras.saving.serialize_keras_object(InfoNCE(**arguments))
    restored = keras.saving.deserialize_keras_object(config)
    assert {name: getattr(restored, name) for name in arguments} == arguments
    targets, predictions = grids(batch=6)
    assert float(restored(targets, predictions)) == float(
        InfoNCE(**arguments)(targets, predictions)
    )


def test_a_seed_generator_survives_the_config_as_its_seed():
    loss = InfoNCE(candidates="sampled", num_negatives=3, seed=keras.random.SeedGenerator(8))
    config = keras.saving.serialize_keras_object(loss)
    assert keras.saving.deserialize_keras_object(config).seed == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"candidates": "most"}, "candidates must be one of .*Received: 'most'"),
        ({"candidates": "sampled"}, "num_negatives goes with.*num_negatives=None"),
        ({"num_negatives": 5}, "num_negatives goes with.*candidates='all', num_negatives=5"),
        (
            {"candidates": "sampled", "num_negatives": 0},
            "num_negatives must be at least 1. Received: 0",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        InfoNCE(**arguments)


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ((4, 3, 3), (4, 3, 3), r"takes targets \[batch, H, W, dim\].*Received"),
        ((4, 3), (4, 1, 1, 3), r"takes targets \[batch, H, W, dim\].*Received"),
        ((4, 3, 3, 2), (4, 4, 3, 2), "do not fit.*at most as many rows"),
        ((4, 3, 3, 2), (4, 2, 2, 2), "do not fit.*as many columns"),
        ((4, 3, 3, 2), (4, 2, 3, 3), "do not fit.*dimensions"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(targets, predictions, message):
    with pytest.raises(ValueError, match=message):
        InfoNCE()(np.zeros(targets, "float32"), np.zeros(predictions, "float32"))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("all", (1, 1, 1, 4)),
        ("other_images", (1, 3, 3, 4)),
        ("same_position", (1, 3, 3, 4)),
        ("same_row", (1, 3, 1, 4)),
        ("all", (1, 4)),
    ],
)
def test_a_single_candidate_is_refused(kind, shape):
    with pytest.raises(ValueError, match="a batch of 1 image leaves one candidate"):
        InfoNCE(candidates=kind)(np.zeros(shape, "float32"), np.zeros(shape, "float32"))


@pytest.mark.parametrize("kind", ["all", "same_row"])
def test_one_image_of_several_positions_has_candidates_enough(kind):
    targets, predictions = grids(batch=1)
    assert np.isfinite(float(InfoNCE(candidates=kind)(targets, predictions)))
