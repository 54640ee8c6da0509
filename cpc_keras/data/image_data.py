"""Images, with what is known about them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cpc_keras.data.image_files import ImageFiles
from cpc_keras.data.skipped_file import SkippedFile


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Images of one size, with labels where there are any.

    Attributes:
        images: uint8 array `[n, height, width, channels]`, pixels in [0, 255]; or `ImageFiles`,
            which reads them when it is indexed.
        labels: int64 array `[n]`, positions in `class_names` where there are names, below 0 for an
            image without a label; or `[n, classes]` of 0 and 1 where an image may have several
            classes; None where no image has a label.
        class_names: Name of every class; empty where the classes have no names.
        names: File name of every image, relative to the folder it came from; None where the
            images did not come from files.
        groups: Name of the group (patient, site, device) of every image, `[n]`, which no split may
            divide; None where there are no groups.
        skipped: Files that could not be read; of `ImageFiles` those found so far, it grows.
        source: The spec the images were loaded from, for example `"mnist_5k"`.
        stored_values: Of images that were scaled to 8 bits, by the name of the type they are stored
            in: the lowest and the highest pixel, such as `{"uint16": (2, 4095)}`.

    Raises:
        ValueError: If the arrays do not have these shapes and types.

    Example:
        >>> data = ImageData(np.zeros((3, 8, 8, 1), "uint8"), labels=np.array([0, 1, 1]))
        >>> len(data), data.image_shape, len(data.subset([0, 2]))
        (3, (8, 8, 1), 2)
    """

    images: np.ndarray | ImageFiles
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    groups: np.ndarray | None = None
    skipped: Sequence[SkippedFile] = ()
    source: str = "array"
    stored_values: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ValueError(
                f"ImageData: received images of shape {images.shape} and type {images.dtype}. "
                "Expected uint8 [n, height, width, channels], pixels in [0, 255]. Grey images "
                "need a channel axis: images[..., np.newaxis]."
            )
        if labels is not None and not _are_labels(labels, len(images)):
            raise ValueError(
                f"ImageData: received labels of shape {labels.shape} and type {labels.dtype} for "
                f"{len(images)} images. Expected one integer an image, shape ({len(images)},), or "
                f"0 and 1 for each class, shape ({len(images)}, classes), or None."
            )
        if self.groups is not None and np.shape(self.groups) != (len(images),):
            raise ValueError(
                f"ImageData: received groups of shape {np.shape(self.groups)} for {len(images)} "
                f"images. Expected one an image, shape ({len(images)},), or None."
            )
        if self.names is not None and len(self.names) != len(images):
            raise ValueError(
                f"ImageData: received {len(self.names)} names for {len(images)} images. Expected "
                "one an image, or None."
            )
        if labels is not None and labels.dtype != np.int64:
            object.__setattr__(self, "labels", labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of every image."""
        return tuple(int(size) for size in self.images.shape[1:])

    def subset(self, index: np.ndarray) -> ImageData:
        """Takes some of the images, with their labels and names.

        Args:
            index: Positions `[m]` (integers), or a mask `[n]` (bool).

        Returns:
            The `m` images, in the order of `index`: a copy, or of `ImageFiles` the files.
        """
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        images, skipped = self.images, self.skipped
        if isinstance(images, np.ndarray):
            images = images[index]
        else:
            images = images.subset(index)
            skipped = images.skipped
        return dataclasses.replace(
            self,
            images=images,
            skipped=skipped,
            labels=None if self.labels is None else self.labels[index],
            names=None if self.names is None else tuple(self.names[i] for i in index),
            groups=None if self.groups is None else self.groups[index],
        )

    def label_name(self, position: int) -> str:
        """What the label of one image is called.

        Args:
            position: Of the image.

        Returns:
            The name of its class, or the number where classes have no names; of several classes
            those that it has, separated by spaces; nothing where it has none.
        """
        label = self.require_labels()[position]
        found = np.flatnonzero(label) if np.ndim(label) else [label] if label >= 0 else []
        return " ".join(str(self.class_names[i] if self.class_names else int(i)) for i in found)

    def require_labels(self) -> np.ndarray:
        """Gives the labels, for callers that cannot do without.

        Returns:
            The labels, int64 `[n]`.

        Raises:
            ValueError: If the images have no labels.
        """
        if self.labels is None:
            raise ValueError(
                f"ImageData: received {len(self)} images without labels from {self.source!r}. "
                "Expected a label for every image, or for some. For a folder, put each class's "
                "images into a subfolder of its own, at least two of them, with no image outside "
                "(photos/cat/1.jpg, photos/dog/2.jpg); or name a table: labels='FILE.csv:COLUMN' "
                "(--labels)."
            )
        return self.labels

    def labeled(self) -> ImageData:
        """Leaves out the images without a label.

        Returns:
            Those that have one, a copy; itself where all have.

        Raises:
            ValueError: If none has a label.
        """
        labels = self.require_labels()
        if labels.ndim == 2 or (labels >= 0).all():
            return self
        return self.subset(labels >= 0)


def _are_labels(labels: np.ndarray, count: int) -> bool:
    if labels.shape[:1] != (count,) or not np.issubdtype(labels.dtype, np.integer):
        return False
    several = labels.ndim == 2 and labels.shape[1] >= 2 and np.isin(labels, (0, 1)).all()
    return labels.ndim == 1 or bool(several)


class Splits(NamedTuple):
    """A source's train and test images.

    Attributes:
        train: Images to learn from.
        test: Images to measure on; None where the source has none and none were split off.
    """

    train: ImageData
    test: ImageData | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes, where each image has one: one more than the highest label."""
        return max(int(part.require_labels().max()) for part in self if part is not None) + 1

    def labeled(self) -> Splits:
        """Leaves out the images without a label; see `ImageData.labeled`."""
        return Splits(*(part and part.labeled() for part in self))

    def digest(self) -> str:
        """Gives 16 characters that differ where pixels, labels, groups or their order do."""
        digest = hashlib.sha256()
        for part in self:
            if part is None:
                continue
            digest.update(np.ascontiguousarray(part.images[:]).data)
            digest.update(part.require_labels().tobytes())
            if part.groups is not None:
                digest.update("\0".join(map(str, part.groups)).encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]
