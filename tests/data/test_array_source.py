import importlib

import numpy as np
import pytest

from cpc_keras.data import load_data

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 9, 7), "uint8")
LABELS = np.array([0, 1, 2, 2, 1, 0])


def load(tmp_path, name="data.npz", load_options=None, **arrays):
    np.savez(tmp_path / name, **arrays)
    return load_data(str(tmp_path / name), **(load_options or {}))


@pytest.mark.parametrize(
    ("images", "labels"),
    [("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels")],
)
def test_arrays_of_any_channels_are_found_by_their_usual_names(tmp_path, images, labels):
    train, test = load(tmp_path, **{images: IMAGES, labels: LABELS})
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)
    assert test is None


@pytest.mark.parametrize(
    ("images", "labels"),
    [("x_test", "y_test"), ("test_images", "test_labels"), ("val_images", "val_labels")],
)
def test_test_images_are_the_test_split(tmp_path, images, labels):
    parts = {"x_train": IMAGES, "y_train": LABELS, images: IMAGES[:2], labels: LABELS[:2, None]}
    test = load(tmp_path, **parts).test
    np.testing.assert_array_equal(test.images, IMAGES[:2])
    np.testing.assert_array_equal(test.labels, LABELS[:2])


def test_test_comes_before_validation(tmp_path):
    parts = {"val_images": IMAGES[:1], "test_images": IMAGES[:3]}
    assert len(load(tmp_path, train_images=IMAGES, **parts).test) == 3


def test_grey_images_need_no_channel_axis_and_may_have_no_labels(tmp_path):
    np.save(tmp_path / "data.npy", IMAGES[..., 0])
    train, _ = load_data(f"arrays:{tmp_path / 'data.npy'}")
    np.testing.assert_array_equal(train.images, IMAGES[..., :1])
    assert train.labels is None and train.source == f"arrays:{tmp_path / 'data.npy'}"


def test_16_bits_are_scaled_by_their_full_range(tmp_path):
    wide = np.array([0, 128, 129, 65535, 32768], "uint16").reshape(1, 1, 5, 1)
    assert load(tmp_path, images=wide).train.images.ravel().tolist() == [0, 0, 1, 255, 128]


def test_every_channel_is_resized(tmp_path):
    train, _ = load(tmp_path, images=IMAGES, load_options={"image_size": (4, 3)})
    assert train.image_shape == (4, 3, 7)


def test_several_classes_an_image_are_zeros_and_ones(tmp_path):
    several = RNG.integers(0, 2, (6, 4), "uint8")
    train, _ = load(tmp_path, images=IMAGES, labels=several, class_names=np.array(list("abcd")))
    np.testing.assert_array_equal(train.labels, several)
    expected = " ".join("abcd"[i] for i in np.flatnonzero(several[2]))
    assert train.label_name(2) == expected
    assert train.subset([4, 1]).labels.tolist() == several[[4, 1]].tolist()


def test_images_of_several_classes_are_split_off_at_random(tmp_path):
    several = RNG.integers(0, 2, (6, 4), "uint8")
    options = {"test_fraction": 0.5}
    train, test = load(tmp_path, images=IMAGES, labels=several, load_options=options)
    assert len(train) == len(test) == 3
    assert test.labels.shape == (3, 4)


def test_a_npy_file_is_mapped_where_not_all_is_read(tmp_path):
    np.save(tmp_path / "data.npy", IMAGES)
    train, _ = load_data(str(tmp_path / "data.npy"), in_memory=False)
    assert isinstance(train.images, np.memmap)
    np.testing.assert_array_equal(train.images[2:4], IMAGES[2:4])


@pytest.mark.parametrize("options", [{"image_size": 4}, {"channels": 3}])
def test_mapped_images_cannot_be_converted(tmp_path, options):
    np.save(tmp_path / "data.npy", IMAGES[..., :1])
    with pytest.raises(ValueError, match=r"in_memory=False.*Convert the file once"):
        load_data(str(tmp_path / "data.npy"), in_memory=False, **options)


def test_mapped_images_are_refused_before_they_are_converted(tmp_path, monkeypatch):
    np.save(tmp_path / "data.npy", IMAGES.astype("uint16"))
    module = importlib.import_module("cpc_keras.data.array_source")
    monkeypatch.setattr(module, "fit_images", lambda *a, **k: pytest.fail("converted"))
    with pytest.raises(ValueError, match=r"in_memory=False.*type uint16.*Convert the file once"):
        load_data(str(tmp_path / "data.npy"), in_memory=False)


def test_a_npz_file_is_not_mapped(tmp_path):
    with pytest.raises(ValueError, match=r"in_memory=False.*Expected a .npy file"):
        load(tmp_path, images=IMAGES, load_options={"in_memory": False})


def test_unknown_names_are_listed_with_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match=r"arrays scans.*called x_train or train_images or images"):
        load(tmp_path, scans=IMAGES)


def test_python_objects_and_other_files_are_not_opened(tmp_path):
    np.save(tmp_path / "data.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="without Python objects"):
        load_data(str(tmp_path / "data.npy"))
    (tmp_path / "data.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match="cannot be read"):
        load_data(str(tmp_path / "data.npz"))


def test_a_missing_file_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_data(f"arrays:{tmp_path / 'none.npz'}")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES.astype("float32")}, "float32 pixels have no known range"),
        ({"images": IMAGES[0, 0]}, r"Expected images \[n, height"),
        ({"images": IMAGES, "labels": LABELS + 0.5}, "labels of type float64. Expected integers"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "for 6 images"),
        ({"images": IMAGES, "labels": np.full((6, 2), 3)}, "0 and 1 for each class"),
    ],
)
def test_arrays_that_are_no_images_or_labels_are_refused(tmp_path, arrays, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path, **arrays)
