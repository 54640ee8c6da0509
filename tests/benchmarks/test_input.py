"""The benchmark of input: what waits is told, and the page tells what the file holds."""

import json
import time

import numpy as np

from benchmarks import input as input_benchmark
from tests.benchmarks.test_step import PAGE


def test_what_a_source_takes_is_told_as_waiting_and_the_first_steps_do_not_count(monkeypatch):
    now = [0.0]  # seconds of a clock that only batches and steps move
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def batches():
        while True:
            now[0] += 100.0 if now[0] < 100.0 else 1.0  # the buffers are empty at first
            yield 0.0

    def step(batch):
        now[0] += 3.0
        return batch

    counted = input_benchmark.STEPS - input_benchmark.SKIPPED
    assert input_benchmark._block(step, batches()) == (counted * 1.0, counted * 4.0)


def test_sources_hold_the_same_kind_of_images(tmp_path):
    found = input_benchmark.sources(tmp_path, None, num_images=8)
    assert {name: images[np.arange(2)].shape for name, images in found.items()} == {
        "array": (2, 32, 32, 3),
        "folder, PNG of 32 pixels": (2, 32, 32, 3),
        "folder, JPEG of 256 pixels": (2, 32, 32, 3),
    }
    np.testing.assert_array_equal(
        found["folder, PNG of 32 pixels"][np.arange(2)], found["array"][:2]
    )


def test_the_page_tells_what_was_measured():
    found = json.loads(input_benchmark.RESULTS.read_text())["sources"]
    del found[input_benchmark.SAME]
    assert len(found) == 4
    for name, told in found.items():
        waiting = told["share of the time waiting"]
        assert waiting <= 0.03
        assert f"| {name} | {waiting:.2%} | {told['time, to the same batch']:.2f} |" in PAGE
