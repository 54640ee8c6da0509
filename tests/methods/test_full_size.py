"""The papers' models at their full size: shapes, weights, a step."""

import os
import subprocess
import sys

import numpy as np
import pytest

LINUX = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="reads the peak of memory from Linux's /proc"
)
STEP = """
import pathlib, re, sys
import keras, numpy as np
from cpc_keras import methods
from cpc_keras.models import describe

method, batch = sys.argv[1], int(sys.argv[2])
model = getattr(methods, method)()
print("grid", *model.grid)
print("code", model.patch_encoder.output_shape[-1])
print("features", model.encoder.output_shape[-1])
print("encoder", model.patch_encoder.count_params())
print("all", model.network.count_params())
print("told", describe(model, batch_size=batch).step_flops)
images = np.random.default_rng(0).integers(0, 256, (batch, *model.image_shape), "uint8")
features = model.encoder(images)
print("finite", int(np.isfinite(features).all()))
terms = model(images)
print("terms", len(terms) - 1)
model.compile(optimizer="adam")
history = model.fit(images, batch_size=batch, verbose=0).history
print("loss", history["loss"][0])
# Not getrusage: its peak begins at that of the process that started this one.
status = pathlib.Path("/proc/self/status").read_text()
print("peak", int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 2**20)
"""


def step(method, batch):
    done = subprocess.run(
        [sys.executable, "-c", STEP, method, str(batch)], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return {name: [float(v) for v in values] for name, *values in lines}


def resnet_weights(blocks, widths, bottlenecks, channels=1):
    """Weights of the convolutions of a ResNet-v2 with bottlenecks, of one channel, by hand."""
    total, before = 7 * 7 * channels * 64, 64
    for count, width, inner in zip(blocks, widths, bottlenecks, strict=True):
        for block in range(count):
            total += before * width if block == 0 else 0  # the shortcut
            total += before * inner + 9 * inner * inner + inner * width
            before = width
    return total


@pytest.mark.slow
@pytest.mark.alone
@LINUX
def test_v1_trains_a_step_at_full_size():
    found = step("cpc_v1", 2)
    assert found["grid"] == [7, 7]
    assert found["code"] == found["features"] == [1024]
    assert found["finite"] == [1] and found["terms"] == [5]
    assert found["encoder"] == [resnet_weights((3, 4, 23), (256, 512, 1024), (64, 128, 256))]
    assert np.isfinite(found["loss"][0])
    assert found["peak"][0] < 24


@pytest.mark.slow
@pytest.mark.alone
@LINUX
def test_v2_trains_a_step_at_full_size():
    found = step("cpc_v2", 1)
    assert found["grid"] == [6, 6]
    assert found["code"] == found["features"] == [4096]
    assert found["finite"] == [1] and found["terms"] == [12]
    assert found["encoder"] == [303_642_176]  # the paper says 305 million
    assert abs(found["loss"][0] / np.log(36) - 1) < 0.05
    assert found["peak"][0] < 24
