"""The memory bank: what an update does, against slow NumPy."""

import keras
import numpy as np
import pytest

from cpc_keras.layers import MemoryBank


def directions(count, dim, seed):
    codes = np.random.default_rng(seed).normal(size=(count, dim))
    return (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype("float32")


def test_updates_are_the_paper_s_and_images_that_come_twice_count_with_their_mean():
    bank = MemoryBank(6, dim=4, momentum=0.3, seed=0)
    expected = np.array(bank.directions, "float64")
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1.0, rtol=1e-6)
    for step, index in enumerate(([5, 0], [2, 2, 1], [3, 3, 3])):
        codes = directions(len(index), 4, seed=step)
        bank.update(np.int64(index), codes)
        for image in set(index):
            own = [np.float64(c) for c, i in zip(codes, index, strict=True) if i == image]
            moved = 0.3 * expected[image] + 0.7 * sum(own) / len(own)
            expected[image] = moved / np.sqrt(sum(x * x for x in moved))
        np.testing.assert_allclose(bank.directions, expected, rtol=1e-5, atol=1e-6)


def test_codes_are_compared_with_all_directions():
    bank = MemoryBank(6, dim=4, seed=0)
    codes = directions(3, 4, seed=1)
    cosines = [[np.dot(c, v) for v in np.asarray(bank.directions)] for c in codes]
    np.testing.assert_allclose(bank(codes), cosines, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(bank.rows([4, 4]), np.asarray(bank.directions)[[4, 4]])


def test_directions_are_saved_are_not_trained_and_stay_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        bank = MemoryBank(6, dim=4, momentum=0.1, seed=3, name="bank")
        inputs = keras.Input((4,))
        model = keras.Model(inputs, bank(inputs))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.trainable_weights == [] and bank.directions.dtype == "float32"
    bank.update([1], directions(1, 4, seed=0))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").get_layer("bank")
    np.testing.assert_array_equal(again.directions, bank.directions)
    assert again.get_config() == bank.get_config()


@pytest.mark.parametrize("wrong", [{"size": 1}, {"dim": 0}, {"momentum": 1.0}, {"momentum": -0.1}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="MemoryBank: expected size >= 2"):
        MemoryBank(**{"size": 4, "dim": 2, **wrong})
