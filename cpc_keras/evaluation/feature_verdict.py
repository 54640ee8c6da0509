"""Whether more pre-training is likely to help, in one line."""

from collections.abc import Sequence

# How a metric is called in a sentence, and whether it is a share; those that tell most come first.
NAMES = {
    "knn_accuracy": ("kNN accuracy", True),
    "linear_accuracy": ("linear accuracy", True),
    "val_mutual_information": ("held-out mutual information", False),
    "mutual_information": ("mutual information of training", False),
}


def feature_verdict(
    rows: Sequence[dict],
    *,
    monitor: str | None = None,
    patience: int = 5,
    finished: bool = True,
) -> str | None:
    """Say what a probe's course over the epochs tells of further training.

    Args:
        rows: one dict an epoch with `epoch` and, where it was measured, the probe's metric, as
            `read_metrics` gives them.
        monitor: the metric; higher is better. By default the first that was measured of
            "knn_accuracy", "linear_accuracy", "val_mutual_information" and, where there are neither
            labels nor held-out images, "mutual_information".
        patience: so many measurements in a row without a new best mean that it has stopped
            improving.
        finished: whether training is over; before that, there is a verdict only once the metric
            has stopped improving.

    Returns:
        One line, or `None` where there is nothing to say: too few measurements, or it still
        improves and training goes on.

    Example:
        >>> rows = [{"epoch": e, "knn_accuracy": a} for e, a in enumerate((0.5, 0.7, 0.6, 0.7), 1)]
        >>> feature_verdict(rows, patience=2, finished=False)
        'kNN accuracy has not improved since epoch 2 (70.0 %): more epochs like these are unlikely
        to help. Stop here, or lower the learning rate.'
    """
    there = [name for name in NAMES if any(name in row for row in rows)]
    monitor = monitor or next(iter(there), None)
    measured = [row for row in rows if monitor in row]
    if not measured:
        return None
    name, is_share = NAMES.get(monitor, (monitor, False))

    def said(value):
        return f"{100 * value:.1f} %" if is_share else f"{value:.3g}"

    best = max(measured, key=lambda row: row[monitor])  # of equals the first
    since = len(measured) - 1 - measured.index(best)
    untrained = measured[-1].get(f"{monitor}_untrained")
    beside = "" if untrained is None else f", before training {said(untrained)}"
    stalled = since >= patience
    is_course = len(measured) > 1
    if untrained is not None and best[monitor] <= untrained and is_course and (stalled or finished):
        return (
            f"{name} is no better than before training (best {said(best[monitor])}"
            f"{beside}): this training does not help. Try another learning rate or augmentation, "
            "and look at the images."
        )
    if stalled:
        return (
            f"{name} has not improved since epoch {best['epoch']} ({said(best[monitor])}{beside}): "
            "more epochs like these are unlikely to help. Stop here, or lower the learning rate."
        )
    if not finished:
        return None
    start = f"{name} reached {said(best[monitor])} at epoch {best['epoch']}{beside}"
    if not is_course:
        return f"{start}; measured once, it tells no course."
    if since == 0:
        return f"{start}, the best of all at the end: more epochs are likely to help."
    return f"{start}; it is not yet clear whether more epochs would help."
