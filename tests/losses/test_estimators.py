"""Estimators of mutual information against sums over pairs in float64."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.losses import donsker_varadhan, info_nce_bound, jensen_shannon, nwj

ESTIMATORS = (donsker_varadhan, info_nce_bound, jensen_shannon, nwj)


def log_sum_exp(values):
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))


def softplus(value):
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))


def parts(scores):
    n = len(scores)
    joint = [float(scores[i, i]) for i in range(n)]
    product = [float(scores[i, j]) for i in range(n) for j in range(n) if i != j]
    return joint, product


def reference_nwj(scores):
    joint, product = parts(scores)
    return np.mean(joint) - sum(math.exp(f - 1) for f in product) / len(product)


def reference_donsker_varadhan(scores):
    joint, product = parts(scores)
    return np.mean(joint) - (log_sum_exp(product) - math.log(len(product)))


def reference_jensen_shannon(scores):
    joint, product = parts(scores)
    hjelm = np.mean([-softplus(-f) for f in joint]) - np.mean([softplus(f) for f in product])
    return math.log(2) + hjelm / 2


def reference_info_nce_bound(scores):
    n = len(scores)
    losses = [log_sum_exp([float(s) for s in scores[i]]) - float(scores[i, i]) for i in range(n)]
    return math.log(n) - np.mean(losses)


REFERENCES = {f: globals()[f"reference_{f.__name__}"] for f in ESTIMATORS}


@settings(max_examples=40, deadline=None)
@given(
    estimator=st.sampled_from(ESTIMATORS),
    n=st.integers(2, 7),
    scale=st.sampled_from([0.0, 0.1, 3.0, 20.0]),
    seed=st.integers(0, 999),
)
def test_the_estimate_is_that_of_explicit_sums(estimator, n, scale, seed):
    scores = (scale * np.random.default_rng(seed).normal(size=(n, n))).astype("float32")
    expected = REFERENCES[estimator](scores)
    np.testing.assert_allclose(float(estimator(scores)), expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_large_scores_do_not_overflow(estimator, sign):
    """Pairs at 1e4 and strangers at -1e4, and the other way about."""
    scores = np.full((4, 4), -1e4, "float32") + 2e4 * np.eye(4, dtype="float32")
    scores = sign * (scores + np.random.default_rng(0).integers(-9, 9, (4, 4)))
    value = float(estimator(scores.astype("float32")))
    if estimator is nwj and sign == -1:
        assert value == -np.inf  # -exp(9999): the truth is beyond any float
    else:
        np.testing.assert_allclose(value, REFERENCES[estimator](scores), rtol=1e-6)


@pytest.mark.parametrize("estimator", [donsker_varadhan, info_nce_bound])
def test_small_differences_of_large_scores_are_not_lost(estimator):
    """Both are the same when one number is added to all scores."""
    small = np.random.default_rng(1).integers(-64, 64, (6, 6)) / 32.0
    value = float(estimator((small + 2.0**14).astype("float32")))
    np.testing.assert_allclose(value, REFERENCES[estimator](small), rtol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_leading_axes_are_batches(estimator):
    scores = np.random.default_rng(2).normal(size=(2, 3, 4, 4)).astype("float32")
    result = np.asarray(estimator(scores))
    assert result.shape == (2, 3)
    for place in np.ndindex(2, 3):
        np.testing.assert_allclose(result[place], REFERENCES[estimator](scores[place]), rtol=1e-4)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_result_is_float32_and_a_nan_stays_a_nan(estimator):
    scores = np.random.default_rng(3).normal(size=(4, 4)).astype("float32")
    half = estimator(keras.ops.convert_to_tensor(scores, "bfloat16"))
    assert keras.backend.standardize_dtype(half.dtype) == "float32"
    for place in ((1, 1), (2, 0)):
        broken = scores.copy()
        broken[place] = np.nan
        assert np.isnan(float(estimator(broken)))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_gradient_is_that_of_small_steps(estimator):
    tf = pytest.importorskip("tensorflow")
    scores = np.random.default_rng(4).normal(size=(4, 4)).astype("float32")
    variable = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = estimator(variable)
    found = np.asarray(tape.gradient(value, variable))
    for place in np.ndindex(4, 4):
        step = np.zeros((4, 4))
        step[place] = 1e-5
        up, down = (REFERENCES[estimator](scores.astype("float64") + s) for s in (step, -step))
        np.testing.assert_allclose(found[place], (up - down) / 2e-5, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_batch_size_that_is_not_known_yet_will_do(estimator):
    tf = pytest.importorskip("tensorflow")
    scores = np.random.default_rng(5).normal(size=(5, 5)).astype("float32")
    compiled = tf.function(estimator, input_signature=[tf.TensorSpec((None, None))])
    np.testing.assert_allclose(float(compiled(scores)), float(estimator(scores)), rtol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (4,), (0, 0)])
def test_what_is_no_matrix_of_pairs_is_refused(estimator, shape):
    with pytest.raises(ValueError, match=r"scores \[..., n, n\] of n >= 2 pairs.*Received"):
        estimator(np.zeros(shape, "float32"))


# What the estimators say of Gaussians whose mutual information is known.


def gaussian_scores(information, n, *, num_batches, dim=20, seed=0):
    """The best scores, ln p(x, y) / (p(x) p(y)), of pairs of correlated Gaussians."""
    rng = np.random.default_rng(seed)
    # information = -dim / 2 * ln(1 - rho^2)
    rho = math.sqrt(1 - math.exp(-2 * information / dim))
    x = rng.normal(size=(num_batches, n, dim))
    y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    # p(y | x) is normal of mean rho x and variance 1 - rho^2; p(y) is standard normal.
    scores = np.empty((num_batches, n, n))
    for i in range(n):
        residual = (y - rho * x[:, i : i + 1]) ** 2 / (1 - rho**2)
        scores[:, i] = 0.5 * (y**2 - residual).sum(-1) - dim / 2 * math.log(1 - rho**2)
    return scores.astype("float32")


def mean_and_error(values):
    return np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))


def error_of_nwj(information, n, num_batches):
    """The true standard error of NWJ's second mean at the best scores.

    exp(score) has a mean of 1 and a mean square of 1 / (1 - rho^2)^dim = exp(2 * information) over
    the product, and pairs that share one partner are uncorrelated. Few batches hold none of the
    rare large values that make it: their own deviation is far too small.
    """
    variance = math.exp(2 * information) - 1
    return math.sqrt(variance / (n * (n - 1) * num_batches))


@pytest.mark.parametrize("information", [1, 2, 4])
@pytest.mark.parametrize("estimator", [info_nce_bound, nwj])
def test_a_bound_stays_below_the_mutual_information_of_gaussians(estimator, information):
    scores = gaussian_scores(information, 64, num_batches=100)
    if estimator is nwj:
        scores, least = scores + 1, 0.95 * information
    else:
        least = 0.75 * information
    mean, error = mean_and_error(estimator(scores))
    if estimator is nwj:
        error = math.hypot(error, error_of_nwj(information, 64, 100))
    assert mean - 2 * error <= information
    assert mean + 2 * error > least
    # A bound is one for scores that are not the best, too.
    mean, error = mean_and_error(estimator(0.3 * scores))
    assert mean - 2 * error <= information


@pytest.mark.parametrize("information", [1, 4, 10])
def test_info_nce_never_exceeds_ln_n(information):
    for n in (2, 16, 64):
        bound = np.asarray(info_nce_bound(3 * gaussian_scores(information, n, num_batches=20)))
        assert bound.max() <= math.log(n) + 1e-5


def test_info_nce_saturates_at_ln_n_where_the_truth_is_far_above():
    bound = np.asarray(info_nce_bound(gaussian_scores(10, 64, num_batches=50)))
    assert math.log(64) - 0.3 < bound.mean() <= math.log(64)


def test_donsker_varadhan_is_biased_upwards():
    """Eight pairs a batch: the logarithm of the mean is far below that of the expectation."""
    scores = gaussian_scores(6, 8, num_batches=400)
    mean, error = mean_and_error(donsker_varadhan(scores))
    assert mean - 2 * error > 6


def test_jensen_shannon_is_the_divergence_at_the_best_scores_and_less_at_others():
    scores = gaussian_scores(2, 64, num_batches=100)
    joint, product = [], []
    for batch in gaussian_scores(2, 64, num_batches=40, seed=1):
        on, off = parts(batch.astype("float64"))
        joint, product = joint + on, product + off
    # KL from the mixture m of p and q, with p / m = 2 / (1 + q / p), q / m = 2 / (1 + p / q).
    truth = np.mean([math.log(2 / (1 + math.exp(-f))) for f in joint]) / 2
    truth += np.mean([math.log(2 / (1 + math.exp(f))) for f in product]) / 2
    mean, error = mean_and_error(jensen_shannon(scores))
    assert abs(mean - truth) < 4 * error + 0.01
    for other in (0.5 * scores, scores + 1, 1.5 * scores):
        assert np.mean(jensen_shannon(other)) < mean - 2 * error


def test_the_information_is_read_off_the_scores_of_jensen_shannon_with_a_1_added():
    scores = gaussian_scores(2, 64, num_batches=300)
    mean, error = mean_and_error(nwj(1.0 + scores))
    assert abs(mean - 2) < 4 * error
    without, error = mean_and_error(nwj(scores))
    assert abs(without - (2 - 1 / math.e)) < 4 * error
