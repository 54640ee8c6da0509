"""What a search leaves: the best settings, a table and a plot."""

import csv
import dataclasses
import json
import os
import pathlib
from typing import Any

import yaml

from cpc_keras.training import Recipe


def write_results(
    directory: str | os.PathLike,
    rows: list[dict[str, Any]],
    *,
    best: Recipe | None,
    facts: dict[str, Any],
) -> list[pathlib.Path]:
    """Write `trials.csv`, `trials.json`, `trials.png` and, if there is a best, `best.yaml`.

    Each is written under another name and renamed: a reader never sees half of one.

    Args:
        directory: there already.
        rows: what `trials_table` returns.
        best: settings of the best trial; `None` if every one failed.
        facts: what a run needs beside a recipe: "data", "image_size", "channels".

    Returns:
        The files. `best.yaml` holds the facts and the fields of a `Recipe`, as the `config.yaml`
        of a run does.

    Example:
        >>> rows = [{"trial": "0", "status": "COMPLETED", "probe_accuracy": 0.5, "error": None}]
        >>> [p.name for p in write_results(".", rows, best=Recipe(), facts={"data": "mnist_5k"})]
        ['trials.csv', 'trials.json', 'trials.png', 'best.yaml']
    """
    directory = pathlib.Path(directory)
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "error")) + ["error"]

    def write_csv(path):
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def write_yaml(path):
        # Through JSON, so that tuples become lists, which YAML's safe subset holds.
        settings = json.loads(json.dumps({**dataclasses.asdict(best), **facts}))
        path.write_text(yaml.safe_dump(settings, sort_keys=False))

    files = {
        "trials.csv": write_csv,
        "trials.json": lambda path: path.write_text(json.dumps(rows, indent=1) + "\n"),
        "trials.png": lambda path: _plot(path, rows),
    }
    if best is not None:
        files["best.yaml"] = write_yaml
    for name, write in files.items():
        partial = directory / f".partial-{name}"
        write(partial)
        partial.replace(directory / name)
    return [directory / name for name in files]


def _plot(path, rows):
    from matplotlib.figure import Figure

    scored = [row for row in rows if row["probe_accuracy"] is not None]
    fixed = {"trial", "status", "probe_accuracy", "loss", "error"}
    names = list(dict.fromkeys(key for row in scored for key in row if key not in fixed))
    panels = ["trial", *names]
    num_columns = min(3, len(panels))
    num_rows = -(-len(panels) // num_columns)
    figure = Figure(figsize=(4.2 * num_columns, 3.0 * num_rows), layout="constrained")
    axes = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True).ravel()
    for axis, name in zip(axes, panels, strict=False):
        shown = [row for row in scored if row.get(name) is not None]
        values = [row[name] for row in shown]
        if name == "trial":
            values = [int(value) for value in values]
            failed = [int(row["trial"]) for row in rows if row["status"] == "FAILED"]
            for position in failed:
                axis.axvline(position, color="tab:red", alpha=0.4, linewidth=1)
            if failed:
                axis.set_title("red: failed", fontsize=8, color="tab:red")
        elif not all(isinstance(value, int | float) for value in values):
            order = sorted({str(value) for value in values})
            axis.set_xticks(range(len(order)), order, rotation=30, fontsize=7)
            values = [order.index(str(value)) for value in values]
        elif name in ("temperature", "learning_rate"):
            axis.set_xscale("log")
        axis.plot(values, [row["probe_accuracy"] for row in shown], "o", markersize=4)
        axis.set_xlabel(name)
        axis.set_ylabel("probe accuracy" if axis in axes[::num_columns] else "")
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=120, format="png")
