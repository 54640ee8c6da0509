import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpc_keras.models.check_arguments import check_offsets
from cpc_keras.ops import DIRECTIONS, grid_shape
from cpc_keras.search import patch_geometries


@given(st.integers(8, 130), st.integers(8, 130))
@settings(max_examples=60, deadline=None)
def test_every_geometry_is_one_that_the_model_takes(height, width):
    try:
        geometries = patch_geometries((height, width, 3))
    except ValueError as error:
        assert "Resize the images" in str(error)
        return
    for patch, runs in geometries.items():
        size, stride = map(int, patch.split("/"))
        grid = grid_shape((height, width), patch_size=size, patch_stride=stride)
        for run in runs:
            offsets = tuple(map(int, run.split(",")))
            check_offsets(offsets, DIRECTIONS, grid, size, stride, allow_overlap=False)


def test_the_papers_patches_of_small_images_are_among_them():
    found = patch_geometries((32, 32, 3))
    assert found["8/4"] == ("2", "2,3", "2,3,4")
    # 12 pixels at stride 6 leave a rest of 2; 16/16 is a grid of two, with offset 1 alone.
    assert "12/6" not in found
    assert found["16/16"] == ("1",)
    # A grid of 15 rows is left out for its cost.
    assert "4/2" not in found
    assert "4/2" in patch_geometries((32, 32, 3), largest_grid=15)


def test_an_image_that_no_grid_fits_is_told():
    with pytest.raises(ValueError, match=r"images of 11x13 .* Resize"):
        patch_geometries((11, 13, 1))
