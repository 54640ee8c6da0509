"""Image files that Pillow does not read: arrays, and TIFF of many channels."""

from __future__ import annotations

import pathlib

import numpy as np

TIFF = (".tif", ".tiff")


def read_array(path: pathlib.Path) -> np.ndarray:
    """Reads one image of any number of channels.

    Args:
        path: A `.npy` file of `[height, width]` or `[height, width, channels]`, mapped into memory,
            or a TIFF file, of which the first page is read.

    Returns:
        `[height, width, channels]` as it is stored.

    Raises:
        ValueError: If it is no such array.
        ImportError: If tifffile, which reads TIFF, is not installed.

    Example:
        >>> np.save("scan.npy", np.zeros((16, 24, 7), "uint16"))
        >>> read_array(pathlib.Path("scan.npy")).shape  # doctest: +SKIP
        (16, 24, 7)
    """
    if path.suffix.lower() in TIFF:
        image = _read_tiff(path)
    else:
        image = np.load(path, mmap_mode="r", allow_pickle=False)
    if image.ndim == 2:
        image = image[..., np.newaxis]
    if image.ndim != 3:
        raise ValueError(
            f"holds an array of shape {image.shape}, not [height, width] or [height, width, "
            "channels]"
        )
    return image


def _read_tiff(path: pathlib.Path) -> np.ndarray:
    try:
        import tifffile
    except ImportError as error:
        raise ImportError(
            "Pillow does not read a TIFF file of this kind, as those of more than four channels; "
            'pip install "cpc-keras[tiff]" brings what does'
        ) from error
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        image = page.asarray()
        # Planes one behind the other come with the channels first.
        return np.moveaxis(image, 0, -1) if page.axes == "SYX" else image
