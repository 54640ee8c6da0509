"""Images by name: the one door to every source."""

from __future__ import annotations

import dataclasses
import difflib
import pathlib
import warnings

import numpy as np

from cpc_keras.data.check_pixel_range import check_pixel_range
from cpc_keras.data.fit_images import fit_images
from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.label_images import label_images
from cpc_keras.data.split_off import split_off

_KINDS = (
    'Expected "mnist_5k", "tfds:NAME", "folder:PATH", "idx:PATH", "arrays:PATH" or the path of an '
    "existing directory or .npz or .npy file."
)


def load_data(
    spec: str,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    pixel_range: tuple[float, float] | None = None,
    labels: str | None = None,
    groups: str | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    in_memory: bool = True,
) -> Splits:
    """Loads images from the built-in set, TensorFlow Datasets, or files.

    Args:
        spec: `"mnist_5k"`; `"tfds:NAME"`, a TFDS name such as `tfds:cifar10`; `"folder:PATH"` of
            images (see `cpc_keras.data.folder.folder` for how splits and classes are found in it);
            `"idx:PATH"`, a directory of IDX files (`idx_source.idx_source`); `"arrays:PATH"`, a
            `.npz` or `.npy` file (`array_source.array_source`); or just the path of one of these.
        image_size: Size to resize to, in pixels: one integer for squares, or `(height, width)`.
            None keeps the size, which then has to be the same for all images.
        channels: 1 converts to grey, 3 to RGB; other numbers are those that arrays have. None keeps
            what there is.
        pixel_range: `(low, high)`, the stored pixels that become 0 and 255; those beyond become so
            as well. Images of 12 bits in files of 16 are `(0, 4095)`; floats and negative pixels
            pass too. None is the whole range of 8 or 16 bits.
        labels: Where labels come from, if not from the source: `"FILE.csv:COLUMN"` or `"level:2"`,
            a folder of the images' paths (see `image_groups` for both); `"none"` for no labels.
            Images without a row, or with an empty cell, are unlabelled: -1.
        groups: What no split may divide, such as patients, sites or devices: `"level:1"`, a folder
            of the images' paths, or `"FILE.csv:COLUMN"` (see `image_groups`). `test_fraction` then
            splits off whole groups, and a source whose own test split shares one with train is
            refused.
        test_fraction: Share of the train images to split off as test images, in (0, 1), by class
            and of those with a label where there are labels. Used only where the source has no test
            split.
        seed: Non-negative integer; chooses which images `test_fraction` splits off.
        in_memory: Whether to read all images now. False reads a folder's when they are needed, for
            more images than fit into memory; it needs `image_size` and `channels`, and there are
            no labels (see `cpc_keras.data.folder.folder`). A `.npy` file is mapped.

    Returns:
        Train and test images, uint8 `[n, height, width, channels]`; test is None where the source
        has none and `test_fraction` is None.

    Raises:
        ValueError: If `spec` or another argument is not one of those above, there is no image, the
            images have different sizes and `image_size` is None, they do not fit into memory,
            `in_memory=False` is for neither a folder nor a `.npy` file, train and test share a
            group, or each class is one group.
        FileNotFoundError: If `PATH` does not exist.
        NotADirectoryError: If `folder:PATH` is a file.
        ImportError: If the source's package is not installed.

    Example:
        >>> train, test = load_data("mnist_5k", image_size=32, channels=3)
        >>> train.images.shape
        (4000, 32, 32, 3)
    """
    size = _check_size(image_size)
    if channels is not None and (not isinstance(channels, (int, np.integer)) or channels < 1):
        raise ValueError(
            f"load_data: received channels={channels!r}. Expected 1 (grey), 3 (RGB), the number "
            "that arrays have, or None to keep what there is."
        )
    if test_fraction is not None and not 0.0 < test_fraction < 1.0:
        raise ValueError(
            f"load_data: received test_fraction={test_fraction}. Expected a share between 0 and 1, "
            "both excluded, or None for no split. Try test_fraction=0.2."
        )
    fit = {"image_size": size, "channels": channels, "pixel_range": check_pixel_range(pixel_range)}
    splits = _load(str(spec), fit, in_memory, folder_classes=labels is None)
    _warn_of_dark_images(splits, str(spec), pixel_range)
    for what, told in (("labels", labels), ("groups", groups)):
        _refuse_rows_for_two_parts(splits, what, str(told))
    if labels is not None:
        splits = label_images(splits, str(labels))
    if groups is not None:
        splits = _with_groups(splits, groups)
    if splits.test is None and test_fraction is not None:
        splits = split_off(splits.train, test_fraction, seed=seed)
    return Splits(*(part and dataclasses.replace(part, source=str(spec)) for part in splits))


def _load(spec: str, fit: dict, in_memory: bool, *, folder_classes: bool) -> Splits:
    # Imported on demand: each source needs packages that the others do without.
    kind, _, name = spec.partition(":")
    if not in_memory and (spec == "mnist_5k" or kind in ("tfds", "idx")):
        raise ValueError(
            f"load_data: received in_memory=False (--stream) for {spec!r}. Expected a folder of "
            "images, or a .npy file: only these are read on demand. Leave it out, or write the "
            "images into files."
        )
    if spec == "mnist_5k":
        from cpc_keras.data.mnist_5k import mnist_5k

        return Splits(*(_fit_all(part, fit) for part in mnist_5k()))
    if kind == "tfds" and name:
        from cpc_keras.data.tfds_source import tfds_source

        return tfds_source(name, **fit)
    path = pathlib.Path(spec).expanduser() if spec else None
    if (kind == "idx" and name) or (path and path.is_dir() and _holds_idx(path)):
        from cpc_keras.data.idx_source import idx_source

        return idx_source(name if kind == "idx" else spec, **fit)
    is_array = path and path.suffix in (".npy", ".npz") and path.is_file()
    if (kind == "arrays" and name) or is_array:
        from cpc_keras.data.array_source import array_source

        return array_source(name if kind == "arrays" else spec, in_memory=in_memory, **fit)
    is_folder = kind == "folder" and name
    if is_folder or (path and path.is_dir()):
        from cpc_keras.data.folder import folder

        path = name if is_folder else spec
        return folder(path, in_memory=in_memory, folder_classes=folder_classes, **fit)
    raise ValueError(f"load_data: received {spec!r}. {_KINDS} {_suggestion(spec)}")


def _suggestion(spec: str) -> str:
    kind, colon, name = spec.partition(":")
    if colon:
        closest = difflib.get_close_matches(
            kind.lower(), ["tfds", "folder", "idx", "arrays"], n=1, cutoff=0.0
        )[0]
        return f'The closest match is "{closest}:{name or "NAME"}".'
    path = pathlib.Path(spec).expanduser()
    candidates = {"mnist_5k": "mnist_5k"}
    try:
        siblings = (child for child in path.parent.iterdir() if child.is_dir())
        candidates |= {child.name.lower(): str(child) for child in siblings}
    except OSError:
        pass
    matches = difflib.get_close_matches(path.name.lower(), candidates, n=1)
    if matches:
        return f'The closest match is "{candidates[matches[0]]}".'
    if path.name != spec or not spec:
        return "There is no such directory; check the path."
    return f'There is no such directory; a dataset of TFDS is written "tfds:{spec}".'


def _holds_idx(path: pathlib.Path) -> bool:
    from cpc_keras.data.idx_source import idx_images

    return bool(idx_images(path))


def _refuse_rows_for_two_parts(splits: Splits, what: str, spec: str) -> None:
    """Rows without names go with images one by one: with those of train, or of test?"""
    if splits.test is not None and splits.train.names is None and ".csv:" in spec.lower():
        raise ValueError(
            f"load_data: received {what}={spec!r} for train and test images without names. "
            "Expected images with names, whose rows can be told apart. Put the labels beside the "
            "images, or the images into a folder."
        )


def _with_groups(splits: Splits, spec: str) -> Splits:
    from cpc_keras.data.image_groups import image_groups

    def grouped(part: ImageData | None, other: ImageData | None) -> ImageData | None:
        return part and dataclasses.replace(part, groups=image_groups(part, spec, other=other))

    train, test = grouped(*splits), grouped(*reversed(splits))
    shared = [] if test is None else sorted(set(train.groups) & set(test.groups))
    if shared:
        raise ValueError(
            f"load_data: received groups={spec!r} (--groups), and {len(shared)} groups are in "
            f"train and in test: {', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''}. "
            "Expected each on one side, or the test images are known from training. Put the images "
            "into one folder and split by test_fraction= (--test-fraction)."
        )
    _refuse_classes_that_are_groups(train, spec)
    return Splits(train, test)


def _refuse_classes_that_are_groups(train: ImageData, spec: str) -> None:
    if train.labels is None or train.labels.ndim == 2:
        return
    known = train.labels >= 0
    labels, groups = train.labels[known], train.groups[known]
    pairs = set(zip(labels.tolist(), groups.tolist(), strict=True))
    if len(pairs) > 1 and len(pairs) == len(set(labels)) == len(set(groups)):
        raise ValueError(
            f"load_data: received groups={spec!r} (--groups), and each of the {len(pairs)} classes "
            "of the train images is one group: a split by groups puts whole classes on one side. "
            "Expected classes of several groups. Where these are no classes, such as folders of "
            "patients, give labels='FILE.csv:COLUMN' (--labels), another level:N, or none."
        )


def _check_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    is_pair = isinstance(image_size, (tuple, list)) and len(image_size) == 2
    size = tuple(image_size) if is_pair else (image_size, image_size)
    if not all(isinstance(side, (int, np.integer)) and side >= 1 for side in size):
        raise ValueError(
            f"load_data: received image_size={image_size!r}. Expected a number of pixels >= 1, or "
            "(height, width). Try image_size=96."
        )
    return int(size[0]), int(size[1])


def _warn_of_dark_images(
    splits: Splits, spec: str, pixel_range: tuple[float, float] | None
) -> None:
    """Says so where 16 bits are stored and the highest bits are empty in all images."""
    ranges = [values for part in splits if part is not None for values in _of_16_bits(part)]
    if pixel_range is not None or not ranges:
        return
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if high >= 65536 / 8:
        return
    white = max(255, 2 ** int(high).bit_length() - 1)
    warnings.warn(
        f"load_data: the 16-bit pixels of {spec} reach from {low} to {high} of 65,535, and become "
        f"at most {round(high / 257)} of 255: all images are almost black. If {white} is white, "
        f"pass pixel_range=(0, {white}) (--pixel-range 0,{white}).",
        stacklevel=3,
    )


def _of_16_bits(data: ImageData) -> list[tuple[float, float]]:
    return [values for kind, values in data.stored_values.items() if kind != "uint8"]


def _fit_all(data: ImageData, fit: dict) -> ImageData:
    return dataclasses.replace(data, images=fit_images(data.images, **fit))
