"""Images of fewer bits than their type has, from each source."""

import warnings

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data import load_data

RNG = np.random.default_rng(0)
SCANS = RNG.integers(2, 4001, (6, 8, 8)).astype("uint16")
SCANS[0, 0, :2] = 2, 4000
EXPECTED = np.rint(SCANS * 255.0 / 4000)[..., np.newaxis]


def _folder(root, images=SCANS):
    root.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(root / f"{number}.png")
    return str(root)


def _npz(root):
    np.savez(f"{root}.npz", images=SCANS[:4], x_test=SCANS[4:])
    return f"{root}.npz"


@pytest.mark.parametrize("write", [_folder, _npz])
def test_a_pixel_range_is_that_of_the_stored_pixels(write, tmp_path):
    train, test = load_data(write(tmp_path / "scans"), pixel_range=(0, 4000))
    images = np.concatenate([part.images for part in (train, test) if part is not None])
    np.testing.assert_array_equal(images, EXPECTED)
    ranges = [part.stored_values["uint16"] for part in (train, test) if part is not None]
    assert min(low for low, _ in ranges) == SCANS.min()
    assert max(high for _, high in ranges) == SCANS.max()


def test_a_pixel_range_of_images_that_are_read_when_they_are_needed(tmp_path):
    options = {"image_size": 8, "channels": 1, "in_memory": False, "pixel_range": (0, 4000)}
    images = load_data(_folder(tmp_path / "scans"), **options).train.images
    np.testing.assert_array_equal(images[:], EXPECTED)
    np.testing.assert_array_equal(images.subset([3, 1])[:], EXPECTED[[3, 1]])


def test_mapped_arrays_are_not_scaled(tmp_path):
    np.save(tmp_path / "a.npy", SCANS.astype("uint8"))
    with pytest.raises(ValueError, match=r"pixel_range=\(0.0, 100.0\). Expected images as they"):
        load_data(str(tmp_path / "a.npy"), in_memory=False, pixel_range=(0, 100))


@pytest.mark.parametrize("write", [_folder, _npz])
def test_images_whose_highest_bits_are_empty_are_told_with_what_to_do(write, tmp_path):
    with pytest.warns(UserWarning, match=r"reach from 2 to 4000 .* at most 16 of 255.*0,4095\)"):
        load_data(write(tmp_path / "scans"))


def test_one_bright_image_or_8_bits_are_not_told(tmp_path):
    bright = np.concatenate([SCANS, np.full((1, 8, 8), 8192, "uint16")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_data(_folder(tmp_path / "bright", bright))
        load_data(_folder(tmp_path / "bytes", (SCANS // 100).astype("uint8")))


@pytest.mark.parametrize("pixel_range", [(5, 5), (9, 1), (0,), (0, float("inf")), "ab", 3, "0,1"])
def test_what_is_no_pixel_range_is_refused(pixel_range):
    with pytest.raises(ValueError, match=r"pixel_range=.*the lower first. Try"):
        load_data("mnist_5k", pixel_range=pixel_range)


def _deep_png(path, pixels):
    """A PNG of 16 bits a channel in colour, which Pillow does not write."""
    import tensorflow as tf

    path.write_bytes(tf.io.encode_png(pixels).numpy())


def test_colours_of_16_bits_of_which_pillow_reads_8_are_not_scaled_as_if_they_were_8(tmp_path):
    pytest.importorskip("tensorflow")
    (tmp_path / "scans").mkdir()
    for number in range(3):
        colours = np.repeat(SCANS[number, ..., np.newaxis], 3, axis=-1)
        _deep_png(tmp_path / "scans" / f"{number}.png", colours)
    with pytest.raises(ValueError, match="16 bits a channel in colour, of which Pillow reads 8"):
        load_data(str(tmp_path / "scans"), pixel_range=(0, 4000))
    with pytest.warns(UserWarning, match=r"almost black.*0,4095\)"):
        load_data(str(tmp_path / "scans"))


@pytest.mark.filterwarnings("ignore:.*skipped 2 of 3:UserWarning")
def test_a_pixel_range_is_refused_where_pillow_has_scaled_by_the_maximum_in_the_file(tmp_path):
    scans = SCANS[:3].astype(">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(b"P5 8 24 4000\n" + scans)
    (tmp_path / "b.ppm").write_bytes(b"P6 8 8 65535\n" + scans)
    (tmp_path / "c.pgm").write_bytes(b"P5 8 24 65535\n" + scans)
    train = load_data(str(tmp_path), pixel_range=(0, 4000)).train
    np.testing.assert_array_equal(train.images[0], EXPECTED[:3].reshape(24, 8, 1))
    assert all("scales by the maximum in the file" in file.reason for file in train.skipped)
    (tmp_path / "b.ppm").unlink()
    (tmp_path / "c.pgm").unlink()
    images = load_data(str(tmp_path)).train.images
    np.testing.assert_allclose(images[0], EXPECTED[:3].reshape(24, 8, 1), atol=1)


def test_tiff_of_16_bit_colours_is_scaled_from_all_its_bits(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    (tmp_path / "scans").mkdir()
    for number, scan in enumerate(SCANS):
        colours = np.repeat(scan[..., np.newaxis], 3 + number % 2, axis=-1)
        kind = {"photometric": "rgb", "extrasamples": ["unassalpha"] * (number % 2)}
        tifffile.imwrite(tmp_path / "scans" / f"{number}.tif", colours, **kind)
    images = load_data(str(tmp_path / "scans"), pixel_range=(0, 4000)).train.images
    np.testing.assert_array_equal(images, np.repeat(EXPECTED, 3, axis=-1))
