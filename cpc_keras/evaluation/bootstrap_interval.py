"""How far a mean over seeds and draws can be trusted."""

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values: Sequence[Sequence[float]],
    *,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[float]:
    """Return the ends of a bootstrap interval of a mean of means.

    Pre-training seeds are drawn with replacement, then of each its label draws (Davison and Hinkley
    1997, "Bootstrap methods and their application", section 3.8), and the percentiles of the mean
    are taken. Of three seeds it is rather too narrow: it cannot reach beyond the values there are.

    Args:
        values: for each seed its values, for example accuracies of label draws.
        confidence: in (0, 1).
        num_resamples: at least 1.
        seed: of the resampling.

    Returns:
        `[low, high]`.

    Raises:
        ValueError: no value, or a confidence outside (0, 1).

    Example:
        >>> low, high = bootstrap_interval([[0.70, 0.72, 0.71], [0.80, 0.79, 0.84]])
        >>> 0.70 < low < 0.76 < high < 0.84
        True
    """
    if not len(values) or not all(len(of_seed) for of_seed in values) or not 0 < confidence < 1:
        raise ValueError(
            "Expected at least one value for each seed, and a confidence between 0 and 1. "
            f"Received: {[list(of_seed) for of_seed in values]} and {confidence}."
        )
    rng = np.random.default_rng(seed)
    # A column for each seed: means of its draws, drawn anew in every resample.
    means = np.empty((num_resamples, len(values), len(values)))
    for place in range(len(values)):
        for which, of_seed in enumerate(values):
            drawn = rng.choice(np.asarray(of_seed, "float64"), (num_resamples, len(of_seed)))
            means[:, place, which] = drawn.mean(axis=1)
    chosen = rng.integers(len(values), size=(num_resamples, len(values)))
    means = np.take_along_axis(means, chosen[:, :, None], axis=2)[:, :, 0].mean(axis=1)
    tail = 100 * (1 - confidence) / 2
    return [float(end) for end in np.percentile(means, [tail, 100 - tail])]
