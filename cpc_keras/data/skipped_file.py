"""What is told of a file that is left out."""

import csv
import os
from collections.abc import Sequence
from typing import NamedTuple


class SkippedFile(NamedTuple):
    """A file that looked like an image and could not be read.

    Attributes:
        path: Path of the file, as it can be opened.
        reason: Why it was skipped, in one line.
    """

    path: str
    reason: str


def write_skipped(
    path: str | os.PathLike, files: Sequence[SkippedFile], *, replace: bool = True
) -> None:
    """Writes a table of skipped files, with the columns path and reason.

    Args:
        path: Of the CSV file.
        files: What it tells of. Names that are no text are written with the bytes that they have.
        replace: Whether a file that is there gives way.

    Raises:
        FileExistsError: If it is there and does not.
    """
    mode = "w" if replace else "x"
    with open(path, mode, newline="", encoding="utf-8", errors="surrogateescape") as target:
        csv.writer(target).writerows([SkippedFile._fields, *files])
