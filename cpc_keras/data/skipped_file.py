"""What is told of a file that is left out."""

from typing import NamedTuple


class SkippedFile(NamedTuple):
    """A file that looked like an image and could not be read.

    Attributes:
        path: Path of the file, as it can be opened.
        reason: Why it was skipped, in one line.
    """

    path: str
    reason: str
