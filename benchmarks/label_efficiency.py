"""Tables and pictures of docs/label_efficiency.md.

    cpc-keras evaluate RUN ... --out OUT
    python -m benchmarks.label_efficiency --take OUT NAME

takes results.json of OUT over into benchmarks/results as NAME_label_efficiency.json; without --take
the page is written anew from what is there.
"""

import argparse
import json
import pathlib
import statistics

from cpc_keras.evaluation import format_table
from cpc_keras.evaluation.charts.label_chart import draw_label_curves, row_curves
from cpc_keras.evaluation.labels_saved import labels_saved

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent / "docs" / "label_efficiency.md"
ENDING = "_label_efficiency"
MARK, END = "<!-- {} of benchmarks/label_efficiency.py -->", "<!-- its end -->"
SCRATCH = ("supervised", "cnn")
PROTOCOLS = {"linear_probe": "CPC, frozen + linear probe", "nearest_neighbors": "nearest neighbors"}


def results() -> dict[str, dict]:
    """What was measured, by data set."""
    kept = sorted((HERE / "results").glob(f"*{ENDING}.json"))
    return {path.stem.removesuffix(ENDING): json.loads(path.read_text()) for path in kept}


def has_networks(result: dict) -> bool:
    """Whether CPC was measured beside both networks from scratch, so that claims can be judged."""
    return {*SCRATCH} <= {cell["row"] for cell in result["summary"]}


def claim(summary: list[dict]) -> dict:
    """How far two claims about CPC hold.

    They are that with 1 % of the labels it is about 20 points above the same network trained on the
    labels alone, and that a fifth of the labels is enough for what that network needs all for.

    Args:
        summary: cells of `cpc_keras.evaluation.summarize`.

    Returns:
        "labels" (number of the smallest share), accuracies at it of the better row of CPC ("cpc"),
        the same network ("same") and the better of both networks from scratch ("scratch"); those
        two with all labels ("same_all", "scratch_all"); and the smallest measured shares at which
        CPC has at least as much ("share_same", "share_scratch"), or `None`.
    """
    accuracy = {(c["row"], c["fraction"]): c["accuracy"] for c in summary}
    shares = sorted({c["fraction"] for c in summary})

    def best(rows, share):
        return max(accuracy[row, share] for row in rows)

    def ours(share):
        return best(("cpc_frozen", "cpc_fine_tuned"), share)

    def reached(goal):
        return next((share for share in shares if ours(share) >= goal), None)

    few, every = shares[0], shares[-1]
    told = {
        "labels": next(c["num_labels"] for c in summary if c["fraction"] == few),
        "cpc": ours(few),
        "same": accuracy["supervised", few],
        "scratch": best(SCRATCH, few),
        "same_all": accuracy["supervised", every],
        "scratch_all": best(SCRATCH, every),
    }
    return {
        **told,
        "share_same": reached(told["same_all"]),
        "share_scratch": reached(told["scratch_all"]),
    }


def claims_table(found: dict[str, dict]) -> str:
    """The claims for each data set, in Markdown."""

    def share(value):
        return "not reached" if value is None else f"with {value:.0%}"

    lines = [
        "| data | CPC with 1 % of the labels | same network, labels only | points above it "
        "| points above the better network from scratch | CPC reaches what the same network has "
        "with all labels | what the better network from scratch has with all |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, result in found.items():
        if not has_networks(result):
            continue
        told = claim(result["summary"])
        lines.append(
            f"| {name} ({told['labels']} labels) | {100 * told['cpc']:.1f} "
            f"| {100 * told['same']:.1f} | {100 * (told['cpc'] - told['same']):+.1f} "
            f"| {100 * (told['cpc'] - told['scratch']):+.1f} "
            f"| {100 * told['same_all']:.1f}: {share(told['share_same'])} "
            f"| {100 * told['scratch_all']:.1f}: {share(told['share_scratch'])} |"
        )
    return "\n".join(lines)


def section(name: str, result: dict) -> str:
    """What the page holds of a data set."""
    picture = f"![Accuracy over the share of labels](images/{name}{ENDING}.png)"
    parts = (
        format_table(result["summary"], markdown=True),
        all_labels_table(result.get("protocols", ())),
        iteration_table(result.get("iteration_curves", ())),
        picture if has_networks(result) else "",
        result["verdict"],
        labels_saved(result["summary"]),
        f"{result['protocol']} [Figures](../benchmarks/results/{name}{ENDING}.json).",
    )
    return "\n\n".join(part for part in parts if part)


def all_labels_table(protocols: list[dict]) -> str:
    """What the protocols with all labels found, over the pre-training seeds; "" of none."""
    if not protocols:
        return ""
    (labels,) = {result["num_labels"] for result in protocols}
    lines = [f"| with all {labels} labels | top-1 in % | top-5 |", "| --- | --- | --- |"]
    for protocol, title in PROTOCOLS.items():
        found = [result for result in protocols if result["protocol"] == protocol]
        lines.append(f"| {title} | {_spread(found, 'top_1')} | {_spread(found, 'top_5')} |")
    return "\n".join(lines)


def iteration_table(curves: list[list[dict]]) -> str:
    """Nearest neighbors after so many epochs, over the pre-training seeds; "" of no curves."""
    if not curves:
        return ""
    points = list(zip(*curves, strict=True))
    lines = [
        ["epochs of pre-training", *(str(seeds[0]["epoch"]) for seeds in points)],
        ["---"] * (1 + len(points)),
        ["nearest neighbors, top-1 in %", *(_spread(seeds, "accuracy") for seeds in points)],
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _spread(results, name):
    """Mean and deviation of a share in [0, 1], in percent."""
    values = [100 * result[name] for result in results]
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def draw(name: str, result: dict, directory: pathlib.Path) -> None:
    """Draw the curves of a data set."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    draw_label_curves(
        figure, row_curves(result["summary"]), colors=[f"C{number}" for number in range(8)]
    )
    figure.axes[0].grid(alpha=0.3)
    figure.savefig(directory / f"{name}{ENDING}.png", dpi=130)


def write(found: dict[str, dict], page: pathlib.Path = PAGE) -> None:
    """Put tables and pictures into the page, between their marks."""
    text = page.read_text(encoding="utf-8")
    parts = {"claims": claims_table(found)}
    parts |= {name: section(name, result) for name, result in found.items()}
    for name, part in parts.items():
        mark = MARK.format(name)
        before, _, rest = text.partition(mark)
        _, _, after = rest.partition(END)
        if not after:
            raise ValueError(f"{page} has no place for {name}. Expected the lines {mark}, {END}.")
        text = f"{before}{mark}\n{part}\n{END}{after}"
    page.write_text(text, encoding="utf-8")
    for name, result in found.items():
        if has_networks(result):
            draw(name, result, page.parent / "images")


def take(out: pathlib.Path, name: str) -> None:
    """Take the results of an evaluation over."""
    result = json.loads((out / "results.json").read_text())
    kept = HERE / "results" / f"{name}{ENDING}.json"
    kept.write_text(json.dumps(result, indent=1))


def main() -> None:
    """Take results over, and write what is told of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--take", nargs=2, metavar=("OUT", "NAME"))
    arguments = parser.parse_args()
    if arguments.take:
        out, name = arguments.take
        take(pathlib.Path(out), name)
    write(results())


if __name__ == "__main__":
    main()
