"""What each layer computes, against slow NumPy, SciPy and Pillow, and how its draws are spread.

Where a layer draws its strength, images are chosen that show what was drawn: on a ramp, for one,
every value says where it was read.
"""

import itertools
import math

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage
from scipy.interpolate import BSpline

from cpc_keras.augmentations import (
    HistogramEqualization,
    RandomAffine,
    RandomBlur,
    RandomChannelDrop,
    RandomColorJitter,
    RandomElastic,
    RandomEnhance,
    RandomGrayscale,
    RandomPosterize,
    RandomResizedCrop,
    RandomShift,
    RandomSubcrop,
    RandomToneCurve,
    image_augmentation,
    patch_augmentation,
)

GREY = np.array([0.299, 0.587, 0.114])


def run(layer, images):
    """Augmented images as NumPy, in double precision."""
    result = layer(np.asarray(images, "float32"), training=True)
    return keras.ops.convert_to_numpy(result).astype("float64")


def photos(count, height=12, width=10, channels=3, *, low=0, high=256):
    """Whole-numbered random pixels."""
    drawn = np.random.default_rng(5).integers(low, high, (count, height, width, channels))
    return drawn.astype("float64")


def assert_even(values, low, high):
    """The values are spread evenly over [low, high]: bounds, mean, and halves of each half."""
    share = (np.ravel(values) - low) / (high - low)
    assert share.min() > -1e-3
    assert share.max() < 1 + 1e-3
    count = len(share)
    assert abs(share.mean() - 0.5) < 6 * math.sqrt(1 / 12 / count)
    for threshold in (0.25, 0.5, 0.75):
        error = 6 * math.sqrt(threshold * (1 - threshold) / count)
        assert abs((share < threshold).mean() - threshold) < error


def where_read(layer, count, height=21, width=25):
    """Rows and columns at which each pixel of each image was read, NaN where outside."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    ramps = np.stack([rows, columns, np.zeros_like(rows)], axis=-1) * 4.0 + 40
    result = (run(layer, np.repeat(ramps[None], count, 0)) - 40) / 4
    outside = (
        (result[..., 0] <= 0.01)
        | (result[..., 0] >= height - 1.01)
        | (result[..., 1] <= 0.01)
        | (result[..., 1] >= width - 1.01)
    )
    return np.where(outside[..., None], np.nan, result)[..., :2]


def affine_maps(read):
    """The matrix and the translation, from the centre, that explain where an image was read."""
    height, width = read.shape[1:3]
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    maps = []
    for rows, columns in zip(read[..., 0], read[..., 1], strict=True):
        known = np.isfinite(rows)
        design = np.stack([x[known], y[known], np.ones(known.sum())], axis=-1)
        target = np.stack(
            [columns[known] - (width - 1) / 2, rows[known] - (height - 1) / 2], axis=-1
        )
        found, *_ = np.linalg.lstsq(design, target, rcond=None)
        np.testing.assert_allclose(design @ found, target, atol=5e-3)
        maps.append(found.T)
    return np.array(maps)  # [[xx, xy, x0], [yx, yy, y0]]


def test_a_rotation_is_one_about_the_centre():
    maps = affine_maps(where_read(RandomAffine(30, seed=1), 300))
    angles = np.arctan2(maps[:, 1, 0], maps[:, 0, 0])
    expected = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], -1)
    np.testing.assert_allclose(maps[..., :2].reshape(-1, 4), expected, atol=2e-3)
    np.testing.assert_allclose(maps[..., 2], 0, atol=1e-2)
    assert_even(np.degrees(angles), -30, 30)


def test_a_shear_moves_along_its_axis_about_the_centre():
    maps = affine_maps(where_read(RandomAffine(shear=(0.3, 0.1), seed=2), 300))
    np.testing.assert_allclose(maps[:, 0, 0], 1, atol=2e-3)
    np.testing.assert_allclose(maps[:, 1, 1], 1, atol=2e-3)
    np.testing.assert_allclose(maps[..., 2], 0, atol=1e-2)
    assert_even(maps[:, 0, 1], -0.3, 0.3)
    assert_even(maps[:, 1, 0], -0.1, 0.1)
    assert abs(np.corrcoef(maps[:, 0, 1], maps[:, 1, 0])[0, 1]) < 6 / math.sqrt(300)


def test_a_translation_is_a_share_of_the_side():
    maps = affine_maps(where_read(RandomAffine(translation=(0.2, 0.3), seed=3), 300))
    np.testing.assert_allclose(maps[..., :2], np.tile(np.eye(2), (300, 1, 1)), atol=2e-3)
    assert_even(maps[:, 0, 2], -0.2 * 25, 0.2 * 25)
    assert_even(maps[:, 1, 2], -0.3 * 21, 0.3 * 21)


def test_a_resized_crop_reads_a_part_of_the_drawn_area_and_ratio_anywhere_in_the_image():
    layer = RandomResizedCrop((0.2, 0.6), aspect_ratio=(0.8, 1.25), seed=5)
    read = where_read(layer, 400)
    maps = affine_maps(read)
    np.testing.assert_allclose(maps[:, 0, 1], 0, atol=2e-3)
    np.testing.assert_allclose(maps[:, 1, 0], 0, atol=2e-3)
    # A pixel of the result is so many pixels of the image: the part's share of each side.
    across, down = maps[:, 0, 0], maps[:, 1, 1]
    assert_even(across * down, 0.2, 0.6)
    assert_even(np.log(across / down), math.log(0.8), math.log(1.25))
    # Where the part's centre lies, as a share of the room that there is for it.
    for shift, share, side in ((maps[:, 0, 2], across, 25), (maps[:, 1, 2], down, 21)):
        assert_even(shift / (side * (1 - share)), -0.5, 0.5)


def test_a_crop_of_all_of_an_image_is_the_image():
    images = photos(3)
    layer = RandomResizedCrop((1.0, 1.0), aspect_ratio=(1.0, 1.0), seed=0)
    np.testing.assert_allclose(run(layer, images), images, atol=1e-3)
    # A side that would exceed the image's is the image's.
    wide = RandomResizedCrop((1.0, 1.0), aspect_ratio=(4.0, 4.0), seed=0)
    maps = affine_maps(where_read(wide, 5))
    np.testing.assert_allclose(maps[:, 0, 0], 1, atol=2e-3)
    np.testing.assert_allclose(maps[:, 1, 1], 0.5, atol=2e-3)


@pytest.mark.parametrize("kernel_size", [3, 7, None])
def test_a_blur_is_a_gaussian_mean_of_the_neighbours(kernel_size):
    reach = (kernel_size or 5) // 2  # a tenth of 43 rows: 2 to both sides

    def blurred(image, sigma):
        weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
        weights /= weights.sum()
        padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
        result = np.zeros_like(image)
        for dy in range(2 * reach + 1):
            for dx in range(2 * reach + 1):
                part = padded[dy : dy + image.shape[0], dx : dx + image.shape[1]]
                result += weights[dy] * weights[dx] * part
        return result

    images = photos(2, height=43, width=30)
    exact = run(RandomBlur((1.2, 1.2), kernel_size=kernel_size, seed=1), images)
    np.testing.assert_allclose(exact, [blurred(x, 1.2) for x in images], atol=1e-2)
    # Of one bright pixel, its neighbour gets exp(-1 / (2 sigma^2)) times what it keeps.
    pixel = np.zeros((300, 43, 31, 1))
    pixel[:, 21, 15] = 255
    found = run(RandomBlur((0.5, 3.0), kernel_size=kernel_size, seed=1), pixel)
    ratio = found[:, 21, 15, 0] / found[:, 21, 16, 0]
    assert_even(np.sqrt(1 / (2 * np.log(ratio))), 0.5, 3.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomResizedCrop((0.0, 1.0)), "area must be .*Received: \\(0.0, 1.0\\)"),
        (lambda: RandomResizedCrop((0.5, 1.5)), "area must be"),
        (lambda: RandomResizedCrop(aspect_ratio=(2, 1)), "aspect_ratio must be .*\\(2, 1\\)"),
        (lambda: RandomBlur((0.0, 1.0)), "sigma must be"),
        (lambda: RandomBlur(kernel_size=4), "kernel_size must be odd. Received: 4"),
    ],
)
def test_crops_and_blurs_that_cannot_be_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_all_of_an_affine_map_is_a_rotation_of_a_shear_and_a_translation():
    layer = RandomAffine(20, shear=0.2, translation=0.1, seed=4)
    maps = affine_maps(where_read(layer, 100))
    # R @ [[1, a], [b, 1]] has R's angle where a = -b; in general solve for it.
    for (xx, xy, _), (yx, yy, _) in maps:
        angle = math.atan2(yx - xy, xx + yy)  # of the nearest rotation: tan = (2s + ..) / (2c + ..)
        fits = []
        for turn in np.linspace(angle - 0.3, angle + 0.3, 2401):
            c, s = math.cos(turn), math.sin(turn)
            one_x, one_y = c * xx + s * yx, c * yy - s * xy
            fits.append(abs(one_x - 1) + abs(one_y - 1))
        assert min(fits) < 2e-2


@pytest.mark.parametrize("fill", ["nearest", "constant"])
@pytest.mark.parametrize("layer", [RandomAffine, RandomElastic])
def test_pixels_are_read_bilinearly(layer, fill):
    options = {"rotation": 25, "translation": 0.2} if layer is RandomAffine else {"shear": 0.2}
    read = where_read(layer(**options, fill_mode="nearest", seed=6), 20)
    image = photos(1, 21, 25)[0]
    drawn = run(
        layer(**options, fill_mode=fill, fill_value=200.0, seed=6), np.repeat(image[None], 20, 0)
    )
    for positions, result in zip(read, drawn, strict=True):
        known = np.isfinite(positions[..., 0])
        for channel in range(3):
            expected = ndimage.map_coordinates(
                image[..., channel], [positions[known][:, 0], positions[known][:, 1]], order=1
            )
            np.testing.assert_allclose(result[known][:, channel], expected, atol=0.5)


def test_what_comes_in_from_outside_is_the_nearest_pixel_or_the_constant():
    image = np.full((50, 9, 9, 1), 100.0)
    image[:, [0, -1]] = image[:, :, [0, -1]] = 60
    nearest = run(RandomAffine(translation=1.0, seed=1), image)
    assert set(np.unique(nearest.round(2))) <= set(np.arange(60, 100.01, 0.01).round(2))
    assert (nearest[:, 0, 0] == 60).any()
    constant = run(
        RandomAffine(translation=1.0, fill_mode="constant", fill_value=7.0, seed=1), image
    )
    far = np.abs(nearest - constant) > 1
    assert far.any()
    assert abs(constant.min() - 7) < 1e-4


def spline_basis(length, num_cells):
    """Uniform cubic B-splines at the pixels, by SciPy."""
    position = np.linspace(0, num_cells, length)
    knots = np.arange(-3, num_cells + 4)
    columns = [BSpline(knots, np.eye(num_cells + 3)[k], 3)(position) for k in range(num_cells + 3)]
    return np.stack(columns, axis=-1)


def test_an_elastic_deformation_is_a_spline_through_gaussian_draws():
    cells, side, count = 2, 41, 150
    read = where_read(RandomElastic(0.04, num_cells=cells, seed=3), count, side, side)
    basis = spline_basis(side, cells)
    design = np.einsum("hi,wj->hwij", basis, basis).reshape(side * side, -1)
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1)
    moves = []
    for positions in read:
        known = np.isfinite(positions[..., 0]).ravel()
        moved = (positions - place).reshape(-1, 2)
        found, *_ = np.linalg.lstsq(design[known], moved[known], rcond=None)
        np.testing.assert_allclose(design[known] @ found, moved[known], atol=2e-2)
        moves.append(found.reshape(cells + 3, cells + 3, 2)[1:-1, 1:-1])
    moves = np.array(moves) / side
    assert abs(moves.mean()) < 6 * 0.04 / math.sqrt(moves.size)
    assert abs(moves.std() / 0.04 - 1) < 0.1
    # Rows and columns, and images, move apart.
    assert abs(np.corrcoef(moves[..., 0].ravel(), moves[..., 1].ravel())[0, 1]) < 0.15
    assert abs(np.corrcoef(moves[:-1].ravel(), moves[1:].ravel())[0, 1]) < 0.15


def test_an_elastic_layer_without_displacement_shears():
    maps = affine_maps(where_read(RandomElastic(0.0, shear=0.2, seed=3), 300))
    np.testing.assert_allclose(maps[:, 0, 0], 1, atol=2e-3)
    np.testing.assert_allclose(maps[..., 2], 0, atol=1e-2)
    assert_even(maps[:, 0, 1], -0.2, 0.2)
    assert_even(maps[:, 1, 0], -0.2, 0.2)


def slow_enhance(kind, image, factor):
    """One pixel after the other."""
    height, width, _ = image.shape
    grey = image @ GREY if image.shape[-1] == 3 else image.mean(-1)
    result = np.empty_like(image)
    for y, x in itertools.product(range(height), range(width)):
        if kind == "brightness":
            dull = 0.0
        elif kind == "contrast":
            dull = grey.mean()
        elif kind == "color":
            dull = grey[y, x]
        elif 0 < y < height - 1 and 0 < x < width - 1:
            weights = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
            window = image[y - 1 : y + 2, x - 1 : x + 2]
            dull = (window * weights[..., None]).sum((0, 1))
        else:
            dull = image[y, x]
        result[y, x] = np.clip(dull + factor * (image[y, x] - dull), 0, 255)
    return result


@pytest.mark.parametrize("kind", ["brightness", "contrast", "color", "sharpness"])
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9])
class TestEnhance:
    def test_it_mixes_with_the_dull_copy(self, kind, factor):
        images = photos(4)
        result = run(RandomEnhance(kind, (factor, factor)), images)
        expected = [slow_enhance(kind, image, factor) for image in images]
        np.testing.assert_allclose(result, expected, atol=1e-3)

    def test_it_does_what_pillow_does(self, kind, factor):
        enhancer = getattr(ImageEnhance, kind.title())
        images = photos(4).astype("uint8")
        expected = [
            np.asarray(enhancer(Image.fromarray(image)).enhance(factor)) for image in images
        ]
        result = run(RandomEnhance(kind, (factor, factor)), images)
        # Pillow rounds the dull copy and cuts the fraction of the mixture off.
        assert np.abs(result - np.array(expected, "float64")).max() < 2.01


def test_factors_are_drawn_evenly_for_each_image():
    factors = run(RandomEnhance("brightness", (0.1, 1.9), seed=1), np.full((2000, 1, 1, 3), 100.0))
    assert (factors == factors[..., :1]).all()
    assert_even(factors[..., 0] / 100, 0.1, 1.9)


def test_contrast_and_color_of_other_than_three_channels_use_their_mean():
    images = photos(3, channels=4)
    for kind in ("contrast", "color"):
        result = run(RandomEnhance(kind, (0.3, 0.3)), images)
        expected = [slow_enhance(kind, image, 0.3) for image in images]
        np.testing.assert_allclose(result, expected, atol=1e-3)


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterizing_keeps_the_highest_bits(bits):
    images = photos(3)
    result = run(RandomPosterize((bits, bits)), images)
    expected = [int(v) >> (8 - bits) << (8 - bits) for v in images.ravel()]
    np.testing.assert_array_equal(result.ravel(), expected)


def test_both_bounds_of_the_bits_are_drawn():
    result = run(RandomPosterize((4, 8), seed=1), np.full((2000, 1, 1, 1), 255.0)).ravel()
    values, counts = np.unique(result, return_counts=True)
    np.testing.assert_array_equal(values, [240, 248, 252, 254, 255])
    assert (np.abs(counts / 2000 - 0.2) < 6 * math.sqrt(0.2 * 0.8 / 2000)).all()


def slow_equalization(channel):
    """By the textbook, counting pixels for each pixel."""
    whole = np.floor(channel)
    darkest = (whole == whole.min()).sum()
    if darkest == whole.size:
        return channel
    ranks = np.array([(whole <= value).sum() for value in whole.ravel()]).reshape(whole.shape)
    return 255 * (ranks - darkest) / (whole.size - darkest)


@pytest.mark.parametrize("high", [256, 60, 3])
def test_equalization_ranks_the_pixels_of_each_channel_of_each_image(high):
    images = photos(5, high=high) * 0.99
    images[0] = 17
    result = run(HistogramEqualization(), images)
    expected = [[slow_equalization(image[..., c]) for c in range(3)] for image in images]
    np.testing.assert_allclose(result, np.moveaxis(expected, 1, -1), atol=1e-3)


def test_grey_is_the_luminance_of_a_share_of_the_images():
    images = photos(2000, 2, 2)
    result = run(RandomGrayscale(0.25, seed=1), images)
    expected = np.repeat((images @ GREY)[..., None], 3, axis=-1)
    grey = np.isclose(result, expected, atol=1e-3).all((1, 2, 3))
    untouched = (result == images).all((1, 2, 3))
    assert (grey ^ untouched).all()
    assert abs(grey.mean() - 0.25) < 6 * math.sqrt(0.25 * 0.75 / 2000)


@pytest.mark.parametrize("fill", ["nearest", "constant"])
def test_a_subcrop_is_padded_back_around_the_middle(fill):
    height, width, size = 7, 9, 5
    image = np.arange(height * width, dtype="float64").reshape(height, width, 1) + 10
    candidates = {}
    for top, left in itertools.product(range(height - size + 1), range(width - size + 1)):
        crop = image[top : top + size, left : left + size]
        before = ((height - size) // 2, (width - size) // 2)
        after = (height - size - before[0], width - size - before[1])
        pads = ((before[0], after[0]), (before[1], after[1]), (0, 0))
        extra = {"constant_values": 3.0} if fill == "constant" else {}
        mode = "edge" if fill == "nearest" else fill
        candidates[top, left] = np.pad(crop, pads, mode=mode, **extra)
    layer = RandomSubcrop(size, fill_mode=fill, fill_value=3.0, seed=1)
    found = []
    for result in run(layer, np.repeat(image[None], 600, axis=0)):
        fits = [c for c, expected in candidates.items() if np.array_equal(result, expected)]
        assert len(fits) == 1
        found += fits
    # 15 corners, 40 draws each expected; six standard deviations are 37.
    assert set(found) == set(candidates)
    counts = [found.count(corner) for corner in candidates]
    assert max(counts) < 77


def chroma(images):
    """Colour as a complex number, by the NTSC's axes."""
    i = images @ np.array([0.5959, -0.2746, -0.3213])
    q = images @ np.array([0.2115, -0.5227, 0.3112])
    return i + 1j * q


def jitter(**kwargs):
    """A layer that changes nothing but what is asked for."""
    nothing = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    return RandomColorJitter(**{**nothing, **kwargs, "seed": 1})


# Far from black and white, so that nothing is clipped.
MILD = photos(1000, 4, 5, low=118, high=138)


def test_jitter_of_nothing_changes_nothing():
    np.testing.assert_allclose(run(jitter(), MILD), MILD, atol=2e-3)


def test_brightness_is_added():
    added = run(jitter(brightness=0.3), MILD) - MILD
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-3
    assert_even(added[:, 0, 0, 0], -0.3 * 255, 0.3 * 255)


def test_contrast_scales_the_distance_from_the_mean_of_each_channel():
    result = run(jitter(contrast=0.5), MILD)
    mean = MILD.mean((1, 2), keepdims=True)
    factor = ((result - mean) * (MILD - mean)).sum((1, 2, 3)) / ((MILD - mean) ** 2).sum((1, 2, 3))
    expected = mean + factor[:, None, None, None] * (MILD - mean)
    np.testing.assert_allclose(result, expected, atol=2e-3)
    assert_even(factor, 0.5, 1.5)


def test_saturation_and_hue_scale_and_turn_the_colours_and_keep_the_grey():
    result = run(jitter(saturation=0.4, hue=0.2), MILD)
    np.testing.assert_allclose(result @ GREY, MILD @ GREY, atol=2e-2)
    before, after = chroma(MILD), chroma(result)
    turn = (after * before.conj()).sum((1, 2)) / (np.abs(before) ** 2).sum((1, 2))
    np.testing.assert_allclose(after, turn[:, None, None] * before, atol=2e-2)
    assert_even(np.abs(turn), 0.6, 1.4)
    assert_even(np.angle(turn), -0.2 * 2 * np.pi, 0.2 * 2 * np.pi)


def test_all_of_the_jitter_together_is_the_product_of_its_parts():
    result = run(jitter(brightness=0.1, contrast=0.4, saturation=0.4, hue=0.2), MILD)
    mean, mean_after = (images.mean((1, 2)) for images in (MILD, result))
    added = (mean_after - mean) @ GREY
    assert_even(added, -25.5, 25.5)
    turn = chroma(mean_after) / chroma(mean)
    grey, grey_after = (
        (images - m[:, None, None]) @ GREY for images, m in ((MILD, mean), (result, mean_after))
    )
    factor = (grey * grey_after).sum((1, 2)) / (grey**2).sum((1, 2))
    np.testing.assert_allclose(grey_after, factor[:, None, None] * grey, atol=2e-2)
    expected = (factor * turn)[:, None, None] * chroma(MILD - mean[:, None, None])
    colourful = np.abs(chroma(mean)) > 1  # where the turn can be read off the mean
    np.testing.assert_allclose(
        chroma(result - mean_after[:, None, None])[colourful], expected[colourful], atol=0.1
    )


def test_saturation_of_four_channels_is_about_their_mean():
    images = photos(200, channels=4, low=100, high=150)
    result = run(jitter(saturation=0.4), images)
    mean = images.mean(-1, keepdims=True)
    factor = ((result - mean) * (images - mean)).sum((1, 2, 3))
    factor = factor / ((images - mean) ** 2).sum((1, 2, 3))
    expected = mean + factor[:, None, None, None] * (images - mean)
    np.testing.assert_allclose(result, expected, atol=2e-3)
    assert factor.min() < 0.7 < 1.3 < factor.max()


def curves(layer, count):
    """The curve of every channel of every image, at 0, 1, ..., 255: `[count * 3, 256]`."""
    ramp = np.repeat(np.arange(256.0).reshape(1, 16, 16, 1), 3, axis=-1)
    result = run(layer, np.repeat(ramp, count, axis=0))
    return np.moveaxis(result, -1, 1).reshape(count * 3, 256)


def test_tone_curves_rise_within_their_slopes_from_black_to_white():
    found = curves(RandomToneCurve(0.1, slope=(0.5, 2.0), seed=1), 300)
    slopes = np.diff(found, axis=1)
    inside = (found[:, 1:] > 0) & (found[:, :-1] > 0) & (found[:, 1:] < 255) & (found[:, :-1] < 255)
    assert slopes[inside].min() > 0.5 - 1e-3
    assert slopes[inside].max() < 2 + 1e-3
    assert slopes[inside].min() < 0.6
    assert slopes[inside].max() > 1.6
    assert np.ptp(found[:3], axis=0).max() > 1  # channels have their own
    # Clipped at 0 and 255: half of the draws show.
    black, white = found[:, 0], found[:, -1]
    assert abs((black == 0).mean() - 0.5) < 6 * 0.5 / math.sqrt(900)
    assert_even(black[black > 0], 0, 25.5)
    assert_even(white[white < 255], 255 - 25.5, 255)


def test_tone_curves_are_splines_through_points_that_are_drawn_within_the_slopes():
    low, high = 0.5, 2.0
    found = curves(RandomToneCurve(0.0, slope=(low, high), seed=2), 200) / 255
    basis = BSpline(np.arange(-3, 8) / 4, np.eye(7), 3)(np.arange(256) / 255)
    points, *_ = np.linalg.lstsq(basis, found.T, rcond=None)
    np.testing.assert_allclose(basis @ points, found.T, atol=1e-4)
    before, *inner, after = points
    np.testing.assert_allclose(inner[0], 0, atol=1e-4)
    np.testing.assert_allclose(inner[-1], 1, atol=1e-4)
    np.testing.assert_allclose(before, -inner[1], atol=1e-3)  # on the line through the first two
    np.testing.assert_allclose(after, 2 - inner[-2], atol=1e-3)
    # The middle first, then the quarters, each evenly from what the slopes allow.
    for left, middle, right, step in (
        (inner[0], inner[2], inner[4], 0.5),
        (inner[0], inner[1], inner[2], 0.25),
        (inner[2], inner[3], inner[4], 0.25),
    ):
        smallest = np.maximum(left + low * step, right - high * step)
        largest = np.minimum(left + high * step, right - low * step)
        wide = largest - smallest > 0.02
        assert_even(((middle - smallest) / (largest - smallest))[wide], 0, 1)


def test_the_light_stack_is_a_small_shift_and_colour_dropping():
    batch = photos(64, 8, 8)
    expected = run(RandomChannelDrop(seed=4), run(RandomShift(1, seed=3), batch))
    stack = patch_augmentation("light", (8, 8, 3), seed=3)
    assert stack.name == "patch_augmentation"
    np.testing.assert_array_equal(run(stack, batch), expected)
    grey = patch_augmentation("light", (48, 48, 1), seed=3)
    assert [type(layer) for layer in grey.layers] == [RandomShift]
    assert grey.layers[0].max_shift == 3
    # What saved models may call it.
    np.testing.assert_array_equal(
        run(patch_augmentation("default", (8, 8, 3), seed=3), batch), expected
    )


@pytest.mark.parametrize(("side", "crop"), [(64, 60), (80, 75), (32, 30), (8, 7), (2, 1)])
def test_cpc_v1_crops_60_of_64_pixels(side, crop):
    (layer,) = patch_augmentation("cpc_v1", (side, side, 1), seed=3).layers
    assert isinstance(layer, RandomSubcrop)
    assert layer.crop_size == crop


def test_cpc_v2_has_the_steps_rates_and_ranges_it_says():
    stack = patch_augmentation("cpc_v2", (12, 12, 3), seed=3)
    first, second, *rest, grey = stack.layers
    assert [layer.rate for layer in rest] == [0.2, 0.2, 0.8]
    assert [type(layer.layer) for layer in rest] == [
        RandomElastic,
        RandomToneCurve,
        RandomColorJitter,
    ]
    assert grey.rate == 0.25
    assert len(first.layers) == len(second.layers) == 15
    kinds = {layer.kind for layer in first.layers if isinstance(layer, RandomEnhance)}
    assert kinds == {"brightness", "contrast", "color", "sharpness"}
    seeds = [layer.seed for layer in stack._flatten_layers() if hasattr(layer, "seed")]
    drawn = [seed for seed in seeds if seed is not None]
    assert len(set(drawn)) == len(drawn) > 30


def test_patches_of_one_channel_leave_colour_out():
    stack = patch_augmentation("cpc_v2", (12, 12, 1), seed=3)
    assert not any(isinstance(layer, RandomGrayscale) for layer in stack.layers)
    assert len(stack.layers[0].layers) == 14


def test_no_augmentation_is_no_layer():
    assert patch_augmentation("none", (8, 8, 3)) is None


def test_simclr_has_the_steps_rates_and_ranges_of_the_paper():
    for name, strength in (("simclr", 1.0), ("simclr_small", 0.5)):
        crop, flip, jitter, grey, *blur = image_augmentation(name, (12, 12, 3), seed=3).layers
        assert tuple(crop.area) == (0.08, 1.0) and flip.mode == "horizontal"
        assert jitter.rate == 0.8 and grey.rate == 0.2
        found = jitter.layer.get_config()
        for part in ("brightness", "contrast", "saturation"):
            assert found[part] == 0.8 * strength
        assert found["hue"] == 0.2 * strength
        assert [(b.rate, type(b.layer)) for b in blur] == [(0.5, RandomBlur)] * (name == "simclr")


def test_instance_discrimination_changes_brightness_by_a_factor():
    """As torchvision's ColorJitter(0.4, 0.4, 0.4, 0.4), which the authors' code calls."""
    flat = np.full((2000, 6, 6, 3), 100.0, "float32")
    result = run(image_augmentation("instance", (6, 6, 3), seed=3), flat)
    assert np.ptp(result, axis=(1, 2)).max() < 1e-2  # contrast, colour and crops of one grey
    assert_even(result[:, 0, 0, 0], 60, 140)
    crop, grey, brightness, contrast, color, _ = image_augmentation("instance", (6, 6, 3)).layers
    assert tuple(crop.area) == (0.2, 1.0) and grey.rate == 0.2
    assert (brightness.kind, contrast.kind, contrast.factor) == (
        "brightness",
        "contrast",
        (0.6, 1.4),
    )
    found = color.get_config()
    assert [found[n] for n in ("brightness", "contrast", "saturation", "hue")] == [0, 0, 0.4, 0.4]


@pytest.mark.parametrize("name", ["simclr", "simclr_small", "instance"])
def test_images_of_one_channel_leave_colour_out(name):
    stack = image_augmentation(name, (12, 12, 1), seed=3)
    assert not any(isinstance(layer, RandomGrayscale) for layer in stack.layers)
    assert run(stack, photos(4, 12, 12, channels=1)).shape == (4, 12, 12, 1)
