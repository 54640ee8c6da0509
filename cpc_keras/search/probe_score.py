"""What features are worth, in one number that a search can maximise."""

import keras
import numpy as np

from cpc_keras.data import hold_out
from cpc_keras.evaluation import LinearProbe, extract_features, nearest_images

PROBES = ("linear", "knn")


def probe_score(
    encoder: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    probe: str = "linear",
    held_out: float = 0.25,
    num_neighbors: int = 20,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> float:
    """Accuracy of a simple classifier on frozen features, on labels that it was not fitted on.

    The loss of contrastive learning cannot be compared between settings: it changes with the number
    of candidates, the offsets and the temperature. A probe can. It uses training images alone, part
    of them held out, the same part for every encoder; a test set stays untouched for the end.

    Args:
        encoder: images to features `[batch, d]`.
        images: `[n, height, width, channels]`, in [0, 255].
        labels: integers `[n]`; images with labels below 0 are left out.
        probe: "linear" (`evaluation.LinearProbe`), or "knn", the vote of the `num_neighbors`
            nearest by cosine, weighted by their similarity, which needs no fit.
        held_out: share of the labelled images to measure on, class by class, in (0, 1).
        num_neighbors: of "knn", at most as many as there are images to fit on.
        seed: of the split.
        groups: name of the group (patient, site, device) of every image, `[n]`, that the split
            leaves whole, as `ImageData.groups`; None for none.

    Returns:
        Share of the held-out images that are told right, in [0, 1].

    Raises:
        ValueError: unknown probe, fewer than two classes, features that are not finite, or no
            class with two images (with groups: only one of them).

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> bright = np.concatenate([images, 255 - images // 8])
        >>> probe_score(encoder, bright, np.repeat([0, 1], 4), probe="knn", num_neighbors=2)
        1.0
    """
    if probe not in PROBES:
        raise ValueError(f"probe_score: probe must be one of {PROBES}. Received: {probe!r}.")
    rows, fit, rest = probe_split(labels, held_out=held_out, seed=seed, groups=groups)
    labels = np.asarray(labels)[rows]
    features = extract_features(encoder, images[rows])
    if probe == "linear":
        fitted = LinearProbe(1.0).fit(features[fit], labels[fit], scale_by=features)
        predicted = fitted.classes[fitted.predict_proba(features[rest]).argmax(axis=1)]
    else:
        predicted = _vote(features[rest], features[fit], labels[fit], num_neighbors)
    return float(np.mean(predicted == labels[rest]))


def probe_split(
    labels: np.ndarray,
    *,
    held_out: float = 0.25,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split labelled images as `probe_score` does.

    Args:
        labels: integers `[n]`; images with labels below 0 are left out.
        held_out: share of the labelled images to measure on, in (0, 1).
        seed: of the split.
        groups: as of `probe_score`.

    Returns:
        Positions of the labelled images, `[k]`, and positions among these to fit on and to measure
        on.

    Raises:
        ValueError: labels of several classes an image, fewer than two classes, or no class with two
            images (with groups: only one of them).
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"probe_score: received labels of shape {labels.shape}. Expected one class an image, "
            "shape [n], by which a search compares settings."
        )
    rows = np.flatnonzero(labels >= 0)
    labels = labels[rows]
    if len(np.unique(labels)) < 2:
        raise ValueError(
            f"probe_score: received {len(labels)} labels of {len(np.unique(labels))} classes. "
            "Expected at least two classes: a search maximises how well they are told apart."
        )
    if groups is not None:
        groups = np.asarray(groups)[rows]
    fit, rest = hold_out(labels, fraction=held_out, seed=seed, groups=groups)
    if not len(rest):
        alone = "every class has a single image" if groups is None else "all images are one group's"
        raise ValueError(
            f"probe_score: {alone}, and none can be held out. Expected classes of at least two "
            "images, and at least two groups where there are any."
        )
    return rows, fit, rest


def _vote(queries, features, labels, num_neighbors):
    near, similarity = nearest_images(
        queries, features, num_neighbors=min(num_neighbors, len(features))
    )
    classes, numbers = np.unique(labels, return_inverse=True)
    votes = np.zeros((len(queries), len(classes)))
    # Cosines may be negative, and a far neighbour should not vote against its class.
    weights = np.maximum(similarity, 0.0) + 1e-6
    np.add.at(votes, (np.arange(len(queries))[:, None], numbers[near]), weights)
    return classes[votes.argmax(axis=1)]
