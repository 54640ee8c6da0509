import itertools
import warnings

import numpy as np
import pytest

from cpc_keras.data import label_subset

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 100))


def test_every_class_gives_the_same_count():
    index = label_subset(LABELS, 0.05, seed=3)
    np.testing.assert_array_equal(np.bincount(LABELS[index]), np.full(10, 5))


def test_positions_are_sorted_distinct_and_integers():
    index = label_subset(LABELS, 0.3, seed=3)
    assert index.dtype == np.int64
    assert (np.diff(index) > 0).all()


def test_a_tiny_fraction_gives_one_example_a_class():
    index = label_subset(LABELS, 1e-6, seed=0)
    np.testing.assert_array_equal(np.sort(LABELS[index]), np.arange(10))


@pytest.mark.parametrize("seed", range(5))
def test_subsets_of_one_seed_are_nested(seed):
    labels = np.repeat([0, 1, 2], [5, 40, 80])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        subsets = [set(label_subset(labels, f, seed=seed)) for f in (0.01, 0.05, 0.1, 0.5, 1.0)]
    for small, large in itertools.pairwise(subsets):
        assert small < large


def test_the_seed_decides_the_subset():
    first = label_subset(LABELS, 0.1, seed=1)
    np.testing.assert_array_equal(first, label_subset(LABELS, 0.1, seed=1))
    assert set(first) != set(label_subset(LABELS, 0.1, seed=2))


def test_classes_are_drawn_independently_of_each_other():
    # Equal positions within two classes would mean that one permutation serves all of them.
    index = label_subset(np.repeat([0, 1], 100), 0.2, seed=0)
    assert set(index[:20]) != set(index[20:] - 100)


def test_a_class_too_small_for_balance_is_stratified_and_named():
    labels = np.repeat([0, 7], [90, 10])
    with pytest.warns(UserWarning, match=r"1 of 2 classes.*the 25.*7 \(has 10\): too small"):
        index = label_subset(labels, 0.5, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[index])[[0, 7]], [25, 5])


def test_a_class_nearly_large_enough_gives_all_it_has_and_is_named():
    labels = np.repeat([0, 7], [60, 40])
    with pytest.warns(UserWarning, match=r"1 of 2 classes.*the 45.*7 \(has 40\): gives all"):
        index = label_subset(labels, 0.9, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[index])[[0, 7]], [45, 40])


def test_a_count_per_class_is_given_by_every_class_and_nested():
    few, more = (label_subset(LABELS, per_class=k, seed=2) for k in (3, 8))
    np.testing.assert_array_equal(np.bincount(LABELS[more]), np.full(10, 8))
    assert set(few) < set(more)
    # A fraction that comes to the same count is the same subset.
    np.testing.assert_array_equal(more, label_subset(LABELS, 0.08, seed=2))


def test_a_class_with_fewer_than_the_count_gives_all_it_has_and_is_named():
    labels = np.repeat([0, 7], [90, 4])
    with pytest.warns(UserWarning, match=r"than the 6.*class 7 \(has 4\): gives all it has"):
        index = label_subset(labels, per_class=6, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[index])[[0, 7]], [6, 4])


@pytest.mark.parametrize("given", [{}, {"fraction": 0.1, "per_class": 2}])
def test_a_fraction_or_a_count_is_expected(given):
    with pytest.raises(ValueError, match="Expected one of them"):
        label_subset(LABELS, **given, seed=0)


@pytest.mark.parametrize("per_class", [0, -1, 1.5])
def test_an_impossible_count_is_refused(per_class):
    with pytest.raises(ValueError, match="Expected a whole number of examples"):
        label_subset(LABELS, per_class=per_class, seed=0)


def test_fraction_one_keeps_all_labels_without_a_warning():
    labels = np.repeat([0, 1], [90, 10])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(label_subset(labels, 1.0, seed=0), np.arange(100))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, float("nan")])
def test_a_fraction_outside_zero_and_one_is_refused(fraction):
    with pytest.raises(ValueError, match=r"received fraction=.*above 0 and at most 1.*Try"):
        label_subset(LABELS, fraction, seed=0)


@pytest.mark.parametrize("labels", [None, np.zeros((2, 2), int), np.zeros(3), np.zeros(0, int)])
def test_labels_that_are_not_one_integer_an_example_are_refused(labels):
    with pytest.raises(ValueError, match=r"received labels of shape.*Check data.labels"):
        label_subset(labels, 0.5, seed=0)


def test_missing_labels_are_refused():
    with pytest.raises(ValueError, match="received 2 labels below 0"):
        label_subset(np.array([0, -1, 1, -1]), 0.5, seed=0)
