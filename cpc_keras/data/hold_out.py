"""A stratified split in two."""

from __future__ import annotations

import warnings

import numpy as np


def hold_out(
    labels: np.ndarray,
    *,
    fraction: float = 0.25,
    seed: int,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Splits labelled examples into a part to fit on and a part held out, class by class.

    Of a class with `m >= 2` examples, `round(fraction * m)` are held out, at least one and at most
    `m - 1`. A class with one example stays on the fit side, so the held-out part lacks it, and is
    empty where every class has one example.

    With groups (a patient's images, those of a site or a device) every group stands on one side as
    a whole: what tells a patient must not tell the class. The shares of the classes are then as
    near to `fraction` as one of the folds of scikit-learn's `StratifiedGroupKFold` brings them, and
    the held-out part is empty where there is only one group. A class whose groups all are on one
    side is named in a warning.

    Args:
        labels: Integer class of every example, `[n]`.
        fraction: Share to hold out, in (0, 1); with groups the nearest of 1/k and 1 - 1/k.
        seed: Non-negative integer; the same seed gives the same split.
        groups: Group of every example, `[n]`, of any type that compares; None for no groups.

    Returns:
        `(fit_index, held_out_index)`: sorted int64 positions, disjoint, together all of `[0, n)`.

    Raises:
        ValueError: If `fraction` is not in (0, 1), or `labels` is empty or not `[n]` integers, or
            `groups` are not `[n]`.

    Example:
        >>> fit_index, held_out_index = hold_out(np.array([0, 0, 0, 0, 1, 1]), seed=0)
        >>> len(fit_index), len(held_out_index)
        (4, 2)
    """
    labels = np.asarray(labels)
    if not 0.0 < fraction < 1.0:
        raise ValueError(
            f"hold_out: received fraction={fraction}. Expected a share between 0 and 1, both "
            "excluded. Try fraction=0.25."
        )
    if labels.ndim != 1 or not labels.size or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"hold_out: received labels of shape {labels.shape} and type {labels.dtype}. Expected "
            "one integer an example, shape [n] with n >= 1. Images without labels cannot be "
            "stratified; check data.labels."
        )
    if groups is not None:
        held_out = _whole_groups(labels, np.asarray(groups), fraction, seed)
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            continue
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        # A generator a class: adding a class leaves the split of the others as it was.
        generator = np.random.default_rng([seed, int(label) & 0xFFFFFFFF])
        held_out[generator.permutation(members)[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _whole_groups(labels: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    if groups.shape != labels.shape:
        raise ValueError(
            f"hold_out: received groups of shape {groups.shape} for {len(labels)} examples. "
            "Expected the group of every example, shape [n]."
        )
    # scikit-learn takes a second to import; only groups need it.
    from sklearn.model_selection import StratifiedGroupKFold

    names, groups = np.unique(groups, return_inverse=True)
    held_out = np.zeros(len(labels), dtype=bool)
    if len(names) < 2:
        return held_out
    smaller = min(fraction, 1 - fraction)
    classes, positions, counts = np.unique(labels, return_inverse=True, return_counts=True)
    # The splitter refuses more folds than the largest class has examples.
    num_folds = min(max(2, round(1 / smaller)), len(names), max(2, int(counts.max())))
    folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Of classes smaller than the number of folds: they are told below, where it matters.
        warnings.simplefilter("ignore", UserWarning)
        sides = [fold for _, fold in folds.split(labels, positions, groups)]

    def distance(fold: np.ndarray) -> float:
        shares = np.bincount(positions[fold], minlength=len(classes)) / counts
        # An empty side is no split, however near its shares are.
        return np.abs(shares - smaller).mean() + (len(fold) in (0, len(labels)))

    held_out[min(sides, key=distance)] = True
    if fraction > 0.5:
        held_out = ~held_out
    lacking = [
        f"{classes[row]} ({'held-out' if part[row] else 'fit'} side alone)"
        for part in (np.bincount(positions[held_out], minlength=len(classes)),)
        for row in range(len(classes))
        if len(classes) > 1 and part[row] in (0, counts[row])
    ]
    if lacking:
        warnings.warn(
            f"hold_out: {len(lacking)} of {len(classes)} classes stand on one side, as whole "
            f"groups stay together: class {', '.join(lacking)}.",
            stacklevel=3,
        )
    return held_out
