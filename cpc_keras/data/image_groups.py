"""What belongs together: the patient, site or device of every image."""

from __future__ import annotations

import numpy as np

from cpc_keras.data.image_attribute import image_attribute
from cpc_keras.data.image_data import ImageData


def image_groups(data: ImageData, spec: str, *, other: ImageData | None = None) -> np.ndarray:
    """Finds the group of every image in a column of a CSV file, or in its path.

    Args:
        data: The images; those of a folder have names.
        spec: `"level:1"` is the first folder below the directory that was loaded, `"level:2"` the
            next; `"level:-1"` is the folder that holds the file, `"level:-2"` the one above it.
            `"FILE.csv:COLUMN"` is a column of a table with a header. Its rows are matched by the
            column `name` (or `file`, `path`, `filename`, `image`), which holds the path below the
            directory or its last part; where the images have no names, row by row.
        other: The other split of the same source: a row that gives a file's name alone is not that
            of two images, wherever they are.

    Returns:
        Names `[n]`, str: no split may divide those that are equal.

    Raises:
        FileNotFoundError: If there is no such CSV file.
        ValueError: If `spec` is none of these, an image has no such folder or row, a name in the
            table fits several groups, or it has fewer rows than there are images of this name.

    Example:
        >>> data = ImageData(np.zeros((2, 8, 8, 1), "uint8"), names=("p1/a.png", "p2/b.png"))
        >>> image_groups(data, "level:1").tolist()
        ['p1', 'p2']
    """
    groups = image_attribute(data, spec, what="groups", other=other)
    missing = [position for position, group in enumerate(groups) if not group]
    if missing:
        names = data.names or [f"number {position}" for position in range(len(data))]
        first = ", ".join(names[position] for position in missing[:3])
        raise ValueError(
            f"groups: {len(missing)} of {len(data)} images have no row, or an empty cell, in "
            f"{spec.rpartition(':')[0]}: {first}{', ...' if len(missing) > 3 else ''}. Expected "
            "the path or the file name of each, and its group. Add them."
        )
    return np.array(groups, dtype=str)
