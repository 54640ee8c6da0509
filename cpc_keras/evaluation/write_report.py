"""The page that shows what pre-training was worth."""

import base64
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from cpc_keras.evaluation.charts.course_chart import course_chart
from cpc_keras.evaluation.charts.label_chart import label_chart, row_curves
from cpc_keras.evaluation.compare_runs import compare_runs
from cpc_keras.evaluation.feature_verdict import feature_verdict
from cpc_keras.evaluation.labels_saved import labels_saved
from cpc_keras.evaluation.run_evidence import RunEvidence
from cpc_keras.evaluation.summary_table import method_title, row_title, verdict

NUM_COLORS = 8

# With more classes a matrix cannot be read; the most frequent confusions are listed.
MOST_CLASSES = 20
NUM_LISTED = 12

# Metric of the held-out images beside that of training, and what the chart is called.
COURSES = (
    (("loss", "val_loss"), "Loss", "nats"),
    (("mutual_information", "val_mutual_information"), "ln N - loss", "nats"),
    (("knn_accuracy", "linear_accuracy"), "Accuracy of probes", "%"),
    (("effective_rank",), "Effective rank of the features", "dimensions"),
)
PROTOCOL_TITLES = {"linear_probe": "linear probe", "nearest_neighbors": "nearest neighbors"}
FURTHER_METRICS = {
    "top_5": "Top-5 accuracy in %",
    "balanced_accuracy": "Balanced accuracy in %",
    "auroc": "AUROC, in %",
}
METRIC_TITLES = {
    "loss": "training",
    "mutual_information": "training",
    "val_loss": "held-out",
    "val_mutual_information": "held-out",
    "knn_accuracy": "kNN",
    "linear_accuracy": "linear",
    "effective_rank": "effective rank",
}


def write_report(
    path: str | os.PathLike, runs: Sequence[RunEvidence], *, title: str
) -> pathlib.Path:
    """Write a self-contained HTML page about one run, or about several beside each other.

    Summary in a sentence, accuracy over the share of labels, course of the training, confusion
    matrix, nearest neighbors, map of the features, retrieved patches, and how all of it was made;
    what a run does not hold is left out, and named. The page loads nothing, runs no script, follows
    the reader's light or dark theme, and is written to be read by screen readers too.

    Args:
        path: HTML file to write; replaced if there is one.
        runs: what is known of each, one or more.
        title: heading.

    Returns:
        The path.

    Raises:
        ValueError: no run, or two of one name.
    """
    import jinja2

    names = [run.name for run in runs]
    if not runs or len(set(names)) < len(names):
        raise ValueError(
            f"A report is about one or more runs, each with a name of its own. Received: {names}."
        )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cpc_keras.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    several = len(runs) > 1
    page = environment.get_template("report.html").render(
        title=title,
        several=several,
        sentences=compare_runs(runs),
        comparison=_comparison(runs) if several else None,
        comparison_charts=_comparison_charts(runs) if several else [],
        courses=_courses(runs),
        iteration_chart=_iteration_chart(runs),
        runs=[_section(run, place, several) for place, run in enumerate(runs)],
        num_colors=NUM_COLORS,
    )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    # Names of files need not be UTF-8.
    partial.write_text(page, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
    return path


def _section(run, place, several):
    summary, pictures = run.summary, run.pictures
    history = run.histories[0] if run.histories else []
    has_labels = any(c["row"].startswith("cpc_") for c in summary) and any(
        not c["row"].startswith("cpc_") for c in summary
    )
    missing = [
        name
        for name, there in (
            ("accuracy with few labels", summary),
            ("confusion matrix, neighbors and map", pictures),
        )
        if not there
    ]
    return {
        "id": f"run-{place}",
        "name": run.name,
        "saved": labels_saved(summary, method=run.method) if summary else "",
        "verdict": verdict(summary, method=run.method) if has_labels else "",
        "features": feature_verdict(history) or "",
        "missing": missing,
        "table": _table(summary, run.method),
        "label_chart": label_chart(row_curves(summary, method=run.method), name=f"labels-{place}")
        if summary and not several
        else "",
        "further": _further_tables(summary, run.method),
        "all_labels": _all_labels(run.results.get("protocols", ())),
        "protocol": run.results.get("protocol", ""),
        "spread": _spread_note(summary),
        "has_intervals": any(cell.get("interval") for cell in summary),
        "confusion": _confusion(pictures),
        "confusion_note": str(run.results.get("confusion_of", "")),
        "neighbors": _neighbors(pictures),
        "map": _map(pictures),
        "patches": _patches(pictures),
        "facts": {**run.facts, **run.results.get("facts", {})},
        "config": run.config,
    }


def _table(summary, method):
    if not summary:
        return None
    cells = {(cell["row"], cell["fraction"]): cell for cell in summary}
    labels = {cell["fraction"]: cell["num_labels"] for cell in summary}
    best = {
        fraction: max(c["accuracy"] for c in summary if c["fraction"] == fraction)
        for fraction in labels
    }
    return {
        "header": [
            (f"{100 * fraction:g} %", f"{labels[fraction]} labels") for fraction in sorted(labels)
        ],
        "rows": [
            (
                row_title(row, method),
                [_cell(cells.get((row, fraction)), best[fraction]) for fraction in sorted(labels)],
            )
            for row in dict.fromkeys(cell["row"] for cell in summary)
        ],
    }


def _comparison(runs):
    runs = [run for run in runs if run.summary]
    if len(runs) < 2:
        return None
    fractions = sorted({cell["fraction"] for run in runs for cell in run.summary})
    rows = []
    for run in runs:
        for row in dict.fromkeys(cell["row"] for cell in run.summary):
            cells = {c["fraction"]: c for c in run.summary if c["row"] == row}
            seeds = max(len(cell["by_seed"]) for cell in cells.values())
            title = f"{run.name}: {row_title(row, run.method)} (n = {seeds})"
            rows.append((title, [_cell(cells.get(fraction)) for fraction in fractions]))
    return {"header": [(f"{100 * fraction:g} %", "") for fraction in fractions], "rows": rows}


def _cell(cell, best=None):
    if cell is None:
        return {"text": "-", "best": False}
    parts = [f"{100 * cell['accuracy']:.1f}"]
    for key in ("draw_deviation", "seed_deviation"):
        if cell.get(key) is not None:
            parts.append(f"{100 * cell[key]:.1f}")
    low, high = cell.get("interval") or (None, None)
    interval = "" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
    return {"text": " ± ".join(parts), "interval": interval, "best": cell["accuracy"] == best}


def _further_tables(summary, method):
    """The other metrics that were measured, each a table of means as that of the accuracy."""
    tables = []
    for metric, title in FURTHER_METRICS.items():
        cells = [
            {"row": c["row"], "fraction": c["fraction"], "num_labels": c["num_labels"]}
            | {"accuracy": c["metrics"][metric]}
            for c in summary
            if c.get("metrics", {}).get(metric) is not None
        ]
        if cells:
            tables.append((title, _table(cells, method)))
    return tables


def _all_labels(results):
    """What the protocols with all labels found: a row for each of them and each seed."""

    def percent(result, name):
        value = result.get(name)
        return "-" if value is None else f"{100 * value:.1f}"

    rows = []
    for result in results:
        name = PROTOCOL_TITLES.get(result["protocol"], result["protocol"])
        low, high = result.get("intervals", {}).get("top_1", (None, None))
        interval = "" if low is None else f"{100 * low:.1f} to {100 * high:.1f}"
        cells = [{"text": percent(result, "top_1"), "interval": interval}]
        cells += [{"text": percent(result, name)} for name in FURTHER_METRICS]
        rows.append((f"{name}, seed {result.get('seed', 0)}", cells))
    if not rows:
        return None
    header = [("accuracy", ""), ("top-5", ""), ("balanced", ""), ("AUROC", "")]
    return {"header": header, "rows": rows}


def _spread_note(summary):
    if not summary:
        return ""
    seeds = max(len(cell["by_seed"]) for cell in summary)
    draws = max(len(cell["by_draw"]) for cell in summary)
    text = f"Mean ± standard deviation over label draws (n = {draws}; all labels are one draw)"
    if seeds > 1:
        return f"{text} ± standard deviation over pre-training seeds (n = {seeds})."
    return f"{text}; one pre-training seed, so how much another would differ is not known."


def _comparison_charts(runs):
    charts = []
    rows = dict.fromkeys(cell["row"] for run in runs for cell in run.summary)
    methods = {method_title(run.method) for run in runs if run.summary}
    method = methods.pop() if len(methods) == 1 else "pre-trained"
    for row in rows:
        curves = [(run.name, [c for c in run.summary if c["row"] == row]) for run in runs]
        curves = [(name, cells) for name, cells in curves if cells]
        if row.startswith("cpc_") and len(curves) > 1:
            chart = label_chart(curves, name=f"compared-{row.replace('_', '-')}", by_run=True)
            charts.append((row_title(row, method), chart))
    return charts


def _courses(runs):
    charts = []
    for number, (metrics, title, unit) in enumerate(COURSES):
        lines = []
        for place, run in enumerate(runs):
            for history in run.histories:
                for order, metric in enumerate(metrics):
                    lines += _lines(run, place, history, metric, order, len(runs) > 1, unit)
        if lines:
            charts.append(course_chart(lines, name=f"course-{number}", title=title, unit=unit))
    return charts


def _lines(run, place, history, metric, order, several, unit):
    def points(name):
        factor = 100 if unit == "%" else 1
        found = [(row["epoch"], factor * row[name]) for row in history if name in row]
        return [(x, y) for x, y in found if np.isfinite(y)]

    before = f"{run.name}, " if several else ""
    color = place if several else 2 * order  # blue and orange
    lines = []
    for name, title, dashes in (
        (metric, METRIC_TITLES[metric], order),
        (f"{metric}_untrained", f"{METRIC_TITLES[metric]}, before training", 2),
    ):
        # Beside other runs' lines a legend of all would leave no room for the chart.
        if points(name) and not (several and dashes == 2):
            lines.append(
                {
                    "title": before + title,
                    "points": points(name),
                    "color": color,
                    "dashes": dashes,
                }
            )
    return lines


def _iteration_chart(runs):
    lines, x_title = [], "epoch"
    for place, run in enumerate(runs):
        for order, curve in enumerate(run.iteration_curves):
            points = [point for point in curve if "accuracy" in point]
            if not points:
                continue
            x_title = "epoch" if all("epoch" in point for point in points) else "step"
            row = points[0].get("protocol", "")
            title = PROTOCOL_TITLES.get(row, row) or "accuracy"
            seed = f", seed {order}" if len(run.iteration_curves) > 1 else ""
            lines.append(
                {
                    "title": (f"{run.name}, {title}" if len(runs) > 1 else title) + seed,
                    "points": sorted((p[x_title], 100 * p["accuracy"]) for p in points),
                    "color": place if len(runs) > 1 else order,
                    "dashes": order % 3,
                }
            )
    if not lines:
        return ""
    title = "Accuracy against pre-training"
    return course_chart(lines, name="iterations", title=title, unit="%", x_title=x_title)


def _confusion(pictures):
    matrix = pictures.get("confusion")
    if matrix is None:
        return None
    names = [str(name) for name in pictures["class_names"]]
    right, total = int(np.trace(matrix)), int(matrix.sum())
    found = {"right": right, "total": total, "accuracy": f"{100 * right / max(total, 1):.1f}"}
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    if len(names) <= MOST_CLASSES:
        rows = [
            (name, [(int(n), f"{s:.2f}") for n, s in zip(counts, shares, strict=True)])
            for name, counts, shares in zip(names, matrix, share, strict=True)
        ]
        return {**found, "names": names, "rows": rows}
    wrong = matrix * (1 - np.eye(len(names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:NUM_LISTED]
    listed = [
        (names[i], names[j], int(wrong[i, j]), f"{100 * share[i, j]:.0f}")
        for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[i, j]
    ]
    return {**found, "listed": listed}


def _neighbors(pictures):
    if "query_images" not in pictures:
        return []
    names = pictures["class_names"]
    return [
        {
            "picture": _png(image),
            "label": names[label],
            "near": [
                {"picture": _png(n), "label": names[k], "same": bool(k == label)}
                for n, k in zip(near, near_labels, strict=True)
            ],
        }
        for image, label, near, near_labels in zip(
            pictures["query_images"],
            pictures["query_labels"],
            pictures["near_images"],
            pictures["near_labels"],
            strict=True,
        )
    ]


def _map(pictures):
    if "map_points" not in pictures:
        return None
    names, labels = pictures["class_names"], pictures["map_labels"]
    images = pictures["map_images"]
    aspect = images.shape[1] / images.shape[2]
    width, height = (4.0, 4.0 * aspect) if aspect <= 1 else (4.0 / aspect, 4.0)
    items = [
        {
            "picture": _png(image),
            "x": f"{0.5 + (99 - width) * float(x):.2f}",
            "y": f"{0.5 + (74 - height) * float(y):.2f}",
            "name": names[label],
            "color": int(label) % NUM_COLORS,
            "dashed": int(label) // NUM_COLORS % 2 == 1,
        }
        for image, (x, y), label in zip(images, pictures["map_points"], labels, strict=True)
    ]
    shown = [int(label) for label in np.unique(labels)]
    legend = [(names[k], k % NUM_COLORS, k // NUM_COLORS % 2 == 1) for k in shown]
    return {
        "width": f"{width:.2f}",
        "height": f"{height:.2f}",
        "items": items,
        "legend": legend if len(legend) <= 2 * NUM_COLORS else [],
    }


def _patches(pictures):
    if "patch_images" not in pictures:
        return None
    (side_x, side_y), (step_x, step_y) = pictures["patch_side"], pictures["patch_step"]

    def box(place):
        return {
            "x": f"{100 * place[1] * step_x:.2f}",
            "y": f"{100 * place[0] * step_y:.2f}",
            "width": f"{100 * side_x:.2f}",
            "height": f"{100 * side_y:.2f}",
        }

    number, top_1, top_5 = pictures["patch_scores"]
    contexts = [
        {
            "picture": _png(pictures["patch_images"][k]),
            "context": box(pictures["patch_context"][k]),
            "target": box(pictures["patch_target"][k]),
            "direction": str(pictures["patch_direction"][k]),
            "offset": int(pictures["patch_offset"][k]),
            "rank": int(pictures["patch_rank"][k]),
            "true": _png(pictures["patch_true"][k]),
            "found": [
                {"picture": _png(patch), "is_true": bool(is_true)}
                for patch, is_true in zip(
                    pictures["patch_found"][k], pictures["patch_is_true"][k], strict=True
                )
            ],
        }
        for k in range(len(pictures["patch_images"]))
    ]
    return {
        "num_candidates": int(number),
        "top_1": f"{100 * top_1:.1f}",
        "top_5": f"{100 * top_5:.1f}",
        "chance": f"{100 / number:.2g}",
        "contexts": contexts,
    }


def _png(image) -> str:
    import PIL.Image

    picture = PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
