import gzip
import struct

import numpy as np
import pytest

from cpc_keras.data import load_data
from cpc_keras.data.idx_source import idx_source

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 6, 7), "uint8")
LABELS = np.array([3, 0, 1, 1, 9], "uint8")


def idx(array, kind=0x08):
    """The bytes of an IDX file, written from the format's description."""
    head = bytes([0, 0, kind, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.tobytes()


def write(path, array, **options):
    data = idx(array, **options)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def mnist(tmp_path):
    """A directory as Debian's dataset-fashion-mnist installs it."""
    write(tmp_path / "train-images-idx3-ubyte.gz", IMAGES)
    write(tmp_path / "train-labels-idx1-ubyte.gz", LABELS)
    write(tmp_path / "t10k-images-idx3-ubyte.gz", IMAGES[:2])
    write(tmp_path / "t10k-labels-idx1-ubyte.gz", LABELS[:2])
    return tmp_path


def test_images_and_labels_are_those_of_the_files(mnist):
    train, test = load_data(f"idx:{mnist}")
    np.testing.assert_array_equal(train.images, IMAGES[..., None])
    np.testing.assert_array_equal(train.labels, LABELS)
    np.testing.assert_array_equal(test.images, IMAGES[:2, ..., None])
    np.testing.assert_array_equal(test.labels, LABELS[:2])
    assert train.labels.dtype == np.int64
    assert train.source == f"idx:{mnist}"


def test_a_directory_of_idx_files_is_found_by_its_path(mnist):
    np.testing.assert_array_equal(load_data(str(mnist)).train.labels, LABELS)


def test_files_that_are_not_compressed_and_other_names_are_read(tmp_path):
    write(tmp_path / "emnist-letters-train-images-idx3-ubyte", IMAGES)
    write(tmp_path / "emnist-letters-train-labels-idx1-ubyte", LABELS)
    write(tmp_path / "emnist-letters-test-images.idx3-ubyte", IMAGES[2:])
    train, test = idx_source(tmp_path)
    np.testing.assert_array_equal(train.labels, LABELS)
    np.testing.assert_array_equal(test.images[..., 0], IMAGES[2:])
    assert test.labels is None


def test_images_of_four_dimensions_have_their_channels_last(tmp_path):
    images = RNG.integers(0, 256, (3, 4, 5, 6), "uint8")
    write(tmp_path / "train-images-idx4-ubyte", images)
    train, test = idx_source(tmp_path)
    np.testing.assert_array_equal(train.images, images)
    assert train.labels is None and test is None


def test_labels_of_several_bytes_are_big_endian(tmp_path):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES[:2])
    write(tmp_path / "train-labels-idx1-ubyte", np.array([1, 258], ">i4"), kind=0x0C)
    assert idx_source(tmp_path).train.labels.tolist() == [1, 258]


def test_size_and_channels_are_converted(mnist):
    train, _ = load_data(f"idx:{mnist}", image_size=(3, 4), channels=3)
    assert train.image_shape == (3, 4, 3)
    np.testing.assert_array_equal(train.images[..., 0], train.images[..., 2])


def test_a_compressed_file_beside_its_plain_one_is_no_other_set(mnist):
    write(mnist / "train-images-idx3-ubyte", IMAGES)
    assert len(idx_source(mnist).train) == 5


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("cut", [0, 3, 10, -1])
def test_a_file_that_was_cut_short_is_named(tmp_path, name, cut):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    write(tmp_path / "train-labels-idx1-ubyte", LABELS)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:cut])
    with pytest.raises(ValueError, match=rf"{name}.*(anew|begins with)"):
        idx_source(tmp_path)


def test_a_compressed_file_that_was_cut_short_is_named(mnist):
    path = mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz: cannot be unpacked"):
        idx_source(mnist)


def test_a_file_with_more_than_it_tells_of_is_refused(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES) + b"x")
    with pytest.raises(ValueError, match=r"too many bytes of values. Expected 210"):
        idx_source(tmp_path)


def test_labels_that_do_not_fit_the_images_are_refused(tmp_path):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    write(tmp_path / "train-labels-idx1-ubyte", LABELS[:4])
    with pytest.raises(ValueError, match=r"shape \(4,\).*for 5 images"):
        idx_source(tmp_path)


def test_values_that_are_no_pixels_are_refused(tmp_path):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES.astype(">f4"), kind=0x0D)
    with pytest.raises(ValueError, match=r"type float32. Expected unsigned bytes"):
        idx_source(tmp_path)


def test_two_sets_in_one_directory_are_refused(mnist):
    write(mnist / "emnist-train-images-idx3-ubyte", IMAGES)
    with pytest.raises(ValueError, match="several sets"):
        idx_source(mnist)


def test_a_directory_without_train_images_says_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match=r"Expected train-images-idx3-ubyte"):
        load_data(f"idx:{tmp_path}")


def test_idx_files_do_not_stream(mnist):
    with pytest.raises(ValueError, match="in_memory=False"):
        load_data(f"idx:{mnist}", in_memory=False, image_size=8, channels=1)
