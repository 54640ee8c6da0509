"""The streamed loss and its gradients against the whole matrix in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.ops import streamed_info_nce

tf = pytest.importorskip("tensorflow", reason="gradients are taken by TensorFlow here")


def reference(predictions, candidates, positives, weights, scale, group_size, sample=None):
    """Losses, hits, and the gradients of the weighted sum, one prediction after the other."""
    p, t = np.float64(predictions), np.float64(candidates)
    losses, hits, dp, dt = [], [], np.zeros_like(p), np.zeros_like(t)
    for i, own in enumerate(positives):
        kept = [
            j
            for j in range(len(t))
            if j == own or group_size is None or j // group_size != own // group_size
            if j == own or sample is None or j in sample
        ]
        scores = np.array([scale * p[i] @ t[j] for j in kept])
        top = scores.max()
        shares = np.exp(scores - top) / np.exp(scores - top).sum()
        at = kept.index(own)
        losses.append(np.log(np.exp(scores - top).sum()) + top - scores[at])
        hits.append(all(scores[at] > s for n, s in enumerate(scores) if n != at))
        for share, j in zip(shares, kept, strict=True):
            pull = weights[i] * scale * (share - (j == own))
            dp[i] += pull * t[j]
            dt[j] += pull * p[i]
    return np.array(losses), np.array(hits), dp, dt


def streamed(predictions, candidates, positives, weights, **options):
    p, t = tf.constant(predictions), tf.constant(candidates)
    with tf.GradientTape() as tape:
        tape.watch([p, t])
        loss, contrast = streamed_info_nce(p, t, positives, tf.constant(weights), **options)
        doubled = 2.0 * loss  # whatever comes behind the loss
    return loss, contrast, [0.5 * tf.convert_to_tensor(g) for g in tape.gradient(doubled, [p, t])]


@settings(max_examples=25, deadline=None)
@given(
    num_predictions=st.integers(1, 40),
    num_groups=st.integers(2, 5),
    group_size=st.integers(1, 4),
    dim=st.integers(1, 6),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
    grouped=st.booleans(),
    seed=st.integers(0, 999),
)
def test_loss_hits_and_gradients_are_those_of_the_whole_matrix(
    num_predictions, num_groups, group_size, dim, scale, grouped, seed
):
    rng = np.random.default_rng(seed)
    p = rng.normal(size=(num_predictions, dim)).astype("float32")
    t = rng.normal(size=(num_groups * group_size, dim)).astype("float32")
    own = rng.integers(0, len(t), num_predictions)
    weights = rng.uniform(0.1, 1, num_predictions).astype("float32")
    group = group_size if grouped else None
    loss, contrast, gradients = streamed(p, t, own, weights, scale=scale, group_size=group)
    losses, hits, *expected = reference(p, t, own, weights, scale, group)
    np.testing.assert_allclose(contrast.loss, losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(contrast.correct, hits)
    np.testing.assert_allclose(loss, np.sum(weights * losses), rtol=1e-5, atol=1e-5)
    scored = len(t) if group is None else len(t) - group + 1
    np.testing.assert_allclose(contrast.log_num_candidates, np.log(scored), rtol=1e-6)
    for found, exact in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5 * max(1, scale))
    # Without gradients the numbers are the same.
    alone, seen = streamed_info_nce(
        p, t, own, weights, scale=scale, group_size=group, with_gradient=False
    )
    np.testing.assert_array_equal(alone, loss)
    np.testing.assert_array_equal(seen.correct, contrast.correct)


@settings(max_examples=25, deadline=None)
@given(
    num_predictions=st.integers(1, 40),
    num_candidates=st.integers(2, 12),
    num_drawn=st.integers(1, 12),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
    seed=st.integers(0, 999),
)
def test_a_sample_is_scored_with_the_positive_beside_it_once(
    num_predictions, num_candidates, num_drawn, scale, seed
):
    rng = np.random.default_rng(seed)
    p = rng.normal(size=(num_predictions, 4)).astype("float32")
    t = rng.normal(size=(num_candidates, 4)).astype("float32")
    own = rng.integers(0, num_candidates, num_predictions)
    sample = rng.permutation(num_candidates)[:num_drawn]
    weights = rng.uniform(0.1, 1, num_predictions).astype("float32")
    loss, contrast, gradients = streamed(p, t, own, weights, scale=scale, sample=sample)
    losses, hits, *expected = reference(p, t, own, weights, scale, None, sample)
    np.testing.assert_allclose(contrast.loss, losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(contrast.correct, hits)
    np.testing.assert_allclose(loss, np.sum(weights * losses), rtol=1e-5, atol=1e-5)
    scored = [len({*sample, i}) for i in own]
    np.testing.assert_allclose(contrast.log_num_candidates, np.log(scored), rtol=1e-6, atol=1e-7)
    for found, exact in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5 * max(1, scale))


@pytest.mark.parametrize("num_predictions", [511, 512, 513, 1100])
def test_blocks_that_are_not_full_change_nothing(num_predictions):
    rng = np.random.default_rng(0)
    p = rng.normal(size=(num_predictions, 8)).astype("float32")
    t = rng.normal(size=(90, 8)).astype("float32")
    own = rng.integers(0, 90, num_predictions)
    weights = np.full(num_predictions, 1 / num_predictions, "float32")
    loss, _, gradients = streamed(p, t, own, weights, scale=0.5)
    scores = 0.5 * np.float64(p) @ np.float64(t).T
    log_sum = np.log(np.exp(scores).sum(axis=1))
    losses = log_sum - scores[np.arange(num_predictions), own]
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)
    shares = np.exp(scores - log_sum[:, None])
    shares[np.arange(num_predictions), own] -= 1
    np.testing.assert_allclose(
        gradients[0], 0.5 / num_predictions * shares @ t, rtol=1e-3, atol=1e-7
    )
    np.testing.assert_allclose(
        gradients[1], 0.5 / num_predictions * shares.T @ p, rtol=1e-3, atol=1e-6
    )


def test_equal_codes_tie_and_a_nan_is_no_hit():
    same = np.ones((6, 3), "float32")
    weights = np.full(6, 1 / 6, "float32")
    loss, contrast, _ = streamed(same, same, np.arange(6), weights)
    np.testing.assert_allclose(loss, np.log(6), rtol=1e-6)
    np.testing.assert_array_equal(contrast.correct, np.zeros(6))
    broken = np.full((6, 3), np.nan, "float32")
    for options in ({}, {"sample": np.array([4, 1])}):
        _, contrast, _ = streamed(broken, same, np.arange(6), weights, **options)
        np.testing.assert_array_equal(contrast.correct, np.zeros(6))


def test_scores_that_overflow_an_exponential_are_exact():
    p = np.float32([[1000.0], [-1000.0]])
    t = np.float32([[1.0], [0.0], [-1.0]])
    _, contrast, _ = streamed(p, t, np.array([1, 0]), np.float32([0.5, 0.5]))
    np.testing.assert_allclose(contrast.loss, [1000.0, 2000.0], rtol=1e-6)


def test_sizes_that_are_known_only_when_it_runs_are_taken():
    rng = np.random.default_rng(0)
    p, t = rng.normal(size=(2, 70, 4)).astype("float32")
    own, weights = np.arange(70), np.full(70, 1 / 70, "float32")

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, 4)),
            tf.TensorSpec((None, 4)),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,)),
        ]
    )
    def traced(p, t, own, weights):
        with tf.GradientTape() as tape:
            tape.watch([p, t])
            loss, contrast = streamed_info_nce(p, t, own, weights)
        return loss, contrast.correct, tape.gradient(loss, [p, t])

    loss, correct, gradients = traced(p, t, own, weights)
    expected, contrast, exact = streamed(p, t, own, weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_array_equal(correct, contrast.correct)
    for a, b in zip(gradients, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
