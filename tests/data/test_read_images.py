import io

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data.mixed_sizes_error import MixedSizesError
from cpc_keras.data.read_images import read_images

RGB = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def _save(path, array=RGB, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def _truncated(path, array=RGB):
    # Noise compresses badly: the last 60 bytes are pixels, and the header stays whole.
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=95)
    path.write_bytes(buffer.getvalue()[:-60])
    return path


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_lossless_files_are_read_to_the_last_bit(tmp_path):
    paths = [_save(tmp_path / f"a.{kind}") for kind in ("png", "bmp", "tif")]
    paths.append(_save(tmp_path / "a.webp", lossless=True))
    images, reasons = read_images(paths)
    assert reasons == [None] * 4 and images.dtype == np.uint8
    np.testing.assert_array_equal(images, np.stack([RGB] * 4))


def test_images_come_in_the_order_of_the_paths(tmp_path):
    arrays = np.random.default_rng(1).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    paths = [_save(tmp_path / f"{i}.png", array) for i, array in enumerate(arrays)]
    order = np.random.default_rng(2).permutation(40)
    images, _ = read_images([paths[i] for i in order])
    np.testing.assert_array_equal(images, arrays[order])


def test_a_file_given_twice_is_read_twice(tmp_path):
    images, _ = read_images([_save(tmp_path / "a.png")] * 2)
    np.testing.assert_array_equal(images, np.stack([RGB] * 2))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
def test_an_image_stands_upright_as_its_exif_says(tmp_path, kind, orientation):
    # The orientation says where the stored row 0 and column 0 belong (EXIF 2.3, tag 0x0112).
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255
    undo = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: np.rot90(x, 1),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: np.rot90(x, -1),
    }[orientation]
    stored = np.ascontiguousarray(undo(upright))
    path = _save(tmp_path / f"a.{kind}", stored, exif=_exif(orientation))
    other = _save(tmp_path / "b.png", upright)
    images, _ = read_images([path, other])
    np.testing.assert_allclose(images[0].astype(int), upright, atol=40)


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    images, _ = read_images([_save(tmp_path / "a.jpg", red, "CMYK")])
    np.testing.assert_allclose(images[0].astype(int), red, atol=8)


def test_a_palette_png_becomes_rgb(tmp_path):
    two = np.where(GREY[..., None] > 99, [200, 30, 60], [10, 20, 250]).astype(np.uint8)
    image = Image.fromarray(two).quantize(2)
    image.save(tmp_path / "a.png")
    images, _ = read_images([tmp_path / "a.png"])
    np.testing.assert_array_equal(images[0], np.asarray(image.convert("RGB")))
    np.testing.assert_allclose(images[0].astype(int), two, atol=2)


def test_a_16_bit_png_is_scaled_by_its_full_range(tmp_path):
    values = np.array([[0, 257 * 7, 257 * 128, 65535]], np.uint16)
    images, _ = read_images([_save(tmp_path / "a.png", values)])
    np.testing.assert_array_equal(images[0, 0, :, 0], [0, 7, 128, 255])


def test_grey_files_give_one_channel(tmp_path):
    paths = [_save(tmp_path / "a.png", GREY), _save(tmp_path / "b.png", GREY.astype(np.uint16))]
    assert read_images(paths)[0].shape == (2, 8, 12, 1)


def test_one_colour_file_among_grey_ones_makes_all_rgb(tmp_path):
    paths = [_save(tmp_path / f"{i}.png", GREY) for i in range(3)] + [_save(tmp_path / "c.png")]
    images, _ = read_images(paths)
    assert images.shape == (4, 8, 12, 3)
    np.testing.assert_array_equal(images[0], np.stack([GREY] * 3, axis=-1))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_are_asked_for_are_given(tmp_path, channels):
    paths = [_save(tmp_path / "a.png", GREY), _save(tmp_path / "b.png")]
    assert read_images(paths, channels=channels)[0].shape == (2, 8, 12, channels)


def test_mixed_sizes_are_resized_with_pillows_bilinear_filter(tmp_path):
    paths = [_save(tmp_path / "a.png"), _save(tmp_path / "b.png", RGB[:5, :7])]
    images, _ = read_images(paths, image_size=(4, 6))
    expected = Image.fromarray(RGB[:5, :7]).resize((6, 4), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[1], np.asarray(expected))


def test_mixed_sizes_without_a_size_say_what_was_found(tmp_path):
    paths = [_save(tmp_path / f"{i}.png") for i in range(3)]
    paths.append(_save(tmp_path / "b.png", RGB[:5, :7]))
    with pytest.raises(
        ValueError,
        match=r"photos: received images of 2 sizes \(height x width\): 8x12 \(3 files\), "
        r"5x7 \(1 files\)\. Expected one size\. Pass image_size= \(--image-size\)",
    ):
        read_images(paths, source="photos")


def test_a_truncated_file_is_skipped_with_its_reason(tmp_path):
    paths = [_truncated(tmp_path / "a.jpg"), _save(tmp_path / "b.png")]
    images, reasons = read_images(paths)
    np.testing.assert_array_equal(images, RGB[None])
    assert "image file is truncated" in reasons[0] and reasons[1] is None


def test_an_empty_file_and_a_text_file_are_skipped_with_their_reasons(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    paths = [tmp_path / "empty.png", _save(tmp_path / "b.png"), tmp_path / "text.jpg"]
    images, reasons = read_images(paths)
    assert len(images) == 1
    assert reasons[0] == "empty file" and "cannot identify image file 'text.jpg'" in reasons[2]


def test_a_float_tiff_is_skipped_with_its_reason(tmp_path):
    paths = [_save(tmp_path / "a.tif", GREY.astype(np.float32)), _save(tmp_path / "b.png", GREY)]
    assert "no known range" in read_images(paths)[1][0]


def test_float_images_count_among_others_where_their_range_is_named(tmp_path):
    np.save(tmp_path / "a.npy", (RGB / 255).astype(np.float32))
    paths = [tmp_path / "a.npy", _save(tmp_path / "b.png", GREY)]
    images, reasons = read_images(paths, pixel_range=(0, 1))
    assert reasons == [None, None]
    np.testing.assert_array_equal(images[0], RGB)


def test_rows_close_up_where_files_in_between_are_skipped(tmp_path):
    arrays = np.random.default_rng(1).integers(0, 256, (9, 8, 12, 3), dtype=np.uint8)
    paths = [_save(tmp_path / f"{i}.png", array) for i, array in enumerate(arrays)]
    for i in (0, 4, 5):
        _truncated(paths[i])
    images, reasons = read_images(paths)
    np.testing.assert_array_equal(images, arrays[[1, 2, 3, 6, 7, 8]])
    assert [i for i, reason in enumerate(reasons) if reason] == [0, 4, 5]


def test_a_broken_file_of_another_size_or_colour_does_not_count(tmp_path):
    large = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    broken = [_truncated(tmp_path / f"{i}.jpg", large) for i in range(3)]
    images, _ = read_images([*broken, _save(tmp_path / "b.png", GREY)])
    assert images.shape == (1, 8, 12, 1)


def test_no_readable_file_is_an_error_that_lists_the_first(tmp_path):
    broken = [_truncated(tmp_path / f"{i}.jpg") for i in range(4)]
    with pytest.raises(
        ValueError,
        match=r"received 4 image files, and none can be read: .*0\.jpg: .*; \.\.\..*Check",
    ):
        read_images(broken)
    with pytest.raises(ValueError, match="received 4 image files, and none can be read"):
        read_images(broken, image_size=(4, 4))


def test_files_that_no_reader_opens_are_an_error(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"received 1 image files.*a\.png: empty file"):
        read_images([tmp_path / "a.png"])


def test_images_beyond_memory_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("cpc_keras.data.require_memory._available_bytes", lambda: 10)
    with pytest.raises(ValueError, match=r"photos: 1 images of 8x12x3 need .*are available"):
        read_images([_save(tmp_path / "a.png")], source="photos")


def test_mixed_sizes_are_an_error_that_counts_them(tmp_path):
    paths = [_save(tmp_path / f"{i}.png", RGB[: 8 - i // 2]) for i in range(3)]
    with pytest.raises(MixedSizesError, match=r"8x12 \(2 files\), 7x12 \(1 files\)") as caught:
        read_images(paths)
    assert caught.value.counts == {(8, 12): 2, (7, 12): 1}
