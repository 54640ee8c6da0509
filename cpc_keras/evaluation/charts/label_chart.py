"""Accuracy against the share of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cpc_keras.evaluation.charts.themed_svg import SERIES, legend_title, themed_svg
from cpc_keras.evaluation.summary_table import row_title

if TYPE_CHECKING:
    import matplotlib.figure

# The color of each row; marks and dashes tell them apart without it.
ROW_STYLES = {
    "cpc_fine_tuned": (0, "-", "o"),
    "cpc_frozen": (1, "-", "s"),
    "supervised": (2, "--", "^"),
    "random_frozen": (3, ":", "D"),
    "raw_pixels": (4, ":", "x"),
    "cnn": (5, "--", "v"),
}
MARKS = "os^Dv<>P"


def label_chart(
    curves: Sequence[tuple[str, Sequence[dict]]], *, name: str, by_run: bool = False
) -> str:
    """Draw curves of accuracy over the share of labels, with their spread.

    Bars are one standard deviation: over label draws, or over pre-training seeds where all labels
    leave one draw.

    Args:
        curves: title and cells of `summarize`, all of one row, of each curve.
        name: of the chart, unique in its page.
        by_run: each curve is another run's, and has its place's color; otherwise each row has its
            own.

    Returns:
        An SVG element.
    """
    parts = [
        f"{title}: "
        + ", ".join(f"{100 * c['accuracy']:.1f} % at {100 * c['fraction']:g} %" for c in cells)
        for title, cells in curves
    ]
    return themed_svg(
        lambda figure: draw_label_curves(figure, curves, by_run=by_run),
        name=name,
        description=f"Test accuracy over the share of labels. {'; '.join(parts)}.",
        height=2.6 + 0.17 * len(curves),
    )


def draw_label_curves(
    figure: matplotlib.figure.Figure,
    curves: Sequence[tuple[str, Sequence[dict]]],
    *,
    colors: Sequence[str] = SERIES,
    by_run: bool = False,
) -> None:
    """Draw what `label_chart` draws into a figure.

    Args:
        figure: an empty one.
        curves: as those of `label_chart`.
        colors: at least six, Matplotlib's; by default placeholders of `themed_svg`.
        by_run: as of `label_chart`.
    """
    axes = figure.subplots()
    ticks = sorted({100 * cell["fraction"] for _, cells in curves for cell in cells})
    for place, (title, cells) in enumerate(curves):
        other = (place % len(colors), "-", MARKS[place % len(MARKS)])
        color, dashes, mark = other if by_run else ROW_STYLES.get(cells[0]["row"], other)
        # Bars side by side, where they would hide each other.
        aside = 1.035 ** (place - (len(curves) - 1) / 2)
        axes.errorbar(
            [100 * cell["fraction"] * aside for cell in cells],
            [100 * cell["accuracy"] for cell in cells],
            yerr=[100 * (spread(cell) or 0.0) for cell in cells],
            label=legend_title(title),
            color=colors[color],
            linestyle=dashes,
            marker=mark,
            capsize=2.5,
            elinewidth=1,
        )
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("share of the training labels")
    axes.set_ylabel("test accuracy (%)")
    figure.legend(loc="outside lower left")


def spread(cell: dict) -> float | None:
    """The deviation over label draws, or else over seeds; `None` where there is one value."""
    draws = cell.get("draw_deviation")
    return draws if draws is not None else cell.get("seed_deviation")


def row_curves(summary: Sequence[dict], *, method: str = "cpc") -> list[tuple[str, list[dict]]]:
    """Title and cells of each row of a summary, in its order, of an encoder of a method."""
    rows = dict.fromkeys(cell["row"] for cell in summary)
    return [
        (row_title(row, method), [cell for cell in summary if cell["row"] == row]) for row in rows
    ]
