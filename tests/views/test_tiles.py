"""Tiles: where they lie, that they do not overlap, and what gives nothing away."""

import itertools

import keras
import numpy as np
import pytest

from cpc_keras.views import JigsawTiles, NeighborPair, TileGrid, permutation_set

SIDE = 40
GEOMETRY = {"tile_size": 8, "spacing": 12, "jitter": 3}  # spans 35 of 40 pixels


def images_that_tell_places(batch=64, height=SIDE, width=SIDE):
    """Images whose two channels are the row and the column of every pixel."""
    places = np.stack(np.mgrid[:height, :width], axis=-1).astype("float32")
    return np.broadcast_to(places, (batch, *places.shape))


def corners_of(tiles):
    """Row and column of the upper left pixel of each tile, of such images."""
    return np.asarray(tiles)[..., 0, 0, :]


def test_tiles_are_copied_whole_lie_apart_and_move_by_themselves():
    tiles = np.asarray(TileGrid(**GEOMETRY, seed=0)(images_that_tell_places(500)))
    assert tiles.shape == (500, 9, 8, 8, 2)
    corners = corners_of(tiles)
    inside = np.stack(np.mgrid[:8, :8], axis=-1)
    np.testing.assert_array_equal(tiles, corners[:, :, None, None] + inside)
    for one, other in itertools.combinations(range(9), 2):
        apart = np.abs(corners[:, one] - corners[:, other]).max(axis=-1) - 8
        assert apart.min() >= 12 - 8 - 3
    # The grid lies anywhere, and in it every tile moves by 0 to 3 pixels in both directions.
    grid = 12 * np.stack(np.divmod(np.arange(9), 3), axis=-1)
    moved = corners - grid
    assert moved.min() == 0 and moved.max() == 40 - 35 + 3
    spread = moved - moved.min(axis=1, keepdims=True)
    assert spread.max() == 3
    # Moves of two tiles are independent: differences from -3 to 3, in both directions.
    differences = moved[:, 0] - moved[:, 1]
    assert {tuple(x) for x in differences[:, :1]} == {(x,) for x in range(-3, 4)}
    assert abs(np.corrcoef(differences.T)[0, 1]) < 4 / np.sqrt(500)


def test_images_need_not_be_square():
    corners = corners_of(TileGrid(8, spacing=12, seed=0)(images_that_tell_places(500, 32, 50)))
    assert (np.unique(corners[:, 0, 0]) == 0).all()
    assert len(np.unique(corners[:, 0, 1])) == 50 - 32 + 1


@pytest.mark.parametrize(
    "wrong", [{"tile_size": 10}, {"jitter": 5}, {"jitter": -1}, {"tile_size": 0}], ids=str
)
@pytest.mark.parametrize("kind", [TileGrid, NeighborPair, JigsawTiles])
def test_tiles_that_could_overlap_are_refused(kind, wrong):
    with pytest.raises(ValueError, match=f"{kind.__name__}: expected .*never overlap"):
        kind(**{**GEOMETRY, **wrong})


def test_images_that_are_too_small_for_the_grid_are_refused():
    with pytest.raises(ValueError, match=r"at least 35x35 pixels. Received shape \(2, 34, 40, 2\)"):
        TileGrid(**GEOMETRY)(images_that_tell_places(2, 34, 40))


def test_a_pair_is_the_middle_tile_and_the_neighbor_that_the_label_tells():
    views = NeighborPair(**GEOMETRY, drop_color=False, seed=1)
    tiles, labels = (np.asarray(x) for x in views(images_that_tell_places(2000)))
    assert tiles.shape == (2000, 1, 2, 8, 8, 2) and labels.shape == (2000, 1)
    corners = corners_of(tiles)[:, 0]
    # In units of places; moves are a quarter of one at most.
    step = np.rint((corners[:, 1] - corners[:, 0]) / 12).astype(int)
    by_hand = {
        0: (-1, -1), 1: (-1, 0), 2: (-1, 1),
        3: (0, -1), 4: (0, 1),
        5: (1, -1), 6: (1, 0), 7: (1, 1),
    }  # fmt: skip
    np.testing.assert_array_equal(step, [by_hand[label] for label in labels[:, 0]])
    # A fair die of eight sides: 250 each, deviation 15. Where the first lies tells nothing of it.
    assert (abs(np.bincount(labels[:, 0], minlength=8) - 250) < 4 * 15).all()
    for label in range(8):
        of_label = corners[labels[:, 0] == label, 0]
        assert (of_label.min(axis=0) == 12).all() and (of_label.max(axis=0) == 12 + 8).all()


def test_of_every_tile_of_a_pair_one_channel_is_left_drawn_for_itself():
    images = np.broadcast_to(np.float32([10, 20, 30]), (300, SIDE, SIDE, 3))
    tiles, _ = NeighborPair(**GEOMETRY, seed=0)(images)
    tiles = np.asarray(tiles)
    kept = tiles[:, 0, :, 0, 0, 0]
    np.testing.assert_array_equal(
        tiles, np.broadcast_to(kept[:, None, :, None, None, None], tiles.shape)
    )
    assert len(np.unique(kept, axis=0)) == 9


def test_a_puzzle_has_the_tiles_in_the_order_that_the_label_tells():
    # Each place of the grid is of one brightness, but for a corner that marks the image's scale.
    places = np.arange(9.0).reshape(3, 3).repeat(10, axis=0).repeat(10, axis=1)
    stripes = np.float32(20 * places + 5 * (np.arange(30) % 2))
    images = np.broadcast_to(stripes[None, :, :, None], (200, 30, 30, 1))
    views = JigsawTiles(8, spacing=10, jitter=2, num_permutations=20, seed=0)
    plain = np.asarray(TileGrid.call(views, images)).mean(axis=(2, 3, 4))
    np.testing.assert_array_equal((plain // 20).astype(int), np.tile(np.arange(9), (200, 1)))
    # Tiles are told apart by their own pixels, which standardizing keeps up to scale and shift.
    rng = np.random.default_rng(0)
    images = np.broadcast_to(rng.uniform(0, 255, (1, 30, 30, 1)), (200, 30, 30, 1)).astype(
        "float32"
    )
    views = JigsawTiles(10, spacing=10, num_permutations=20, seed=0)
    tiles, labels = (np.asarray(x) for x in views(images))
    assert tiles.shape == (200, 1, 9, 10, 10, 1)
    cells = images[0].reshape(3, 10, 3, 10).transpose(0, 2, 1, 3).reshape(9, -1)
    permutations = permutation_set(20)
    for puzzle, label in zip(tiles[:, 0].reshape(200, 9, -1), labels[:, 0], strict=True):
        alike = np.corrcoef(puzzle, cells)[:9, 9:]
        np.testing.assert_array_equal(alike.argmax(axis=1), permutations[label])
    assert set(labels[:, 0]) == set(range(20))


def test_tiles_of_a_puzzle_are_equally_bright_and_in_range():
    rng = np.random.default_rng(0)
    images = rng.normal(100, 20, (16, SIDE, SIDE, 3)) + np.linspace(-60, 60, SIDE)[:, None]
    images[0] = 77.0  # of one color: no noise is made of it
    tiles = np.asarray(JigsawTiles(**GEOMETRY, num_permutations=10, seed=0)(images)[0])
    np.testing.assert_allclose(tiles[0], 127.5)
    np.testing.assert_allclose(tiles[1:].mean(axis=(3, 4)), 127.5, atol=2)
    np.testing.assert_allclose(tiles[1:].std(axis=(3, 4)), 51.0, rtol=0.15)  # what is cut off
    assert tiles.min() >= 0 and tiles.max() <= 255


def test_three_puzzles_in_ten_are_gray():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (1000, 9, 9, 3)).astype("float32")
    tiles = np.asarray(JigsawTiles(3, spacing=3, num_permutations=10, seed=0)(images)[0])
    # Equal channels stay equal when each is standardized.
    gray = (np.abs(tiles - tiles[..., :1]) < 1e-2).all(axis=(1, 2, 3, 4, 5))
    assert abs(gray.sum() - 300) < 4 * 14.5


@pytest.mark.parametrize(
    "views",
    [
        TileGrid(**GEOMETRY, seed=5, name="grid"),
        NeighborPair(**GEOMETRY, drop_color=False, seed=5),
        JigsawTiles(**GEOMETRY, num_permutations=30, grayscale_rate=0.5, seed=5),
    ],
    ids=lambda views: type(views).__name__,
)
def test_views_come_back_from_their_config_and_draw_by_the_seed(views):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(views))
    assert again.get_config() == views.get_config() and again.name == views.name
    images = np.random.default_rng(0).uniform(0, 255, (4, SIDE, SIDE, 3)).astype("float32")
    one, other = (keras.tree.flatten(layer(images)) for layer in (views, again))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    # Drawn anew, in evaluation too.
    fresh = keras.tree.flatten(views(images, training=False))
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(fresh, one, strict=True))


def test_permutations_are_chosen_as_the_greedy_algorithm_of_the_paper_chooses():
    everything = list(itertools.permutations(range(4)))

    def distance(one, other):
        return sum(a != b for a, b in zip(one, other, strict=True))

    for seed in range(3):
        chosen = [tuple(int(x) for x in row) for row in permutation_set(24, num_tiles=4, seed=seed)]
        assert sorted(chosen) == everything
        for count in range(1, 24):
            before = chosen[:count]
            far = {p: sum(distance(p, b) for b in before) for p in everything if p not in before}
            assert far[chosen[count]] == max(far.values())
    assert len({permutation_set(24, num_tiles=4, seed=seed).tobytes() for seed in range(3)}) == 3


def test_a_thousand_permutations_of_nine_tiles_differ_in_eight_places_and_come_fast():
    permutations = permutation_set(1000)
    np.testing.assert_array_equal(np.sort(permutations, axis=1), np.tile(np.arange(9), (1000, 1)))
    differ = (permutations[:, None] != permutations[None]).sum(axis=-1)
    assert differ[np.triu_indices(1000, 1)].min() > 0
    mean = differ.sum() / (1000 * 999)
    # Two random ones: 8 on the average; no set of more than nine can differ everywhere.
    assert mean > 8.0
    np.testing.assert_array_equal(permutation_set(100), permutations[:100])


@pytest.mark.parametrize("wrong", [{"num_permutations": 1}, {"num_permutations": 7}])
def test_sets_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="num_permutations of 3 tiles must be 2 to 3! = 6"):
        permutation_set(**wrong, num_tiles=3)
    with pytest.raises(ValueError, match="num_tiles must be 2 to 9"):
        permutation_set(2, num_tiles=10)
