import dataclasses
import os

import numpy as np
import pytest

from cpc_keras.data import ImageData, label_subset, read_label_subset, write_label_subset
from cpc_keras.data.skipped_file import SkippedFile, write_skipped

LABELS = np.arange(40) % 4


def _data(order=None, names=True, labels=LABELS, class_names=("a", "b", "c", "d")):
    order = np.arange(40) if order is None else order
    return ImageData(
        np.zeros((len(order), 4, 4, 1), "uint8"),
        labels=labels[order],
        class_names=class_names,
        names=tuple(f"{i}.png" for i in order) if names else None,
    )


@pytest.mark.parametrize("names", [True, False])
def test_a_subset_comes_back_from_its_file(tmp_path, names):
    data = _data(names=names)
    index = label_subset(data.labels, 0.2, seed=0)
    path = write_label_subset(tmp_path / "subsets" / "0.2.csv", data, index)
    np.testing.assert_array_equal(read_label_subset(path, data), index)
    first = path.read_text().splitlines()[1].split(",")
    assert first == [str(index[0]), f"{index[0]}.png" if names else "", "abcd"[index[0] % 4]]


def test_names_that_are_no_text_come_back(tmp_path):
    odd = os.fsdecode(b"caf\xe9.png")
    data = dataclasses.replace(_data(), names=(odd, *_data().names[1:]))
    index = np.array([0, 1, 2, 3])
    path = write_label_subset(tmp_path / "a.csv", data, index)
    assert b"caf\xe9.png" in path.read_bytes()
    np.testing.assert_array_equal(read_label_subset(path, data), index)
    write_skipped(tmp_path / "skipped.csv", [SkippedFile(odd, 'not "an image"')])
    told = (tmp_path / "skipped.csv").read_bytes()
    assert told.splitlines() == [b"path,reason", b'caf\xe9.png,"not ""an image"""']
    with pytest.raises(FileExistsError):
        write_skipped(tmp_path / "skipped.csv", [], replace=False)


def test_images_are_found_by_name_in_another_order(tmp_path):
    index = label_subset(LABELS, 0.2, seed=0)
    path = write_label_subset(tmp_path / "a.csv", _data(), index)
    order = np.random.default_rng(0).permutation(40)
    found = read_label_subset(path, _data(order))
    np.testing.assert_array_equal(np.sort(order[found]), index)


def test_several_classes_an_image_come_back(tmp_path):
    several = np.random.default_rng(0).integers(0, 2, (40, 4))
    data = _data(labels=several)
    path = write_label_subset(tmp_path / "a.csv", data, np.arange(7))
    np.testing.assert_array_equal(read_label_subset(path, data), np.arange(7))


def test_what_is_there_is_replaced_by_an_equal_subset_alone(tmp_path):
    path = write_label_subset(tmp_path / "a.csv", _data(), np.arange(4))
    write_label_subset(path, _data(), np.arange(4))
    with pytest.raises(FileExistsError, match="another subset"):
        write_label_subset(path, _data(), np.arange(5))
    assert len(read_label_subset(path, _data())) == 4
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_data_that_the_subset_was_not_drawn_from_is_refused(tmp_path):
    path = write_label_subset(tmp_path / "a.csv", _data(), np.array([3, 30]))
    with pytest.raises(ValueError, match=r"names the image 30.png, which array does not have"):
        read_label_subset(path, _data(np.arange(20)))
    with pytest.raises(ValueError, match=r"3.png is of class 'd'; array says 'a'"):
        read_label_subset(path, _data(labels=(LABELS + 1) % 4))
    bare = write_label_subset(tmp_path / "b.csv", _data(names=False), np.array([30]))
    with pytest.raises(ValueError, match="names the image number 30"):
        read_label_subset(bare, _data(np.arange(20), names=False))


def test_other_files_and_missing_labels_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("image,label\n1,2\n")
    with pytest.raises(ValueError, match="Expected position, name and label"):
        read_label_subset(tmp_path / "a.csv", _data())
    (tmp_path / "b.csv").write_text("position,name,label\n1,1.png,b\n1,1.png,b\n")
    with pytest.raises(ValueError, match="names an image twice"):
        read_label_subset(tmp_path / "b.csv", _data())
    with pytest.raises(ValueError, match="without labels"):
        write_label_subset(
            tmp_path / "c.csv", ImageData(np.zeros((2, 4, 4, 1), "uint8")), np.array([0])
        )
