"""Classes by the nearest training images, without training anything."""

import keras
import numpy as np

from cpc_keras.evaluation.classification_metrics import classification_metrics
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.known_labels import known_labels


def nearest_neighbors(
    encoder: keras.Model | None,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    num_neighbors: int = 200,
    temperature: float = 0.07,
    num_classes: int | None = None,
    batch_size: int = 250,
    test_groups: np.ndarray | None = None,
    num_resamples: int = 1000,
) -> dict:
    """Measure features by weighted votes of the nearest training images.

    Each of the `num_neighbors` training images with the highest cosine similarity s votes for its
    class with the weight exp(s / temperature) (Wu et al. 2018, "Unsupervised feature learning via
    non-parametric instance discrimination", arXiv:1805.01978, section 3.4: K = 200, temperature
    0.07). Nothing is fitted and nothing is chosen, so it costs one pass over the images, and is a
    good thing to watch in training. It tends to be below a linear probe.

    Args:
        encoder: any `keras.Model` from images to features; None where features are given.
        train: `(images, labels)`: `[n, height, width, channels]` in the range that the encoder
            expects (or features `[n, d]`), and integer classes `[n]` or 0 and 1 `[n, classes]`.
        test: `(images, labels)` to measure on.
        num_neighbors: how many vote; all training images where there are fewer.
        temperature: above 0; a lower one lets the nearest decide.
        num_classes: number of classes; by default one more than the highest class in `train` and
            `test`.
        batch_size: images at a time.
        test_groups: groups of the test images, `[m]`, for the intervals.
        num_resamples: of the bootstrap; see `classification_metrics`.

    Returns:
        The dict of `classification_metrics`, with `protocol`, `num_labels`, `num_neighbors` and
        `temperature`.

    Raises:
        ValueError: numbers that make no sense, labels below 0 (none), or features that are not
            finite.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> result = nearest_neighbors(encoder, (images, [0, 1, 0, 1]), (images, [0, 1, 0, 1]),
        ...                            num_neighbors=1)
        >>> result["top_1"]
        1.0
    """
    if num_neighbors < 1 or not temperature > 0:
        raise ValueError(
            "Expected num_neighbors of at least 1 and a temperature above 0. Received: "
            f"{num_neighbors} and {temperature}."
        )
    (features, labels), (queries, truth) = (
        (_unit(images, encoder, batch_size), known_labels(labels, asked_by="nearest_neighbors"))
        for images, labels in (train, test)
    )
    several = labels.ndim == 2
    highest = labels.shape[1] - 1 if several else int(max(labels.max(), truth.max()))
    scores = np.empty((len(queries), max(num_classes or highest + 1, 2)))
    count = min(num_neighbors, len(features))
    # A block at a time: all similarities at once would be n times m numbers.
    step = max(1, 20_000_000 // max(len(features), count * scores.shape[1]))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        similarity = queries[block] @ features.T
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(similarity, nearest, axis=1).astype("float64")
        # A common factor changes no vote, and keeps low temperatures from overflowing.
        weights = np.exp((near - near.max(axis=1, keepdims=True)) / temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        scores[block] = _votes(weights, labels[nearest], scores.shape[1])
    return {
        "protocol": "nearest_neighbors",
        "num_labels": len(labels),
        "num_neighbors": count,
        "temperature": temperature,
        **classification_metrics(scores, truth, groups=test_groups, num_resamples=num_resamples),
    }


def _unit(images, encoder, batch_size):
    if encoder is None:
        features = np.asarray(images, "float32").reshape(len(images), -1)
    else:
        features = extract_features(encoder, images, batch_size=batch_size)
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(length, 1e-12)


def _votes(weights, labels, num_classes):
    if labels.ndim == 3:
        return np.einsum("qk,qkc->qc", weights, labels)
    place = np.arange(len(labels))[:, None] * num_classes + labels
    votes = np.bincount(place.ravel(), weights.ravel(), minlength=len(labels) * num_classes)
    return votes.reshape(len(labels), num_classes)
