import keras
import numpy as np
import pytest

from cpc_keras.data import hold_out
from cpc_keras.search import PROBES, probe_score


@pytest.fixture(scope="module")
def flatten():
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])


def two_classes(num, noise, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    images = 100.0 + 50 * labels[:, None, None, None] + rng.normal(0, noise, (num, 2, 2, 1))
    return images.astype("float32"), labels


@pytest.mark.parametrize("probe", PROBES)
def test_separate_classes_score_one_and_noise_scores_chance(flatten, probe):
    images, labels = two_classes(200, noise=1)
    assert probe_score(flatten, images, labels, probe=probe) == 1.0
    shuffled = np.random.default_rng(1).permutation(labels)
    assert 0.2 < probe_score(flatten, images, shuffled, probe=probe) < 0.8


def patients_with_labels_by_chance(num_patients, images_each):
    """Images of a patient are alike, and which class a patient has cannot be seen."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(num_patients), images_each)
    looks = rng.normal(128, 40, (num_patients, 8, 8, 1))
    images = looks[groups] + rng.normal(0, 1, (len(groups), 8, 8, 1))
    return images.astype("float32"), rng.permutation(num_patients)[groups] % 2, groups


@pytest.mark.parametrize("probe", PROBES)
def test_the_held_out_labels_are_not_fitted_on(probe):
    flatten = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    images, labels, _ = patients_with_labels_by_chance(60, 1)
    # What has seen an image knows its label: by one neighbour, or by more pixels than images.
    assert probe_score(flatten, images, labels, probe=probe, num_neighbors=1) < 0.8


@pytest.mark.parametrize("probe", PROBES)
def test_no_group_is_divided(probe):
    flatten = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    images, labels, groups = patients_with_labels_by_chance(40, 5)
    names = np.array([f"patient {n}" for n in groups])
    score = probe_score(flatten, images, labels, probe=probe, num_neighbors=3, groups=names)
    assert score < 0.8
    assert probe_score(flatten, images, labels, probe=probe, num_neighbors=3) == 1.0


def test_groups_stay_with_their_images_where_some_have_no_label(flatten):
    images, labels = two_classes(40, noise=1)
    groups = np.arange(40) // 4
    labels[::4] = -1
    told = labels >= 0
    assert probe_score(flatten, images, labels, groups=groups) == probe_score(
        flatten, images[told], labels[told], groups=groups[told]
    )


def test_knn_is_a_weighted_vote_of_cosines(flatten):
    images, labels = two_classes(60, noise=60)
    fit, rest = hold_out(labels, seed=3)
    x = images.reshape(60, 4)
    mean, scale = x[fit].mean(0), x[fit].std(0) + 1e-6
    right = 0
    for query in rest:
        votes = {0: 0.0, 1: 0.0}
        q = (x[query] - mean) / scale
        neighbors = []
        for other in fit:
            o = (x[other] - mean) / scale
            neighbors.append((q @ o / np.linalg.norm(q) / np.linalg.norm(o), labels[other]))
        for cosine, label in sorted(neighbors, reverse=True)[:5]:
            votes[label] += max(cosine, 0) + 1e-6
        right += max(votes, key=votes.get) == labels[query]
    score = probe_score(flatten, images, labels, probe="knn", num_neighbors=5, seed=3)
    assert score == pytest.approx(right / len(rest))
    assert 0.5 < score < 1


def test_images_without_labels_are_left_out(flatten):
    images, labels = two_classes(40, noise=1)
    more = np.concatenate([images, np.full((10, 2, 2, 1), np.nan, "float32")])
    known = np.concatenate([labels, np.full(10, -1)])
    assert probe_score(flatten, more, known) == probe_score(flatten, images, labels)


def test_what_cannot_be_probed_is_told(flatten):
    images, labels = two_classes(4, noise=1)
    with pytest.raises(ValueError, match="at least two classes"):
        probe_score(flatten, images, np.array([1, 1, -1, -1]))
    with pytest.raises(ValueError, match="single image"):
        probe_score(flatten, images, np.arange(4))
    with pytest.raises(ValueError, match="one group's"):
        probe_score(flatten, images, labels, groups=np.zeros(4))
    with pytest.raises(ValueError, match="probe must be one of"):
        probe_score(flatten, images, labels, probe="svm")
