"""The few labels of a few-label evaluation."""

from __future__ import annotations

import warnings

import numpy as np


def label_subset(labels: np.ndarray, fraction: float, *, seed: int) -> np.ndarray:
    """Chooses a class-balanced share of the labelled examples.

    Every class gives `max(1, round(fraction * n / num_classes))` examples. Subsets are nested: for
    one seed, the subset of a smaller fraction lies inside that of a larger one, so that a curve
    over fractions only ever adds labels.

    Args:
        labels: Integer class of every example, `[n]`, each >= 0.
        fraction: Share of the labels to keep, in (0, 1]; 1 keeps all of them, balanced or not.
        seed: Non-negative integer; the same seed gives the same subset.

    Returns:
        Sorted int64 positions into `labels`. A class with fewer examples than its share gives all
        it has, with a warning that names it.

    Raises:
        ValueError: If `fraction` is not in (0, 1], or `labels` is not `[n]` integers >= 0.

    Example:
        >>> index = label_subset(np.repeat([0, 1], 50), 0.1, seed=0)
        >>> len(index), int((index < 50).sum())
        (10, 5)
    """
    labels = np.asarray(labels)
    if not 0.0 < fraction <= 1.0:
        raise ValueError(
            f"label_subset: received fraction={fraction}. Expected a share above 0 and at most 1. "
            "Try fraction=0.01 for 1 % of the labels."
        )
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"label_subset: received labels of shape {labels.shape} and type {labels.dtype}. "
            "Expected one integer an example, shape [n] with n >= 1. Check data.labels: it is "
            "None for unlabelled images."
        )
    if (labels < 0).any():
        raise ValueError(
            f"label_subset: received {int((labels < 0).sum())} labels below 0, which mean no "
            "label. Expected labelled examples only. Select them first: labels[labels >= 0]."
        )
    if fraction == 1.0:
        return np.arange(len(labels), dtype=np.int64)
    classes, counts = np.unique(labels, return_counts=True)
    share = max(1, round(fraction * len(labels) / len(classes)))
    short = [
        f"{label} (has {count})"
        for label, count in zip(classes, counts, strict=True)
        if count < share
    ]
    if short:
        warnings.warn(
            f"label_subset: {len(short)} of {len(classes)} classes have fewer than the {share} "
            f"examples a balanced subset takes, and give all they have: class {', '.join(short)}.",
            stacklevel=2,
        )
    # Prefixes of one permutation a class are what makes the subsets nested.
    chosen = [
        np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(labels == label))
        for label in classes
    ]
    return np.sort(np.concatenate([members[:share] for members in chosen]))
