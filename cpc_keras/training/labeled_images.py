"""The labels that a probe can use."""

import numpy as np


def labeled_images(
    images, labels, groups=None, *, asked_by: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Check images, labels and groups of a probe, and leave out images without a label.

    Args:
        images: `[n, height, width, channels]`.
        labels: integers `[n]`; below 0 means none.
        groups: names `[n]` of what belongs together, or None.
        asked_by: who asks, for the error.

    Returns:
        The images that have labels, these, and their groups.

    Raises:
        ValueError: labels that are no integers `[n]`, or of fewer than two classes; groups that are
            not `[n]`, or a single one.

    Example:
        >>> chosen, labels, _ = labeled_images(images, [0, -1, 1, 0], asked_by="KNNProbe")
        >>> len(chosen), labels
        (3, array([0, 1, 0]))
    """
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{asked_by} takes one integer label an image, shape ({len(images)},). Received shape "
            f"{labels.shape} and type {labels.dtype}."
        )
    known = labels >= 0
    if len(np.unique(labels[known])) < 2:
        raise ValueError(
            f"{asked_by} tells classes apart and needs labels of at least two. Received "
            f"{int(known.sum())} labels of the class(es) {np.unique(labels[known]).tolist()}."
        )
    if groups is not None:
        if np.shape(groups) != labels.shape:
            raise ValueError(
                f"{asked_by} takes the group of each image, shape ({len(images)},). Received "
                f"groups of shape {np.shape(groups)}."
            )
        groups = np.asarray(groups)[known]
        if len(np.unique(groups)) < 2:
            raise ValueError(
                f"{asked_by} measures images of a group by those of others. Received the single "
                f"group {str(groups[0])!r}: give images of at least two, or groups=None."
            )
    return images if known.all() else images[known], labels[known], groups
