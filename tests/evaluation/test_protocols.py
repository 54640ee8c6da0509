"""nearest_neighbors, linear_probe and SGDProbe."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from cpc_keras.evaluation import LinearProbe, SGDProbe, linear_probe, nearest_neighbors

RNG = np.random.default_rng(0)


def _features(num_images=240, num_classes=6, noise=1.0, several=False):
    centers = np.random.default_rng(1).normal(size=(num_classes, 12))
    if several:
        labels = RNG.integers(0, 2, (num_images, num_classes))
        return labels @ centers + noise * RNG.normal(size=(num_images, 12)), labels
    labels = RNG.integers(0, num_classes, num_images)
    return centers[labels] + noise * RNG.normal(size=(num_images, 12)), labels


def _flatten(shape):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten()])


@pytest.mark.parametrize("num_neighbors", [1, 20, 1000])
def test_neighbors_vote_as_scikit_learns_do_with_these_weights(num_neighbors):
    train, test = _features(noise=2.0), _features(100, noise=2.0)
    count = min(num_neighbors, 240)
    reference = KNeighborsClassifier(
        count, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07)
    )
    expected = reference.fit(*train).predict_proba(test[0])
    found = nearest_neighbors(None, train, test, num_neighbors=num_neighbors)
    assert found["top_1"] == pytest.approx((expected.argmax(axis=1) == test[1]).mean())
    assert found["auroc"] == pytest.approx(
        roc_auc_score(test[1], expected, multi_class="ovr"), abs=1e-4
    )
    assert found["num_neighbors"] == count and found["num_labels"] == 240


def test_any_keras_model_gives_the_features_of_neighbors_and_probe():
    train, test = _features(), _features(60)
    images = [(x.reshape(-1, 2, 2, 3), y) for x, y in (train, test)]
    encoder = _flatten((2, 2, 3))
    for protocol in (nearest_neighbors, linear_probe):
        direct, through = (
            protocol(None, train, test, num_resamples=0),
            protocol(encoder, *images, num_resamples=0),
        )
        assert direct == through


def test_neighbors_of_low_temperature_do_not_overflow_and_zeros_are_features():
    train, test = _features(), _features(50)
    train[0][0] = 0
    sharp = nearest_neighbors(None, train, test, temperature=1e-4, num_resamples=0)
    nearest = nearest_neighbors(None, train, test, num_neighbors=1, num_resamples=0)
    assert sharp["top_1"] == pytest.approx(nearest["top_1"], abs=0.03)


def test_neighbors_of_several_classes_are_their_weighted_mean():
    train, test = _features(several=True), _features(40, several=True)
    found = nearest_neighbors(None, train, test, num_neighbors=15, num_resamples=0)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train[0], test[0])]
    scores = []
    for query in unit[1]:
        similarity = unit[0] @ query
        near = np.argsort(-similarity)[:15]
        weights = np.exp(similarity[near] / 0.07)
        scores.append(weights @ train[1][near] / weights.sum())
    assert found["auroc"] == pytest.approx(roc_auc_score(test[1], np.array(scores)), abs=1e-4)
    assert "average_precision" in found


@pytest.mark.parametrize("wrong", [{"num_neighbors": 0}, {"temperature": 0.0}])
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected num_neighbors"):
        nearest_neighbors(None, _features(), _features(5), **wrong)


def test_the_convex_probe_is_scikit_learns_on_scaled_features():
    train, test = _features(noise=2.0), _features(300, noise=2.0)
    mean, scale = train[0].mean(axis=0), train[0].std(axis=0)
    scale = np.maximum(scale, np.sqrt((scale**2).mean()))
    reference = LogisticRegression(C=1 / 5.0, max_iter=10_000, tol=1e-8)
    reference.fit((train[0] - mean) / scale, train[1])
    expected = reference.predict_proba((test[0] - mean) / scale)
    found = linear_probe(None, train, test, trials=[{"regularization": 5.0}])
    assert found["top_1"] == pytest.approx((expected.argmax(axis=1) == test[1]).mean(), abs=0.01)
    area = roc_auc_score(test[1], expected, multi_class="ovr")
    assert found["auroc"] == pytest.approx(area, abs=1e-3)
    low, high = found["intervals"]["auroc"]
    assert low < area < high
    assert found["held_out"] is None and found["setting"] == {"regularization": 5.0}


def test_the_trial_is_chosen_on_held_out_training_labels():
    train, test = _features(), _features(60)
    trials = [{"regularization": 1e6}, {"regularization": 1.0}]
    found = linear_probe(None, train, test, trials=trials, num_resamples=0)
    assert found["setting"] == {"regularization": 1.0}
    # Test labels choose nothing: wrong ones change neither.
    wrong = linear_probe(None, train, (test[0], test[1][::-1]), trials=trials, num_resamples=0)
    assert (wrong["setting"], wrong["held_out"]) == (found["setting"], found["held_out"])
    assert wrong["top_1"] < found["top_1"]


def test_held_out_groups_are_not_divided(monkeypatch):
    train, test = _features(), _features(10)
    groups = np.arange(240) // 8
    seen = []
    fit = LinearProbe.fit

    def watched(self, features, labels, **kwargs):
        index = [
            int(np.flatnonzero((train[0].astype("float32") == row).all(1))[0]) for row in features
        ]
        seen.append(set(groups[index]))
        return fit(self, features, labels, **kwargs)

    monkeypatch.setattr(LinearProbe, "fit", watched)
    linear_probe(None, train, test, groups=groups, num_resamples=0)
    trials, last = seen[:-1], seen[-1]
    assert len(last) == 30
    for fitted in trials:
        # A group that was fitted on is whole: what is held out has other groups alone.
        assert len(fitted) < 30


def test_the_papers_probe_comes_near_the_optimum():
    train, test = _features(600), _features(300)
    convex = linear_probe(None, train, test, num_resamples=0)
    steps = linear_probe(
        None, train, test, solver="sgd", trials=[{"num_steps": 300, "batch_size": 128}]
    )
    assert steps["top_1"] == pytest.approx(convex["top_1"], abs=0.04)
    assert steps["top_1"] > 0.7 and steps["solver"] == "sgd"


def test_the_papers_probe_is_batch_normalisation_and_a_linear_layer():
    features, labels = _features(64)
    probe = SGDProbe(0.1, num_steps=17, batch_size=64).fit(features, labels)
    normalization, dense = probe._network.layers
    mean, variance = (keras.ops.convert_to_numpy(v) for v in normalization.non_trainable_variables)
    kernel, bias = dense.get_weights()
    offset = keras.ops.convert_to_numpy(normalization.beta)
    assert normalization.gamma is None
    logits = ((features - mean) / np.sqrt(variance + 1e-3) + offset) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probe.predict_proba(features), expected, atol=1e-4)
    # 50, 25 and 10 of 85 steps: ten, five and two of 17.
    schedule = probe._network.optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(17)]
    np.testing.assert_allclose(rates, [0.1] * 11 + [0.01] * 5 + [0.001], rtol=1e-5)


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_several_classes_an_image_have_a_probe_each(solver):
    train, test = _features(several=True, noise=0.5), _features(100, several=True, noise=0.5)
    trials = [{"num_steps": 200, "batch_size": 64}] if solver == "sgd" else None
    found = linear_probe(None, train, test, solver=solver, trials=trials, num_resamples=20)
    expected = []
    mean, scale = train[0].mean(axis=0), train[0].std(axis=0)
    for k in range(6):
        reference = LogisticRegression(C=1.0, max_iter=1000)
        reference.fit((train[0] - mean) / scale, train[1][:, k])
        expected.append(
            roc_auc_score(test[1][:, k], reference.decision_function((test[0] - mean) / scale))
        )
    assert found["auroc"] == pytest.approx(np.mean(expected), abs=0.02)
    assert set(found["intervals"]) == {"auroc", "average_precision"}


def test_weights_of_several_classes_are_a_layer_with_a_sigmoid():
    features, labels = _features(several=True)
    labels[:, 0] = 1
    probe = LinearProbe(1.0).fit(features, labels)
    kernel, bias = probe.weights()
    expected = 1 / (1 + np.exp(-(features @ kernel + bias)))
    np.testing.assert_allclose(probe.predict_proba(features), expected, atol=1e-4)
    assert probe.predict_proba(features)[:, 0] == pytest.approx(241 / 242)


def test_other_solvers_and_no_trials_are_refused():
    data = _features()
    with pytest.raises(ValueError, match=r"one of \('lbfgs', 'sgd'\). Received: 'adam'"):
        linear_probe(None, data, data, solver="adam")
    with pytest.raises(ValueError, match="at least one trial"):
        linear_probe(None, data, data, trials=[])
    for probe in (SGDProbe(), LinearProbe()):
        with pytest.raises(ValueError, match="at least two classes"):
            probe.fit(np.zeros((3, 2)), np.full(3, 4))
    with pytest.raises(ValueError, match="learning rate above 0"):
        SGDProbe(0.0)


@pytest.mark.parametrize("protocol", [linear_probe, nearest_neighbors])
@pytest.mark.parametrize("part", [0, 1])
def test_images_without_a_label_are_no_class(protocol, part):
    data = [(np.eye(4, dtype="float32"), np.array([0, 1, 0, 1])) for _ in range(2)]
    data[part][1][2] = -1
    with pytest.raises(ValueError, match="1 labels below 0 of 4, which mean none"):
        protocol(None, *data)
