"""Files that hold other than one grey or colour image: animations, pages, arrays, many channels."""

import numpy as np
import pytest
from PIL import Image

from cpc_keras.data import load_data
from cpc_keras.data.image_files import ImageFiles

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (3, 8, 12, 3), "uint8")


def _frames(path, **options):
    first, *others = (Image.fromarray(frame) for frame in FRAMES)
    first.save(path, save_all=True, append_images=others, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.png", {}), ("a.webp", {"lossless": True}), ("a.tif", {})],
)
def test_the_first_frame_of_an_animation_or_page_is_taken(tmp_path, name, options):
    _frames(tmp_path / name, **options)
    np.testing.assert_array_equal(load_data(str(tmp_path)).train.images, FRAMES[:1])


def test_the_first_frame_of_a_gif_is_taken(tmp_path):
    # Two colours a frame survive the palette.
    frames = [Image.fromarray(np.where(f > 127, 255, 0).astype("uint8")[..., 0]) for f in FRAMES]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    train, _ = load_data(str(tmp_path), channels=1)
    np.testing.assert_array_equal(train.images[0, ..., 0], np.asarray(frames[0]))


def _scans(tmp_path, count=3, channels=7):
    scans = RNG.integers(0, 65536, (count, 8, 12, channels), "uint16")
    for name, scan in zip("abcdef", scans, strict=False):
        np.save(tmp_path / f"{name}.npy", scan)
    return scans


def _scaled(scans):
    return np.round(scans / 257).astype("uint8")


def test_arrays_in_a_folder_keep_their_channels(tmp_path):
    scans = _scans(tmp_path)
    np.testing.assert_array_equal(load_data(str(tmp_path)).train.images, _scaled(scans))


def test_arrays_in_a_folder_are_read_on_demand(tmp_path):
    scans = _scans(tmp_path)
    train, _ = load_data(str(tmp_path), image_size=(8, 12), channels=7, in_memory=False)
    assert isinstance(train.images, ImageFiles)
    np.testing.assert_array_equal(train.images[:], _scaled(scans))


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
def test_tiff_of_many_channels_keeps_them(tmp_path, planarconfig):
    tifffile = pytest.importorskip("tifffile", reason='needs the extra "tiff"')
    scan = RNG.integers(0, 65536, (8, 12, 6), "uint16")
    stored = scan if planarconfig == "contig" else np.moveaxis(scan, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planarconfig
    )
    np.testing.assert_array_equal(load_data(str(tmp_path)).train.images[0], _scaled(scan))


def test_tiff_of_many_channels_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile", reason='needs the extra "tiff"')
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((8, 12, 6), "uint16"),
        photometric="minisblack",
        planarconfig="contig",
    )
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ValueError, match=r'pip install "cpc-keras\[tiff\]"'):
        load_data(str(tmp_path))


def test_different_numbers_of_channels_are_told(tmp_path):
    _scans(tmp_path, count=2)
    Image.fromarray(FRAMES[0]).save(tmp_path / "colour.png")
    with pytest.raises(ValueError, match=r"2 numbers of channels: 3 \(1 files\), 7 \(2 files\)"):
        load_data(str(tmp_path))


@pytest.mark.filterwarnings("ignore:.*skipped 1 of 3:UserWarning")
def test_a_colour_image_among_arrays_is_skipped_where_their_channels_are_asked_for(tmp_path):
    _scans(tmp_path, count=2)
    Image.fromarray(FRAMES[0]).save(tmp_path / "colour.png")
    train, _ = load_data(str(tmp_path), channels=7)
    assert len(train) == 2
    assert "cannot be converted to 7 channels" in train.skipped[0].reason


@pytest.mark.filterwarnings("ignore:.*skipped 3 of 5:UserWarning")
def test_arrays_that_are_no_images_are_skipped_with_their_reasons(tmp_path):
    _scans(tmp_path, count=2)
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 12, 7), "uint16"))
    np.save(tmp_path / "y.npy", np.zeros((8, 12, 7), "float32"))
    (tmp_path / "z.npy").write_bytes(b"no array")
    train, _ = load_data(str(tmp_path))
    assert len(train) == 2
    reasons = [file.reason for file in train.skipped]
    assert "shape (2, 8, 12, 7)" in reasons[0] and "float32 pixels" in reasons[1] and reasons[2]
