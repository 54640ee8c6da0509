"""The tables of methods: what is taken over, and that the page tells it."""

import json
import re

import pytest

from benchmarks import method_tables

KEPT = sorted((method_tables.HERE / "results").glob("tables_*.json"))
COMMON = {"data": "tfds:made_up", "batch_size": 64, "budget": ["minutes", 1.0]}


def entry(row, seed, top_1, **training):
    cell = {"row": row, "table": "linear", "fraction": 1.0, "seed": seed, "num_labels": 100}
    settings = {**COMMON, "row": row, "seed": seed, "fraction": None}
    cells = [{**cell, "top_1": top_1, "top_5": None}]
    return {"settings": settings, "cells": cells, "training": training, "seconds": 60}


@pytest.fixture
def found():
    return {
        "a": entry("rotation", 0, 0.40, epoch=10, loss=1.0, accuracy=0.5),
        "b": entry("rotation", 1, 0.44, epoch=10, loss=2.0, accuracy=0.7),
        "c": {"settings": {**COMMON, "row": "rotation", "timing": True}, "seconds_a_step": 0.58},
        "d": entry("random", 0, 0.30),
    }


def test_own_tasks_are_means_over_seeds_with_the_steps_of_the_budget(found):
    (row,) = method_tables.own_tasks(found)
    expected = {"row": "rotation", "steps": 100, "loss": 1.5, "accuracy": pytest.approx(0.6)}
    assert {name: row[name] for name in expected} == expected
    text = method_tables.format_own_tasks([row], batch_size=64)
    assert "| `rotation` | 100 | 6,400 | 1.50 | 60 % |" in text


def test_a_page_gets_tables_and_pictures_and_keeps_what_else_it_says(found, tmp_path):
    (tmp_path / "images").mkdir()
    page = tmp_path / "methods.md"
    mark = method_tables.MARK.format("made_up")
    page.write_text(f"# Before\n{mark}\nold\n{method_tables.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        method_tables.write("made_up", found, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "42.0 ± 2.8 (2)" in text and text.count("### Linear separability") == 1
    assert (tmp_path / "images" / "methods_made_up_linear.png").exists()
    with pytest.raises(ValueError, match="no place for other"):
        method_tables.write("other", found, page)


@pytest.mark.parametrize(
    ("name", "value"),
    [("learning_rate", 3e-3), ("budget", ["minutes", 2.0]), ("encoder", "small")],
)
def test_results_of_two_protocols_are_refused(found, name, value, tmp_path):
    of_all = {"learning_rate": 1e-3, "encoder": "tiny"}
    for entry in found.values():
        entry["settings"] |= of_all
    file = tmp_path / "results.json"
    file.write_text(json.dumps(found))
    assert method_tables.read(file) == found
    found["b"]["settings"][name] = value
    file.write_text(json.dumps(found))
    told = f"more than one protocol: {name} .* and .*Expected one"
    with pytest.raises(ValueError, match=told):
        method_tables.read(file)


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_the_page_tells_what_is_kept(kept):
    name = kept.stem.removeprefix("tables_")
    text = method_tables.PAGE.read_text(encoding="utf-8")
    assert method_tables.section(name, method_tables.read(kept)) in text
    for picture in re.findall(rf"images/methods_{name}_\w+\.png", text):
        assert (method_tables.PAGE.parent / picture).exists()
