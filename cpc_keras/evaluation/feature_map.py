"""Features laid out in two dimensions."""

import numpy as np


def feature_map(features: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Lay features out so that images with similar ones lie together (t-SNE).

    Which images are neighbors can be read off; distances between groups, and their sizes, cannot
    (van der Maaten & Hinton 2008, "Visualizing data using t-SNE"). Features are standardized and
    reduced to at most 50 principal components, as the paper does (section 4.1).

    Args:
        features: `[n, d]`, n at least 4; above some thousands it takes minutes.
        seed: of the optimization.

    Returns:
        float32 `[n, 2]`, each axis from 0 to 1.

    Raises:
        ValueError: fewer than four images.

    Example:
        >>> points = feature_map(np.random.default_rng(0).normal(size=(12, 5)))
        >>> points.shape, float(points.min()), float(points.max())
        ((12, 2), 0.0, 1.0)
    """
    # scikit-learn takes a second to import.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    features = np.asarray(features, "float32")
    count = len(features)
    if count < 4:
        raise ValueError(f"A map of features needs at least 4 images. Received {count}.")
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    if features.shape[1] > 50:
        features = PCA(min(50, count), random_state=seed).fit_transform(features)
    perplexity = min(30.0, (count - 1) / 3)
    # The first components may be constant, and PCA as a start would then divide by 0.
    start = "pca" if features.shape[1] > 1 and features.std() > 1e-3 else "random"
    points = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(features)
    span = np.maximum(np.ptp(points, axis=0), 1e-12)
    return ((points - points.min(axis=0)) / span).astype("float32")
