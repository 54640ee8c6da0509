"""Images from a tree of files."""

from __future__ import annotations

import collections
import os
import pathlib
import re
import warnings
from typing import NamedTuple

import numpy as np

from cpc_keras.data.find_image_files import EXTENSIONS, find_image_files, visible_files
from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.image_files import ImageFiles
from cpc_keras.data.read_images import read_images
from cpc_keras.data.skipped_file import SkippedFile
from cpc_keras.data.stored_values import StoredValues

# In lower case; the first there is.
_TRAIN_NAMES = ("train", "training")
_TEST_NAMES = ("test", "testing", "val", "valid", "validation", "dev", "eval")

# A file's path below the directory, part by part.
_File = tuple[str, ...]


def folder(
    path: str | os.PathLike,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    in_memory: bool = True,
    folder_classes: bool = True,
) -> Splits:
    """Finds the images below a directory, and reads them into one uint8 array or on demand.

    Files: JPEG, PNG, BMP, GIF, WebP, TIFF and PBM to PPM (of animations and several pages the
    first), by extension in any case; hidden files and folders are ignored, links are followed.
    Images are turned as their EXIF orientation says; palette, CMYK and colour with alpha become
    RGB; without `pixel_range`, 16 bits are scaled by their full range. Images of other numbers of
    channels are `.npy` files, or TIFF with the extra "tiff". A file that cannot be read, as of HEIC
    or DICOM, is skipped and listed in `ImageData.skipped`, with one warning for all.

    Splits: `train/` or `training/` beside `test/`, `testing/`, `val/`, `valid/`, `validation/`,
    `dev/` or `eval/` (the first there is, and where the train images have classes the first whose
    images have), names in any case. A lone `train/` is the train split; without either, all files
    are. Folders that would be classes and are all named like splits (`test_images/`) are refused.

    Classes: the first-level subfolders of the train split, if there are at least two and every
    image lies in one; otherwise all images are unlabelled. Test images are labelled if the train
    images are and every one lies in a subfolder; one folder that is no class (`test/images/`)
    leaves them unlabelled.

    Memory: `n * height * width * channels` bytes, plus the files being decoded. With
    `in_memory=False` that of a batch: no file is opened before its image is asked for, each time
    anew, and one that cannot be read is replaced and listed then (see `ImageFiles`). As labels
    would not fit a replaced image, there are none.

    Args:
        path: The directory; `~` is the home directory.
        image_size: `(height, width)` to resize to; None if all images have one size.
        channels: 1 (grey) or 3 (RGB); None is grey if all images are grey, RGB if they are grey or
            RGB, and otherwise the number that all have.
        pixel_range: `(low, high)`, the pixels that become 0 and 255; None is the whole range of 8
            or 16 bits.
        in_memory: Whether to read all images now. False needs `image_size` and `channels`, as no
            file is looked at.
        folder_classes: Whether folders are classes. False leaves the images without labels.

    Returns:
        Train and test images sorted by path; test is None where there is no such folder. In memory
        both are parts of one array.

    Raises:
        FileNotFoundError: If `path` does not exist.
        NotADirectoryError: If `path` is a file.
        ValueError: If there is no readable image, the images have different sizes and
            `image_size` is None, a test class is not in train, all classes are named like splits,
            memory does not suffice, or `in_memory=False` comes without `image_size` or `channels`.

    Example:
        >>> train, test = folder("photos", image_size=(96, 96))  # doctest: +SKIP
    """
    root = pathlib.Path(path).expanduser()
    _require_directory(root)
    found = find_image_files(root)
    if not found.images:
        raise ValueError(_nothing_found(root))
    groups = _split_files(found.images, folder_classes)
    if folder_classes:
        _refuse_splits_as_classes(root, groups)
    if groups.left_out:
        warnings.warn(_left_out(root, groups), stacklevel=4)
    files = groups.train + groups.test
    skipped = {
        file: SkippedFile(str(root.joinpath(*file)), reason)
        for file, reason in found.not_read.items()
        if groups.part_of(file)
    }
    num_files = len(files) + len(skipped)
    if not in_memory:
        if image_size is None or channels is None:
            raise ValueError(
                f"folder {root}: received in_memory=False with image_size={image_size} and "
                f"channels={channels}. Expected both: the files are not looked at before they are "
                "needed. Try image_size=96, channels=3 (--image-size 96 --channels 3)."
            )
        fit = {"image_size": image_size, "channels": channels, "pixel_range": pixel_range}
        if skipped:
            warnings.warn(_skipped(root, list(skipped.values()), num_files), stacklevel=4)
        return _on_demand(path, root, groups, fit, skipped)
    stored = StoredValues()
    paths = [root.joinpath(*file) for file in files]
    images, reasons = read_images(
        paths,
        image_size=image_size,
        channels=channels,
        pixel_range=pixel_range,
        stored=stored,
        source=f"folder {root}",
    )
    skipped |= {
        file: SkippedFile(str(path), reason)
        for file, path, reason in zip(files, paths, reasons, strict=True)
        if reason is not None
    }
    if skipped:
        warnings.warn(_skipped(root, list(skipped.values()), num_files), stacklevel=4)

    train = [file for file in groups.train if file not in skipped]
    test = [file for file in groups.test if file not in skipped]
    for name, readable, all_files in (("train", train, groups.train), ("test", test, groups.test)):
        if all_files and not readable:
            raise ValueError(
                f"folder {root}: received {len(all_files)} image files in the {name} split, and "
                f"none can be read. Expected at least one image. Repair or remove this folder."
            )
    class_names = _class_names(train, groups.depth) if folder_classes else ()
    train_labels = _positions(train, groups.depth, class_names) if class_names else None
    test_labels = _label_test(test, groups.depth, class_names, root)

    def part(name: str, rows: slice, labels: np.ndarray | None, files: list[_File]) -> ImageData:
        return ImageData(
            images=images[rows],
            labels=labels,
            class_names=class_names,
            names=tuple("/".join(file) for file in files),
            skipped=tuple(
                skipped[file] for file in sorted(skipped) if groups.part_of(file) == name
            ),
            source=f"folder:{path}",
            stored_values=stored.ranges(),
        )

    return Splits(
        part("train", slice(len(train)), train_labels, train),
        part("test", slice(len(train), None), test_labels, test) if test else None,
    )


def _on_demand(
    path: str | os.PathLike,
    root: pathlib.Path,
    groups: _Groups,
    fit: dict,
    skipped: dict[_File, SkippedFile],
) -> Splits:
    def part(name: str, files: list[_File]) -> ImageData:
        not_read = [found for file, found in skipped.items() if groups.part_of(file) == name]
        paths = [root.joinpath(*file) for file in files]
        images = ImageFiles(paths, skipped=not_read, **fit)
        return ImageData(
            images=images,
            names=tuple("/".join(file) for file in files),
            skipped=images.skipped,
            source=f"folder:{path}",
        )

    return Splits(part("train", groups.train), part("test", groups.test) if groups.test else None)


def _require_directory(root: pathlib.Path) -> None:
    if not root.exists():
        raise FileNotFoundError(
            f"folder: received {str(root)!r}, which does not exist (working directory: "
            f"{os.getcwd()!r}). Expected a directory with images. Check the path, or give it in "
            "full."
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"folder: received {str(root)!r}, which is a file. Expected a directory with images. "
            f"Try {str(root.parent)!r}; unpack an archive first."
        )


def _nothing_found(root: pathlib.Path) -> str:
    suffixes = [pathlib.PurePath(file[-1]).suffix.lower() for file in visible_files(root)]
    counts = collections.Counter(suffix or "without extension" for suffix in suffixes)
    listed = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(5))
    return (
        f"folder {root}: received {len(suffixes)} files{f' ({listed})' if listed else ''}, none of "
        f"them an image. Expected image files ({' '.join(EXTENSIONS)}) in the directory or below "
        "it. Check the path, and convert other formats first."
    )


class _Groups(NamedTuple):
    train: list[_File]
    test: list[_File]
    train_name: str | None
    test_name: str | None
    unlabeled: list[str]  # Test splits that come before, and have no labels.
    left_out: dict[str, int]
    depth: int  # Number of folders above the class folders.

    def part_of(self, file: _File) -> str | None:
        """The split that a file belongs to; None if it is left out."""
        if self.test_name is None:
            return "train"
        return {self.train_name: "train", self.test_name: "test"}.get(_top(file))


def _top(file: _File) -> str:
    return file[0].lower() if len(file) > 1 else "(no folder)"


def _split_files(files: list[_File], folder_classes: bool) -> _Groups:
    tops = collections.defaultdict(list)
    for file in files:
        tops[_top(file)].append(file)
    train_name = next((name for name in _TRAIN_NAMES if name in tops), None)
    test_names = [name for name in _TEST_NAMES if name in tops]
    if train_name is None or not test_names:
        return _Groups(files, [], None, None, [], {}, depth=1 if [*tops] == [train_name] else 0)
    train = tops.pop(train_name)
    class_names = _class_names(train, 1) if folder_classes else ()
    labeled = [name for name in test_names if _has_labels(tops[name], 1, class_names)]
    test_name = (labeled or test_names)[0]
    unlabeled = test_names[: test_names.index(test_name)]
    test = tops.pop(test_name)
    left_out = {name: len(group) for name, group in sorted(tops.items())}
    return _Groups(train, test, train_name, test_name, unlabeled, left_out, depth=1)


def _refuse_splits_as_classes(root: pathlib.Path, groups: _Groups) -> None:
    class_names = _class_names(groups.train, groups.depth)
    words = {*_TRAIN_NAMES, *_TEST_NAMES}
    if class_names and all(words & {*re.findall("[a-z]+", n.lower())} for n in class_names):
        raise ValueError(
            f"folder {root}: received the folders {', '.join(class_names)}, which are named like "
            f"splits and not like classes. Expected {' or '.join(_TRAIN_NAMES)} beside one of "
            f"{', '.join(_TEST_NAMES)}. Rename them; or give labels='none' (--labels none) to take "
            "all as training images, or labels='level:N' if these are the classes."
        )


def _left_out(root: pathlib.Path, groups: _Groups) -> str:
    listed = ", ".join(f"{name} ({count} files)" for name, count in groups.left_out.items())
    passed_over = (
        f" {groups.test_name} is taken for its labels: {', '.join(groups.unlabeled)} has none."
        if groups.unlabeled
        else ""
    )
    return (
        f"folder {root}: the splits are {groups.train_name} ({len(groups.train)} files) and "
        f"{groups.test_name} ({len(groups.test)} files).{passed_over} The images beside them are "
        f"left out: {listed}."
    )


def _skipped(root: pathlib.Path, skipped: list[SkippedFile], num_files: int) -> str:
    first = "; ".join(f"{file.path}: {file.reason}" for file in skipped[:3])
    return (
        f"folder {root}: skipped {len(skipped)} of {num_files} files that cannot be read: {first}"
        f"{'; ...' if len(skipped) > 3 else ''}. ImageData.skipped lists them all."
    )


def _class_names(files: list[_File], depth: int) -> tuple[str, ...]:
    """The folders of train images that are classes; none where the images have no labels."""
    class_names = tuple(sorted({file[depth] for file in files}))
    return class_names if len(class_names) > 1 and _all_in_folders(files, depth) else ()


def _has_labels(files: list[_File], depth: int, class_names: tuple[str, ...]) -> bool:
    """Whether test images lie in folders of classes."""
    if not class_names or not _all_in_folders(files, depth):
        return False
    found = {file[depth] for file in files}
    # One folder that is no class, such as test/images/, is how unlabelled images are often laid.
    return len(found) > 1 or found <= set(class_names)


def _label_test(
    files: list[_File], depth: int, class_names: tuple[str, ...], root: pathlib.Path
) -> np.ndarray | None:
    if not files or not _has_labels(files, depth, class_names):
        return None
    unknown = sorted({file[depth] for file in files} - set(class_names))
    if unknown:
        raise ValueError(
            f"folder {root}: received test classes that train does not have: {', '.join(unknown)}. "
            f"Expected some of the {len(class_names)} train classes: {', '.join(class_names[:10])}"
            f"{', ...' if len(class_names) > 10 else ''}. Rename or remove these folders, or put "
            "the test images directly into the test folder to leave them unlabelled."
        )
    return _positions(files, depth, class_names)


def _all_in_folders(files: list[_File], depth: int) -> bool:
    return all(len(file) > depth + 1 for file in files)


def _positions(files: list[_File], depth: int, class_names: tuple[str, ...]) -> np.ndarray:
    position = {class_name: index for index, class_name in enumerate(class_names)}
    return np.array([position[file[depth]] for file in files], dtype=np.int64)
