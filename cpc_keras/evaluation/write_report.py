"""The page that shows what pre-training was worth."""

import base64
import io
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from cpc_keras.evaluation.summary_table import ROW_TITLES, verdict

# Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
ROW_COLORS = {
    "cpc_fine_tuned": "#0072B2",
    "cpc_frozen": "#56B4E9",
    "supervised": "#D55E00",
    "random_frozen": "#E69F00",
    "raw_pixels": "#999999",
    "cnn": "#CC79A7",
}


def write_report(
    path: str | os.PathLike,
    *,
    title: str,
    summary: Sequence[dict],
    protocol: str,
    facts: dict[str, str],
    history: Sequence[dict] = (),
    neighbors: Sequence[dict] = (),
) -> pathlib.Path:
    """Write a self-contained HTML page: verdict, table, curves, nearest neighbours, facts.

    Args:
        path: HTML file to write; replaced if there is one.
        title: heading.
        summary: result of `summarize`.
        protocol: how it was measured, in a sentence or two.
        facts: further facts by name, for example the command and versions.
        history: one dict an epoch of pre-training with `epoch`, `loss`, `mutual_information` and,
            on held-out images, `val_loss` and `val_mutual_information`.
        neighbors: one dict a query with `image` uint8 `[h, w, c]`, `label`, and `neighbors`, a
            list of such dicts.

    Returns:
        The path.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cpc_keras.evaluation"), autoescape=True
    )
    cells = {(cell["row"], cell["fraction"]): cell for cell in summary}
    num_labels = {cell["fraction"]: cell["num_labels"] for cell in summary}
    rows = list(dict.fromkeys(cell["row"] for cell in summary))
    page = environment.get_template("report.html").render(
        title=title,
        verdict=verdict(summary),
        protocol=protocol,
        facts=facts,
        rows=[
            (ROW_TITLES.get(row, row), [cells.get((row, f)) for f in sorted(num_labels)])
            for row in rows
        ],
        fractions=sorted(num_labels.items()),
        label_plot=_label_plot(summary),
        training_plot=_training_plot(history) if history else None,
        neighbors=[_with_pictures(query) for query in neighbors],
    )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _figure(width, height):
    # The object interface: pyplot would keep global state and pick a window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure


def _svg(figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _label_plot(summary) -> str:
    figure = _figure(7.2, 4.4)
    axes = figure.subplots()
    for row in dict.fromkeys(cell["row"] for cell in summary):
        cells = [cell for cell in summary if cell["row"] == row]
        deviation = [cell["draw_deviation"] or 0.0 for cell in cells]
        axes.errorbar(
            [100 * cell["fraction"] for cell in cells],
            [100 * cell["accuracy"] for cell in cells],
            yerr=[100 * d for d in deviation],
            label=ROW_TITLES.get(row, row),
            color=ROW_COLORS.get(row),
            linestyle="-" if row.startswith("cpc_") else "--",
            marker="o",
            capsize=3,
        )
    ticks = sorted({100 * cell["fraction"] for cell in summary})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{t:g} %" for t in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("share of the training labels")
    axes.set_ylabel("test accuracy (%)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    return _svg(figure)


def _training_plot(history) -> str:
    figure = _figure(7.2, 3.2)
    left, right = figure.subplots(1, 2)
    epochs = [h["epoch"] for h in history]
    for axes, key, text in (
        (left, "loss", "InfoNCE loss (nats)"),
        (right, "mutual_information", "ln N - loss (nats)"),
    ):
        axes.plot(epochs, [h[key] for h in history], label="training", marker=".", color="#0072B2")
        held_out = [(h["epoch"], h[f"val_{key}"]) for h in history if f"val_{key}" in h]
        if held_out:
            axes.plot(*np.transpose(held_out), label="held-out", marker=".", color="#D55E00")
        axes.set_xlabel("epoch")
        axes.set_ylabel(text)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)
    return _svg(figure)


def _with_pictures(item):
    return {
        **item,
        "picture": _png(item["image"]),
        "neighbors": [_with_pictures(n) for n in item.get("neighbors", ())],
    }


def _png(image) -> str:
    import PIL.Image

    # Channels beyond grey and colour have no picture of their own: their mean is shown.
    if image.shape[-1] not in (1, 3):
        image = image.mean(axis=-1, keepdims=True).astype("uint8")
    picture = PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
