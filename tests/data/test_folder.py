import os
import warnings

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data.folder import folder


def _make(root, *files, size=(4, 4)):
    """Writes a grey PNG a file, each of its own shade."""
    for shade, file in enumerate(files):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, shade).save(path, "PNG")
    return root


@pytest.fixture(autouse=True)
def _no_unexpected_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_flat_folder_is_unlabelled_and_has_no_test_split(tmp_path):
    train, test = folder(_make(tmp_path, "b.png", "a.png"))
    assert test is None and train.labels is None and train.class_names == ()
    assert train.names == ("a.png", "b.png") and train.skipped == ()
    np.testing.assert_array_equal(train.images[:, 0, 0, 0], [1, 0])
    assert train.source == f"folder:{tmp_path}"


def test_subfolders_are_classes_however_deep_the_images_lie(tmp_path):
    train, _ = folder(_make(tmp_path, "dog/x/y/1.png", "cat/1.png", "cat/deep/2.png"))
    assert train.class_names == ("cat", "dog")
    assert train.names == ("cat/1.png", "cat/deep/2.png", "dog/x/y/1.png")
    np.testing.assert_array_equal(train.labels, [0, 0, 1])


def test_one_image_outside_the_subfolders_leaves_all_unlabelled(tmp_path):
    train, _ = folder(_make(tmp_path, "dog/1.png", "cat/1.png", "1.png"))
    assert len(train) == 3 and train.labels is None


def test_a_single_subfolder_is_no_class(tmp_path):
    assert folder(_make(tmp_path, "images/1.png", "images/2.png")).train.labels is None


def test_other_and_hidden_files_are_ignored(tmp_path):
    _make(tmp_path, "cat/1.png", "dog/1.png", ".hidden.png", ".cache/1.png", "dog/._2.png")
    (tmp_path / "labels.csv").write_text("1")
    train, _ = folder(tmp_path)
    assert train.names == ("cat/1.png", "dog/1.png") and train.class_names == ("cat", "dog")


def test_extensions_count_in_any_case(tmp_path):
    files = ("a.PNG", "b.Jpg", "c.TIFF", "d.Jfif", "e.pgm", "f.PPM")
    assert folder(_make(tmp_path, *files)).train.names == files


def test_links_are_followed_and_loops_are_not(tmp_path):
    _make(tmp_path / "store", "1.png")
    _make(tmp_path / "photos", "cat/1.png")
    os.symlink(tmp_path / "store", tmp_path / "photos" / "dog")
    os.symlink(tmp_path / "photos", tmp_path / "photos" / "cat" / "loop")
    assert folder(tmp_path / "photos").train.names == ("cat/1.png", "dog/1.png")


@pytest.mark.parametrize(
    ("train_name", "name"),
    [
        ("train", "test"),
        ("train", "val"),
        ("train", "validation"),
        ("train", "Test"),
        ("train", "valid"),
        ("train", "dev"),
        ("train", "eval"),
        ("Training", "Testing"),
    ],
)
def test_train_and_test_folders_are_the_splits(tmp_path, train_name, name):
    files = [
        f"{train_name}/a/1.png",
        f"{train_name}/b/1.png",
        f"{train_name}/b/2.png",
        f"{name}/b/9.png",
        f"{name}/a/9.png",
    ]
    train, test = folder(_make(tmp_path, *files))
    assert train.class_names == test.class_names == ("a", "b")
    np.testing.assert_array_equal(train.labels, [0, 1, 1])
    np.testing.assert_array_equal(test.labels, [0, 1])
    assert test.names == (f"{name}/a/9.png", f"{name}/b/9.png")
    np.testing.assert_array_equal(test.images[:, 0, 0, 0], [4, 3])


@pytest.mark.parametrize("name", ["train", "Training"])
def test_a_lone_train_folder_is_the_train_split(tmp_path, name):
    train, test = folder(_make(tmp_path, f"{name}/a/1.png", f"{name}/b/1.png"))
    assert test is None and train.class_names == ("a", "b")


@pytest.mark.parametrize("names", [("train_set", "test-set"), ("val", "test"), ("train1", "dev1")])
def test_folders_named_like_splits_are_no_classes(tmp_path, names):
    _make(tmp_path, *(f"{name}/1.png" for name in names))
    with pytest.raises(ValueError, match=r"named like splits .*Expected train .*Rename"):
        folder(tmp_path)
    assert folder(tmp_path, folder_classes=False).train.labels is None


def test_one_class_may_be_named_like_a_split(tmp_path):
    assert folder(_make(tmp_path, "boat/1.png", "train/1.png")).train.labels is not None


@pytest.mark.parametrize("hidden", ["test/1.png", "test/images/1.png"])
def test_a_labelled_split_goes_before_a_test_split_without_labels(tmp_path, hidden):
    files = ["train/a/1.png", "train/b/1.png", "val/b/1.png", hidden]
    with pytest.warns(UserWarning, match=r"val is taken for its labels: test has none\..*left out"):
        train, test = folder(_make(tmp_path, *files))
    assert len(train) == 2 and test.names == ("val/b/1.png",) and test.labels.tolist() == [1]
    with pytest.warns(UserWarning, match="left out: val"):
        assert folder(tmp_path, folder_classes=False).test.names == (hidden,)


def test_images_beside_the_splits_are_left_out_with_a_warning(tmp_path):
    files = ["train/1.png", "test/1.png", "val/1.png", "val/2.png", "stray.png"]
    with pytest.warns(UserWarning, match=r"left out: \(no folder\) \(1 files\), val \(2 files\)"):
        train, test = folder(_make(tmp_path, *files))
    assert (train.names, test.names) == (("train/1.png",), ("test/1.png",))


def test_a_test_class_that_train_lacks_is_refused(tmp_path):
    _make(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png")
    with pytest.raises(
        ValueError,
        match=r"test classes that train does not have: c\. .*2 train classes: a, b\. Rename",
    ):
        folder(tmp_path)


def test_test_may_hold_some_of_the_classes(tmp_path):
    _make(tmp_path, "train/a/1.png", "train/b/1.png", "test/b/1.png")
    np.testing.assert_array_equal(folder(tmp_path).test.labels, [1])


@pytest.mark.parametrize("file", ["test/1.png", "test/images/1.png"])
def test_test_images_outside_the_classes_are_unlabelled(tmp_path, file):
    train, test = folder(_make(tmp_path, "train/a/1.png", "train/b/1.png", file))
    assert train.labels is not None and test.labels is None


def test_splits_share_size_and_channels(tmp_path):
    _make(tmp_path, "train/1.png", "test/1.png")
    Image.new("RGB", (4, 4), "red").save(tmp_path / "test" / "2.png")
    train, test = folder(tmp_path)
    assert train.image_shape == test.image_shape == (4, 4, 3)


def test_a_truncated_file_is_skipped_and_listed(tmp_path):
    _make(tmp_path, "train/1.png", "train/2.png", "test/1.png", "test/2.png", size=(64, 64))
    for file in ("train/2.png", "test/1.png"):
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:60])
    with pytest.warns(
        UserWarning, match=r"skipped 2 of 4 files that cannot be read: .*train/2\.png"
    ):
        train, test = folder(tmp_path)
    assert (train.names, test.names) == (("train/1.png",), ("test/2.png",))
    np.testing.assert_array_equal(test.images[:, 0, 0, 0], [3])
    assert [file.path for file in train.skipped] == [str(tmp_path / "train/2.png")]
    assert [file.path for file in test.skipped] == [str(tmp_path / "test/1.png")]
    assert train.skipped[0].reason


@pytest.mark.parametrize("options", [{}, {"in_memory": False, "image_size": (4, 4), "channels": 1}])
def test_images_of_formats_that_are_not_read_are_listed_with_what_to_do(tmp_path, options):
    _make(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "val/1.png")
    files = ["train/a/0.HEIC", "train/2.nii.gz", "test/a/2.dcm", "val/2.dcm"]
    for file in (*files, "train/notes.txt", "train/b/1.json", "train/.DS_Store"):
        (tmp_path / file).touch()
    with pytest.warns(UserWarning) as caught:
        train, test = folder(tmp_path, **options)
    left_out, skipped = (str(warning.message) for warning in caught)
    assert "left out: val (1 files)" in left_out and "skipped 3 of 6 files" in skipped
    assert [(file.path, file.reason) for file in train.skipped] == [
        (
            str(tmp_path / file),
            f"files of {extension} are not read; convert them to PNG, JPEG or TIFF",
        )
        for file, extension in (("train/2.nii.gz", ".nii.gz"), ("train/a/0.HEIC", ".heic"))
    ]
    assert [file.path for file in test.skipped] == [str(tmp_path / "test/a/2.dcm")]
    assert options or train.labels.tolist() == [0, 1]


def test_one_warning_counts_all_skipped_files_and_names_three(tmp_path):
    _make(tmp_path, "good.png")
    for i in range(5):
        (tmp_path / f"{i}.jpg").touch()
    with pytest.warns(UserWarning) as caught:
        train, _ = folder(tmp_path)
    assert len(caught) == 1 and len(train.skipped) == 5
    message = str(caught[0].message)
    assert "skipped 5 of 6" in message and message.count("empty file") == 3 and "; ..." in message


def test_size_and_channels_are_passed_on(tmp_path):
    train, _ = folder(_make(tmp_path, "a.png"), image_size=(5, 6), channels=3)
    assert train.image_shape == (5, 6, 3)


def test_mixed_sizes_name_the_folder(tmp_path):
    _make(tmp_path, "a.png")
    _make(tmp_path, "b.png", size=(5, 6))
    with pytest.raises(ValueError, match=rf"folder {tmp_path}: received images of 2 sizes"):
        folder(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"received 0 files, none of them an image. Expected.*\.jpg"
    ):
        folder(tmp_path)


def test_a_folder_without_images_says_what_is_in_it(tmp_path):
    for name in ("a.csv", "b.csv", "c.dcm", "README"):
        (tmp_path / name).touch()
    with pytest.raises(
        ValueError, match=r"received 4 files \(2 \.csv, .*1 without extension.*Check"
    ):
        folder(tmp_path)


def test_a_test_split_without_a_readable_image_is_refused(tmp_path):
    _make(tmp_path, "train/1.png")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "1.png").touch()
    with (
        pytest.warns(UserWarning, match="skipped 1 of 2"),
        pytest.raises(ValueError, match="received 1 image files in the test split, and none"),
    ):
        folder(tmp_path)


def test_a_missing_directory_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere', which does not exist \(working direc"):
        folder(tmp_path / "nowhere")


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(NotADirectoryError, match=r"a\.zip', which is a file.*Try .*unpack"):
        folder(tmp_path / "a.zip")
