"""The image files below a directory."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".npy"),
    *(".pbm", ".pgm", ".pnm", ".ppm"),
)
# Images that are not read. Nobody would know that they are missing, were they not told.
NOT_READ = (
    *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".psd", ".tga", ".exr"),
    # Of cameras.
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef"),
    # Of medicine and microscopes.
    *(".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"),
    *(".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".lif", ".nd2"),
)


class FoundFiles(NamedTuple):
    """What is below a directory.

    Attributes:
        images: The path of every file that looks like an image, part by part, sorted.
        not_read: The same of images in formats that are not read, each with the reason.
    """

    images: list[tuple[str, ...]]
    not_read: dict[tuple[str, ...], str]


def find_image_files(root: pathlib.Path) -> FoundFiles:
    """Lists the files that look like images, by extension in any case.

    Hidden files and folders are left out, links are followed, and no file is opened.

    Args:
        root: An existing directory.

    Returns:
        Images, and those in formats that are not read.

    Example:
        >>> find_image_files(pathlib.Path("."))
        FoundFiles(images=[], not_read={})
    """
    found = FoundFiles([], {})
    for file in sorted(visible_files(root)):
        name = file[-1].lower()
        if name.endswith(EXTENSIONS):
            found.images.append(file)
        elif name.endswith(NOT_READ):
            extension = next(extension for extension in NOT_READ if name.endswith(extension))
            found.not_read[file] = (
                f"files of {extension} are not read; convert them to PNG, JPEG or TIFF"
            )
    return found


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
