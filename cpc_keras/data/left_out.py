"""Which images were split off, as a file, so that later splits are the same."""

from __future__ import annotations

import csv
import os
import pathlib
import warnings
from collections.abc import Sequence

import numpy as np

from cpc_keras.data.find_duplicates import pixel_digest
from cpc_keras.data.image_data import ImageData

# The file of a run.
LEFT_OUT = "left_out.csv"
HEADER = ["position", "name", "pixels"]


def image_marks(data: ImageData, index: np.ndarray) -> list[tuple[int, str, str]]:
    """Tells by what some images of a source are found again.

    Args:
        data: All images.
        index: Positions of those that are told, `[k]`.

    Returns:
        Position, name, and for images without names a hash of the pixels.
    """
    if data.names:
        return [(int(i), data.names[i], "") for i in index]
    return [(int(i), "", pixel_digest(data.images[i]).hex()) for i in index]


def write_left_out(path: str | os.PathLike, marks: Sequence[tuple[int, str, str]]) -> None:
    """Writes which images were split off: a CSV file with `position`, `name` and `pixels`.

    Args:
        path: The file; its folder is made. What is there is replaced.
        marks: Those of the images, from `image_marks`; none where nothing was split off.

    Example:
        >>> images = np.arange(4, dtype="uint8").reshape(4, 1, 1, 1)
        >>> data = ImageData(images)
        >>> write_left_out("left_out.csv", image_marks(data, [1, 2]))
        >>> left_out_positions("left_out.csv", data).tolist()
        [1, 2]
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    with open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *marks])
    partial.replace(path)


def read_left_out(path: str | os.PathLike) -> list[tuple[int, str, str]]:
    """Reads what `write_left_out` wrote.

    Args:
        path: The CSV file.

    Returns:
        The marks of the images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file.
    """
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        header, *rows = [*csv.reader(file)] or [None]
    if header != HEADER:
        raise ValueError(
            f"{path} has the columns {header}. Expected {', '.join(HEADER)}, as pretrain writes "
            "it. Move the file away to split anew."
        )
    return [(int(position), name, pixels) for position, name, pixels in rows]


def left_out_positions(path: str | os.PathLike, data: ImageData) -> np.ndarray:
    """Finds the images that were split off before, whatever is labelled by now.

    Images with names are found by them, others by position, where their pixels must be the same.
    Images that came later are left out where they belong to a group that is.

    Args:
        path: What `write_left_out` wrote.
        data: All images.

    Returns:
        Sorted int64 positions, `[k]`; none where nothing was split off.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or names none of these images, or all, or others.

    Warns:
        UserWarning: Some are not there any more.
    """
    marks = read_left_out(path)
    if not marks:
        return np.zeros(0, np.int64)
    if data.names:
        wanted = {name for _, name, _ in marks}
        is_test = np.array([name in wanted for name in data.names])
    else:
        is_test = np.zeros(len(data), bool)
        is_test[[i for i, *_ in marks if i < len(data)]] = True
        if image_marks(data, np.flatnonzero(is_test)) != marks:
            is_test[:] = False
    missing = len(marks) - int(is_test.sum())
    if not is_test.any():
        raise ValueError(
            f"{path} lists {len(marks)} test images, which {data.source} does not have. Expected "
            "the images that the run was trained on, loaded alike (--image-size, --channels, "
            "--pixel-range)."
        )
    if missing:
        warnings.warn(
            f"{missing} of the {len(marks)} test images in {path} are not in {data.source} any "
            "more. The others stay test images.",
            stacklevel=2,
        )
    if data.groups is not None:
        is_test = np.isin(data.groups, data.groups[is_test])
    if is_test.all():
        raise ValueError(
            f"{path} makes all {len(data)} images of {data.source} test images. Expected others to "
            "train on."
        )
    return np.flatnonzero(is_test)
