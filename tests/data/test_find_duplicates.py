import numpy as np
import pytest

from cpc_keras.data import find_duplicates


def some_images(count=30):
    return np.random.default_rng(0).integers(0, 256, (count, 5, 4, 3), "uint8")


def test_copies_within_a_set_are_told_with_the_first_of_their_kind():
    images = some_images()
    assert find_duplicates(images).shape == (0, 2)
    images[20], images[25], images[7] = images[3], images[3], images[6]
    np.testing.assert_array_equal(find_duplicates(images), [[7, 6], [20, 3], [25, 3]])


def test_copies_between_two_sets_are_told_with_the_first_of_the_other():
    train, test = some_images(), 255 - some_images(12)
    assert find_duplicates(test, train).shape == (0, 2)
    test[4], test[11], train[9] = train[2], train[8], train[8]
    test[5] = test[0]  # a copy within the set does not count
    np.testing.assert_array_equal(find_duplicates(test, train), [[4, 2], [11, 8]])


def test_one_pixel_makes_a_difference():
    images = np.zeros((2, 5, 4, 1), "uint8")
    images[1, 4, 3, 0] = 1
    assert not len(find_duplicates(images))


def test_images_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 4, 3\) and \(4, 5, 3\)"):
        find_duplicates(some_images(), some_images().transpose(0, 2, 1, 3))
