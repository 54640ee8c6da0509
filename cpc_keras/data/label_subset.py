"""The few labels of a few-label evaluation."""

from __future__ import annotations

import warnings

import numpy as np


def label_subset(
    labels: np.ndarray,
    fraction: float | None = None,
    *,
    seed: int,
    per_class: int | None = None,
) -> np.ndarray:
    """Chooses a class-balanced share of the labelled examples.

    Every class gives `max(1, round(fraction * n / num_classes))` examples, or `per_class`. Subsets
    are nested: for one seed, the subset of a smaller fraction or count lies inside that of a larger
    one, so that a curve only ever adds labels.

    A class with less than half the examples of a mean class is too small for balance: long before
    all labels it would have given everything. It is stratified, and gives
    `max(1, round(fraction * its examples))` at every fraction. Which classes these are does not
    depend on the fraction, or subsets would not be nested. A count per class has no such share: a
    class with fewer gives all it has, as does one between half and all of the mean at large
    fractions. Each of these classes is named in a warning.

    Args:
        labels: Integer class of every example, `[n]`, each >= 0.
        fraction: Share of the labels to keep, in (0, 1]; 1 keeps all of them, balanced or not. None
            where `per_class` is given.
        seed: Non-negative integer; the same seed gives the same subset.
        per_class: Examples to keep of every class, at least 1.

    Returns:
        Sorted int64 positions into `labels`.

    Raises:
        ValueError: If `fraction` is not in (0, 1], `per_class` below 1, both or neither are given,
            or `labels` is not `[n]` integers >= 0.

    Example:
        >>> index = label_subset(np.repeat([0, 1], 50), 0.1, seed=0)
        >>> len(index), int((index < 50).sum())
        (10, 5)
        >>> len(label_subset(np.repeat([0, 1], 50), per_class=4, seed=0))
        8
    """
    labels = np.asarray(labels)
    if (fraction is None) == (per_class is None):
        raise ValueError(
            f"label_subset: received fraction={fraction} and per_class={per_class}. Expected one "
            "of them. Try fraction=0.01, or per_class=5."
        )
    if per_class is not None and (int(per_class) != per_class or per_class < 1):
        raise ValueError(
            f"label_subset: received per_class={per_class}. Expected a whole number of examples, "
            "at least 1. Try per_class=5."
        )
    if fraction is not None and not 0.0 < fraction <= 1.0:
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
    if per_class is not None:
        share, shares = int(per_class), np.full(len(classes), int(per_class))
        small = np.zeros(len(classes), dtype=bool)
    else:
        share = max(1, round(fraction * len(labels) / len(classes)))
        small = counts < len(labels) / len(classes) / 2
        shares = np.where(small, np.maximum(1, np.round(fraction * counts).astype(int)), share)
    _warn(classes, counts, share, small & (shares < share), (counts < share) & ~small)
    # Prefixes of one permutation a class are what makes the subsets nested.
    chosen = [
        np.random.default_rng([seed, int(label)]).permutation(np.flatnonzero(labels == label))[:own]
        for label, own in zip(classes, shares, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _warn(
    classes: np.ndarray,
    counts: np.ndarray,
    share: int,
    stratified: np.ndarray,
    exhausted: np.ndarray,
) -> None:
    def named(which: np.ndarray) -> str:
        pairs = zip(classes[which], counts[which], strict=True)
        return ", ".join(f"{label} (has {count})" for label, count in pairs)

    told = []
    if stratified.any():
        told.append(f"class {named(stratified)}: too small for balance, gives the share of its own")
    if exhausted.any():
        told.append(f"class {named(exhausted)}: gives all it has")
    if told:
        warnings.warn(
            f"label_subset: {int((stratified | exhausted).sum())} of {len(classes)} classes have "
            f"fewer than the {share} examples a balanced subset takes, or too few to keep up: "
            f"{'; '.join(told)}.",
            stacklevel=3,
        )
