"""The benchmark of starting, and that the page says what was measured."""

import json
import pathlib

import pytest

from benchmarks import startup

PAGE = pathlib.Path(startup.HERE).parent / "docs" / "speed.md"


def test_samples_are_processes_of_their_own_and_medians_are_told():
    sample = "import os; print('a warning'); print(os.getpid(), 0.1, 12.0)"
    found = startup.measure(2, sample=sample)
    assert len(set(found["samples"]["import keras"])) == 2
    assert found["seconds"]["import beside Keras"] == 0.1
    assert found["seconds"]["first fit step"] == 12.0
    # The command is there and answers.
    assert 0 < found["seconds"]["cpc-keras --help"] < 60
    assert all(len(samples) == 2 for samples in found["samples"].values())


@pytest.mark.skipif(not startup.RESULTS.exists(), reason="no results are published")
def test_the_page_tells_what_the_file_holds():
    found = json.loads(startup.RESULTS.read_text())
    page = PAGE.read_text(encoding="utf-8")
    for name, limit in found["limits"].items():
        assert f"| {name} | {found['seconds'][name]:.2g} s | {limit:g} s |" in page
