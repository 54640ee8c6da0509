"""From single results to a table with spreads."""

from collections.abc import Sequence

import numpy as np

from cpc_keras.evaluation.bootstrap_interval import bootstrap_interval
from cpc_keras.evaluation.classification_metrics import wilson_interval

# What a reader sees, of an encoder that CPC trained; the order is that of the table.
ROW_TITLES = {
    "cpc_fine_tuned": "CPC, fine-tuned",
    "cpc_frozen": "CPC, frozen + linear probe",
    "supervised": "same network, labels only",
    "random_frozen": "random encoder + linear probe",
    "raw_pixels": "raw pixels, logistic regression",
    "cnn": "ordinary CNN, labels only",
}

# Networks that are trained on the labels alone.
FROM_SCRATCH = ("supervised", "cnn")

# Below this many pre-training seeds a difference is an observation.
MIN_SEEDS = 3


def method_title(method: str) -> str:
    """Say what a method of `METHODS` is called in tables: of its kinds CPC is "CPC".

    Example:
        >>> method_title("cpc_v2"), method_title("pseudo_label")
        ('CPC', 'pseudo label')
    """
    return "CPC" if method == "cpc" or method.startswith("cpc_") else method.replace("_", " ")


def row_title(row: str, method: str = "cpc") -> str:
    """Say what a row of a table is called; an unknown one by its own name.

    Args:
        row: name, such as "cpc_frozen", which rows of all methods have.
        method: that trained the encoder of the rows `cpc_...`.

    Example:
        >>> row_title("cpc_frozen"), row_title("cpc_frozen", "rotation")
        ('CPC, frozen + linear probe', 'rotation, frozen + linear probe')
    """
    title = ROW_TITLES.get(row, row)
    return title.replace("CPC", method_title(method)) if row in ROW_TITLES else title


def summarize(results: Sequence[dict]) -> list[dict]:
    """Average results over label draws and pre-training seeds.

    Args:
        results: as `label_efficiency` gives them, each with a `seed` beside.

    Returns:
        One dict for each row and fraction: `row`, `fraction`, `num_labels`, `accuracy` (mean over
        everything), `interval` (95 %: the bootstrap over seeds and draws, which are the same label
        subsets for all seeds; of a single value that over the test images), `metrics` (means of the
        others), `draw_deviation` (standard deviation over label draws within a seed, averaged over
        seeds; `None` for one draw) and `seed_deviation` (standard deviation over seeds of the means
        over draws; `None` for one seed); sample deviations, with n - 1; and the means themselves,
        `by_seed` and `by_draw`.

    Example:
        >>> results = [{"row": "cnn", "fraction": 0.1, "num_labels": 9, "seed": 0, "draw": d,
        ...             "accuracy": a} for d, a in enumerate((0.5, 0.7))]
        >>> round(summarize(results)[0]["accuracy"], 3)
        0.6
    """
    known = list(ROW_TITLES)
    found = {r["row"] for r in results}
    names = [name for name in known if name in found] + sorted(found - set(known))
    summary = []
    for name in names:
        for fraction in sorted({r["fraction"] for r in results if r["row"] == name}):
            cell = [r for r in results if r["row"] == name and r["fraction"] == fraction]
            by_seed, by_draw = _group(cell, "seed"), _group(cell, "draw")
            draw_deviations = [np.std(a, ddof=1) for a in by_seed if len(a) > 1]
            means = [float(np.mean(a)) for a in by_seed]
            summary.append(
                {
                    "row": name,
                    "fraction": fraction,
                    "num_labels": cell[0]["num_labels"],
                    "accuracy": float(np.mean(means)),
                    "interval": _interval(by_seed, cell[0]),
                    "metrics": _mean_metrics(cell),
                    "draw_deviation": float(np.mean(draw_deviations)) if draw_deviations else None,
                    "seed_deviation": float(np.std(means, ddof=1)) if len(means) > 1 else None,
                    "by_seed": means,
                    "by_draw": [float(np.mean(a)) for a in by_draw],
                }
            )
    return summary


def format_table(summary: Sequence[dict], *, method: str = "cpc", markdown: bool = False) -> str:
    """Lay a summary out as text: rows by share of labels, accuracy in percent.

    Args:
        summary: result of `summarize`.
        method: that trained the encoder.
        markdown: a Markdown table instead of aligned columns.

    Returns:
        The table. A cell reads `mean ± draws ± seeds`; a spread that one value cannot have is left
        out.
    """
    fractions = sorted({cell["fraction"] for cell in summary})
    labels = {cell["fraction"]: cell["num_labels"] for cell in summary}
    cells = {(cell["row"], cell["fraction"]): cell for cell in summary}
    header = ["accuracy in %, by share of labels"]
    header += [f"{100 * fraction:g}% ({labels[fraction]})" for fraction in fractions]
    lines = [header]
    for name in dict.fromkeys(cell["row"] for cell in summary):
        values = [_format_cell(cells.get((name, fraction))) for fraction in fractions]
        lines.append([row_title(name, method), *values])
    if markdown:
        lines.insert(1, ["---"] * len(header))
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def verdict(summary: Sequence[dict], *, method: str = "cpc") -> str:
    """Say in one sentence what the smallest share of labels shows, over the best other row.

    Args:
        summary: result of `summarize`, with at least one row `cpc_...` and one other.
        method: that trained the encoder.

    Returns:
        One or two sentences. A benefit is claimed only where the better of the rows `cpc_...` beats
        the best of all others of `ROW_TITLES`, none of which may be missing, with each pre-training
        seed, at least three of them, and with each draw of the labels.
    """
    fraction, cells, best_cpc, best_other = _of_fewest_labels(summary)
    ours, theirs = 1 - best_cpc["accuracy"], 1 - best_other["accuracy"]
    start = (
        f"With {100 * fraction:g}% of the labels ({best_cpc['num_labels']}), "
        f"{row_title(best_cpc['row'], method)} reaches {best_cpc['accuracy']:.1%}; the best other "
        f"row, {row_title(best_other['row'])}, {best_other['accuracy']:.1%}"
    )
    if ours >= theirs:
        return f"{start}: no benefit of pre-training is shown here."
    start += f": {(theirs - ours) / theirs:.0%} fewer errors"
    seeds, draws = len(best_cpc["by_seed"]), len(best_cpc["by_draw"])
    ahead_seeds = _num_above(best_cpc["by_seed"], best_other["by_seed"])
    ahead_draws = _num_above(best_cpc["by_draw"], best_other["by_draw"])
    if (ahead_seeds, ahead_draws) != (seeds, draws):
        return (
            f"{start} on average, but ahead only with {ahead_seeds} of {seeds} pre-training seeds "
            f"and {ahead_draws} of {draws} draws of the labels: no claim."
        )
    if seeds < MIN_SEEDS:
        return f"{start}. {seeds} pre-training seed(s): an observation; a claim needs {MIN_SEEDS}."
    if others := _missing(cells):
        missing = "; ".join(row_title(row) for row in others)
        return f"{start}. Not measured beside it: {missing}. An observation, no claim."
    return (
        f"{start}, ahead with each of {seeds} pre-training seeds and {draws} draws of the labels."
    )


def is_claim(summary: Sequence[dict]) -> bool:
    """Whether `verdict` claims a benefit of pre-training.

    Args:
        summary: result of `summarize`, with at least one row `cpc_...` and one other.
    """
    _, cells, ours, theirs = _of_fewest_labels(summary)
    return (
        ours["accuracy"] > theirs["accuracy"]
        and len(ours["by_seed"]) >= MIN_SEEDS
        and all(_num_above(ours[by], theirs[by]) == len(ours[by]) for by in ("by_seed", "by_draw"))
        and not _missing(cells)
    )


def _of_fewest_labels(summary):
    """The smallest share, its cells, and among them the best of CPC and of all others."""
    fraction = min(cell["fraction"] for cell in summary)
    cells = [cell for cell in summary if cell["fraction"] == fraction]
    sides = [[c for c in cells if c["row"].startswith("cpc_") is ours] for ours in (True, False)]
    return fraction, cells, *(max(side, key=lambda c: c["accuracy"]) for side in sides)


def _missing(cells):
    there = {cell["row"] for cell in cells}
    return [row for row in ROW_TITLES if not row.startswith("cpc_") and row not in there]


def _interval(by_seed, result):
    if sum(map(len, by_seed)) > 1:
        # Of an evaluation that is under way, some seeds may lack draws.
        return bootstrap_interval(by_seed, crossed=len(set(map(len, by_seed))) == 1)
    if "interval" in result or "num_test" not in result:
        return result.get("interval")
    return wilson_interval(round(result["accuracy"] * result["num_test"]), result["num_test"])


def _mean_metrics(cell):
    names = dict.fromkeys(name for result in cell for name in result.get("metrics", ()))
    means = {}
    for name in names:
        values = [r["metrics"][name] for r in cell if r.get("metrics", {}).get(name) is not None]
        means[name] = float(np.mean(values)) if values else None
    return means


def _group(cell, key):
    return [
        [r["accuracy"] for r in cell if r[key] == value] for value in sorted({r[key] for r in cell})
    ]


def _num_above(ours, theirs):
    return sum(a > b for a, b in zip(ours, theirs, strict=True))


def _format_cell(cell):
    if cell is None:
        return "-"
    text = f"{100 * cell['accuracy']:.1f}"
    for key in ("draw_deviation", "seed_deviation"):
        if cell[key] is not None:
            text += f" ± {100 * cell[key]:.1f}"
    return text
