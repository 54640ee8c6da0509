"""Pairs: two augmentations of an image, two frames of a clip; and what holds for all tasks."""

import re

import keras
import numpy as np
import pytest

from cpc_keras.augmentations import image_augmentation
from cpc_keras.layers.dtype_scope import dtype_scope
from cpc_keras.views import FramePair, JigsawTiles, NeighborPair, Rotations, TwoViews


def clips_that_tell_the_time(batch=64, time=7):
    """Clips whose pixels are `100 * clip + frame`."""
    values = 100 * np.arange(batch)[:, None] + np.arange(time)
    return np.broadcast_to(values[:, :, None, None, None], (batch, time, 3, 2, 1)).astype("float32")


@pytest.mark.parametrize("gap", [1, 2, 6])
def test_frames_of_one_clip_lie_the_gap_apart_and_every_start_is_drawn(gap):
    first, second = (np.asarray(x) for x in FramePair(gap, seed=0)(clips_that_tell_the_time()))
    assert first.shape == second.shape == (64, 3, 2, 1)
    np.testing.assert_array_equal(second - first, gap)
    clip, start = divmod(first[:, 0, 0, 0], 100)
    np.testing.assert_array_equal(clip, np.arange(64))
    assert set(start) == set(range(7 - gap))


def test_starts_are_drawn_uniformly_anew_and_by_the_seed():
    clips = clips_that_tell_the_time(batch=4000, time=5)
    views = FramePair(1, seed=3)
    starts = np.asarray(views(clips)[0])[:, 0, 0, 0] % 100
    counts = np.bincount(starts.astype(int), minlength=4)
    # A fair die of four sides: 1,000 each, deviation 27.
    assert (abs(counts - 1000) < 4 * 27).all()
    assert (np.asarray(views(clips)[0])[:, 0, 0, 0] % 100 != starts).any()
    again = FramePair.from_config(views.get_config())
    np.testing.assert_array_equal(np.asarray(again(clips)[0])[:, 0, 0, 0] % 100, starts)


@pytest.mark.parametrize("shape", [(2, 2, 4, 4, 1), (2, 4, 4, 1)])
def test_clips_that_are_too_short_or_images_are_refused(shape):
    told = f"at least 3 frames (gap=2). Received shape {shape}"
    with pytest.raises(ValueError, match=re.escape(told)):
        FramePair(2)(np.zeros(shape, "float32"))


@pytest.mark.parametrize("gap", [0, -1, 1.5])
def test_a_gap_that_is_no_number_of_frames_is_refused(gap):
    with pytest.raises(ValueError, match=f"1 or more. Received: {gap}"):
        FramePair(gap)


def test_two_views_differ_from_each_other_and_between_images_also_at_evaluation():
    images = np.repeat(np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)), 8, axis=0)
    views = TwoViews(image_augmentation("digits", (16, 16, 3)))
    for training in (True, False):
        first, second = (np.asarray(x) for x in views(images, training=training))
        assert first.shape == second.shape == images.shape
        assert (abs(first - second).mean(axis=(1, 2, 3)) > 1).all()
        assert (abs(first[1:] - first[:-1]).mean(axis=(1, 2, 3)) > 1).all()


def test_views_come_back_from_their_config():
    views = TwoViews(keras.layers.RandomTranslation(0.2, 0.2, seed=5))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(views))
    images = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1)).astype("float32")
    np.testing.assert_array_equal(views(images)[0], again(images)[0])


def test_views_without_augmentation_or_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="both views would be the image itself"):
        TwoViews(None)
    with pytest.raises(ValueError, match=r"keep the shape.*\(8, 8, 1\).*\(4, 4, 1\)"):
        TwoViews(keras.layers.RandomCrop(4, 4))(np.zeros((2, 8, 8, 1), "float32"))


@pytest.mark.parametrize(
    ("view", "options"),
    [
        (Rotations, {}),
        (NeighborPair, {"tile_size": 3, "spacing": 4, "seed": 0}),
        (JigsawTiles, {"tile_size": 3, "spacing": 4, "num_permutations": 6, "seed": 0}),
    ],
)
def test_pixels_of_tasks_are_not_rounded_under_mixed_precision(view, options):
    images = np.random.default_rng(0).uniform(0, 255, (4, 12, 12, 3)).astype("float32")
    expected, _ = view(**options)(images)
    with dtype_scope("mixed_bfloat16"):
        tiles, _ = view(**options)(images)
    assert tiles.dtype == "float32"
    np.testing.assert_array_equal(tiles, expected)
