"""A label subset as a file, so that others can repeat a protocol."""

from __future__ import annotations

import csv
import os
import pathlib

import numpy as np

from cpc_keras.data.image_data import ImageData


def write_label_subset(path: str | os.PathLike, data: ImageData, index: np.ndarray) -> pathlib.Path:
    """Writes which images of a subset have labels: a CSV file with `position`, `name` and `label`.

    Args:
        path: The file; its folder is made. What is there is replaced by an equal subset alone.
        data: The images, with labels.
        index: Positions of the subset, `[k]`, as `label_subset` gives them.

    Returns:
        The path.

    Raises:
        FileExistsError: If another subset, or anything else, is there.
        ValueError: If the images have no labels.

    Example:
        >>> data = ImageData(np.zeros((4, 8, 8, 1), "uint8"), labels=np.array([0, 1, 1, 0]))
        >>> path = write_label_subset("subset.csv", data, np.array([0, 2]))
        >>> read_label_subset(path, data).tolist()
        [0, 2]
    """
    data.require_labels()
    rows = [
        (int(i), data.names[i] if data.names else "", data.label_name(i))
        for i in np.sort(np.asarray(index))
    ]
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    with open(partial, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows([("position", "name", "label"), *rows])
    if path.exists() and path.read_bytes() != partial.read_bytes():
        partial.unlink()
        raise FileExistsError(
            f"write_label_subset: {path} is there already and holds another subset. Move it away, "
            "or choose another path."
        )
    partial.replace(path)
    return path
