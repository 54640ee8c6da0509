"""The benchmark of a strategy with one device."""

import json

import numpy as np
import pytest

from benchmarks import strategy_overhead


def test_a_ratio_is_that_of_pairs_and_not_of_what_slows_both_down():
    rng = np.random.default_rng(0)
    # A machine that grows ten times slower in the middle: medians of each alone tell little.
    alone = 0.1 * np.where(np.arange(40) < 19, 1, 10)
    under = alone * rng.normal(1.02, 0.005, 40)
    found = strategy_overhead.summarize(alone, under)
    low, high = found["interval"]
    assert found["ratio"] == pytest.approx(1.02, abs=0.004)
    assert low < found["ratio"] < high and high - low < 0.01
    assert strategy_overhead.summarize(under, alone)["ratio"] < 1


@pytest.mark.slow
def test_a_strategy_of_one_device_does_the_same_step(tmp_path):
    found = strategy_overhead.measure(3, quick=True)
    assert found["pairs"] == 3 and found["seconds"].keys() == {"none", "mirrored"}
    assert min(found["seconds"].values()) > 0 and found["ratio"] > 0


def test_what_is_published_holds_the_limit():
    if not strategy_overhead.RESULTS.exists():
        pytest.skip("not measured yet")
    found = json.loads(strategy_overhead.RESULTS.read_text())
    assert found["pairs"] >= 20
    assert found["ratio"] <= strategy_overhead.LIMIT == found["limit"]
