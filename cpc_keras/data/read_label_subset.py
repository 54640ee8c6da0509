"""A label subset that somebody else drew."""

from __future__ import annotations

import csv
import os
import pathlib

import numpy as np

from cpc_keras.data.image_data import ImageData


def read_label_subset(path: str | os.PathLike, data: ImageData) -> np.ndarray:
    """Reads what `write_label_subset` wrote, and finds its images in a data set.

    Images are found by name where they have names, so that further files do no harm, and else by
    position. Their labels must be those of the file.

    Args:
        path: The CSV file.
        data: The images, with labels.

    Returns:
        Sorted int64 positions into `data`, `[k]`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file, or an image is missing or labelled otherwise.
    """
    path = pathlib.Path(path)
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        header, rows = reader.fieldnames, list(reader)
    if header != ["position", "name", "label"] or not rows:
        raise ValueError(
            f"read_label_subset: received {path} with the columns {header} and {len(rows)} rows. "
            "Expected position, name and label, and a row at least. Write it with "
            "write_label_subset."
        )
    data.require_labels()
    positions = {name: i for i, name in enumerate(data.names or ())}
    index = []
    for row in rows:
        by_name = bool(row["name"] and positions)
        i = positions.get(row["name"], -1) if by_name else int(row["position"])
        what = row["name"] or f"number {row['position']}"
        if not 0 <= i < len(data):
            raise ValueError(
                f"read_label_subset: {path} names the image {what}, which {data.source} does not "
                "have. Expected the data that the subset was drawn from."
            )
        told = data.label_name(i)
        if told != row["label"]:
            raise ValueError(
                f"read_label_subset: {path} says that the image {what} is of class "
                f"{row['label']!r}; {data.source} says {told!r}. Expected the data that the subset "
                "was drawn from."
            )
        index.append(i)
    if len(set(index)) != len(index):
        raise ValueError(f"read_label_subset: {path} names an image twice. Draw the subset anew.")
    return np.sort(np.array(index, dtype=np.int64))
