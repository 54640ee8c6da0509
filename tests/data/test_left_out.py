"""Images that were split off once are found again, whatever came since."""

import numpy as np
import pytest

from cpc_keras.data import ImageData
from cpc_keras.data.left_out import image_marks, left_out_positions, read_left_out, write_left_out


def made(count, *, names=False, groups=None, first=0):
    numbers = np.arange(first, first + count)
    images = np.repeat(numbers, 4).reshape(-1, 2, 2, 1).astype("uint8")
    names = tuple(f"p/{number}.png" for number in numbers) if names else None
    return ImageData(images, names=names, groups=groups)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "left_out.csv"


@pytest.mark.parametrize("names", [False, True])
def test_they_are_found_again_also_where_images_came_later(path, names):
    write_left_out(path, image_marks(made(6, names=names), [1, 4]))
    assert left_out_positions(path, made(6, names=names)).tolist() == [1, 4]
    assert left_out_positions(path, made(9, names=names)).tolist() == [1, 4]
    assert read_left_out(path) == image_marks(made(6, names=names), [1, 4])
    assert [file.name for file in path.parent.iterdir()] == ["left_out.csv"]


def test_names_are_found_wherever_they_stand(path):
    write_left_out(path, image_marks(made(6, names=True), [1, 4]))
    assert left_out_positions(path, made(5, names=True, first=1)).tolist() == [0, 3]


def test_what_is_gone_is_told_and_the_others_stay(path):
    write_left_out(path, image_marks(made(6, names=True), [0, 4]))
    with pytest.warns(UserWarning, match="1 of the 2 test images"):
        assert left_out_positions(path, made(5, names=True, first=1)).tolist() == [3]


def test_without_names_other_pixels_are_refused(path):
    write_left_out(path, image_marks(made(6), [1, 4]))
    for other in (made(6, first=1), made(4)):
        with pytest.raises(ValueError, match="lists 2 test images, which array does not have"):
            left_out_positions(path, other)


def test_equal_pixels_are_told_apart_by_their_place(path):
    images = ImageData(np.zeros((4, 2, 2, 1), "uint8"))
    write_left_out(path, image_marks(images, [2]))
    assert left_out_positions(path, images).tolist() == [2]


def test_images_that_came_later_to_a_group_are_left_out_with_it(path):
    write_left_out(path, image_marks(made(4, names=True), [0, 1]))
    later = made(6, names=True, groups=np.array(["a", "a", "b", "b", "a", "c"]))
    assert left_out_positions(path, later).tolist() == [0, 1, 4]
    alone = made(6, names=True, groups=np.array(["a"] * 6))
    with pytest.raises(ValueError, match="makes all 6 images of array test images"):
        left_out_positions(path, alone)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_another_file_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match="Expected position, name, pixels, as pretrain writes"):
        read_left_out(path)


def test_nothing_was_split_off_and_nothing_is(path):
    write_left_out(path, [])
    assert read_left_out(path) == []
    assert left_out_positions(path, made(3)).tolist() == []
