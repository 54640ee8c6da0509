import numpy as np
import pytest

from cpc_keras.data import ImageData, SkippedFile, Splits


def _data(**changes):
    images = np.arange(4 * 2 * 3 * 1, dtype=np.uint8).reshape(4, 2, 3, 1)
    fields = {"images": images, "labels": np.array([0, 1, 1, 0]), "names": ("a", "b", "c", "d")}
    return ImageData(**(fields | changes))


def test_length_and_image_shape_are_those_of_the_array():
    assert len(_data()) == 4
    assert _data().image_shape == (2, 3, 1)


def test_a_subset_keeps_images_labels_and_names_together():
    data = _data(class_names=("x", "y"), skipped=(SkippedFile("e", "empty file"),), source="s")
    part = data.subset(np.array([2, 0]))
    np.testing.assert_array_equal(part.images, data.images[[2, 0]])
    np.testing.assert_array_equal(part.labels, [1, 0])
    assert part.names == ("c", "a")
    assert (part.class_names, part.skipped, part.source) == (("x", "y"), data.skipped, "s")


def test_a_subset_takes_a_mask_and_an_empty_list():
    assert _data().subset(np.array([True, False, False, True])).names == ("a", "d")
    assert len(_data().subset([])) == 0


def test_a_subset_of_unlabelled_unnamed_images_is_the_same():
    part = _data(labels=None, names=None).subset([1])
    assert part.labels is None and part.names is None


def test_labels_become_int64():
    assert _data(labels=np.array([0, 1, 1, 0], np.uint8)).labels.dtype == np.int64


def test_fields_cannot_be_set():
    with pytest.raises(AttributeError):
        _data().labels = None


def test_required_labels_are_given():
    np.testing.assert_array_equal(_data().require_labels(), [0, 1, 1, 0])


def test_required_labels_that_are_missing_say_how_to_lay_out_a_folder():
    with pytest.raises(
        ValueError, match=r"4 images without labels from 'folder:x'.*Expected a label.*photos/cat"
    ):
        _data(labels=None, source="folder:x").require_labels()


@pytest.mark.parametrize("images", [np.zeros((4, 2, 3), np.uint8), np.zeros((4, 2, 3, 1))])
def test_images_of_another_shape_or_type_are_refused(images):
    with pytest.raises(ValueError, match=r"received images of shape .*Expected uint8 \[n, height"):
        _data(images=images)


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros(4), np.zeros((4, 1), int)])
def test_labels_that_do_not_fit_the_images_are_refused(labels):
    with pytest.raises(ValueError, match=r"received labels of shape .*one integer an image"):
        _data(labels=labels)


def test_names_that_do_not_fit_the_images_are_refused():
    with pytest.raises(ValueError, match="received 1 names for 4 images"):
        _data(names=("a",))


def test_a_digest_tells_pixels_labels_and_groups_apart():
    images = np.arange(4 * 16, dtype="uint8").reshape(4, 4, 4, 1)
    labels = np.array([0, 1, 1, 0])

    def digest(images=images, labels=labels, groups=None, test=3):
        data = ImageData(images, labels, groups=groups)
        return Splits(data.subset(np.arange(test)), data.subset(np.arange(test, 4))).digest()

    others = [
        digest(images=images + 1),
        digest(labels=1 - labels),
        digest(groups=np.array(["a", "b", "c", "d"])),
        digest(groups=np.array(["a", "a", "c", "d"])),
    ]
    assert digest() == digest() and len({digest(), *others}) == 5
