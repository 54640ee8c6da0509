"""Patch grids, patch extraction and rotation against explicit loops."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.ops import DIRECTIONS, extract_patches, grid_shape, rotate_grid

few = settings(max_examples=15, deadline=None)


def numbered(*shape, dtype="float32"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@few
@given(
    size=st.integers(1, 5),
    stride=st.integers(1, 6),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    channels=st.integers(1, 3),
)
def test_patches_are_the_pixels_of_an_explicit_loop(size, stride, rows, columns, channels):
    images = numbered(2, (rows - 1) * stride + size, (columns - 1) * stride + size, channels)
    expected = np.zeros((2, rows, columns, size, size, channels))
    for b in range(2):
        for r in range(rows):
            for c in range(columns):
                for i in range(size):
                    for j in range(size):
                        expected[b, r, c, i, j] = images[b, r * stride + i, c * stride + j]
    patches = extract_patches(images, patch_size=size, patch_stride=stride)
    np.testing.assert_array_equal(np.asarray(patches), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float16", "bfloat16", "float32"])
def test_patches_keep_their_dtype_and_their_pixels(dtype):
    images = keras.ops.convert_to_tensor(numbered(1, 6, 8, 1), dtype)
    patches = extract_patches(images, patch_size=4, patch_stride=2)
    assert keras.backend.standardize_dtype(patches.dtype) == dtype
    assert float(keras.ops.cast(patches[0, 1, 2, 3, 3, 0], "float32")) == 5 * 8 + 7


@few
@given(size=st.integers(1, 80), stride=st.integers(1, 40), side=st.integers(1, 300))
def test_a_side_gives_the_patches_that_fit_or_is_refused_with_sides_that_do(size, stride, side):
    starts = [s for s in range(0, side, stride) if s + size <= side]
    if starts and starts[-1] + size == side:
        grid = grid_shape((side, side + 2 * stride), patch_size=size, patch_stride=stride)
        assert grid == (len(starts), len(starts) + 2)
        return
    with pytest.raises(ValueError) as error:
        grid_shape((side, side), patch_size=size, patch_stride=stride)
    if starts:
        below = starts[-1] + size
        assert f"are {below} and {below + stride}" in str(error.value)
        for named in (below, below + stride):
            assert grid_shape((named, named), patch_size=size, patch_stride=stride)
    else:
        assert "smaller than a patch" in str(error.value)


def test_the_grids_of_the_papers():
    assert grid_shape((260, 260), patch_size=80, patch_stride=36) == (6, 6)
    assert grid_shape((256, 256), patch_size=64, patch_stride=32) == (7, 7)
    assert grid_shape((96, 32), patch_size=24, patch_stride=4) == (19, 3)


@pytest.mark.parametrize("name", ["patch_size", "patch_stride"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True, None])
def test_sizes_that_are_no_pixel_counts_are_refused(name, value):
    sizes = {"patch_size": 4, "patch_stride": 2, name: value}
    with pytest.raises(ValueError, match=f"{name} must be a whole number of pixels >= 1"):
        grid_shape((8, 8), **sizes)


def test_one_image_without_a_batch_axis_is_refused():
    with pytest.raises(ValueError, match=r"must have rank 4.*images\[None\]"):
        extract_patches(np.zeros((8, 8, 3)), patch_size=4, patch_stride=2)


def turned(grid, direction):
    """The grid in which `direction` points down, and a step right is the old one, turned along."""
    batch, rows, columns, *rest = grid.shape
    shape = (rows, columns) if direction in ("down", "up") else (columns, rows)
    result = np.zeros((batch, *shape, *rest), grid.dtype)
    for r in range(rows):
        for c in range(columns):
            place = {
                "down": (r, c),
                "up": (rows - 1 - r, columns - 1 - c),
                "right": (c, rows - 1 - r),  # the right column is the last row
                "left": (columns - 1 - c, r),  # the left column is the last row
            }[direction]
            result[:, place[0], place[1]] = grid[:, r, c]
    return result


@few
@given(rows=st.integers(1, 5), columns=st.integers(1, 5), direction=st.sampled_from(DIRECTIONS))
def test_rotation_is_that_of_an_explicit_loop(rows, columns, direction):
    grid = numbered(2, rows, columns, 3)
    result = np.asarray(rotate_grid(grid, direction))
    np.testing.assert_array_equal(result, turned(grid, direction))


STEPS = {"down": (1, 0), "up": (-1, 0), "left": (0, -1), "right": (0, 1)}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_one_row_down_in_the_rotated_grid_is_one_step_in_the_direction(direction):
    """The patch predicted "left" lies to the left: its column is smaller."""
    rows, columns = np.mgrid[:4, :6]
    places = np.asarray(rotate_grid(np.stack([rows, columns], -1)[None], direction))[0]
    steps = places[1:] - places[:-1]
    assert (steps == STEPS[direction]).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rotation_mirrors_nothing(direction):
    """A quarter turn keeps the sense of turning; a transposition would not."""
    rows, columns = np.mgrid[:4, :6]
    places = np.asarray(rotate_grid(np.stack([rows, columns], -1)[None], direction))[0]
    down, right = places[1, 0] - places[0, 0], places[0, 1] - places[0, 0]
    assert down[0] * right[1] - down[1] * right[0] == 1


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match=r"direction must be one of .*Received: 'north'"):
        rotate_grid(np.zeros((1, 2, 2)), "north")
