"""A row's tuning, on labels that are held out."""

from collections.abc import Callable

import numpy as np

from cpc_keras.data import hold_out
from cpc_keras.evaluation.linear_probe import checked_class_weight


def choose_setting(
    row,
    labels: np.ndarray,
    index: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    class_weight: str | None = None,
    on_fit: Callable[[], None] = lambda: None,
) -> tuple[dict, float | None]:
    """Choose among a row's settings on a quarter of the labels that it may see, held out.

    Args:
        row: object with `settings` and `fit_predict` (`ProbeRow`, `NetworkRow`).
        labels: classes of all training images, `[n]`.
        index: positions of those whose labels may be seen, `[k]`.
        groups: what the held-out quarter must not divide, of all training images, `[n]`.
        class_weight: "balanced" chooses by the mean over classes of accuracy and cross-entropy.
        on_fit: called after each trial.

    Returns:
        The setting with the highest accuracy, of equal ones that with the lower cross-entropy, and
        the accuracy (the balanced one, where it chooses). The first setting, unseen, and None where
        nothing can be held out: of one label a class, or one group.
    """
    checked_class_weight(class_weight)
    fit, held_out = hold_out(
        labels[index], seed=0, groups=None if groups is None else groups[index]
    )
    if not len(held_out) or len(np.unique(labels[index[fit]])) < 2:
        for _ in row.settings:
            on_fit()
        return row.settings[0], None
    trials = []
    truth, weights = labels[index[held_out]], None
    if class_weight is not None:
        _, place, counts = np.unique(truth, return_inverse=True, return_counts=True)
        weights = 1 / counts[place]
    for setting in row.settings:
        probabilities = row.fit_predict(
            index[fit], labels[index[fit]], setting=setting, held_out=index[held_out]
        )
        on_fit()
        right = probabilities.argmax(axis=1) == truth
        true_probability = probabilities[np.arange(len(truth)), truth]
        accuracy = float(np.average(right, weights=weights))
        cross_entropy = float(
            np.average(-np.log(np.maximum(true_probability, 1e-12)), weights=weights)
        )
        trials.append((accuracy, -cross_entropy, setting))
    best = max(trials, key=lambda trial: trial[:2])
    return best[2], best[0]
