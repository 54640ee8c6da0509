"""Images by name: the one door to every source."""

from __future__ import annotations

import dataclasses
import difflib
import pathlib

import numpy as np

from cpc_keras.data.hold_out import hold_out
from cpc_keras.data.image_data import ImageData, Splits
from cpc_keras.data.require_memory import require_memory

_KINDS = 'Expected "mnist_5k", "tfds:NAME", "folder:PATH" or the path of an existing directory.'


def load_data(
    spec: str,
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    in_memory: bool = True,
) -> Splits:
    """Loads images from the built-in set, a folder, or TensorFlow Datasets.

    Args:
        spec: `"mnist_5k"`; `"tfds:NAME"`, a TFDS name such as `tfds:cifar10`; `"folder:PATH"`, or
            just the path of a directory with images (see `cpc_keras.data.folder.folder` for how
            splits and classes are found in it).
        image_size: Size to resize to, in pixels: one integer for squares, or `(height, width)`.
            None keeps the size, which then has to be the same for all images.
        channels: 1 converts to grey, 3 to RGB; None keeps what there is.
        test_fraction: Share of the train images to split off as test images, in (0, 1), by class
            where there are labels. Used only where the source has no test split.
        seed: Non-negative integer; chooses which images `test_fraction` splits off.
        in_memory: Whether to read all images now. False reads a folder's when they are needed, for
            more images than fit into memory; it needs `image_size` and `channels`, and there are
            no labels (see `cpc_keras.data.folder.folder`).

    Returns:
        Train and test images, uint8 `[n, height, width, channels]`; test is None where the source
        has none and `test_fraction` is None.

    Raises:
        ValueError: If `spec` or another argument is not one of those above, there is no image, the
            images have different sizes and `image_size` is None, they do not fit into memory, or
            `in_memory=False` is not for a folder.
        FileNotFoundError: If `folder:PATH` does not exist.
        NotADirectoryError: If `folder:PATH` is a file.
        ImportError: If the source's package is not installed.

    Example:
        >>> train, test = load_data("mnist_5k", image_size=32, channels=3)
        >>> train.images.shape
        (4000, 32, 32, 3)
    """
    size = _check_size(image_size)
    if channels not in (None, 1, 3):
        raise ValueError(
            f"load_data: received channels={channels!r}. Expected 1 (grey), 3 (RGB), or None to "
            "keep what there is."
        )
    if test_fraction is not None and not 0.0 < test_fraction < 1.0:
        raise ValueError(
            f"load_data: received test_fraction={test_fraction}. Expected a share between 0 and 1, "
            "both excluded, or None for no split. Try test_fraction=0.2."
        )
    splits = _load(str(spec), size, channels, in_memory)
    if splits.test is None and test_fraction is not None:
        splits = _split_off(splits.train, test_fraction, seed)
    return Splits(*(part and dataclasses.replace(part, source=str(spec)) for part in splits))


def _load(spec: str, size: tuple[int, int] | None, channels: int | None, in_memory: bool) -> Splits:
    # Imported on demand: each source needs packages that the others do without.
    kind, _, name = spec.partition(":")
    if not in_memory and (spec == "mnist_5k" or kind == "tfds"):
        raise ValueError(
            f"load_data: received in_memory=False (--stream) for {spec!r}. Expected a folder of "
            "images: only files are read on demand. Leave it out, or write the images into files."
        )
    if spec == "mnist_5k":
        from cpc_keras.data.mnist_5k import mnist_5k

        return Splits(*(_fit_all(part, size, channels) for part in mnist_5k()))
    if kind == "tfds" and name:
        from cpc_keras.data.tfds_source import tfds_source

        return tfds_source(name, image_size=size, channels=channels)
    is_folder = kind == "folder" and name
    if is_folder or (spec and pathlib.Path(spec).expanduser().is_dir()):
        from cpc_keras.data.folder import folder

        return folder(
            name if is_folder else spec, image_size=size, channels=channels, in_memory=in_memory
        )
    raise ValueError(f"load_data: received {spec!r}. {_KINDS} {_suggestion(spec)}")


def _suggestion(spec: str) -> str:
    kind, colon, name = spec.partition(":")
    if colon:
        closest = difflib.get_close_matches(kind.lower(), ["tfds", "folder"], n=1, cutoff=0.0)[0]
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


def _fit_all(data: ImageData, size: tuple[int, int] | None, channels: int | None) -> ImageData:
    if size is None and channels is None:
        return data
    from cpc_keras.data.fit_image import fit_image

    images = [fit_image(image, image_size=size, channels=channels) for image in data.images]
    return dataclasses.replace(data, images=np.stack(images))


def _split_off(data: ImageData, fraction: float, seed: int) -> Splits:
    if len(data) < 2:
        raise ValueError(
            f"load_data: received test_fraction={fraction} for {len(data)} image. Expected at "
            "least 2 images to split. Add images, or leave test_fraction (--test-fraction) out."
        )
    # The two parts are copies, and the whole stands in memory beside them for a moment.
    if isinstance(data.images, np.ndarray):
        require_memory(data.images.shape, source=data.source)
    # Unlabelled images are one class.
    labels = np.zeros(len(data), np.int64) if data.labels is None else data.labels
    train, test = hold_out(labels, fraction=fraction, seed=seed)
    if not len(test):
        raise ValueError(
            f"load_data: received test_fraction={fraction} for {len(data)} images, each the only "
            "one of its class. Expected a class with at least 2 images. Add images, or leave "
            "test_fraction (--test-fraction) out."
        )
    split = Splits(data.subset(train), data.subset(test))
    if not isinstance(data.images, np.ndarray):
        return split
    # What was skipped before is told once.
    return Splits(split.train, dataclasses.replace(split.test, skipped=()))
