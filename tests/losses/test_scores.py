"""The forms of the score, anchors and N, against loops; traps of published code."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.layers import OffsetPrediction
from cpc_keras.losses import CANDIDATES, SIMILARITIES, InfoNCE
from cpc_keras.ops import rotate_grid


def grids(batch=3, rows=4, columns=3, dim=5, offset=2, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.normal(size=(batch, rows, columns, dim)).astype("float32")
    predictions = rng.normal(size=(batch, rows - offset, columns, dim)).astype("float32")
    return targets, predictions


def build(kind, **arguments):
    if kind == "sampled":
        arguments.setdefault("num_negatives", 6)
    return InfoNCE(candidates=kind, **arguments)


def mean_loss(targets, predictions, score):
    """With every target of the batch as a candidate; `score` of a prediction and a target."""
    targets, predictions = targets.astype("float64"), predictions.astype("float64")
    offset = targets.shape[1] - predictions.shape[1]
    losses = []
    for b, r, c in np.ndindex(predictions.shape[:3]):
        scores = {
            other: score(predictions[b, r, c], targets[other])
            for other in np.ndindex(targets.shape[:3])
        }
        total = sum(math.exp(s) for s in scores.values())
        losses.append(math.log(total) - scores[b, r + offset, c])
    return np.mean(losses)


def as_sorted(contrast):
    columns = [np.asarray(x, "float64").reshape(-1) for x in contrast]
    return np.array(sorted(zip(*columns, strict=True)))


# Forms of the score


def test_the_cosine_is_the_inner_product_of_directions_over_the_temperature():
    targets, predictions = grids()
    loss = InfoNCE(similarity="cosine", temperature=0.2)
    expected = mean_loss(
        targets,
        predictions,
        lambda p, t: p @ t / math.sqrt(p @ p) / math.sqrt(t @ t) / 0.2,
    )
    np.testing.assert_allclose(float(loss(targets, predictions)), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", CANDIDATES)
def test_lengths_do_not_count_for_the_cosine(kind):
    targets, predictions = grids()
    values = [
        build(kind, similarity="cosine", seed=1).contrast(a * targets, b * predictions)
        for a, b in ((1, 1), (7, 0.01))
    ]
    np.testing.assert_allclose(*map(as_sorted, values), rtol=1e-4)


def test_the_bilinear_score_is_that_of_equation_3():
    """CPC v1: z^T W_k c on the codes themselves, no factor."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2, 4, 3, 5)).astype("float32")
    contexts = rng.normal(size=(2, 4, 3, 6)).astype("float32")
    predict = OffsetPrediction((1, 2), target_dim=5)
    predictions = predict(contexts)
    for offset, weight, prediction in zip((1, 2), predict.weights, predictions, strict=True):
        matrix = np.asarray(weight, "float64").T  # W_k, of as many rows as a code is long
        expected = mean_loss(codes, contexts[:, : 4 - offset], lambda c, z, w=matrix: z @ w @ c)
        np.testing.assert_allclose(float(InfoNCE(1.0)(codes, prediction)), expected, rtol=1e-5)


def test_a_scale_is_the_inverse_of_a_temperature_and_has_a_default_of_its_own():
    assert InfoNCE().scale == 0.1
    assert InfoNCE(similarity="cosine").scale == 10
    for similarity in SIMILARITIES:
        assert InfoNCE(temperature=0.05, similarity=similarity).scale == pytest.approx(20)
        assert InfoNCE(3.0, similarity=similarity).scale == 3


def gradient(loss, targets, predictions):
    tf = pytest.importorskip("tensorflow")
    inputs = [tf.constant(targets), tf.constant(predictions)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(*inputs)
    return [np.asarray(g) for g in tape.gradient(value, inputs)]


@pytest.mark.parametrize("kind", CANDIDATES)
def test_the_gradient_of_the_cosine_is_finite_where_a_code_is_all_zeros(kind):
    targets, predictions = grids()
    targets[1, 3] = 0
    predictions[2, 1] = 0
    found = gradient(build(kind, similarity="cosine", seed=1), targets, predictions)
    assert all(np.isfinite(g).all() for g in found)
    assert all((g != 0).any() for g in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"similarity": "euclidean"}, "similarity must be one of .*Received: 'euclidean'"),
        ({"temperature": 0.0}, "temperature must be greater than 0.*temperature=0.0"),
        ({"temperature": float("nan")}, "temperature must be greater than 0"),
        ({"scale": 0.1, "temperature": 10.0}, "takes the place of scale.*=10.0, scale=0.1"),
        ({"num_anchors": 0}, "num_anchors must be at least 1, or None. Received: 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        InfoNCE(**arguments)


# Anchors


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", CANDIDATES)
def test_as_many_anchors_as_predictions_are_all_predictions(kind, similarity):
    targets, predictions = grids()
    # Sampled: everything is drawn, so that the draw makes no difference.
    number = {"num_negatives": 99} if kind == "sampled" else {}
    arguments = {"similarity": similarity, **number}
    for count in (18, 1000):
        anchored = build(kind, num_anchors=count, **arguments).contrast(targets, predictions)
        whole = build(kind, **arguments).contrast(targets, predictions)
        np.testing.assert_allclose(as_sorted(anchored), as_sorted(whole), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", CANDIDATES)
def test_anchors_are_some_of_the_predictions_none_twice_and_all_in_the_end(kind):
    targets, predictions = grids()
    number = {"num_negatives": 99} if kind == "sampled" else {}
    whole = as_sorted(build(kind, **number).contrast(targets, predictions))
    loss = build(kind, num_anchors=7, seed=3, **number)
    counts, means = np.zeros(len(whole)), []
    for _ in range(40):
        contrast = as_sorted(loss.contrast(targets, predictions))
        assert contrast.shape == (7, 3)
        which = [int(np.abs(whole[:, 0] - value).argmin()) for value in contrast[:, 0]]
        assert len(set(which)) == 7
        np.testing.assert_allclose(contrast, whole[which], rtol=1e-5, atol=1e-6)
        counts[which] += 1
        means.append(contrast[:, 0].mean())
    # Each of the 18 is drawn in 7 of 18 steps, so that the mean over steps is that of all.
    assert counts.min() > 0
    expected = 40 * 7 / 18
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected * 11 / 18)
    error = np.std(means, ddof=1) / math.sqrt(40)
    assert abs(np.mean(means) - whole[:, 0].mean()) < 4 * error


@pytest.mark.parametrize("kind", CANDIDATES)
def test_one_seed_repeats_the_anchors(kind):
    targets, predictions = grids()
    first, second, other = (
        np.asarray(build(kind, num_anchors=4, seed=s).contrast(targets, predictions).loss)
        for s in (5, keras.random.SeedGenerator(5), 6)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("kind", CANDIDATES)
def test_anchors_are_drawn_where_the_batch_size_is_not_known_yet(kind):
    tf = pytest.importorskip("tensorflow")
    targets, predictions = grids()
    loss = build(kind, num_anchors=5, seed=2)
    shapes = [tf.TensorSpec((None, *x.shape[1:])) for x in (targets, predictions)]
    compiled = tf.function(loss.contrast, input_signature=shapes)
    drawn = [np.asarray(compiled(targets, predictions).loss) for _ in range(2)]
    assert drawn[0].shape == (5,)
    assert (np.sort(drawn[0]) != np.sort(drawn[1])).any()


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": 0.3, "similarity": "cosine", "num_anchors": 5},
        {"temperature": 0.07, "similarity": "cosine"},
        {"temperature": 0.3, "candidates": "sampled", "num_negatives": 4, "num_anchors": 2},
        {},
    ],
)
def test_the_config_brings_back_scores_and_anchors(arguments):
    loss = InfoNCE(seed=9, **arguments)
    config = keras.saving.serialize_keras_object(loss)
    restored = keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == loss.get_config()
    names = ("similarity", "temperature", "num_anchors", "candidates", "num_negatives")
    for name in names:
        assert getattr(restored, name) == getattr(loss, name)
        assert getattr(loss, name) == arguments.get(name, getattr(InfoNCE(), name))
    assert restored.scale == loss.scale
    targets, predictions = grids()
    assert float(restored(targets, predictions)) == float(loss(targets, predictions))


# N


def count_candidates(kind, batch, rows, columns, num_negatives):
    """Count them one by one for a prediction of the last image's last target."""
    mine = (batch - 1, rows - 1, columns - 1)
    belongs = {
        "all": lambda other: True,
        "other_images": lambda other: other[0] != mine[0],
        "same_position": lambda other: other[1:] == mine[1:],
        "same_row": lambda other: other[1] == mine[1],
        "sampled": lambda other: True,
    }[kind]
    others = [o for o in np.ndindex(batch, rows, columns) if o != mine and belongs(o)]
    if kind == "sampled":
        others = others[:num_negatives]
    return 1 + len(others)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(CANDIDATES),
    batch=st.integers(2, 4),
    rows=st.integers(1, 4),
    columns=st.integers(1, 3),
    num_anchors=st.sampled_from([None, 3]),
    num_negatives=st.sampled_from([1, 7, 200]),
    data=st.data(),
)
def test_n_is_the_number_of_candidates_counted_and_scored(
    kind, batch, rows, columns, num_anchors, num_negatives, data
):
    offset = data.draw(st.integers(0, rows - 1))
    number = {"num_negatives": num_negatives} if kind == "sampled" else {}
    loss = InfoNCE(candidates=kind, num_anchors=num_anchors, **number)
    found = loss.num_candidates(batch, rows, columns, offset)
    assert found == count_candidates(kind, batch, rows, columns, num_negatives)
    contrast = loss.contrast(*grids(batch, rows, columns, offset=offset))
    scored = set(np.exp(np.asarray(contrast.log_num_candidates)).round().astype(int).ravel())
    # Sampled: one less where the own positive was drawn.
    assert scored <= ({found, found - 1} if kind == "sampled" else {found})


@pytest.mark.parametrize(
    "sizes", [(0, 3, 3, 0), (2, 0, 3, 0), (2, 3, 0, 0), (2, 3, 3, 3), (2, 3, 3, -1)]
)
def test_n_of_nothing_is_refused(sizes):
    with pytest.raises(ValueError, match=r"nothing to score.*Received: batch="):
        InfoNCE().num_candidates(*sizes)


# Traps of published code


@pytest.mark.parametrize("kind", CANDIDATES)
@pytest.mark.parametrize(
    ("targets", "predictions"),
    [
        ((2, 3, 3, 4), (2, 0, 3, 4)),  # an offset as large as the grid
        ((0, 3, 3, 4), (0, 2, 3, 4)),
        ((2, 3, 0, 4), (2, 2, 0, 4)),
    ],
)
def test_an_empty_term_is_refused_where_its_mean_would_be_nan(kind, targets, predictions):
    with pytest.raises(ValueError, match="nothing to score"):
        build(kind)(np.zeros(targets, "float32"), np.zeros(predictions, "float32"))


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("kind", CANDIDATES)
def test_a_nan_in_the_input_is_a_nan_in_the_loss(kind, similarity):
    """Filtered out, it would hide a broken step."""
    for which in (0, 1):
        inputs = grids()
        inputs[which][1, -1, 0, 0] = np.nan
        assert np.isnan(float(build(kind, similarity=similarity)(*inputs)))


@pytest.mark.parametrize("kind", CANDIDATES)
def test_every_prediction_is_counted_once(kind):
    """Losses of all predictions, and the mean is theirs, whichever offset."""
    for offset in (0, 1, 3):
        targets, predictions = grids(offset=offset)
        losses = np.asarray(build(kind, seed=1).contrast(targets, predictions).loss)
        assert losses.size == 3 * (4 - offset) * 3
        mean = float(build(kind, seed=1)(targets, predictions))
        np.testing.assert_allclose(mean, losses.mean(), rtol=1e-6)


@pytest.mark.parametrize("kind", CANDIDATES)
def test_the_true_target_is_among_the_candidates_once(kind):
    """A lone large score: twice among the candidates it would cost ln 2."""
    codes = 30 * np.eye(24, dtype="float32").reshape(2, 4, 3, 24)
    for arguments in ({}, {"num_anchors": 5}):
        number = {"num_negatives": 24} if kind == "sampled" else {}
        loss = InfoNCE(1.0, candidates=kind, **number, **arguments)
        assert float(loss(codes, codes[:, 2:])) == 0


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize(
    "options",
    [
        {"candidates": "all"},
        {"candidates": "other_images"},
        {"candidates": "same_position"},
        {"candidates": "same_row"},
        {"candidates": "sampled", "num_negatives": 1000},  # all, so that nothing is left to chance
    ],
    ids=lambda options: options["candidates"],
)
def test_a_grid_is_scored_as_its_directions_and_offsets_one_by_one(options, similarity):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(3, 4, 6, 5)).astype("float32")
    predictions = {}
    for direction in ("down", "up", "left", "right"):
        rows, columns = (6, 4) if direction in ("left", "right") else (4, 6)
        for offset in (1, 2):
            shape = (3, rows - offset, columns, 5)
            predictions[direction, offset] = rng.normal(size=shape).astype("float32")
    loss = InfoNCE(similarity=similarity, **options)
    mean, found = loss.contrast_grid(targets, predictions)
    losses = []
    for (direction, offset), x in predictions.items():
        one = loss.contrast(np.asarray(rotate_grid(targets, direction)), x)
        two = found[direction, offset]
        # The order of the predictions is not promised.
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(np.sort(a, axis=None), np.sort(b, axis=None), rtol=1e-4)
        losses.append(float(np.mean(one.loss)))
    np.testing.assert_allclose(float(mean), np.mean(losses), rtol=1e-5)


@pytest.mark.parametrize("candidates", ["all", "other_images"])
def test_anchors_of_a_grid_are_as_many_as_asked_of_each_term(candidates):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(3, 4, 4, 5)).astype("float32")
    predictions = {("down", k): targets[:, k:] for k in (1, 2, 3)}
    loss = InfoNCE(candidates=candidates, num_anchors=20, seed=0)
    mean, found = loss.contrast_grid(targets, predictions)
    assert [len(term.loss) for term in found.values()] == [20, 20, 12]
    means = [np.mean(term.loss) for term in found.values()]
    np.testing.assert_allclose(float(mean), np.mean(means), rtol=1e-5)
    # Predictions that equal their targets, whichever were drawn: the score is the squared norm.
    whole = InfoNCE(candidates=candidates).contrast(targets, targets[:, 3:])
    np.testing.assert_allclose(
        np.sort(found["down", 3].loss), np.sort(np.asarray(whole.loss)), rtol=1e-4
    )


def test_a_grid_whose_predictions_do_not_fit_is_refused():
    targets = np.zeros((2, 4, 6, 5), "float32")
    with pytest.raises(ValueError, match=r"do not fit targets of shape \(2, 6, 4, 5\)"):
        InfoNCE().contrast_grid(targets, {("left", 1): np.zeros((2, 3, 6, 5), "float32")})
