"""The papers' tables as Markdown."""

from collections.abc import Mapping, Sequence

from cpc_keras.evaluation.method_tables import TABLES


def format_method_tables(tables: Mapping[str, Sequence[dict]], *, protocol: str = "") -> str:
    """Write the tables in Markdown.

    Args:
        tables: result of `method_tables`.
        protocol: how it was measured, in Markdown; stands above.

    Returns:
        The text. A cell reads `mean ± deviation over seeds (number of seeds)`, in percent.

    Example:
        >>> print(format_method_tables(method_tables([], built=[])).splitlines()[0])
        ## Linear separability
    """
    parts = [protocol] if protocol else []
    for table, rows in tables.items():
        title, fractions = TABLES[table]
        header = ["method"]
        for fraction in fractions:
            shown = f"{fraction:.0%} of the labels, " if fraction < 1 else ""
            header += [f"{shown}here: top-1", f"{shown}top-5", f"{shown}published"]
        lines = [header, ["---"] * len(header)]
        for row in rows:
            line = [row["title"] + (f" ({row['note']})" if row["note"] else "")]
            for column in row["columns"]:
                ours = [_cell(column, key) for key in ("top_1", "top_5")]
                if not column["top_1"]:
                    state = "not measured" if row["state"] == "measured" else row["state"]
                    ours = [f"*{state}*", ""]
                line += [*ours, _published(column)]
            lines.append(line)
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"## {title}\n\n{text}")
    return "\n\n".join(parts) + "\n"


def _cell(column, key):
    if column[key] is None:
        return ""
    text = f"{column[key]['mean']:.1f}"
    if column[key]["deviation"] is not None:
        text += f" ± {column[key]['deviation']:.1f}"
    return f"{text} ({len(column['seeds'])})"


def _published(column):
    first, fifth = column["published_top_1"], column["published_top_5"]
    parts = [f"top-1 {first}" if first else "", f"top-5 {fifth}" if fifth else ""]
    return ", ".join(part for part in parts if part)
