"""Labels from a table or a folder's level, and none."""

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data import ImageData, Splits, label_subset, load_data, split_off
from cpc_keras.data.label_images import label_images

RNG = np.random.default_rng(0)


def _folder(root, *files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (4, 4), "uint8")).save(path)
    return str(root)


def _table(tmp_path, *rows):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(["name,finding", *rows]))
    return f"{path}:finding"


@pytest.fixture
def scans(tmp_path):
    return _folder(tmp_path / "scans", *(f"p{i}/{j}.png" for i in range(4) for j in range(2)))


def test_a_table_labels_images_and_leaves_those_without_a_row_or_a_cell_unlabelled(scans, tmp_path):
    rows = (
        "p3/1.png,well",
        "p0/0.png, ill ",
        "p0/1.png,",
        "p1/0.png,well",
        "p2/0.png",
        "x.png,odd",
    )
    train = load_data(scans, labels=_table(tmp_path, *rows)).train
    assert train.class_names == ("ill", "well")
    assert dict(zip(train.names, train.labels.tolist(), strict=True)) == {
        **{name: -1 for name in train.names},
        "p0/0.png": 0,
        "p1/0.png": 1,
        "p3/1.png": 1,
    }
    labeled = train.labeled()
    assert labeled.names == ("p0/0.png", "p1/0.png", "p3/1.png")
    assert [train.label_name(i) for i in range(3)] == ["ill", "", "well"]


def test_a_level_of_the_path_is_the_class(tmp_path):
    root = _folder(tmp_path / "scans", *(f"p{i}/{k}/{i}.png" for i in range(3) for k in "ab"))
    train = load_data(root, labels="level:2").train
    assert train.class_names == ("a", "b") and train.labels.tolist() == [0, 1] * 3


def test_none_takes_labels_away(scans, tmp_path):
    train = load_data(scans, labels="none").train
    assert train.labels is None and train.class_names == ()
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 4, 4), "uint8"), labels=np.arange(3))
    assert load_data(str(tmp_path / "a.npz"), labels="none").train.labels is None


def test_folders_that_are_no_classes_do_not_matter_where_labels_come_from_elsewhere(tmp_path):
    files = [f"train/p{i}/{i}.png" for i in range(4)] + ["test/q8/8.png", "test/q9/9.png"]
    root = _folder(tmp_path / "scans", *files)
    with pytest.raises(ValueError, match="test classes that train does not have"):
        load_data(root)
    rows = ("0.png,ill", "1.png,well", "8.png,well")
    train, test = load_data(root, labels=_table(tmp_path, *rows))
    assert train.labels.tolist() == [0, 1, -1, -1] and test.labels.tolist() == [1, -1]
    assert load_data(root, labels=_table(tmp_path, *rows[:2])).test.labels is None
    assert load_data(root, labels="none").test.labels is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["other.png,ill"], "labels none of 8 train images"),
        (["p0/0.png,"], "labels none of 8 train images"),
        (["0.png,ill", "0.png,well"], "several labels for p0/0.png"),
    ],
)
def test_a_table_that_does_not_fit_says_why(rows, message, scans, tmp_path):
    with pytest.raises(ValueError, match=message):
        load_data(scans, labels=_table(tmp_path, *rows))


def test_a_class_of_test_images_alone_is_refused(tmp_path):
    parts = [ImageData(np.zeros((1, 4, 4, 1), "uint8"), names=(name,)) for name in ("a", "b")]
    spec = _table(tmp_path, "a,ill", "b,well")
    with pytest.raises(ValueError, match=r"that no train image has: well\. Expected some of ill"):
        label_images(Splits(*parts), spec)


@pytest.mark.parametrize("option", ["labels", "groups"])
def test_one_row_is_not_that_of_a_train_and_a_test_image_of_its_name(option, tmp_path):
    root = _folder(tmp_path / "scans", "train/0.png", "train/1.png", "test/0.png", "test/2.png")
    names = _table(tmp_path, "0.png,ill", "1.png,well", "2.png,well")
    with pytest.raises(ValueError, match=r"1 rows of 0\.png, and 2 images .* Give the whole paths"):
        load_data(root, **{option: names})


def test_streamed_images_take_no_labels_but_none(scans, tmp_path):
    options = {"in_memory": False, "image_size": 4, "channels": 1}
    with pytest.raises(ValueError, match="another image stands in"):
        load_data(scans, labels="level:1", **options)
    assert load_data(scans, labels="none", **options).train.labels is None


def test_classes_that_are_the_groups_are_refused_with_the_way_out(scans, tmp_path):
    with pytest.raises(ValueError, match=r"each of the 4 classes .* is one group.*--labels"):
        load_data(scans, groups="level:1")
    rows = [f"p{i}/{j}.png,{'ill' if (i + j) % 2 else 'well'}" for i in range(4) for j in range(2)]
    for labels in ("none", _table(tmp_path, *rows)):
        train, test = load_data(scans, groups="level:1", labels=labels, test_fraction=0.25)
        assert not set(train.groups) & set(test.groups)


def _partly_labeled(groups=None):
    labels = np.full(100, -1)
    labels[:20] = np.arange(20) % 2
    images = np.arange(100, dtype="uint8").reshape(100, 1, 1, 1)
    return ImageData(images, labels, groups=groups)


def test_test_images_are_split_off_those_with_labels():
    train, test = split_off(_partly_labeled(), 0.2)
    assert len(train) == 96 and np.bincount(test.labels).tolist() == [2, 2]
    assert sorted([*train.images.ravel(), *test.images.ravel()]) == list(range(100))


def test_unlabelled_images_of_groups_that_are_split_off_are_not_trained_on():
    groups = np.arange(100) % 10
    train, test = split_off(_partly_labeled(groups), 0.2)
    assert not set(train.groups) & set(test.groups) and len(train) + len(test) == 100
    assert (test.labels < 0).any() and (test.labels >= 0).any()
    train, test = Splits(train, test).labeled()
    assert len(train) + len(test) == 20
    label_subset(train.labels, 0.5, seed=0)


def test_data_with_all_labels_is_its_own_labelled_part():
    data = _partly_labeled().subset(np.arange(20))
    assert data.labeled() is data and Splits(data).labeled() == Splits(data)
