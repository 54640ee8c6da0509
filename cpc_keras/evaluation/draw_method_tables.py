"""The papers' tables as pictures."""

import os
import pathlib
from collections.abc import Mapping, Sequence

from cpc_keras.evaluation.method_tables import BASELINES, TABLES


def draw_method_tables(
    tables: Mapping[str, Sequence[dict]], directory: str | os.PathLike
) -> list[pathlib.Path]:
    """Draw each table that has a measured row: top-1 by method, with the deviation over seeds.

    Args:
        tables: result of `method_tables`.
        directory: where `linear.png` and `low_data.png` are written.

    Returns:
        The files.

    Example:
        >>> draw_method_tables(method_tables([], built=[]), ".")
        []
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    written = []
    for table, rows in tables.items():
        rows = [row for row in rows if row["state"] == "measured"][::-1]
        if not rows:
            continue
        figure = Figure(figsize=(8, 0.34 * len(rows) + 1.4), layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.add_subplot()
        for number, fraction in enumerate(TABLES[table][1]):
            for position, row in enumerate(rows):
                cell = row["columns"][number]["top_1"]
                if cell:
                    baseline = row["row"] in BASELINES
                    axis.errorbar(
                        cell["mean"],
                        position + 0.12 * number,
                        xerr=cell["deviation"],
                        fmt="so"[baseline],
                        mfc="white" if baseline else None,
                        color=f"C{number}",
                        capsize=3,
                    )
            axis.plot([], [], "s", color=f"C{number}", label=f"{fraction:.0%} of the labels")
        axis.set_yticks(range(len(rows)), [row["title"] for row in rows])
        axis.set_xlabel("top-1 accuracy in % (mean, deviation of seeds; circles: baselines)")
        axis.set_title(TABLES[table][0])
        axis.grid(axis="x", alpha=0.3)
        if len(TABLES[table][1]) > 1:
            axis.legend()
        path = pathlib.Path(directory) / f"{table}.png"
        figure.savefig(path, dpi=130)
        written.append(path)
    return written
