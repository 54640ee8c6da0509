"""The image files below a directory."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".npy")


def find_image_files(root: pathlib.Path) -> list[tuple[str, ...]]:
    """Lists the files that look like images, by extension in any case.

    Hidden files and folders are left out, links are followed, and no file is opened.

    Args:
        root: An existing directory.

    Returns:
        The path of every file below `root`, part by part, sorted.

    Example:
        >>> find_image_files(pathlib.Path("."))
        []
    """
    return sorted(file for file in visible_files(root) if file[-1].lower().endswith(EXTENSIONS))


def visible_files(root: pathlib.Path) -> Iterator[tuple[str, ...]]:
    """The files below a directory that are not hidden, links followed, in any order."""
    for directory, children, files in os.walk(root, followlinks=True):
        real = os.path.realpath(directory) + os.sep
        # A link to a directory above would be followed for ever.
        children[:] = [
            child
            for child in children
            if not child.startswith(".")
            and not real.startswith(os.path.realpath(os.path.join(directory, child)) + os.sep)
        ]
        above = pathlib.Path(directory).relative_to(root).parts
        yield from ((*above, file) for file in files if not file.startswith("."))
