"""Tables and pictures of docs/methods.md: `python -m benchmarks.method_tables [--take OUT]`.

`cpc-keras tables --out OUT` measures; its results.json is taken over into benchmarks/results as
tables_NAME.json, from where a later run goes on: copy it back into an empty OUT.

    cpc-keras tables --data tfds:cifar10 --out OUT
    python -m benchmarks.method_tables --take OUT
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np

from cpc_keras.cli.tables import RANDOM
from cpc_keras.evaluation import draw_method_tables, format_method_tables, method_tables
from cpc_keras.methods.table_rows import table_rows

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent / "docs" / "methods.md"
MARK, END = "<!-- {} of benchmarks/method_tables.py -->", "<!-- its end -->"
# What all results of a table have in common, and what those have that depend on it.
COMMON = ("data", "pixels", "encoder", "batch_size", "budget")
RATES = ("learning_rate", "learning_rates", "ratio")


def path(name: str) -> pathlib.Path:
    """Where the results of a data set are kept."""
    return HERE / "results" / f"tables_{name}.json"


def read(file: pathlib.Path) -> dict:
    """Read what `cpc-keras tables` has kept, of one protocol.

    Raises:
        ValueError: results of several data sets, encoders, budgets or rates: they would pass for
            further seeds of a row.
    """
    found = json.loads(file.read_text())
    values: dict[str, set] = {}
    for entry in found.values():
        settings = entry["settings"]
        # Steps are timed of all rows, whatever their ratio.
        names = COMMON if settings.get("timing") else (*COMMON, *RATES)
        for name in names:
            if name in settings:
                values.setdefault(name, set()).add(json.dumps(settings[name]))
    several = [f"{name} {' and '.join(sorted(of))}" for name, of in values.items() if len(of) > 1]
    if several:
        raise ValueError(
            f"{file} holds results of more than one protocol: {'; '.join(several)}. Expected one. "
            "Measure each in a directory of its own (cpc-keras tables --out), or take the results "
            "of one into a new one."
        )
    return found


def tables(found: dict) -> dict[str, list[dict]]:
    """Lay out what `cpc-keras tables` has kept."""
    cells = [cell for entry in found.values() for cell in entry.get("cells", ())]
    return method_tables(cells, built=[*RANDOM, *table_rows()])


def own_tasks(found: dict) -> list[dict]:
    """What each method without labels has learned of its own task.

    Args:
        found: what `cpc-keras tables` has kept.

    Returns:
        Of each row its name, the number of training steps, and means over seeds of the metrics of
        the last epoch. Budgets are in steps or minutes.
    """
    seconds = {
        e["settings"]["row"]: e["seconds_a_step"] for e in found.values() if "seconds_a_step" in e
    }
    rows = []
    for row in table_rows():
        entries = [
            e
            for e in found.values()
            if e["settings"]["row"] == row and e["settings"].get("fraction") is None
        ]
        trained = [e["training"] for e in entries if e.get("training")]
        if not trained:
            continue
        unit, budget = entries[0]["settings"]["budget"]
        steps = budget if unit == "steps" else 60 * budget / seconds[row]
        rows.append(
            {
                "row": row,
                "steps": 10 * round(steps / 10),
                **{
                    name: float(np.mean([t[name] for t in trained]))
                    for name in ("loss", "accuracy")
                    if all(name in t for t in trained)
                },
            }
        )
    return rows


def format_own_tasks(rows: list[dict], batch_size: int) -> str:
    """Write `own_tasks` in Markdown."""
    lines = [
        "| method | steps | images seen | loss | accuracy of its task |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        accuracy = f"{100 * row['accuracy']:.3g} %" if "accuracy" in row else ""
        lines.append(
            f"| `{row['row']}` | {row['steps']:,} | {row['steps'] * batch_size:,} "
            f"| {row['loss']:.2f} | {accuracy} |"
        )
    return "\n".join(lines)


def section(name: str, found: dict) -> str:
    """What the page holds of a data set."""
    batch_size = next(iter(found.values()))["settings"]["batch_size"]
    shown = "\n".join(
        f"![{table.replace('_', ' ')}](images/methods_{name}_{table}.png)"
        for table in ("linear", "low_data")
    )
    parts = [
        format_method_tables(tables(found)).replace("## ", "### "),
        shown,
        "### Each method's own task, at the end of its training",
        format_own_tasks(own_tasks(found), batch_size),
    ]
    return "\n\n".join(part.strip() for part in parts)


def write(name: str, found: dict, page: pathlib.Path = PAGE) -> None:
    """Put tables and pictures of a data set into the page, between its marks."""
    text = page.read_text(encoding="utf-8")
    mark = MARK.format(name)
    before, _, rest = text.partition(mark)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"{page} has no place for {name}. Expected the lines {mark} and {END}.")
    page.write_text(f"{before}{mark}\n{section(name, found)}\n{END}{after}", encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        for picture in draw_method_tables(tables(found), directory):
            target = page.parent / "images" / f"methods_{name}_{picture.name}"
            target.write_bytes(picture.read_bytes())


def main() -> None:
    """Take results over, and write what is told of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--take", type=pathlib.Path, help="directory of cpc-keras tables")
    arguments = parser.parse_args()
    if arguments.take:
        found = read(arguments.take / "results.json")
        data = next(iter(found.values()))["settings"]["data"]
        path(data.rpartition(":")[2]).write_text(json.dumps(found, indent=1) + "\n")
    for kept in sorted((HERE / "results").glob("tables_*.json")):
        write(kept.stem.removeprefix("tables_"), read(kept))


if __name__ == "__main__":
    main()
