"""Images from NumPy's files."""

from __future__ import annotations

import os
import pathlib
import zipfile

import numpy as np

from cpc_keras.data.fit_images import fit_images
from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.stored_values import StoredValues

# What arrays are called: those of Keras's own data sets, of MedMNIST, and the plain words.
_TRAIN = (("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels"))
_TEST = (
    ("x_test", "y_test"),
    ("test_images", "test_labels"),
    ("val_images", "val_labels"),
)


def array_source(
    path: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    in_memory: bool = True,
) -> Splits:
    """Reads images of any number of channels from a `.npy` or `.npz` file.

    A `.npy` file holds the images alone. In a `.npz` file the train images and labels are called
    `x_train` and `y_train` (as in Keras's data sets), `train_images` and `train_labels` (as in
    MedMNIST) or `images` and `labels`; the test images and labels `x_test` and `y_test`,
    `test_images` and `test_labels`, or else `val_images` and `val_labels`. Class names may stand in
    `class_names`. Without `pixel_range`, pixels of 16 bits are scaled by their full range.

    Args:
        path: The file; `~` is the home directory.
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None keeps what there is.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.
        in_memory: Whether to read all images now. False maps a `.npy` file of uint8 and reads its
            images when they are needed.

    Returns:
        Train and test images in the order of the file. Labels are `[n]`, or 0 and 1 of
        `[n, classes]` where an image may have several classes; None where there are none. Test is
        None where there are no test images.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ValueError: If the arrays are none of the above, their pixels have no known range, or
            `in_memory=False` is not for a `.npy` file of uint8 that needs no conversion.

    Example:
        >>> np.savez("scans.npz", images=np.zeros((9, 16, 16, 7), "uint16"), labels=np.arange(9))
        >>> train, test = array_source("scans.npz")
        >>> train.image_shape, test
        ((16, 16, 7), None)
    """
    file = pathlib.Path(path).expanduser()
    source = f"arrays:{path}"
    if not file.exists():
        raise FileNotFoundError(
            f"{source}: does not exist (working directory: {os.getcwd()!r}). Expected a .npy or "
            ".npz file. Check the path."
        )
    mode = None if in_memory or file.suffix != ".npy" else "r"
    try:
        arrays = np.load(file, allow_pickle=False, mmap_mode=mode)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{source}: cannot be read ({error}). Expected what numpy.save or numpy.savez wrote, "
            "without Python objects. Write it anew."
        ) from error
    if isinstance(arrays, np.ndarray):
        arrays = {"images": arrays}
    train = next((names for names in _TRAIN if names[0] in arrays), None)
    test = next((names for names in _TEST if names[0] in arrays), None)
    if train is None:
        raise ValueError(
            f"{source}: received the arrays {', '.join(arrays) or 'none'}. Expected train images "
            f"called {' or '.join(names[0] for names in _TRAIN)}. Save them under such a name: "
            "numpy.savez(path, images=..., labels=...)."
        )

    def load(names: tuple[str, str]) -> ImageData:
        images = _images(arrays[names[0]], f"{source} {names[0]}")
        if not in_memory and not isinstance(images, np.memmap):
            raise ValueError(
                f"{source}: received in_memory=False (--stream) for a {file.suffix} file. Expected "
                "a .npy file, which can be read in parts. Leave it out, or save the images alone: "
                "numpy.save(path, images)."
            )
        size, depth = images.shape[1:3], images.shape[3]
        is_fit = image_size in (None, size) and channels in (None, depth) and not pixel_range
        if not in_memory and not (is_fit and images.dtype == np.uint8):
            raise ValueError(
                f"{source}: received in_memory=False (--stream) for images of type {images.dtype} "
                f"and shape {images.shape[1:]} that have to be converted to uint8, image_size="
                f"{image_size}, channels={channels} and pixel_range={pixel_range}. Expected images "
                "as they are wanted. Convert the file once, or leave it out."
            )
        stored = StoredValues()
        fitted = fit_images(
            images,
            image_size=image_size,
            channels=channels,
            pixel_range=pixel_range,
            stored=stored,
        )
        labels = _labels(arrays[names[1]], names[1], source) if names[1] in arrays else None
        class_names = tuple(map(str, arrays["class_names"])) if "class_names" in arrays else ()
        return ImageData(
            fitted,
            labels=labels,
            class_names=class_names,
            source=source,
            stored_values=stored.ranges(),
        )

    return Splits(load(train), load(test) if test else None)


def _images(images: np.ndarray, name: str) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or not len(images):
        raise ValueError(
            f"{name}: received an array of shape {images.shape}. Expected images [n, height, "
            "width] or [n, height, width, channels], n >= 1."
        )
    return images


def _labels(labels: np.ndarray, name: str, source: str) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype == bool or (
        np.issubdtype(labels.dtype, np.floating) and np.equal(np.mod(labels, 1), 0).all()
    ):
        labels = labels.astype(np.int64)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{source}: received {name} of type {labels.dtype}. Expected integers: the class of "
            "each image [n], or 0 and 1 [n, classes]."
        )
    return labels.astype(np.int64)
