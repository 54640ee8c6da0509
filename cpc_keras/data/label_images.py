"""Labels from elsewhere than the source."""

from __future__ import annotations

import dataclasses

import numpy as np

from cpc_keras.data.image_attribute import image_attribute
from cpc_keras.data.image_data import ImageData, Splits


def label_images(splits: Splits, spec: str) -> Splits:
    """Gives images the labels of a table, or of a folder of their paths; or takes theirs away.

    An image without a row in the table, or with an empty cell, has no label: -1. The classes are
    those of the train images, sorted as texts.

    Args:
        splits: Train and test images; what labels they have is replaced.
        spec: `"none"`, or `"level:N"` or `"FILE.csv:COLUMN"` as of `image_groups`.

    Returns:
        The same images. Labels are None for `"none"`, and for test images of which none has one.

    Raises:
        FileNotFoundError: If there is no such CSV file.
        ValueError: If `spec` is none of these, an image has no such folder, a name in the table
            fits several labels or several images, no train image has a label, a class is among the
            test images alone, or the images are read when they are needed (where a file that cannot
            be read is replaced by another, whose label would be wrong).

    Example:
        >>> names = ("p1/ill/a.png", "p2/well/b.png")
        >>> data = ImageData(np.zeros((2, 8, 8, 1), "uint8"), names=names)
        >>> train, _ = label_images(Splits(data), "level:2")
        >>> train.class_names, train.labels.tolist()
        (('ill', 'well'), [0, 1])
    """
    if spec == "none":
        return Splits(*(_labeled(part, None, ()) for part in splits))
    if not isinstance(splits.train.images, np.ndarray):
        raise ValueError(
            f"labels: received {spec!r} for images that are read when they are needed "
            "(in_memory=False, --stream). Expected images in memory: where a file cannot be read, "
            "another image stands in, and its label would be wrong. Leave one of the two out."
        )
    train, test = splits
    found = [_texts(train, spec, test), test and _texts(test, spec, train)]
    class_names = tuple(sorted({text for text in found[0] if text}))
    if not class_names:
        raise ValueError(
            f"labels: received {spec!r}, which labels none of {len(splits.train)} train "
            "images. Expected their paths or file names in the table, and labels beside them."
        )
    position = {name: number for number, name in enumerate(class_names)}
    unknown = sorted({text for text in found[1] or () if text} - set(class_names))
    if unknown:
        raise ValueError(
            f"labels: {spec} gives test images classes that no train image has: "
            f"{', '.join(unknown[:10])}. Expected some of {', '.join(class_names[:10])}"
            f"{', ...' if len(class_names) > 10 else ''}. Empty the cells of these images to leave "
            "them unlabelled."
        )
    parts = []
    for part, texts in zip(splits, found, strict=True):
        labels = np.array([position.get(text, -1) for text in texts or ()], np.int64)
        parts.append(_labeled(part, labels if (labels >= 0).any() else None, class_names))
    return Splits(*parts)


def _texts(data: ImageData, spec: str, other: ImageData | None) -> list[str]:
    return [text or "" for text in image_attribute(data, spec, what="labels", other=other)]


def _labeled(
    data: ImageData | None, labels: np.ndarray | None, class_names: tuple[str, ...]
) -> ImageData | None:
    return data and dataclasses.replace(data, labels=labels, class_names=class_names)
