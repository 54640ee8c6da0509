"""What a row is worth with some labels: top-1 and top-5."""

import numpy as np

from cpc_keras.evaluation.choose_setting import choose_setting
from cpc_keras.evaluation.top_k_accuracy import top_k_accuracy


def label_scores(
    row,
    *,
    index: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    train_groups: np.ndarray | None = None,
) -> dict:
    """Fit a row on labelled training images and score it once on the test images.

    The setting is chosen on a quarter of the labels that is held out (`choose_setting`).

    Args:
        row: with `settings` and `fit_predict` (`ProbeRow`, `NetworkRow`).
        index: positions `[k]` of the labelled training images.
        train_labels: classes of all training images, `[n]`.
        test_labels: classes of the test images, `[m]`.
        train_groups: groups of all training images, `[n]`, which that quarter leaves whole; `None`
            for no groups.

    Returns:
        Dict of `top_1` and `top_5` (shares of the test images, in [0, 1]; `top_5` `None` where
        there are fewer than six classes), `num_labels` and `setting`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> x = rng.integers(0, 99, (40, 2, 2, 1)) + 99 * labels[:, None, None, None]
        >>> row = ProbeRow("raw_pixels", lambda x: np.reshape(x, (-1, 4)), train_images=x,
        ...                test_images=x, num_classes=2)
        >>> label_scores(row, index=np.arange(40), train_labels=labels, test_labels=labels)["top_1"]
        1.0
    """
    setting, _ = choose_setting(row, train_labels, index, groups=train_groups)
    probabilities = row.fit_predict(index, train_labels[index], setting=setting)
    several = probabilities.shape[1] > 5
    return {
        "top_1": top_k_accuracy(probabilities, test_labels, 1),
        "top_5": top_k_accuracy(probabilities, test_labels, 5) if several else None,
        "num_labels": len(index),
        "setting": setting,
    }
