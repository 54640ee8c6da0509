import itertools

import numpy as np
import pytest

from cpc_keras.data import ImageData, image_batches

tf = pytest.importorskip("tensorflow", reason="batches are made by tf.data")

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 5, 3), dtype=np.uint8)
LABELS = np.arange(10) % 3


def _indices(dataset, num_batches=None):
    batches = itertools.islice(dataset.as_numpy_iterator(), num_batches)
    return [batch["index"].tolist() for batch in batches]


def test_a_batch_holds_images_labels_and_positions_that_belong_together():
    for batch in image_batches(IMAGES, batch_size=4, labels=LABELS, epochs=3).as_numpy_iterator():
        np.testing.assert_array_equal(batch["image"], IMAGES[batch["index"]])
        np.testing.assert_array_equal(batch["label"], LABELS[batch["index"]])


def test_shapes_and_types_are_known_beforehand():
    spec = image_batches(IMAGES, batch_size=4).element_spec
    assert spec == {
        "image": tf.TensorSpec((4, 4, 5, 3), tf.uint8),
        "label": tf.TensorSpec((4,), tf.int32),
        "index": tf.TensorSpec((4,), tf.int64),
    }


def test_labels_are_minus_one_where_there_are_none():
    batch = next(image_batches(IMAGES, batch_size=4).as_numpy_iterator())
    np.testing.assert_array_equal(batch["label"], [-1] * 4)


def test_float_images_keep_their_type():
    images = IMAGES.astype(np.float32)
    batch = next(image_batches(images, batch_size=4).as_numpy_iterator())
    np.testing.assert_array_equal(batch["image"], images[batch["index"]])
    assert batch["image"].dtype == np.float32


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own():
    order = _indices(image_batches(IMAGES, batch_size=5, epochs=3))
    epochs = [order[i] + order[i + 1] for i in (0, 2, 4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_order_depends_on_the_seed_alone():
    first, again, other = (
        _indices(image_batches(IMAGES, batch_size=5, seed=seed, epochs=2)) for seed in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.parametrize("first_epoch", [1, 5])
def test_a_dataset_begun_later_goes_on_as_one_begun_at_zero(first_epoch):
    from_zero = image_batches(IMAGES, batch_size=4).skip(2 * first_epoch)
    begun_later = image_batches(IMAGES, batch_size=4, first_epoch=first_epoch)
    assert _indices(from_zero, 6) == _indices(begun_later, 6)


def test_the_order_is_that_of_a_stateless_shuffle():
    shuffle = tf.random.experimental.stateless_shuffle
    expected = [shuffle(tf.range(10), seed=[7, epoch]).numpy().tolist() for epoch in (2, 3)]
    dataset = image_batches(IMAGES, batch_size=10, seed=7, first_epoch=2, epochs=2)
    assert _indices(dataset) == expected


def test_a_second_pass_over_one_dataset_is_the_same():
    dataset = image_batches(IMAGES, batch_size=4, epochs=2)
    assert _indices(dataset) == _indices(dataset)


def test_without_shuffling_the_order_is_that_of_the_array():
    dataset = image_batches(IMAGES, batch_size=4, shuffle=False, drop_remainder=False, epochs=1)
    assert _indices(dataset) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_no_batch_spans_two_epochs():
    dataset = image_batches(IMAGES, batch_size=4, shuffle=False, epochs=2)
    assert _indices(dataset) == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2


@pytest.mark.parametrize(("drop_remainder", "expected"), [(True, 6), (False, 9)])
def test_the_number_of_batches_is_known_and_right(drop_remainder, expected):
    dataset = image_batches(IMAGES, batch_size=4, epochs=3, drop_remainder=drop_remainder)
    assert dataset.cardinality() == expected == len(_indices(dataset))


def test_without_a_number_of_epochs_it_does_not_end():
    dataset = image_batches(IMAGES, batch_size=5)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert len(_indices(dataset, 100)) == 100


def test_a_batch_may_exceed_the_images_without_drop_remainder():
    dataset = image_batches(IMAGES, batch_size=64, drop_remainder=False, epochs=1)
    assert [len(index) for index in _indices(dataset)] == [10]


def test_images_are_read_in_place(tmp_path):
    images = np.memmap(tmp_path / "images", np.uint8, "w+", shape=IMAGES.shape)
    dataset = image_batches(images, batch_size=10, epochs=1)
    images[:] = IMAGES
    batch = next(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(batch["image"], IMAGES[batch["index"]])


def test_a_batch_size_beyond_the_images_is_refused():
    with pytest.raises(
        ValueError, match=r"batch_size=11 for 10 images.*at most 10.*or drop_remainder=False"
    ):
        image_batches(IMAGES, batch_size=11)


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"received batch_size=0. Expected at least 1. Try 64"):
        image_batches(IMAGES, batch_size=0)


@pytest.mark.parametrize("numbers", [{"first_epoch": -1}, {"epochs": 0}, {"epochs": -2}])
def test_impossible_epochs_are_refused(numbers):
    with pytest.raises(ValueError, match=r"received first_epoch=.*Expected first_epoch >= 0, and"):
        image_batches(IMAGES, batch_size=2, **numbers)


@pytest.mark.parametrize(
    "images", [IMAGES[0], IMAGES[:0], IMAGES.astype(int), ImageData(images=IMAGES)]
)
def test_other_than_an_array_of_images_is_refused(images):
    with pytest.raises(ValueError, match=r"received images of shape .*pass images=data\.images"):
        image_batches(images, batch_size=2)


@pytest.mark.parametrize("labels", [LABELS[:9], LABELS.astype(float), LABELS[:, None]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError, match=r"received labels of shape .*integers of shape \(10,\)"):
        image_batches(IMAGES, batch_size=2, labels=labels)


def _crops(**kwargs):
    batches = image_batches(LARGE, batch_size=4, crop_size=5, **kwargs).as_numpy_iterator()
    return [(batch["index"], batch["image"]) for batch in batches]


# Every pixel tells where it is: rows in the first channel, columns in the second.
LARGE = np.zeros((10, 9, 8, 2), np.uint8)
LARGE[..., 0] = np.arange(9)[:, None]
LARGE[..., 1] = np.arange(8)


def test_crops_are_whole_parts_from_anywhere_and_drawn_anew():
    corners = []
    for _, images in _crops(epochs=40):
        assert images.shape == (4, 5, 5, 2)
        for image in images:
            top, left = image[0, 0]
            np.testing.assert_array_equal(image, LARGE[0, top : top + 5, left : left + 5])
            corners.append((int(top), int(left)))
    assert set(corners) == {(top, left) for top in range(5) for left in range(4)}


def test_crops_are_a_function_of_seed_and_epoch():
    both, later = _crops(epochs=2, seed=3), _crops(epochs=1, first_epoch=1, seed=3)
    for (index, images), (again, repeated) in zip(both[2:], later, strict=True):
        np.testing.assert_array_equal(index, again)
        np.testing.assert_array_equal(images, repeated)
    assert any((a != b).any() for (_, a), (_, b) in zip(both[:2], later, strict=True))
    # Each batch has its own.
    assert (both[0][1] != both[1][1]).any()


def test_without_shuffle_the_centre_is_given():
    for _, images in _crops(epochs=1, shuffle=False):
        for image in images:
            np.testing.assert_array_equal(image, LARGE[0, 2:7, 1:6])


def test_half_of_the_images_are_mirrored_left_to_right():
    mirrored = []
    for batch in image_batches(LARGE, batch_size=4, flip=True, epochs=50).as_numpy_iterator():
        for image in batch["image"]:
            turned = image[0, 0, 1] == 7
            np.testing.assert_array_equal(image, LARGE[0, :, ::-1] if turned else LARGE[0])
            mirrored.append(turned)
    assert 0.4 < np.mean(mirrored) < 0.6


@pytest.mark.parametrize("size", [0, 9])
def test_a_crop_that_does_not_fit_is_refused(size):
    with pytest.raises(ValueError, match=f"crop_size={size} for images of 9x8. Expected 1 to 8"):
        image_batches(LARGE, batch_size=4, crop_size=size)


def test_flips_of_fixed_batches_are_refused():
    with pytest.raises(ValueError, match="flip=True with shuffle=False"):
        image_batches(LARGE, batch_size=4, flip=True, shuffle=False)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("options", [{}, {"crop_size": 5}, {"crop_size": 5, "flip": True}], ids=str)
def test_shares_together_are_the_batches(options, count):
    def all_batches(**share):
        dataset = image_batches(LARGE, batch_size=4, seed=3, epochs=2, **options, **share)
        return list(dataset.as_numpy_iterator())

    whole = all_batches()
    parts = [all_batches(share=(i, count)) for i in range(count)]
    assert {len(whole)} == {len(part) for part in parts} and len(whole) > 1
    for batch, *shares in zip(whole, *parts, strict=True):
        for key, value in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in shares]), value)
    index = np.concatenate([batch["index"] for part in parts for batch in part[: len(whole) // 2]])
    assert len(set(index)) == len(index)  # every image once an epoch


@pytest.mark.parametrize("share", [(0, 3), (2, 2), (-1, 2)])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match=r"received share=.*batch_size=4"):
        image_batches(LARGE, batch_size=4, share=share)
