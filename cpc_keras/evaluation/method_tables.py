"""From measured cells to the papers' tables."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from cpc_keras.evaluation.published_results import PUBLISHED_RESULTS, Published

# Table: title, and the shares of the labels that its columns are of.
TABLES = {
    "linear": ("Linear separability", (1.0,)),
    "low_data": ("Few labels", (0.01, 0.1)),
}
# Rows that stand in every table.
BASELINES = ("supervised", "random", "random_patches")
# The published column of a share of the labels.
PUBLISHED_COLUMNS = {
    1.0: ("top_1", "top_5"),
    0.01: (None, "labels_1"),
    0.1: (None, "labels_10"),
}


def method_tables(
    cells: Sequence[Mapping],
    *,
    built: Iterable[str],
    published: Mapping[str, Published] = PUBLISHED_RESULTS,
) -> dict[str, list[dict]]:
    """Lay measurements out as the tables of linear separability and of few labels.

    Args:
        cells: one dict a measurement: `row`, `table` ("linear" or "low_data"), `fraction`, `seed`,
            `top_1` and `top_5` in [0, 1] (`top_5` may be `None`), `num_labels`.
        built: names of rows whose method is there.
        published: what stands beside them, by row; rows that are only measured follow.

    Returns:
        Of each table its rows: `row`, `title`, `note`, `state` ("measured", "not measured" or "not
        built") and `columns`, for each share of the labels a dict of `fraction`, `num_labels`, and
        for `top_1` and `top_5` of `mean` and `deviation` (over seeds, n - 1; `None` for one), in
        percent, or `None`; of `seeds`, and of `published_top_1` and `published_top_5`, as printed.
        A row stands in a table where it was measured for it or published in it.

    Example:
        >>> cell = {"row": "cpc", "table": "linear", "fraction": 1.0, "seed": 0, "top_1": 0.5,
        ...         "top_5": 0.9, "num_labels": 40}
        >>> tables = method_tables([cell], built=["cpc"])
        >>> [r["columns"][0]["top_1"]["mean"] for r in tables["linear"] if r["row"] == "cpc"]
        [50.0]
    """
    built = set(built)
    names = [*published, *sorted({cell["row"] for cell in cells} - set(published))]
    tables = {}
    for table, (_, fractions) in TABLES.items():
        rows = []
        for name in names:
            known = published.get(name, Published(name))
            columns = [
                _column([c for c in cells if _is(c, name, table, fraction)], known, fraction)
                for fraction in fractions
            ]
            measured = any(column["top_1"] for column in columns)
            printed = any(c["published_top_1"] or c["published_top_5"] for c in columns)
            if measured or printed or name in BASELINES:
                state = "not measured" if name in built else "not built"
                rows.append(
                    {
                        "row": name,
                        "title": known.title,
                        "note": known.note,
                        "state": "measured" if measured else state,
                        "columns": columns,
                    }
                )
        tables[table] = rows
    return tables


def _is(cell, name, table, fraction):
    return (cell["row"], cell["table"], cell["fraction"]) == (name, table, fraction)


def _column(cells, known, fraction):
    column = {
        "fraction": fraction,
        "num_labels": cells[0]["num_labels"] if cells else None,
        "seeds": sorted(cell["seed"] for cell in cells),
    }
    for key, attribute in zip(("top_1", "top_5"), PUBLISHED_COLUMNS[fraction], strict=True):
        values = [100 * cell[key] for cell in cells if cell[key] is not None]
        column[key] = values and {
            "mean": float(np.mean(values)),
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        }
        column[key] = column[key] or None
        column[f"published_{key}"] = getattr(known, attribute) if attribute else ""
    return column
