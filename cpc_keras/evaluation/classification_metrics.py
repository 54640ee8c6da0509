"""How well scores tell the classes of images, and how sure that is."""

import numpy as np

from cpc_keras.evaluation.top_k_accuracy import rank_of_class

TOP = 5


def classification_metrics(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Measure scores of images against their classes, with confidence intervals.

    | metric | what it is |
    |---|---|
    | `top_1` | share of the images whose class has the highest score |
    | `top_5` | share whose class is among the five highest; with more than five classes |
    | `balanced_accuracy` | mean over the classes of the share of their images that is right |
    | `auroc` | mean over the classes of the area under the ROC curve against all others |
    | `average_precision` | mean over the classes of the area under precision and recall |

    Images of several classes each have `auroc` and `average_precision`, others all but the last.
    Where classes are of very different sizes, as in medicine, `top_1` is that of the largest ones:
    report `balanced_accuracy` and `auroc` beside it. Classes of which the test images have no
    example, or nothing else, do not count.

    The intervals of `top_1` and `top_5` are Wilson's (1927, "Probable inference, the law of
    succession, and statistical inference"), those of the others percentiles of the bootstrap over
    the images (Efron 1979). They tell how much other test images would change the number, and
    nothing of other training: for that, train with several seeds. Images of one patient are not
    independent: with `groups`, whole groups are drawn, and all intervals are of that bootstrap.

    Args:
        scores: `[n, classes]`, higher for a likelier class: probabilities, logits, votes.
        labels: integer classes `[n]`, or 0 and 1 `[n, classes]` where an image may have several.
        groups: name of the group (patient, site, device) of every image, `[n]`; None where images
            are independent. Of one group nothing follows for others: its intervals are [0, 1].
        confidence: of the intervals, in (0, 1).
        num_resamples: of the bootstrap; 0 leaves its intervals out. A thousand take about three
            seconds for 10,000 images of 10 classes, and proportionally more for more.
        seed: of the resampling.

    Returns:
        Dict of `num_images`, the metrics that fit the labels, each in [0, 1] or None where no class
        has an example and a counterexample, and `intervals`: `[low, high]` by metric.

    Raises:
        ValueError: shapes that do not fit, scores that are not finite, or a confidence outside
            (0, 1).

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]])
        >>> metrics = classification_metrics(scores, np.array([0, 1, 1, 1]))
        >>> round(metrics["top_1"], 2), round(metrics["balanced_accuracy"], 2), metrics["auroc"]
        (0.75, 0.83, 1.0)
        >>> [round(end, 2) for end in metrics["intervals"]["top_1"]]
        [0.3, 0.95]
    """
    scores, labels = np.asarray(scores, "float64"), np.asarray(labels)
    _check(scores, labels, confidence)
    resamples = _Resamples(len(scores), groups, num_resamples, confidence, seed)
    several = labels.ndim == 2
    truth = labels == 1 if several else labels[:, None] == np.arange(scores.shape[1])
    weights = np.ones((1, len(scores)))
    found: dict = {"num_images": len(scores)}
    intervals = {}
    # What the bootstrap measures, as functions of the weights of the images.
    measures = {"auroc": lambda w: _mean_over_classes(_auroc, scores, truth, w)}
    if several:
        measures["average_precision"] = lambda w: _mean_over_classes(
            _average_precision, scores, truth, w
        )
    else:
        rank = rank_of_class(scores, labels)
        for name, top in (("top_1", 1), (f"top_{TOP}", TOP)):
            if top < scores.shape[1] or top == 1:
                right = rank < top
                found[name] = float(right.mean())
                if groups is None:
                    intervals[name] = wilson_interval(int(right.sum()), len(right), confidence)
                elif num_resamples:
                    intervals[name] = resamples.interval(lambda w, x=right: _share(x, w))
        measures["balanced_accuracy"] = lambda w: _balanced_accuracy(rank == 0, truth, w)
    for name, measure in measures.items():
        value = measure(weights)[0]
        found[name] = None if np.isnan(value) else float(value)
        if num_resamples and found[name] is not None:
            intervals[name] = resamples.interval(measure)
    return {**found, "intervals": intervals}


def accuracy_interval(
    right: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> list[float]:
    """Return the ends of the interval of an accuracy, as `classification_metrics` has it.

    Args:
        right: whether each test image was told right, `[n]`.
        groups: of the images, `[n]`, or None.
        confidence: in (0, 1).
        num_resamples: of the bootstrap over groups.
        seed: of the resampling.

    Example:
        >>> right = np.repeat([True, False], [30, 10])
        >>> [round(end, 2) for end in accuracy_interval(right)]
        [0.6, 0.86]
        >>> [round(end, 2) for end in accuracy_interval(right, np.arange(40) // 10)]
        [0.25, 1.0]
    """
    right = np.asarray(right, bool)
    if groups is None:
        return wilson_interval(int(right.sum()), len(right), confidence)
    resamples = _Resamples(len(right), groups, num_resamples, confidence, seed)
    return resamples.interval(lambda weights: _share(right, weights))


def wilson_interval(num_right: int, num_images: int, confidence: float = 0.95) -> list[float]:
    """Return the ends of Wilson's interval of a share, for example an accuracy.

    Args:
        num_right: how many are right.
        num_images: of how many, at least 1.
        confidence: in (0, 1).

    Example:
        >>> [round(end, 3) for end in wilson_interval(90, 100)]
        [0.826, 0.945]
    """
    # scipy takes a while to import.
    from scipy.stats import binomtest

    interval = binomtest(num_right, num_images).proportion_ci(confidence, method="wilson")
    return [float(interval.low), float(interval.high)]


def _check(scores, labels, confidence):
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence must be between 0 and 1, such as 0.95. Received: {confidence}."
        )
    fits = labels.shape in (scores.shape[:1], scores.shape)
    if scores.ndim != 2 or not len(scores) or scores.shape[1] < 2 or not fits:
        raise ValueError(
            "Expected scores [n, classes] and labels [n] or [n, classes], n >= 1 and at least two "
            f"classes. Received shapes {scores.shape} and {labels.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError("Expected finite scores. Received NaN or infinity: check the features.")
    allowed = (0, 1) if labels.ndim == 2 else range(scores.shape[1])
    if not np.isin(labels, list(allowed)).all():
        raise ValueError(
            f"Expected labels from {min(allowed)} to {max(allowed)}. Received {labels.min()} to "
            f"{labels.max()}."
        )


def _share(right, weights):
    return (weights @ right) / weights.sum(axis=1)


def _balanced_accuracy(right, truth, weights):
    members = weights @ truth
    with np.errstate(invalid="ignore"):
        recall = (weights @ (truth & right[:, None])) / members
    return np.nanmean(recall, axis=1)


def _mean_over_classes(measure, scores, truth, weights):
    # Class after class: all of them at once would need that many times the memory.
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for own, positive in zip(scores.T, truth.T, strict=True):
        if positive.all() or not positive.any():
            continue
        value = measure(own, positive, weights)
        there = np.isfinite(value)  # a resample may lack the class
        total[there] += value[there]
        count[there] += 1
    with np.errstate(invalid="ignore"):
        return total / count


def _by_threshold(scores, positive, weights):
    """Weights of positives and negatives at each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    weights, positive = weights[:, order], positive[order]
    sums = [
        np.add.reduceat(np.where(which, weights, 0.0), starts, axis=1)
        for which in (positive, ~positive)
    ]
    return sums


def _auroc(scores, positive, weights):
    # The probability that a positive scores higher than a negative, ties counting half.
    ours, others = _by_threshold(scores, positive, weights)
    lower = others.sum(axis=1, keepdims=True) - others.cumsum(axis=1)
    pairs = ours.sum(axis=1) * others.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ours * (lower + others / 2)).sum(axis=1) / pairs


def _average_precision(scores, positive, weights):
    ours, others = _by_threshold(scores, positive, weights)
    found = ours.cumsum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = found / (found + others.cumsum(axis=1))
        return (ours * np.nan_to_num(precision)).sum(axis=1) / found[:, -1]


class _Resamples:
    """Weights of images in resamples of them, or of their groups as a whole."""

    def __init__(self, num_images, groups, num_resamples, confidence, seed):
        if groups is not None and np.shape(groups) != (num_images,):
            raise ValueError(
                f"Expected the group of every image, shape ({num_images},). Received groups of "
                f"shape {np.shape(groups)}."
            )
        names, self._unit = (
            (range(num_images), None) if groups is None else np.unique(groups, return_inverse=True)
        )
        self._num_units, self._num_images = len(names), num_images
        self._num, self._confidence, self._seed = num_resamples, confidence, seed

    def interval(self, measure):
        """Percentiles of a measure, a function of weights `[resamples, n]`."""
        if self._num_units == 1 and self._num_images > 1:
            return [0.0, 1.0]
        rng = np.random.default_rng(self._seed)
        values = []
        share = np.full(self._num_units, 1 / self._num_units)
        # A few at a time, or the counts alone would fill the memory.
        step = max(1, 2_000_000 // self._num_images)
        for done in range(0, self._num, step):
            size = min(step, self._num - done)
            counts = rng.multinomial(self._num_units, share, size=size).astype("float64")
            values.append(measure(counts if self._unit is None else counts[:, self._unit]))
        tail = 100 * (1 - self._confidence) / 2
        return [float(end) for end in np.nanpercentile(np.concatenate(values), [tail, 100 - tail])]
