"""What two or more runs show beside each other, in sentences."""

from collections.abc import Sequence

from cpc_keras.evaluation.run_evidence import RunEvidence
from cpc_keras.evaluation.summary_table import MIN_SEEDS, row_title


def compare_runs(runs: Sequence[RunEvidence]) -> list[str]:
    """Compare the best rows of runs' own encoders at the smallest share of labels that all have.

    Args:
        runs: of which those without results are left out.

    Returns:
        Sentences: which is better, by how much and whether that is more than an observation; and
        in what the runs were measured differently, where figures cannot be compared.
    """
    runs = [run for run in runs if run.summary]
    if len(runs) < 2:
        return []
    sentences = []
    shared = set.intersection(*({cell["fraction"] for cell in run.summary} for run in runs))
    best = [(run, _best(run, min(shared))) for run in runs] if shared else []
    best = [(run, cell) for run, cell in best if cell is not None]
    if len(best) > 1:
        best.sort(key=lambda pair: -pair[1]["accuracy"])
        (first, ahead), (second, behind) = best[:2]
        sentence = (
            f"With {100 * min(shared):.2g} % of the labels, {first.name} reaches "
            f"{_said(first, ahead)} and {second.name} {_said(second, behind)}: "
            f"{100 * (ahead['accuracy'] - behind['accuracy']):.1f} points apart"
        )
        seeds = min(len(ahead["by_seed"]), len(behind["by_seed"]))
        if min(ahead["by_seed"]) <= max(behind["by_seed"]):
            sentence += ", and some seed of the second is as good as some of the first: no claim."
        elif seeds < MIN_SEEDS:
            sentence += (
                f". {seeds} pre-training seed(s): an observation; a claim needs {MIN_SEEDS}."
            )
        else:
            sentence += f", each of {len(ahead['by_seed'])} seeds ahead of each of the other's."
        sentences.append(sentence)
    differing = sorted(
        key
        for key in set.union(*({*run.results.get("settings", {})} for run in runs))
        if len({repr(run.results.get("settings", {}).get(key)) for run in runs}) > 1
    )
    if differing:
        sentences.append(
            f"The runs were measured with different {', '.join(differing)}: their figures cannot "
            "be compared as they stand."
        )
    return sentences


def _best(run, fraction):
    cells = [
        cell
        for cell in run.summary
        if cell["fraction"] == fraction and cell["row"].startswith("cpc_")
    ]
    return max(cells, key=lambda cell: cell["accuracy"], default=None)


def _said(run, cell):
    return f"{100 * cell['accuracy']:.1f} % ({row_title(cell['row'], run.method)})"
