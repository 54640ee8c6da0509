"""Images from IDX files, as MNIST and its successors come."""

from __future__ import annotations

import gzip
import math
import os
import pathlib
import re
import zlib

import numpy as np

from cpc_keras.data.fit_images import fit_images
from cpc_keras.data.image_data import ImageData, Splits

_IMAGES = re.compile(r"(?P<name>.*?)(?P<split>train|t10k|test)-images[-.]idx[34]-ubyte(\.gz)?")
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx_source(
    path: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> Splits:
    """Reads the IDX files of a directory, as they are or compressed with gzip.

    `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` are the train split, and those with
    `t10k-` or `test-` the test split: the names of MNIST, Fashion-MNIST (Debian's
    `dataset-fashion-mnist` installs it in `/usr/share/datasets/fashion-mnist`), Kuzushiji-MNIST
    and, with one more word in front, EMNIST. Images of four dimensions have channels last. The
    format: two zero bytes, the type, the number of dimensions, each size as big-endian 32 bits,
    then the values (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").

    Args:
        path: The directory; `~` is the home directory.
        image_size: `(height, width)` to resize to; None keeps the size.
        channels: 1 (grey) or 3 (RGB); None keeps what there is.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.

    Returns:
        Train and test images in the order of the files; labels are None where there is no file of
        them, and test is None where there are no images of it.

    Raises:
        ValueError: If there are no train images or those of several sets, a file is cut short or
            no IDX file, or its values are no pixels or labels.

    Example:
        >>> train, test = idx_source("/usr/share/datasets/fashion-mnist")  # doctest: +SKIP
    """
    root = pathlib.Path(path).expanduser()
    found: dict[str, pathlib.Path] = {}
    for file in idx_images(root):
        split = "train" if _IMAGES.fullmatch(file.name)["split"] == "train" else "test"
        if split in found and _plain(found[split]) != _plain(file):
            raise ValueError(
                f"idx {root}: received {split} images of several sets, {found[split].name} and "
                f"{file.name}. Expected one set a directory. Move the others elsewhere."
            )
        found.setdefault(split, file)
    if "train" not in found:
        raise ValueError(
            f"idx {root}: received a directory without train images. Expected "
            "train-images-idx3-ubyte or train-images-idx3-ubyte.gz in it. Check the path."
        )

    def load(file: pathlib.Path) -> ImageData:
        images = _images(file)
        labels = _labels(file, len(images))
        images = fit_images(
            images, image_size=image_size, channels=channels, pixel_range=pixel_range
        )
        return ImageData(images, labels=labels, source=f"idx:{path}")

    return Splits(load(found["train"]), load(found["test"]) if "test" in found else None)


def idx_images(root: pathlib.Path) -> list[pathlib.Path]:
    """The files of images in a directory, by name; an empty list where there are none."""
    return sorted(file for file in root.glob("*-images*") if _IMAGES.fullmatch(file.name))


def _plain(file: pathlib.Path) -> str:
    return file.name.removesuffix(".gz")


def _images(file: pathlib.Path) -> np.ndarray:
    images = _read(file)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not len(images):
        raise ValueError(
            f"{file}: received values of shape {images.shape} and type {images.dtype}. Expected "
            "unsigned bytes [n, height, width] or [n, height, width, channels], n >= 1."
        )
    return images[..., np.newaxis] if images.ndim == 3 else images


def _labels(file: pathlib.Path, count: int) -> np.ndarray | None:
    pattern = re.sub(r"-images([-.])idx[34]-", r"-labels\1idx1-", _plain(file))
    named = [file.with_name(pattern), file.with_name(pattern + ".gz")]
    there = next((candidate for candidate in named if candidate.exists()), None)
    if there is None:
        return None
    labels = _read(there)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{there}: received labels of shape {labels.shape} and type {labels.dtype} for {count} "
            f"images in {file.name}. Expected one integer an image. Fetch both files anew."
        )
    return labels.astype(np.int64)


def _read(file: pathlib.Path) -> np.ndarray:
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rb") as opened:
            head = opened.read(4)
            rank = head[3] if len(head) == 4 else 0
            sizes = opened.read(4 * rank)
            if not rank or head[:2] != b"\0\0" or head[2] not in _TYPES or len(sizes) < 4 * rank:
                raise ValueError(
                    f"{file}: received a file that begins with {(head + sizes).hex(' ')!r}. "
                    "Expected an IDX file: 00 00, a type (08 for bytes), the number of dimensions "
                    "and four bytes for each. It was cut short, or is another: fetch it anew."
                )
            values = np.dtype(_TYPES[head[2]])
            shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
            wanted = math.prod(shape) * values.itemsize
            # One more than wanted, to find what is too long.
            data = opened.read(wanted + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file}: cannot be unpacked ({error}). Fetch it anew.") from error
    if len(data) != wanted:
        raise ValueError(
            f"{file}: received {'too many' if len(data) > wanted else len(data)} bytes of values. "
            f"Expected {wanted} for the shape {shape} that it tells of. It was cut short or "
            "damaged: fetch it anew."
        )
    return np.frombuffer(data, values).reshape(shape).astype(values.newbyteorder("="))
