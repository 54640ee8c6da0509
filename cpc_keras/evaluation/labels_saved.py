"""How many labels pre-training saves, in a sentence."""

import itertools
from collections.abc import Sequence

import numpy as np

from cpc_keras.evaluation.summary_table import FROM_SCRATCH, MIN_SEEDS, is_claim, row_title


def labels_saved(summary: Sequence[dict], *, method: str = "cpc") -> str:
    """Say with how many labels a network trained from scratch is as good.

    At each share of labels the better of the two networks from scratch counts, so that neither a
    weak architecture nor one share's bad luck makes a gain. Between measured shares accuracy is
    taken as straight over the logarithm of their number.

    Args:
        summary: result of `summarize`.
        method: that trained the encoder.

    Returns:
        One or two sentences, also where nothing is saved; "" where one side was not measured.

    Example:
        >>> cells = [("cpc_frozen", 0.01, 0.8), ("cnn", 0.01, 0.6), ("cnn", 1.0, 0.9)]
        >>> summary = [{"row": row, "fraction": f, "num_labels": int(1000 * f), "accuracy": a,
        ...             "by_seed": [a], "by_draw": [a]} for row, f, a in cells]
        >>> labels_saved(summary)
        'With 1 % of the labels (10), CPC, frozen + linear probe (80.0 %) is as good as networks
        trained from scratch on about 22 % (215). Of 1 pre-training seed: an observation, no claim.'
    """
    scratch = _best(summary, lambda row: row in FROM_SCRATCH)
    ours = _best(summary, lambda row: row.startswith("cpc_"))
    common = sorted({*scratch} & {*ours})
    if not common:
        return ""
    smallest = common[0]
    cell = ours[smallest]
    name, accuracy = row_title(cell["row"], method), cell["accuracy"]
    start = (
        f"With {_percent(smallest)} of the labels ({cell['num_labels']}), {name} "
        f"({_percent(accuracy, 1)})"
    )
    if accuracy <= scratch[smallest]["accuracy"]:
        return (
            f"{start} is not better than networks trained from scratch on as many "
            f"({_percent(scratch[smallest]['accuracy'], 1)}): no labels are saved."
        )
    untrained = _best(summary, lambda row: row not in FROM_SCRATCH and not row.startswith("cpc_"))
    other = untrained.get(smallest)
    if other is not None and accuracy <= other["accuracy"]:
        return (
            f"{start} is not better than {row_title(other['row'])} on as many "
            f"({_percent(other['accuracy'], 1)}): pre-training saves no labels."
        )
    needed = _labels_for(scratch, accuracy)
    total = max(c["num_labels"] / c["fraction"] for c in scratch.values())
    if needed is None:
        most = scratch[max(scratch)]
        sentence = (
            f"{start} is better than networks trained from scratch on {_percent(most['fraction'])} "
            f"of them ({most['num_labels']} labels, {_percent(most['accuracy'], 1)})."
        )
    else:
        sentence = (
            f"{start} is as good as networks trained from scratch on about "
            f"{_percent(needed / total)} ({needed:.0f})."
        )
    most = scratch[max(scratch)]
    enough = _labels_for(ours, most["accuracy"])
    if needed is not None and len(ours) > 1:
        reach = f"what they reach with {_percent(max(scratch))} ({_percent(most['accuracy'], 1)})"
        if enough is None:
            sentence += f" It does not reach {reach}."
        else:
            sentence += f" It reaches {reach} with about {_percent(enough / total)}."
    seeds = len(cell["by_seed"])
    if seeds < MIN_SEEDS:
        plural = "s" if seeds > 1 else ""
        sentence += f" Of {seeds} pre-training seed{plural}: an observation, no claim."
    else:
        measured = [cell for cell in summary if cell["fraction"] >= smallest]
        doubt = "" if is_claim(measured) else ": an observation, no claim"
        sentence += f" Means of {seeds} pre-training seeds{doubt}."
    return sentence


def _best(summary, is_wanted):
    """The best cell of the wanted rows at each fraction."""
    best = {}
    for cell in summary:
        other = best.get(cell["fraction"])
        if is_wanted(cell["row"]) and (other is None or cell["accuracy"] > other["accuracy"]):
            best[cell["fraction"]] = cell
    return best


def _labels_for(curve, accuracy):
    """The fewest labels at which a curve reaches an accuracy, or `None`."""
    cells = [curve[fraction] for fraction in sorted(curve)]
    if cells[0]["accuracy"] >= accuracy:
        return cells[0]["num_labels"]
    for before, after in itertools.pairwise(cells):
        if after["accuracy"] >= accuracy:
            way = (accuracy - before["accuracy"]) / (after["accuracy"] - before["accuracy"])
            few, many = np.log(before["num_labels"]), np.log(after["num_labels"])
            return float(np.exp(few + way * (many - few)))
    return None


def _percent(share, digits=None):
    if digits is not None:
        return f"{100 * share:.{digits}f} %"
    return f"{float(f'{100 * share:.2g}'):g} %"  # two digits that count, never as 1e+02
