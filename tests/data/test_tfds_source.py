import builtins
import os
import pathlib

import numpy as np
import pytest

from cpc_keras.data import load_data
from cpc_keras.data.tfds_source import tfds_source


def _prepared(name):
    data_dir = os.environ.get("TFDS_DATA_DIR", "")
    is_there = bool(data_dir) and (pathlib.Path(data_dir) / name).is_dir()
    return pytest.mark.skipif(
        not is_there, reason=f"needs {name}, prepared in the directory named by TFDS_DATA_DIR"
    )


@pytest.fixture
def tfds():
    return pytest.importorskip("tensorflow_datasets", reason="reads TensorFlow Datasets")


@pytest.fixture
def write_dataset(tfds, tmp_path, monkeypatch):
    """Prepares a dataset in an empty directory: no code of it stands in TFDS, no download."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))

    def write(features, **splits):
        tfds.dataset_builders.store_as_tfds_dataset(
            name="little",
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            split_datasets={name: list(enumerate(examples)) for name, examples in splits.items()},
            data_dir=str(tmp_path),
            disable_shuffling=True,
        )

    return write


def _images(count, shape=(6, 5, 3), dtype=np.uint8):
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, (count, *shape), dtype, endpoint=True)


def test_images_labels_and_class_names_are_those_prepared(tfds, write_dataset):
    images, labels = _images(7), [2, 0, 1, 1, 0, 2, 2]
    features = {
        "image": tfds.features.Image(shape=(6, 5, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["x", "y", "z"]),
    }
    examples = [{"image": i, "label": j} for i, j in zip(images, labels, strict=True)]
    write_dataset(features, train=examples, test=examples[:2], unlabeled=examples[:1])
    train, test = load_data("tfds:little")
    np.testing.assert_array_equal(train.images, images)
    np.testing.assert_array_equal(train.labels, labels)
    np.testing.assert_array_equal(test.images, images[:2])
    assert train.class_names == test.class_names == ("x", "y", "z")
    assert train.source == "tfds:little" and train.names is None


def test_images_without_labels_have_none(tfds, write_dataset):
    features = {"image": tfds.features.Image(shape=(6, 5, 3), encoding_format="png")}
    write_dataset(features, train=[{"image": image} for image in _images(2)])
    train, test = tfds_source("little")
    assert train.labels is None and train.class_names == () and test is None


def test_a_hidden_test_label_is_none_and_validation_stands_in_for_test(tfds, write_dataset):
    features = {
        "image": tfds.features.Image(shape=(6, 5, 3), encoding_format="png"),
        "label": tfds.features.Scalar(np.int64),
    }
    train = [{"image": image, "label": 4} for image in _images(2)]
    write_dataset(features, train=train, validation=[{"image": _images(1)[0], "label": -1}])
    train, test = tfds_source("little")
    np.testing.assert_array_equal(train.labels, [4, 4])
    assert train.class_names == () and len(test) == 1 and test.labels is None


@pytest.mark.parametrize("name", ["validation", "val"])
def test_a_labelled_split_goes_before_a_test_split_whose_labels_are_hidden(
    tfds, write_dataset, name
):
    features = {
        "image": tfds.features.Image(shape=(6, 5, 3), encoding_format="png"),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    train = [{"image": image, "label": 1} for image in _images(2)]
    hidden = [{"image": image, "label": -1} for image in _images(3)]
    write_dataset(features, train=train, test=hidden, **{name: train[:1]})
    with pytest.warns(UserWarning, match=f"split test has no labels. .* those of {name}, which"):
        test = load_data("tfds:little").labeled().test
    np.testing.assert_array_equal(test.labels, [1])


def test_mixed_sizes_need_a_size(tfds, write_dataset):
    features = {"image": tfds.features.Image(shape=(None, None, 3), encoding_format="png")}
    examples = [{"image": _images(1)[0]}, {"image": _images(1, (3, 4, 3))[0]}]
    write_dataset(features, train=examples)
    with pytest.raises(ValueError, match=r"\(6, 5, 3\) and \(3, 4, 3\). Expected one shape. Pass"):
        tfds_source("little")
    train, _ = tfds_source("little", image_size=(4, 4), channels=1)
    assert train.images.shape == (2, 4, 4, 1)


def test_images_of_unknown_but_equal_size_need_none(tfds, write_dataset):
    images = _images(3)
    features = {"image": tfds.features.Image(shape=(None, None, 3), encoding_format="png")}
    write_dataset(features, train=[{"image": image} for image in images])
    np.testing.assert_array_equal(tfds_source("little").train.images, images)


def test_16_bit_images_are_scaled_by_their_full_range(tfds, write_dataset):
    images = _images(2, (6, 5, 1), np.uint16)
    features = {
        "image": tfds.features.Image(shape=(6, 5, 1), dtype=np.uint16, encoding_format="png")
    }
    write_dataset(features, train=[{"image": image} for image in images])
    expected = np.round(images / 257)
    np.testing.assert_array_equal(tfds_source("little").train.images, expected)


def test_a_dataset_without_a_train_split_lists_its_splits(tfds, write_dataset):
    features = {"image": tfds.features.Image(shape=(6, 5, 3), encoding_format="png")}
    write_dataset(features, test=[{"image": _images(1)[0]}])
    with pytest.raises(ValueError, match=r"with the splits test\. Expected one named train"):
        tfds_source("little")


def test_a_dataset_without_images_lists_its_features(tfds, write_dataset):
    write_dataset({"text": tfds.features.Text()}, train=[{"text": "no image"}])
    with pytest.raises(ValueError, match=r"with the features text\. Expected one named image"):
        tfds_source("little")


def test_an_unknown_name_names_the_closest_even_if_only_prepared(tfds, write_dataset):
    write_dataset({"text": tfds.features.Text()}, train=[{"text": "x"}])
    with pytest.raises(ValueError, match=r"tfds:litle: received a name .*Closest: little"):
        load_data("tfds:litle")
    with pytest.raises(ValueError, match=r"Closest: .*cifar10"):
        load_data("tfds:cifar11")


def test_a_missing_package_says_what_to_install(monkeypatch):
    real_import = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("tensorflow_datasets"):
            raise ImportError("No module named 'tensorflow_datasets'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r'No module named.*pip install "cpc-keras\[tfds\]"'):
        tfds_source("cifar10")


@_prepared("tiny_imagenet20")
def test_tiny_imagenet20_loads_without_code_of_its_own(tfds):
    train, test = load_data("tfds:tiny_imagenet20")
    assert train.images.shape == (10000, 64, 64, 3) and test.images.shape == (1000, 64, 64, 3)
    assert len(train.class_names) == 20 and train.labels.max() == 19
    first = next(
        tfds.as_numpy(
            tfds.load(
                "tiny_imagenet20",
                split="test",
                download=False,
                data_dir=os.environ["TFDS_DATA_DIR"],
            )
        ).__iter__()
    )
    np.testing.assert_array_equal(test.images[0], first["image"])
    assert test.labels[0] == first["label"]


@_prepared("bccd")
def test_bccd_has_images_of_one_size_without_labels():
    train, test = load_data("tfds:bccd", image_size=(48, 64))
    assert train.images.shape == (205, 48, 64, 3) and len(test) == 72
    assert train.labels is None
