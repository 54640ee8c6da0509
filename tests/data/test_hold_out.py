import numpy as np
import pytest

from cpc_keras.data import hold_out


def test_the_two_sides_are_sorted_disjoint_and_complete():
    fit, held_out = hold_out(np.arange(97) % 7, seed=0)
    assert (np.diff(fit) > 0).all() and (np.diff(held_out) > 0).all()
    np.testing.assert_array_equal(np.sort(np.concatenate([fit, held_out])), np.arange(97))


def test_every_class_is_held_out_in_its_share():
    labels = np.repeat([0, 1, 2], [8, 40, 100])
    _, held_out = hold_out(labels, fraction=0.25, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[held_out]), [2, 10, 25])


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_class_of_two_stands_on_both_sides_at_any_fraction(fraction):
    labels = np.array([4, 4, 9, 9, 9])
    for side in hold_out(labels, fraction=fraction, seed=0):
        assert set(labels[side]) == {4, 9}


def test_a_class_of_one_stays_on_the_fit_side():
    labels = np.array([0, 0, 5, 0])
    fit, held_out = hold_out(labels, fraction=0.9, seed=0)
    assert 2 in fit and 2 not in held_out


def test_nothing_is_held_out_of_classes_of_one():
    fit, held_out = hold_out(np.arange(3), seed=0)
    assert len(fit) == 3 and len(held_out) == 0


def test_the_seed_decides_the_split():
    labels = np.zeros(100, int)
    first = hold_out(labels, seed=1)[1]
    np.testing.assert_array_equal(first, hold_out(labels, seed=1)[1])
    assert set(first) != set(hold_out(labels, seed=2)[1])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0])
def test_a_fraction_that_leaves_a_side_empty_is_refused(fraction):
    with pytest.raises(ValueError, match=r"received fraction=.*both excluded.*Try fraction=0.25"):
        hold_out(np.zeros(4, int), fraction=fraction, seed=0)


@pytest.mark.parametrize("labels", [None, np.zeros((2, 2), int), np.zeros(3), np.zeros(0, int)])
def test_labels_that_are_not_one_integer_an_example_are_refused(labels):
    with pytest.raises(ValueError, match=r"received labels of shape.*check data.labels"):
        hold_out(labels, seed=0)
