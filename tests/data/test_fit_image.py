import numpy as np
import pytest
from PIL import Image

from cpc_keras.data.fit_image import fit_image
from cpc_keras.data.fit_images import fit_images

RGB = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)


def test_an_image_that_fits_is_unchanged():
    np.testing.assert_array_equal(fit_image(RGB), RGB)
    np.testing.assert_array_equal(fit_image(RGB, image_size=(8, 12), channels=3), RGB)


def test_size_is_height_then_width():
    assert fit_image(RGB, image_size=(4, 6)).shape == (4, 6, 3)
    assert fit_image(Image.fromarray(RGB), image_size=(4, 6)).shape == (4, 6, 3)


def test_shrinking_averages_over_the_pixels_left_out():
    # Without antialiasing the result would be black or white.
    stripes = np.zeros((16, 16, 1), np.uint8)
    stripes[:, ::2] = 255
    shrunk = fit_image(stripes, image_size=(4, 4))
    assert shrunk.min() > 100 and shrunk.max() < 155


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4, 5])
def test_every_channel_is_resized_by_itself(num_channels):
    image = np.random.default_rng(1).integers(0, 256, (8, 8, num_channels), dtype=np.uint8)
    resized = fit_image(image, image_size=(5, 3))
    for channel in range(num_channels):
        plane = Image.fromarray(image[..., channel]).resize((3, 5), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(resized[..., channel], np.asarray(plane))


def test_grey_is_pillows_luma():
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(fit_image(RGB, channels=1)[..., 0], luma, atol=1)


def test_grey_becomes_three_equal_channels():
    np.testing.assert_array_equal(fit_image(RGB[..., :1], channels=3), RGB[..., [0, 0, 0]])


def test_alpha_is_dropped():
    rgba = np.concatenate([RGB, RGB[..., :1]], axis=-1)
    np.testing.assert_array_equal(fit_image(rgba, channels=3), RGB)


@pytest.mark.parametrize("mode", ["P", "CMYK", "RGBA", "HSV", "YCbCr", "LA", "1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_of_pillow_is_converted(mode, channels):
    image = Image.fromarray(RGB).convert(mode)
    assert fit_image(image, channels=channels).shape == (8, 12, channels)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("LA", 1), ("P", 3), ("CMYK", 3)]
)
def test_channels_default_to_grey_for_grey_images_only(mode, channels):
    assert fit_image(Image.fromarray(RGB).convert(mode)).shape[-1] == channels


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_16_bits_are_scaled_by_their_full_range(dtype):
    values = np.array([[0, 128, 129, 257 * 100, 65535]], dtype)
    expected = np.array([0, 0, 1, 100, 255])
    np.testing.assert_array_equal(fit_image(Image.fromarray(values)).ravel(), expected)
    np.testing.assert_array_equal(fit_image(values[..., None]).ravel(), expected)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_arrays_below_zero_are_refused_whatever_their_type(dtype):
    pixels = np.array([-3, 0, 100], dtype).reshape(1, 1, 3, 1)
    with pytest.raises(ValueError, match="from -3 to 100 go beyond 16 bits; convert"):
        fit_images(pixels)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "uint32"])
def test_arrays_that_may_have_8_or_16_bits_are_asked_about(dtype):
    pixels = np.array([0, 100, 127], dtype).reshape(1, 1, 3, 1)
    with pytest.raises(ValueError, match=r'may have 8 bits.*astype\("uint8"\)'):
        fit_images(pixels)
    np.testing.assert_array_equal(fit_images(pixels.astype("uint8")), pixels)
    # One bright pixel tells.
    if dtype != "int8":
        clear = np.concatenate([pixels, np.full((1, 1, 3, 1), 257 * 7, dtype)])
        np.testing.assert_array_equal(fit_images(clear)[:, 0, 0, 0], [0, 7])


@pytest.mark.parametrize("value", [-1, 65536])
def test_integers_beyond_16_bits_are_refused(value):
    with pytest.raises(ValueError, match="go beyond 16 bits; convert"):
        fit_image(Image.fromarray(np.array([[value, 5]], np.int32)))


def test_float_pixels_are_refused():
    with pytest.raises(ValueError, match="float32 pixels have no known range; convert"):
        fit_image(Image.fromarray(np.ones((2, 2), np.float32)))


def test_channels_that_cannot_be_converted_are_refused():
    with pytest.raises(ValueError, match=r"5 channels to convert to 3. Expected 1, 3 or 4.*Leave"):
        fit_image(np.zeros((2, 2, 5), np.uint8), channels=3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_a_pixel_range_is_scaled_and_what_lies_beyond_is_clipped(dtype):
    values = np.array([0, 10, 60, 110, 127], dtype).reshape(1, 5, 1)
    scaled = fit_image(values, pixel_range=(10, 110)).ravel()
    np.testing.assert_array_equal(scaled, [0, 0, 128, 255, 255])


def test_the_whole_range_of_16_bits_is_what_is_used_without_one():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    np.testing.assert_array_equal(fit_image(values, pixel_range=(0, 65535)), fit_image(values))


def test_negative_pixels_have_a_range_of_their_own():
    values = np.array([-1024, -600, 1000, 3071], np.int16).reshape(1, 4, 1)
    assert fit_image(values, pixel_range=(-1024, 3071)).ravel().tolist() == [0, 26, 126, 255]


@pytest.mark.parametrize("mode", ["L", "I;16", "I", "F"])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_every_depth_of_pillow_has_a_pixel_range(mode, channels):
    types = {"L": "uint8", "I;16": "uint16", "I": "int32", "F": "float32"}
    image = Image.fromarray(np.array([[0, 50, 100, 200]], types[mode]))
    assert image.mode == mode
    scaled = fit_image(image, channels=channels, pixel_range=(0, 100))
    assert scaled.shape[-1] == (channels or 1)
    np.testing.assert_array_equal(scaled[0, :, -1], [0, 128, 255, 255])


def test_a_pixel_range_of_colours_is_that_of_each():
    scaled = fit_image(Image.fromarray(RGB), pixel_range=(50, 100))
    np.testing.assert_array_equal(scaled, fit_image(RGB, pixel_range=(50, 100)))
    assert scaled.shape == RGB.shape and {0, 255} <= set(scaled.ravel())


def test_pixels_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not numbers"):
        fit_image(np.full((2, 2, 1), np.nan, "float32"), pixel_range=(0, 1))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_a_pixel_range_tells_what_types_do_not(dtype):
    images = np.array([0, 50, 100], dtype).reshape(1, 1, 3, 1)
    with pytest.raises(ValueError, match="pixel_range="):
        fit_images(images)
    assert fit_images(images, pixel_range=(0, 100)).ravel().tolist() == [0, 128, 255]
