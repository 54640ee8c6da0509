"""Which training images a test image resembles, in feature space."""

import numpy as np


def nearest_images(
    queries: np.ndarray, features: np.ndarray, *, num_neighbors: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest neighbours by cosine similarity of standardised features.

    Args:
        queries: features `[q, d]`.
        features: features `[n, d]` to search; their mean and deviation standardise both.
        num_neighbors: how many, at most `n`.

    Returns:
        `(index, similarity)`, both `[q, num_neighbors]`, nearest first; similarity in [-1, 1].

    Example:
        >>> points = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> nearest_images(points[:1], points, num_neighbors=1)[0]
        array([[0]])
    """
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6

    def unit(x):
        x = (x - mean) / scale
        return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)

    similarity = unit(queries) @ unit(features).T
    index = np.argsort(-similarity, axis=1, kind="stable")[:, :num_neighbors]
    return index, np.take_along_axis(similarity, index, axis=1)
