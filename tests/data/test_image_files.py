import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data import image_batches, load_data
from cpc_keras.data.image_files import ImageFiles
from cpc_keras.data.read_images import read_images


@pytest.fixture
def paths(tmp_path):
    """Photos of several sizes and colour modes."""
    rng = np.random.default_rng(0)
    made = []
    for number, mode in enumerate(["RGB", "L", "RGBA", "CMYK", "P", "RGB", "L"]):
        pixels = rng.integers(256, size=(20 + number, 30, 3), dtype=np.uint8)
        suffix = "jpg" if mode == "CMYK" else "png"
        made.append(tmp_path / f"{number}.{suffix}")
        Image.fromarray(pixels).convert(mode).save(made[-1])
    return made


def _break(path):
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("channels", [1, 3])
def test_indexing_gives_what_reading_all_gives(paths, channels):
    images = ImageFiles(paths, image_size=(9, 12), channels=channels)
    expected, _ = read_images(paths, image_size=(9, 12), channels=channels)
    assert images.shape == expected.shape and images.ndim == 4 and len(images) == 7
    assert images.dtype == expected.dtype
    for index in (
        slice(None),
        slice(1, 6, 2),
        np.array([5, 0, 5]),
        np.array([], int),
        np.arange(7) % 2 == 0,
        -1,
        3,
    ):
        np.testing.assert_array_equal(images[index], expected[index])
    assert images.skipped == []


def test_nothing_is_opened_before_it_is_indexed(paths):
    for path in paths:
        path.unlink()
    images = ImageFiles(paths, image_size=(9, 12), channels=3)
    assert images.shape == (7, 9, 12, 3)
    with (
        pytest.warns(UserWarning, match=r"0\.png cannot be read"),
        pytest.raises(ValueError, match="none of 7 image files can be read"),
    ):
        images[0]


def test_the_next_readable_file_stands_in_for_a_broken_one(paths):
    for broken in (2, 3, 6):
        _break(paths[broken])
    images = ImageFiles(paths, image_size=(9, 12), channels=3)
    whole = ImageFiles(
        [paths[row] for row in (0, 1, 4, 4, 4, 5, 0)], image_size=(9, 12), channels=3
    )
    with pytest.warns(UserWarning, match="The next file stands in for it") as caught:
        found = images[[2, 6, 3, 0]]
    assert len(caught) == 1
    np.testing.assert_array_equal(found, whole[[2, 6, 3, 0]])
    assert {file.path for file in images.skipped} == {str(paths[row]) for row in (2, 3, 6)}
    assert all(file.reason for file in images.skipped)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # each file is told of once
        np.testing.assert_array_equal(images[:], whole[:])
    assert len(images.skipped) == 3


def test_a_broken_file_is_listed_once_however_many_threads_meet_it(paths):
    _break(paths[0])
    images = ImageFiles(paths, image_size=(9, 12), channels=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=images.__getitem__, args=([0] * 8,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [file.path for file in images.skipped] == [str(paths[0])]


def test_all_images_as_one_array_are_refused(paths):
    with pytest.raises(TypeError, match=r"request for all 7 images.*images\[index\]"):
        np.asarray(ImageFiles(paths, image_size=(9, 12), channels=3))


def test_no_files_are_refused():
    with pytest.raises(ValueError, match="received no files"):
        ImageFiles([], image_size=(9, 12), channels=3)


def test_batches_are_those_of_the_array(paths):
    images = ImageFiles(paths, image_size=(16, 24), channels=3)
    options = {"batch_size": 3, "seed": 4, "epochs": 2, "crop_size": 10, "flip": True}
    streamed = list(image_batches(images, **options).as_numpy_iterator())
    held = list(image_batches(images[:], **options).as_numpy_iterator())
    assert len(streamed) == 4
    for ours, theirs in zip(streamed, held, strict=True):
        for key in ("image", "label", "index"):
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_a_streamed_folder_is_the_folder_without_labels(paths, tmp_path):
    for name in ("train/a", "train/b", "test/a"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for number, path in enumerate(paths):
        path.rename(tmp_path / "photos" / ("train/a", "train/b", "test/a")[number % 3] / path.name)
    options = {"image_size": (8, 10), "channels": 3}
    streamed = load_data(str(tmp_path / "photos"), in_memory=False, **options)
    held = load_data(str(tmp_path / "photos"), **options)
    for ours, theirs in zip(streamed, held, strict=True):
        np.testing.assert_array_equal(ours.images[:], theirs.images)
        assert (ours.names, ours.source) == (theirs.names, theirs.source)
        assert ours.labels is None and theirs.labels is not None
        assert ours.image_shape == theirs.image_shape


def test_a_streamed_folder_tells_what_it_skipped_as_it_goes(paths):
    _break(paths[3])
    train, _ = load_data(str(paths[0].parent), image_size=8, channels=3, in_memory=False)
    assert list(train.skipped) == []
    with pytest.warns(UserWarning):
        train.images[:]
    assert [file.path for file in train.skipped] == [str(paths[3])]


def test_a_test_fraction_splits_files_without_reading_them(paths):
    options = {"image_size": 8, "channels": 3, "test_fraction": 0.3}
    streamed = load_data(str(paths[0].parent), in_memory=False, **options)
    held = load_data(str(paths[0].parent), **options)
    for ours, theirs in zip(streamed, held, strict=True):
        assert isinstance(ours.images, ImageFiles)
        assert ours.names == theirs.names
        np.testing.assert_array_equal(ours.images[:], theirs.images)


@pytest.mark.parametrize("given", [{}, {"image_size": 8}, {"channels": 3}])
def test_streaming_needs_size_and_channels(paths, given):
    with pytest.raises(ValueError, match=r"in_memory=False.*Expected both.*--image-size"):
        load_data(str(paths[0].parent), in_memory=False, **given)


@pytest.mark.parametrize("spec", ["mnist_5k", "tfds:cifar10"])
def test_only_folders_stream(spec):
    with pytest.raises(ValueError, match=r"in_memory=False \(--stream\) for .*Expected a folder"):
        load_data(spec, in_memory=False)
