"""Four turns of every image, and which is which."""

import keras
import numpy as np
import pytest

from cpc_keras.views import Rotations


def images_of(count=3, side=5, channels=2):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), "uint8")


def test_the_copies_are_quarter_turns_of_the_image_and_labelled_so():
    images = images_of()
    tiles, labels = (np.asarray(x) for x in Rotations()(images))
    assert tiles.shape == (3, 4, 1, 5, 5, 2) and tiles.dtype == "uint8"
    assert labels.shape == (3, 4)
    for image, copies, turns in zip(images, tiles, labels, strict=True):
        assert turns.tolist() == [0, 1, 2, 3]
        for copy, turn in zip(copies[:, 0], turns, strict=True):
            np.testing.assert_array_equal(copy, np.rot90(image, turn))


def test_shapes_are_known_before_there_is_a_batch():
    tiles, labels = Rotations()(keras.Input((8, 8, 3)))
    assert tuple(tiles.shape) == (None, 4, 1, 8, 8, 3)
    assert tuple(labels.shape) == (None, 4) and labels.dtype == "int32"


@pytest.mark.parametrize("shape", [(2, 4, 6, 1), (4, 4, 1)])
def test_images_whose_shape_gives_the_turn_away_are_refused(shape):
    with pytest.raises(ValueError, match="square images"):
        Rotations()(np.zeros(shape, "float32"))


def test_the_layer_comes_back_from_its_config():
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(Rotations(name="turned"))
    )
    assert isinstance(again, Rotations) and again.name == "turned"
