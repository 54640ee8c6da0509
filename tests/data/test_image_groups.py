import warnings

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data import ImageData, hold_out, image_groups, load_data
from cpc_keras.data.image_attribute import image_attribute

RNG = np.random.default_rng(0)
NAMES = ("ill/p1/left/a.png", "ill/p2/a.png", "well/p1/b.png")


def _data(names=NAMES):
    count = 3 if names is None else len(names)
    return ImageData(np.zeros((count, 4, 4, 1), "uint8"), names=names)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (1, ["ill", "ill", "well"]),
        (2, ["p1", "p2", "p1"]),
        (-1, ["left", "p2", "p1"]),
        (-2, ["p1", "ill", "well"]),
    ],
)
def test_a_folder_level_counts_from_the_top_or_from_the_file(level, expected):
    assert image_groups(_data(), f"level:{level}").tolist() == expected


def test_a_level_that_an_image_lacks_names_the_image():
    with pytest.raises(ValueError, match=r"level:3, and ill/p2/a.png lies in 2 folders"):
        image_groups(_data(), "level:3")


def _table(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return f"{path}:patient"


def test_a_column_is_matched_by_path_and_by_file_name(tmp_path):
    spec = _table(
        tmp_path,
        "age,patient,file\n4,anna,ill/p1/left/a.png\n5,bob,ill/p2/a.png\n6,carl,b.png\n7,dora,x.png\n",
    )
    assert image_groups(_data(), spec).tolist() == ["anna", "bob", "carl"]


def test_images_without_names_are_matched_row_by_row(tmp_path):
    spec = _table(tmp_path, "patient\nb\na\nb\n")
    assert image_groups(_data(None), spec).tolist() == ["b", "a", "b"]
    with pytest.raises(ValueError, match=r"3 rows of .* for 2 images"):
        image_groups(ImageData(np.zeros((2, 4, 4, 1), "uint8")), spec)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,site\nb.png,x\n", "has name, site. Expected one of these"),
        ("number,patient\n1,x\n", "Expected one of name, file"),
        ("name,patient\nb.png,x\n", r"2 of 3 images have no row.*: ill/p1/left/a.png"),
        ("name,patient\na.png,x\na.png,y\nb.png,z\n", "several groups for ill/p1/left/a.png"),
    ],
)
def test_a_table_that_does_not_fit_says_why(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        image_groups(_data(), _table(tmp_path, text))


def test_a_missing_table_and_other_specs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        image_groups(_data(), f"{tmp_path / 'none.csv'}:patient")
    for spec in ("level:0", "level:x", "patient", "table.csv"):
        with pytest.raises(ValueError, match="Expected level:NUMBER"):
            image_groups(_data(), spec)


def _patients(num_groups=40, num_classes=3):
    """Groups of 1 to 12 images, most of one class each, as patients are."""
    sizes = RNG.integers(1, 13, num_groups)
    groups = np.repeat([f"p{i}" for i in range(num_groups)], sizes)
    labels = np.repeat(RNG.integers(0, num_classes, num_groups), sizes)
    order = RNG.permutation(len(labels))
    return labels[order], groups[order]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("seed", range(5))
def test_no_group_stands_on_both_sides(fraction, seed):
    labels, groups = _patients()
    fit, held_out = hold_out(labels, fraction=fraction, seed=seed, groups=groups)
    np.testing.assert_array_equal(np.sort([*fit, *held_out]), np.arange(len(labels)))
    assert not set(groups[fit]) & set(groups[held_out])
    share = np.bincount(labels[held_out], minlength=3) / np.bincount(labels)
    # Whole groups come as near as their sizes let them.
    np.testing.assert_allclose(share, fraction, atol=0.15)


def test_the_seed_decides_which_groups_are_held_out():
    labels, groups = _patients()
    first, second, other = (hold_out(labels, seed=s, groups=groups)[1] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert set(first) != set(other)


def test_one_group_alone_is_not_divided():
    fit, held_out = hold_out(np.array([0, 1, 0]), seed=0, groups=np.array(["a", "a", "a"]))
    assert fit.tolist() == [0, 1, 2] and not len(held_out)


@pytest.mark.filterwarnings("ignore:hold_out. 1 of 2 classes:UserWarning")
def test_fewer_groups_and_images_than_folds_are_divided_all_the_same():
    fit, held_out = hold_out(
        np.array([0, 0, 1]), fraction=0.2, seed=0, groups=np.array(["a", "b", "b"])
    )
    assert len(fit) and len(held_out)


def test_a_class_of_a_single_group_is_named():
    labels = np.array([0] * 20 + [5] * 4)
    groups = np.array([f"p{i // 2}" for i in range(20)] + ["q"] * 4)
    with pytest.warns(UserWarning, match=r"1 of 2 classes stand on one side.*class 5 \("):
        fit, held_out = hold_out(labels, seed=0, groups=groups)
    assert len(fit) and len(held_out)


def test_groups_that_do_not_fit_the_examples_are_refused():
    with pytest.raises(ValueError, match=r"groups of shape \(2,\) for 3 examples"):
        hold_out(np.array([0, 1, 0]), seed=0, groups=np.array([1, 2]))


def _folder(root, patients, num_images=4):
    for label, names in patients.items():
        for name in names:
            for i in range(num_images):
                path = root / label / name / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(RNG.integers(0, 256, (4, 4), "uint8")).save(path)


def test_a_test_fraction_splits_off_whole_groups(tmp_path):
    patients = {"ill": [f"p{i}" for i in range(5)], "well": [f"q{i}" for i in range(5)]}
    _folder(tmp_path, patients)
    train, test = load_data(str(tmp_path), test_fraction=0.2, groups="level:2")
    assert not set(train.groups) & set(test.groups)
    np.testing.assert_array_equal(np.bincount(test.labels), [4, 4])
    assert [name.split("/")[1] for name in test.names] == test.groups.tolist()


def test_a_test_split_that_shares_a_group_with_train_is_refused(tmp_path):
    _folder(tmp_path / "train", {"ill": ["p1"], "well": ["q1"]})
    _folder(tmp_path / "test", {"ill": ["p1"], "well": ["q2"]})
    with pytest.raises(ValueError, match=r"1 groups are in train and in test: p1\. "):
        load_data(str(tmp_path), groups="level:3")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_data(str(tmp_path))


def test_one_group_cannot_be_split(tmp_path):
    _folder(tmp_path, {"ill": ["p1"], "well": ["p1"]})
    with pytest.raises(ValueError, match="images of one group"):
        load_data(str(tmp_path), test_fraction=0.5, groups="level:2")


def test_spaces_make_no_other_group_and_an_empty_cell_is_none(tmp_path):
    rows = "name,patient\nill/p1/left/a.png,anna\nill/p2/a.png,anna \nwell/p1/b.png,bob\n"
    names = image_attribute(_data(), _table(tmp_path, rows), what="groups")
    assert names[:2] == ["anna", "anna"]
    with pytest.raises(ValueError, match="1 of 3 images have no row, or an empty cell"):
        image_groups(_data(None), _table(tmp_path, "patient,x\na,1\n,2\nb,3\n"))


def test_one_row_is_not_that_of_several_images_of_its_name(tmp_path):
    rows = "name,patient\na.png,anna\nb.png,bob\n"
    with pytest.raises(ValueError, match=r"1 rows of a\.png, and 2 images have this name"):
        image_groups(_data(), _table(tmp_path, rows))


def test_a_table_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "table.csv").write_bytes("name,patient\na.png,Jürgen\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"table.csv is not UTF-8 .*Save the table as such"):
        image_groups(_data(), f"{tmp_path / 'table.csv'}:patient")


def test_rows_for_images_without_names_are_not_given_to_train_and_test_alike(tmp_path):
    images = np.zeros((3, 4, 4, 1), "uint8")
    np.savez(tmp_path / "a.npz", x_train=images, x_test=images)
    spec = _table(tmp_path, "patient\na\nb\nc\n")
    for option in ("labels", "groups"):
        with pytest.raises(ValueError, match=f"{option}=.* for train and test images without"):
            load_data(str(tmp_path / "a.npz"), **{option: spec})
