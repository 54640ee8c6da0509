"""LinearProbe."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cpc_keras.evaluation import LinearProbe


def _problem(num_examples, num_features, num_classes=3):
    rng = np.random.default_rng(0)
    labels = np.arange(num_examples) % num_classes
    centers = rng.normal(size=(num_classes, num_features))
    return centers[labels] + rng.normal(size=(num_examples, num_features)), labels


@pytest.mark.parametrize("num_examples", [12, 200])
def test_probabilities_are_those_of_logistic_regression_on_scaled_features(num_examples):
    # 12 examples of 30 features take the way through the span of the examples, 200 do not.
    spread = np.geomspace(0.2, 5, 30)
    features, labels = _problem(num_examples, 30)
    everything, _ = _problem(500, 30)
    features, everything = features * spread, everything * spread
    mean, scale = everything.mean(axis=0), everything.std(axis=0)
    typical = np.sqrt((scale**2).mean())
    scale[scale < typical] = typical
    direct = LogisticRegression(C=1 / 5.0, max_iter=10_000, tol=1e-8)
    direct.fit((features - mean) / scale, labels)

    probe = LinearProbe(5.0).fit(features, labels, scale_by=everything)

    np.testing.assert_allclose(
        probe.predict_proba(everything),
        direct.predict_proba((everything - mean) / scale),
        atol=2e-3,
    )


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("num_examples", [12, 200])
def test_the_weights_are_the_probe_as_a_linear_layer(num_examples, num_classes):
    features, labels = _problem(num_examples, 30, num_classes)
    features = features * np.geomspace(0.2, 5, 30) + 3.0
    probe = LinearProbe(5.0).fit(features, labels)
    kernel, bias = probe.weights()
    scores = np.exp(features @ kernel + bias)
    np.testing.assert_allclose(
        scores / scores.sum(axis=1, keepdims=True), probe.predict_proba(features), atol=1e-4
    )


def test_a_feature_that_never_varies_does_no_harm():
    features, labels = _problem(30, 5)
    features[:, 2] = 7.0
    assert np.isfinite(LinearProbe(1.0).fit(features, labels).predict_proba(features)).all()


def test_a_feature_that_hardly_varies_is_not_blown_up():
    rng = np.random.default_rng(0)
    features, labels = _problem(200, 5)
    features = np.concatenate([features, np.zeros((200, 1))], axis=1)
    features[0, 5] = 0.01
    probe = LinearProbe(1.0).fit(features[:100], labels[:100], scale_by=features)
    moved = features[100:].copy()
    moved[:, 5] += rng.normal(size=100)
    np.testing.assert_allclose(
        probe.predict_proba(moved), probe.predict_proba(features[100:]), atol=0.05
    )


def test_labels_of_a_single_class_are_refused():
    with pytest.raises(ValueError, match=r"at least two classes.*\[4\]"):
        LinearProbe(1.0).fit(np.zeros((3, 2)), np.full(3, 4))


@pytest.mark.parametrize("value", [0, -1.0])
def test_a_penalty_that_is_not_positive_is_refused(value):
    with pytest.raises(ValueError, match="regularization must be above 0"):
        LinearProbe(value)


def test_balanced_classes_count_as_if_the_rare_one_were_there_as_often():
    features, _ = _problem(40, 5)
    labels = (np.arange(40) % 4 == 0).astype(int)  # 30 and 10
    index = np.concatenate([np.arange(40), *[np.flatnonzero(labels)] * 2])
    repeated = LinearProbe(1.0).fit(features[index], labels[index], scale_by=features)
    # The weights of 30 and 10 are 2/3 and 2: those of the repeated, times 2/3.
    balanced = LinearProbe(2 / 3, class_weight="balanced").fit(features, labels)
    expected = repeated.predict_proba(features)
    np.testing.assert_allclose(balanced.predict_proba(features), expected, atol=1e-3)
    plain = LinearProbe(2 / 3).fit(features, labels).predict_proba(features)
    assert np.abs(plain - expected).max() > 0.1


def test_another_class_weight_is_refused():
    with pytest.raises(ValueError, match="'balance'"):
        LinearProbe(class_weight="balance")
