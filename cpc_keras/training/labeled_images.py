"""The labels that a probe can use."""

import numpy as np


def labeled_images(images, labels, *, asked_by: str) -> tuple[np.ndarray, np.ndarray]:
    """Check images and labels of a probe, and leave out images without a label.

    Args:
        images: `[n, height, width, channels]`.
        labels: integers `[n]`; below 0 means none.
        asked_by: who asks, for the error.

    Returns:
        The images that have labels, and these.

    Raises:
        ValueError: labels that are no integers `[n]`, or of fewer than two classes.

    Example:
        >>> chosen, labels = labeled_images(images, [0, -1, 1, 0], asked_by="KNNProbe")
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
    return images if known.all() else images[known], labels[known]
