"""What a table, or the path, tells of every image."""

from __future__ import annotations

import collections
import csv
import pathlib

from cpc_keras.data.image_data import ImageData

_NAMES = ("name", "file", "path", "filename", "image")


def image_attribute(
    data: ImageData, spec: str, *, what: str, other: ImageData | None = None
) -> list[str | None]:
    """Finds a text for every image in a column of a CSV file, or in its path.

    Args:
        data: The images; those of a folder have names.
        spec: `"level:1"` is the first folder below the directory that was loaded, `"level:2"` the
            next; `"level:-1"` is the folder that holds the file, `"level:-2"` the one above it.
            `"FILE.csv:COLUMN"` is a column of a table with a header. Its rows are matched by the
            column `name` (or `file`, `path`, `filename`, `image`), which holds the path below the
            directory or its last part; where the images have no names, row by row.
        what: What the texts are, for messages: `"groups"`, `"labels"`.
        other: The other split of the same source: a row that gives a file's name alone is not that
            of two images, wherever they are.

    Returns:
        A text for each image; None where the table has no row of it.

    Raises:
        FileNotFoundError: If there is no such CSV file.
        ValueError: If `spec` is none of these, an image has no such folder, a name in the table
            fits several texts, or it has fewer rows than there are images of this name.

    Example:
        >>> data = ImageData(np.zeros((2, 8, 8, 1), "uint8"), names=("p1/a.png", "p2/b.png"))
        >>> image_attribute(data, "level:1", what="groups")
        ['p1', 'p2']
    """
    place, _, column = str(spec).rpartition(":")
    if place == "level" and column.lstrip("-").isdigit() and int(column):
        return _of_folders(data, int(column), what)
    if place.lower().endswith(".csv") and column:
        return _of_table(data, other, pathlib.Path(place).expanduser(), column, what)
    raise ValueError(
        f"{what}: received {spec!r}. Expected level:NUMBER, a folder of the images' paths, "
        "or FILE.csv:COLUMN. Try level:1 for the first folder below the data."
    )


def _of_folders(data: ImageData, level: int, what: str) -> list[str | None]:
    if data.names is None:
        raise ValueError(
            f"{what}: received level:{level} for {data.source}, whose images have no paths. "
            f"Expected a folder of images. Give the {what} as FILE.csv:COLUMN."
        )
    position = level - 1 if level > 0 else level
    found = []
    for name in data.names:
        folders = name.split("/")[:-1]
        if not -len(folders) <= position < len(folders):
            raise ValueError(
                f"{what}: received level:{level}, and {name} lies in {len(folders)} folders. "
                "Expected a folder at that level for every image. Choose another level, or give "
                f"the {what} as FILE.csv:COLUMN."
            )
        found.append(folders[position])
    return found


def _of_table(
    data: ImageData, other: ImageData | None, path: pathlib.Path, column: str, what: str
) -> list[str | None]:
    if not path.exists():
        raise FileNotFoundError(f"{what}: received {str(path)!r}, which does not exist.")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header, rows = list(reader.fieldnames or ()), list(reader)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{what}: {path} is not UTF-8 ({error.reason} at byte {error.start}). Expected UTF-8. "
            "Save the table as such (in Excel: CSV UTF-8)."
        ) from error
    if column not in header:
        raise ValueError(
            f"{what}: received the column {column!r} of {path}, which has "
            f"{', '.join(header) or 'no header'}. Expected one of these."
        )
    # A row that is cut short has nothing in its last columns.
    texts = [(row[column] or "").strip() for row in rows]
    if data.names is None:
        if len(rows) != len(data):
            raise ValueError(
                f"{what}: received {len(rows)} rows of {path} for {len(data)} images without "
                "names. Expected one row an image, in their order."
            )
        return texts
    key = next((name for name in _NAMES if name in header), None)
    if key is None:
        raise ValueError(
            f"{what}: received {path} with the columns {', '.join(header)}. Expected one of "
            f"{', '.join(_NAMES)} with the paths of the images."
        )
    found: dict[str, list[str]] = {}
    for row, text in zip(rows, texts, strict=True):
        found.setdefault(row[key], []).append(text)

    def key_of(name: str) -> str:
        """The path, and where the table does not have it its last part."""
        return name if name in found else name.rpartition("/")[2]

    by = [key_of(name) for name in data.names]
    matched = [set(found.get(key, ())) for key in by]
    torn = [name for name, texts in zip(data.names, matched, strict=True) if len(texts) > 1]
    if torn:
        raise ValueError(
            f"{what}: {path} has several {what} for {torn[0]} (and {len(torn) - 1} more). "
            "Expected one. Give the whole paths in the table where file names repeat."
        )
    others = [key_of(name) for name in (other and other.names) or ()]
    for key, count in collections.Counter(by + others).items():
        if 0 < len(found.get(key, ())) < count:
            raise ValueError(
                f"{what}: {path} has {len(found[key])} rows of {key}, and {count} images have this "
                "name, in several folders. Expected a row for each. Give the whole paths in the "
                "table."
            )
    return [next(iter(texts), None) for texts in matched]
