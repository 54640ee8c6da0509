"""The benchmark of a strategy with one device, and that the page says what was measured."""

import json
import pathlib

import keras
import numpy as np
import pytest

from benchmarks import strategy_overhead
from cpc_keras import CPCModel

PAGE = pathlib.Path(strategy_overhead.HERE).parent / "docs" / "workers.md"


def test_both_sides_make_steps_and_the_ratio_is_that_of_pairs():
    def small():
        model = CPCModel(
            (32, 32, 3),
            patch_encoder="mlp",
            offsets=(2,),
            directions=("down",),
            context_blocks=1,
            context_filters=8,
            patch_augmentation=None,
        )
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        return model

    found = strategy_overhead.measure(3, build_model=small)
    assert set(found["seconds"]) == {"one device", "strategy of one device"}
    low, high = found["quartiles of the ratio"]
    assert 0.1 < low <= found["ratio"] <= high < 10
    assert found["rounds"] == 3 and np.isfinite(list(found["seconds"].values())).all()


@pytest.mark.skipif(not strategy_overhead.RESULTS.exists(), reason="no results are published")
def test_the_page_tells_what_the_file_holds():
    found = json.loads(strategy_overhead.RESULTS.read_text())
    assert f"takes {found['ratio']:.3f} of the time" in PAGE.read_text(encoding="utf-8")
