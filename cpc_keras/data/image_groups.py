"""What belongs together: the patient, site or device of every image."""

from __future__ import annotations

import csv
import pathlib

import numpy as np

from cpc_keras.data.image_data import ImageData

_NAMES = ("name", "file", "path", "filename", "image")


def image_groups(data: ImageData, spec: str) -> np.ndarray:
    """Finds the group of every image in a column of a CSV file, or in its path.

    Args:
        data: The images; those of a folder have names.
        spec: `"level:1"` is the first folder below the directory that was loaded, `"level:2"` the
            next; `"level:-1"` is the folder that holds the file, `"level:-2"` the one above it.
            `"FILE.csv:COLUMN"` is a column of a table with a header. Its rows are matched by the
            column `name` (or `file`, `path`, `filename`, `image`), which holds the path below the
            directory or its last part; where the images have no names, row by row.

    Returns:
        Names `[n]`, str: no split may divide those that are equal.

    Raises:
        FileNotFoundError: If there is no such CSV file.
        ValueError: If `spec` is none of these, an image has no such folder or row, or a name in
            the table fits several groups.

    Example:
        >>> data = ImageData(np.zeros((2, 8, 8, 1), "uint8"), names=("p1/a.png", "p2/b.png"))
        >>> image_groups(data, "level:1").tolist()
        ['p1', 'p2']
    """
    place, _, column = str(spec).rpartition(":")
    if place == "level" and column.lstrip("-").isdigit() and int(column):
        return _of_folders(data, int(column))
    if place.lower().endswith(".csv") and column:
        return _of_table(data, pathlib.Path(place).expanduser(), column)
    raise ValueError(
        f"image_groups: received {spec!r}. Expected level:NUMBER, a folder of the images' paths, "
        "or FILE.csv:COLUMN. Try level:1 for the first folder below the data."
    )


def _of_folders(data: ImageData, level: int) -> np.ndarray:
    if data.names is None:
        raise ValueError(
            f"image_groups: received level:{level} for {data.source}, whose images have no paths. "
            "Expected a folder of images. Give the groups as FILE.csv:COLUMN."
        )
    position = level - 1 if level > 0 else level
    groups = []
    for name in data.names:
        folders = name.split("/")[:-1]
        if not -len(folders) <= position < len(folders):
            raise ValueError(
                f"image_groups: received level:{level}, and {name} lies in {len(folders)} folders. "
                "Expected a folder at that level for every image. Choose another level, or give "
                "the groups as FILE.csv:COLUMN."
            )
        groups.append(folders[position])
    return np.array(groups, dtype=str)


def _of_table(data: ImageData, path: pathlib.Path, column: str) -> np.ndarray:
    if not path.exists():
        raise FileNotFoundError(f"image_groups: received {str(path)!r}, which does not exist.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        header, rows = list(reader.fieldnames or ()), list(reader)
    if column not in header:
        raise ValueError(
            f"image_groups: received the column {column!r} of {path}, which has "
            f"{', '.join(header) or 'no header'}. Expected one of these."
        )
    if data.names is None:
        if len(rows) != len(data):
            raise ValueError(
                f"image_groups: received {len(rows)} rows of {path} for {len(data)} images without "
                "names. Expected one row an image, in their order."
            )
        return np.array([row[column] for row in rows], dtype=str)
    key = next((name for name in _NAMES if name in header), None)
    if key is None:
        raise ValueError(
            f"image_groups: received {path} with the columns {', '.join(header)}. Expected one of "
            f"{', '.join(_NAMES)} with the paths of the images."
        )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row[key], set()).add(row[column])
    # A name by its path, and where the table has none by its last part.
    matched = [found.get(name) or found.get(name.rpartition("/")[2]) for name in data.names]
    missing = [name for name, groups in zip(data.names, matched, strict=True) if not groups]
    if missing:
        raise ValueError(
            f"image_groups: {len(missing)} of {len(data)} images have no row in {path}: "
            f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}. Expected their paths, "
            f"or file names, in the column {key!r}. Add them."
        )
    torn = [name for name, groups in zip(data.names, matched, strict=True) if len(groups) > 1]
    if torn:
        raise ValueError(
            f"image_groups: {path} has several groups for {torn[0]} (and {len(torn) - 1} more). "
            "Expected one. Give the whole paths in the table where file names repeat."
        )
    return np.array([groups.pop() for groups in map(set, matched)], dtype=str)
