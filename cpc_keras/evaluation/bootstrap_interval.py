"""How far a mean over seeds and draws can be trusted."""

from collections.abc import Sequence

import numpy as np


def bootstrap_interval(
    values: Sequence[Sequence[float]],
    *,
    crossed: bool = False,
    confidence: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> list[float]:
    """Return the ends of a bootstrap interval of a mean of means.

    Pre-training seeds are drawn with replacement, and so are label draws; the percentiles of the
    mean are taken. Where the label draws of all seeds are the same subsets (`crossed`), the same
    ones are drawn for all seeds (Owen 2007, "The pigeonhole bootstrap", arXiv:0712.1111): what
    labels happened to be drawn does not average out over seeds. Otherwise each seed's are drawn
    from its own (Davison and Hinkley 1997, "Bootstrap methods and their application", section 3.8).
    Of few seeds or draws it is too narrow: it cannot reach beyond the values there are.

    Args:
        values: for each seed its values, for example accuracies of label draws.
        crossed: whether the values at one place belong to the same draw in every seed; each seed
            then has as many.
        confidence: in (0, 1).
        num_resamples: at least 1.
        seed: of the resampling.

    Returns:
        `[low, high]`.

    Raises:
        ValueError: no value, seeds of different numbers of crossed draws, or a confidence outside
            (0, 1).

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
    chosen = rng.integers(len(values), size=(num_resamples, len(values)))
    draw = _crossed_means if crossed else _nested_means
    means = draw(values, chosen, rng)
    tail = 100 * (1 - confidence) / 2
    return [float(end) for end in np.percentile(means, [tail, 100 - tail])]


def _crossed_means(values, chosen, rng):
    counts = [len(of_seed) for of_seed in values]
    if len(set(counts)) > 1:
        raise ValueError(
            f"Crossed draws are the same for every seed. Received {counts} draws of the seeds; "
            "leave out the draws that some lack."
        )
    draws = rng.integers(counts[0], size=(len(chosen), counts[0]))
    table = np.asarray(values, "float64")
    return table[chosen[:, :, None], draws[:, None, :]].mean(axis=(1, 2))


def _nested_means(values, chosen, rng):
    # A column for each seed: means of its draws, drawn anew in every resample.
    means = np.empty((*chosen.shape, len(values)))
    for place in range(len(values)):
        for which, of_seed in enumerate(values):
            drawn = rng.choice(np.asarray(of_seed, "float64"), (len(chosen), len(of_seed)))
            means[:, place, which] = drawn.mean(axis=1)
    return np.take_along_axis(means, chosen[:, :, None], axis=2)[:, :, 0].mean(axis=1)
