"""Labels of a protocol that measures every image."""

import numpy as np


def known_labels(labels: np.ndarray, *, asked_by: str) -> np.ndarray:
    """Return labels as an array, all of which must be there.

    Args:
        labels: integers `[n]`, or 0 and 1 for each class, `[n, classes]`.
        asked_by: who asks, for the error.

    Raises:
        ValueError: labels below 0, which mean none.

    Example:
        >>> known_labels([0, 2], asked_by="linear_probe")
        array([0, 2])
    """
    labels = np.asarray(labels)
    if labels.size and labels.min() < 0:
        raise ValueError(
            f"{asked_by} measures images with labels. Received {int((labels < 0).sum())} labels "
            f"below 0 of {labels.size}, which mean none, and would pass for a class. Leave these "
            "images out: `ImageData.labeled()`, `Splits.labeled()`, or labels >= 0."
        )
    return labels
