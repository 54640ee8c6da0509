"""How often the class of an image is among those with the highest scores."""

import numpy as np


def top_k_accuracy(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of examples whose class is among the k with the highest scores.

    Args:
        scores: `[n, classes]`.
        labels: integer classes `[n]`.
        k: how many.

    Example:
        >>> top_k_accuracy(np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]]), np.array([1, 2]), 1)
        0.5
    """
    return float((rank_of_class(scores, labels) < k).mean())


def rank_of_class(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how many classes stand before that of each example, `[n]`.

    Of equal scores the first stands before the others, as `argmax` and a stable sort have it.

    Args:
        scores: `[n, classes]`.
        labels: integer classes `[n]`.
    """
    own = scores[np.arange(len(scores)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > own) | ((scores == own) & before)).sum(axis=1)
