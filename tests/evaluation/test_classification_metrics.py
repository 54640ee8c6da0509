"""classification_metrics, against scikit-learn and resampling written out."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    roc_auc_score,
    top_k_accuracy_score,
)

from cpc_keras.evaluation import accuracy_interval, classification_metrics, wilson_interval


def _problem(num_images=300, num_classes=7, ties=False):
    rng = np.random.default_rng(0)
    labels = rng.choice(num_classes, num_images, p=np.arange(1, num_classes + 1) / 28)
    scores = rng.normal(size=(num_images, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    scores = np.round(scores) if ties else scores
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), labels


def test_the_metrics_are_those_of_scikit_learn():
    scores, labels = _problem()
    found = classification_metrics(scores, labels, num_resamples=0)
    expected = {
        "top_1": (scores.argmax(axis=1) == labels).mean(),
        "top_5": top_k_accuracy_score(labels, scores, k=5),
        "balanced_accuracy": balanced_accuracy_score(labels, scores.argmax(axis=1)),
        "auroc": roc_auc_score(labels, scores, multi_class="ovr", average="macro"),
    }
    assert set(found.pop("intervals")) == {"top_1", "top_5"}
    assert found == pytest.approx({"num_images": 300, **expected})


def test_ties_count_half_in_the_area_and_go_to_the_first_class():
    scores, labels = _problem(ties=True)
    found = classification_metrics(scores, labels, num_resamples=0)
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr"))
    assert found["top_1"] == (scores.argmax(axis=1) == labels).mean()
    same = classification_metrics(np.ones((4, 6)), np.array([0, 4, 5, 5]), num_resamples=0)
    assert (same["top_1"], same["top_5"], same["auroc"]) == (0.25, 0.5, 0.5)


@pytest.mark.parametrize("ties", [False, True])
def test_several_classes_an_image_are_those_of_scikit_learn(ties):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (200, 4))
    scores = rng.normal(size=(200, 4)) + labels
    scores = np.round(scores) if ties else scores
    found = classification_metrics(scores, labels, num_resamples=0)
    assert found["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(labels, scores))
    assert "top_1" not in found


def test_a_class_without_an_example_or_a_counterexample_does_not_count():
    scores, labels = _problem(num_classes=7)
    wide = np.concatenate([scores, np.zeros((300, 1))], axis=1)
    narrow, found = (classification_metrics(s, labels, num_resamples=0) for s in (scores, wide))
    for name in ("top_1", "balanced_accuracy", "auroc"):
        assert found[name] == pytest.approx(narrow[name])
    alone = classification_metrics(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    assert alone["auroc"] is None and "auroc" not in alone["intervals"]
    assert alone["balanced_accuracy"] == 0.5


def test_few_classes_have_no_top_5():
    assert "top_5" not in classification_metrics(np.eye(5), np.arange(5), num_resamples=0)


def test_wilsons_interval_is_that_of_his_formula():
    # Wilson 1927: the shares whose normal test would not be refused.
    for right, count, confidence in ((90, 100, 0.95), (0, 20, 0.9), (20, 20, 0.99)):
        z, share = norm.ppf(0.5 + confidence / 2), right / count
        middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z / (1 + z**2 / count)
        half *= np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
        np.testing.assert_allclose(
            wilson_interval(right, count, confidence), [middle - half, middle + half], atol=1e-12
        )


def test_bootstrap_intervals_are_those_of_resampled_images():
    scores, labels = _problem(num_images=150)
    found = classification_metrics(scores, labels, confidence=0.9, num_resamples=1000)
    rng = np.random.default_rng(7)
    areas, balanced = [], []
    for _ in range(250):
        index = rng.integers(0, 150, 150)
        balanced.append(balanced_accuracy_score(labels[index], scores[index].argmax(axis=1)))
        if len(np.unique(labels[index])) == 7:
            areas.append(roc_auc_score(labels[index], scores[index], multi_class="ovr"))
    for name, values in (("auroc", areas), ("balanced_accuracy", balanced)):
        low, high = np.percentile(values, [5, 95])
        np.testing.assert_allclose(found["intervals"][name], [low, high], atol=(high - low) / 5)


def test_intervals_of_groups_are_those_of_resampled_groups():
    scores, labels = _problem(num_images=150)
    groups = np.random.default_rng(3).integers(0, 12, 150)
    names = np.array([f"patient {g}" for g in groups])
    found = classification_metrics(scores, labels, groups=names, confidence=0.9)
    rng = np.random.default_rng(7)
    shares, balanced = [], []
    for _ in range(400):
        drawn = rng.integers(0, 12, 12)
        index = np.concatenate([np.flatnonzero(groups == g) for g in drawn])
        right = scores[index].argmax(axis=1)
        shares.append(np.mean(right == labels[index]))
        balanced.append(balanced_accuracy_score(labels[index], right))
    for name, values in (("top_1", shares), ("balanced_accuracy", balanced)):
        low, high = np.percentile(values, [5, 95])
        np.testing.assert_allclose(found["intervals"][name], [low, high], atol=(high - low) / 5)
    right = scores.argmax(axis=1) == labels
    again = accuracy_interval(right, names, confidence=0.9)
    assert again == found["intervals"]["top_1"]


def test_images_that_are_alike_in_a_group_are_no_more_than_the_group():
    right = np.repeat([True, False, True, True], 100)
    low, high = accuracy_interval(right, np.arange(400) // 100)
    assert (low, high) == (0.25, 1.0)
    low, high = accuracy_interval(right)
    assert 0.7 < low < high < 0.8
    assert accuracy_interval(right, np.zeros(400)) == [0.0, 1.0]
    with pytest.raises(ValueError, match=r"shape \(400,\)\. Received groups of shape \(4,\)"):
        accuracy_interval(right, np.arange(4))


def test_more_images_make_intervals_narrower_and_the_seed_decides():
    few, many = _problem(100), _problem(2500)
    widths = [
        np.ptp(classification_metrics(*p, num_resamples=200)["intervals"]["auroc"])
        for p in (few, many)
    ]
    assert widths[1] < widths[0] / 2
    first, again, other = (
        classification_metrics(*few, num_resamples=50, seed=s)["intervals"] for s in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.eye(3), np.arange(2), r"shapes \(3, 3\) and \(2,\)"),
        (np.full((2, 2), np.nan), np.arange(2), "finite"),
        (np.eye(2), np.array([0, 2]), "from 0 to 1. Received 0 to 2"),
        (np.eye(2), np.array([[0, 1], [2, 1]]), "from 0 to 1. Received 0 to 2"),
    ],
)
def test_scores_and_labels_that_do_not_fit_are_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(scores, labels)


def test_an_impossible_confidence_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        classification_metrics(np.eye(2), np.arange(2), confidence=95)
