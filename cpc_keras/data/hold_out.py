"""A stratified split in two."""

from __future__ import annotations

import numpy as np


def hold_out(
    labels: np.ndarray, *, fraction: float = 0.25, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits labelled examples into a part to fit on and a part held out, class by class.

    Of a class with `m >= 2` examples, `round(fraction * m)` are held out, at least one and at most
    `m - 1`. A class with one example stays on the fit side, so the held-out part lacks it, and is
    empty where every class has one example.

    Args:
        labels: Integer class of every example, `[n]`.
        fraction: Share to hold out, in (0, 1).
        seed: Non-negative integer; the same seed gives the same split.

    Returns:
        `(fit_index, held_out_index)`: sorted int64 positions, disjoint, together all of `[0, n)`.

    Raises:
        ValueError: If `fraction` is not in (0, 1), or `labels` is empty or not `[n]` integers.

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
