"""The picture of views: nothing is left out, and what the page says of it holds by numbers."""

import pathlib

import keras
import numpy as np
import pytest

import cpc_keras.views
from benchmarks import draw_views

PAGE = (pathlib.Path(draw_views.__file__).parents[1] / "docs" / "views.md").read_text("utf-8")


def drawn(name):
    layer = draw_views.layers()[name]
    given = draw_views.clips() if name == "FramePair" else draw_views.squares()
    return draw_views.draw(layer, given), given


def test_every_view_is_drawn_and_told_of():
    views = {
        name
        for name in cpc_keras.views.__all__
        if isinstance(getattr(cpc_keras.views, name), type)
        and issubclass(getattr(cpc_keras.views, name), keras.layers.Layer)
    }
    assert set(draw_views.layers()) == views, "benchmarks/draw_views.py draws every view"
    assert all(f"| `{name}` |" in PAGE for name in views), "docs/views.md tells of every view"


@pytest.mark.parametrize("name", sorted(draw_views.layers()))
def test_every_view_gives_pictures_with_words(name):
    for pictures, words in drawn(name)[0]:
        picture = draw_views.side_by_side(pictures)
        # All pictures, and nothing but white beside them.
        size = pictures.shape[1] + 4
        assert picture.shape[0] % size == 0 and (picture[size - 4 : size] == 255).all()
        np.testing.assert_array_equal(picture[: size - 4, : size - 4], pictures[0])
        assert words and all(words)


@pytest.mark.parametrize("name", ["TwoViews", "FramePair"])
def test_the_two_of_a_pair_differ(name):
    for pictures, _ in drawn(name)[0]:
        assert np.abs(pictures[0] - pictures[1]).mean() > 5


def test_the_turns_drawn_are_numpy_s():
    found, images = drawn("Rotations")
    for (pictures, words), image in zip(found, images, strict=True):
        assert words == ["0°", "90°", "180°", "270°"]
        for turn in range(4):
            np.testing.assert_array_equal(pictures[turn], np.rot90(image, turn))


def test_drawn_tiles_have_the_gaps_that_the_page_tells():
    layers = draw_views.layers()
    for name, least in (("TileGrid", 8), ("NeighborPair", 8), ("JigsawTiles", 0)):
        layer = layers[name]
        assert layer.spacing - layer.tile_size - layer.jitter == least
    puzzle = layers["JigsawTiles"]
    assert puzzle.spacing - puzzle.tile_size == 8


def test_the_word_under_a_pair_is_where_its_second_tile_lies():
    layer = draw_views.layers()["NeighborPair"]
    layer.color_drop = None
    places = np.stack(np.mgrid[:96, :96], axis=-1).astype("float32")[None].repeat(50, axis=0)
    images = np.concatenate([places, places[..., :1]], axis=-1)
    for pictures, (word,) in draw_views.draw(layer, images):
        down, right = np.rint((pictures[1] - pictures[0])[0, 0, :2] / layer.spacing)
        vertical = {-1: "above", 0: "", 1: "below"}[down]
        horizontal = {-1: "left", 0: "", 1: "right"}[right]
        assert word == f"{vertical} {horizontal}".strip()
