"""RandomShift and RandomChannelDrop, pixel by pixel."""

import keras
import numpy as np
import pytest

from cpc_keras.augmentations import RandomChannelDrop, RandomShift


def numbered(batch, height, width, channels, dtype="float32"):
    """Every pixel of an image says where it is: 100 * row + 10 * column + channel."""
    y, x, c = np.meshgrid(*map(np.arange, (height, width, channels)), indexing="ij")
    image = (100 * y + 10 * x + c).astype(dtype)
    return np.broadcast_to(image, (batch, height, width, channels)).copy()


def shifted(image, dy, dx):
    result = np.zeros_like(image)
    height, width = image.shape[:2]
    for y in range(height):
        for x in range(width):
            nearest = min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)
            result[y, x] = image[nearest]
    return result


def shifts_of(images, result, largest):
    """The shift that explains each image exactly."""
    found = []
    for before, after in zip(images, result, strict=True):
        each = range(-largest, largest + 1)
        fits = [
            (dy, dx) for dy in each for dx in each if np.array_equal(shifted(before, dy, dx), after)
        ]
        assert len(fits) == 1
        found += fits
    return np.array(found)


def test_a_shift_copies_pixels_and_fills_edges_with_the_nearest():
    images = numbered(120, 7, 9, 3)
    result = np.asarray(RandomShift(2, seed=1)(images, training=True))
    shifts = shifts_of(images, result, 2)
    # Each image draws its own, both axes draw apart, and every shift occurs.
    assert len(set(map(tuple, shifts))) == 25
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.3


def test_dropping_copies_one_channel_into_all():
    images = numbered(300, 4, 5, 3)
    result = np.asarray(RandomChannelDrop(1.0, seed=1)(images, training=True))
    kept = result[:, 0, 0, 0].astype(int)
    expected = np.stack([np.repeat(images[i, ..., k : k + 1], 3, -1) for i, k in enumerate(kept)])
    np.testing.assert_array_equal(result, expected)
    # 100 each are expected; six standard deviations are 49.
    assert (np.bincount(kept, minlength=3) > 51).all()


@pytest.mark.parametrize("rate", [0.0, 0.25, 1.0])
def test_the_rate_is_the_share_of_images_that_are_dropped(rate):
    images = numbered(2000, 2, 2, 3)
    result = np.asarray(RandomChannelDrop(rate, seed=2)(images, training=True))
    dropped = (result[..., 0] == result[..., 1]).all((1, 2)) & (
        result[..., 0] == result[..., 2]
    ).all((1, 2))
    untouched = (result == images).all((1, 2, 3))
    assert (dropped ^ untouched).all()
    assert abs(dropped.mean() - rate) <= 6 * np.sqrt(rate * (1 - rate) / 2000)


@pytest.mark.parametrize("layer", [RandomShift(2, seed=0), RandomChannelDrop(seed=0)])
class TestBoth:
    @pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
    def test_the_dtype_stays(self, layer, dtype):
        images = numbered(4, 2, 2, 3).astype(dtype)
        result = layer(images, training=True)
        assert keras.backend.standardize_dtype(result.dtype) == dtype
        assert set(np.asarray(result).ravel()) <= set(images.ravel())

    @pytest.mark.parametrize("training", [False, None])
    def test_nothing_happens_outside_training(self, layer, training):
        images = numbered(16, 5, 4, 3)
        np.testing.assert_array_equal(np.asarray(layer(images, training=training)), images)

    def test_each_call_draws_anew(self, layer):
        images = numbered(32, 5, 4, 3)
        first, second = (np.asarray(layer(images, training=True)) for _ in range(2))
        assert (first != second).any()

    def test_one_seed_gives_one_result(self, layer):
        images = numbered(32, 5, 4, 3)
        config = layer.get_config()
        first, second = (type(layer).from_config(config)(images, training=True) for _ in range(2))
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))

    def test_a_seed_generator_is_used_and_survives_the_config(self, layer):
        generator = keras.random.SeedGenerator(7)
        config = {**layer.get_config(), "seed": generator}
        other = type(layer)(**config)
        assert other.seed_generator is generator
        restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(other))
        assert restored.get_config()["seed"] == 7


def test_one_channel_passes_unchanged():
    images = numbered(4, 3, 3, 1)
    result = RandomChannelDrop(1.0)(images, training=True)
    np.testing.assert_array_equal(np.asarray(result), images)


@pytest.mark.parametrize("max_shift", [-1, 1.5, "2"])
def test_a_shift_that_is_no_pixel_count_is_refused(max_shift):
    with pytest.raises(ValueError, match=r"max_shift must be a whole number >= 0. Received"):
        RandomShift(max_shift)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\]. Received"):
        RandomChannelDrop(rate)
