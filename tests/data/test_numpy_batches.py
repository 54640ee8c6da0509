"""Batches where Keras does not run on TensorFlow: the same promises, without `tf.data`."""

import keras
import numpy as np
import pytest

from cpc_keras.data import image_batches, mixed_batches
from cpc_keras.data.numpy_batches import NumPyBatches

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 6, 6, 1), "uint8")
LABELS = np.arange(11) % 3


@pytest.fixture(autouse=True)
def another_backend(monkeypatch):
    """Keras says that it runs on JAX."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")


def of_images(**options):
    """Batches of four images."""
    return image_batches(IMAGES, labels=LABELS, **{"batch_size": 4, **options})


def of_both(**options):
    """Batches of one labelled image and three others."""
    index = np.array([2, 7], "int32")
    return mixed_batches(IMAGES, LABELS, index, **{"batch_size": 4, "ratio": 3, **options})


def equal(first, second):
    """Whether batches are the same."""
    return len(first) == len(second) and all(
        np.array_equal(a[key], b[key])
        for a, b in zip(first, second, strict=True)
        for key in ("image", "label", "index")
    )


def test_a_batch_holds_images_labels_and_positions_that_belong_together():
    batches = of_images(epochs=2)
    assert isinstance(batches, NumPyBatches) and batches.num_batches == 4
    for batch in batches:
        np.testing.assert_array_equal(batch["image"], IMAGES[batch["index"]])
        np.testing.assert_array_equal(batch["label"], LABELS[batch["index"]])
        assert batch["image"].dtype == "uint8" and batch["label"].dtype == "int32"


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own():
    batches = list(of_images(epochs=2, drop_remainder=False))
    assert [len(batch["index"]) for batch in batches] == [4, 4, 3, 4, 4, 3]
    epochs = [np.concatenate([b["index"] for b in part]) for part in (batches[:3], batches[3:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(11))
    assert list(epochs[0]) != list(epochs[1])
    assert equal(list(of_images(epochs=1)), list(of_images(epochs=1)))
    assert not equal(list(of_images(epochs=1)), list(of_images(epochs=1, seed=1)))


@pytest.mark.parametrize("make", [of_images, of_both])
@pytest.mark.parametrize("place", [(0, 1), (1, 0), (2, 1)])
def test_batches_begun_later_go_on_as_those_begun_at_zero(make, place):
    epoch, step = place
    options = {"flip": True, "crop_size": 4, "seed": 3}
    whole = list(make(epochs=4, **options))
    rest = make(first_epoch=epoch, first_step=step, epochs=4 - epoch, **options)
    assert equal(whole[2 * epoch + step :], list(rest))


def test_without_shuffling_the_order_is_that_of_the_array():
    batches = list(of_images(epochs=1, shuffle=False, crop_size=4))
    np.testing.assert_array_equal(batches[1]["index"], [4, 5, 6, 7])
    np.testing.assert_array_equal(batches[1]["image"], IMAGES[4:8, 1:5, 1:5])


@pytest.mark.parametrize("make", [of_images, of_both])
def test_shares_together_are_the_batches(make):
    options = {"epochs": 2, "flip": True, "crop_size": 5}
    halves = [list(make(share=(part, 2), **options)) for part in range(2)]
    joined = [
        {key: np.concatenate([a[key], b[key]]) for key in a} for a, b in zip(*halves, strict=True)
    ]
    assert equal(list(make(**options)), joined)


def test_labelled_images_come_first_and_others_hide_their_labels():
    batches = of_both(epochs=3)
    assert batches.num_batches == 6
    for batch in batches:
        assert batch["index"][0] in (2, 7) and batch["label"][0] == LABELS[batch["index"][0]]
        assert (batch["label"][1:] == -1).all() and batch["index"].dtype == "int64"
        np.testing.assert_array_equal(batch["image"], IMAGES[batch["index"]])
    # The unlabelled ones are all images, in passes: 18 of 11, three a batch.
    others = np.concatenate([batch["index"][1:] for batch in batches])
    assert len(set(others[:9])) == 9


def test_without_a_number_of_epochs_there_is_no_end():
    batches = of_images()
    assert batches.num_batches is None
    # Two batches of one epoch, the five hundredth.
    assert len({*batches[1000]["index"], *batches[1001]["index"]}) == 8
