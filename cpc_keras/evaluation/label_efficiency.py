"""Accuracy against the share of labels."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cpc_keras.data import label_subset
from cpc_keras.evaluation.choose_setting import choose_setting
from cpc_keras.evaluation.classification_metrics import (
    accuracy_interval,
    classification_metrics,
)

FRACTIONS = (0.01, 0.05, 0.1, 1.0)


def label_efficiency(
    rows: Sequence,
    *,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    fractions: Iterable[float] = FRACTIONS,
    num_draws: int = 3,
    train_groups: np.ndarray | None = None,
    test_groups: np.ndarray | None = None,
    subset: Callable[[float, int], np.ndarray] | None = None,
    done: Sequence[dict] = (),
    on_result: Callable[[dict], None] = lambda result: None,
    on_fit: Callable[[], None] = lambda: None,
) -> list[dict]:
    """Measure every row on the same label subsets.

    For each fraction, the setting is chosen on a quarter of the labels of the first draw that is
    held out (accuracy; a tie goes to the lower cross-entropy). With that setting the row is then
    fitted on all labels of each draw and scored once on the test images. Test labels choose
    nothing. Subsets are class balanced, seeded by the draw, and nested over fractions; all labels
    are one draw.

    Args:
        rows: objects with `name`, `settings` and `fit_predict` (`ProbeRow`, `NetworkRow`); each
            must have the same number of settings.
        train_labels: classes of the training images, `[n]`.
        test_labels: classes of the test images, `[m]`.
        fractions: shares of the training labels.
        num_draws: label subsets for each fraction below 1.
        train_groups: groups of the training images, `[n]`, such as patients; the held-out quarter
            then has whole groups.
        test_groups: groups of the test images, `[m]`, over which intervals are then taken.
        subset: function from a fraction and a draw to the positions of the labels, such as one that
            reads those of somebody else; by default `label_subset` of the draw's seed.
        done: results of an earlier call that was stopped; they are not measured again.
        on_result: called with each new result, for example to save it.
        on_fit: called after each fit, for example to move a progress bar by one.

    Returns:
        A list of dicts with `row`, `fraction`, `draw`, `num_labels`, `setting`,
        `held_out_accuracy`, `accuracy` (share of the test images, in [0, 1]), `num_test`,
        `interval` of that accuracy (`accuracy_interval`) where test images have groups, and
        `metrics`, those of `classification_metrics` without intervals.

    Raises:
        ValueError: rows with different numbers of tuning trials.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 40)
        >>> x = rng.integers(0, 99, (80, 2, 2, 1)) + 99 * labels[:, None, None, None]
        >>> row = ProbeRow("raw_pixels", lambda x: np.reshape(x, (-1, 4)), train_images=x,
        ...                test_images=x, num_classes=2)
        >>> results = label_efficiency([row], train_labels=labels, test_labels=labels,
        ...                            fractions=(0.1, 1.0), num_draws=2)
        >>> [(r["fraction"], r["num_labels"]) for r in results]
        [(0.1, 8), (0.1, 8), (1.0, 80)]
    """
    num_trials = {row.name: len(row.settings) for row in rows}
    if len(set(num_trials.values())) > 1:
        raise ValueError(
            "Every row must get the same number of tuning trials, or the comparison is not fair. "
            f"Received: {num_trials}."
        )
    if subset is None:

        def subset(fraction, draw):
            return label_subset(train_labels, fraction, seed=draw)

    results = []
    for row in rows:
        for fraction in fractions:
            draws = range(num_draws if fraction < 1 else 1)
            found = [r for r in done if r["row"] == row.name and r["fraction"] == fraction]
            results += found
            missing = [d for d in draws if d not in {r["draw"] for r in found}]
            if not missing:
                for _ in range(len(row.settings) + len(draws)):
                    on_fit()
                continue
            setting, held_out_accuracy = choose_setting(
                row, train_labels, subset(fraction, 0), groups=train_groups, on_fit=on_fit
            )
            for draw in missing:
                index = subset(fraction, draw)
                probabilities = row.fit_predict(index, train_labels[index], setting=setting)
                on_fit()
                metrics = classification_metrics(probabilities, test_labels, num_resamples=0)
                result = {
                    "row": row.name,
                    "fraction": fraction,
                    "draw": draw,
                    "num_labels": len(index),
                    "setting": setting,
                    "held_out_accuracy": held_out_accuracy,
                    "accuracy": metrics.pop("top_1"),
                    "num_test": metrics.pop("num_images"),
                    "metrics": {k: v for k, v in metrics.items() if k != "intervals"},
                }
                if test_groups is not None:
                    right = probabilities.argmax(axis=1) == test_labels
                    result["interval"] = accuracy_interval(right, test_groups)
                results.append(result)
                on_result(result)
    return results


def num_fits(rows, *, fractions=FRACTIONS, num_draws: int = 3) -> int:
    """Return how many fits `label_efficiency` makes, tuning trials included.

    Args:
        rows: those of `label_efficiency`.
        fractions: shares of the training labels.
        num_draws: label subsets for each fraction below 1.

    Returns:
        Number of fits, and of calls of `on_fit`.
    """
    return sum(
        len(row.settings) + (num_draws if fraction < 1 else 1)
        for row in rows
        for fraction in fractions
    )
