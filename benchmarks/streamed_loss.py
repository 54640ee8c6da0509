"""The streamed InfoNCE beside the whole matrix: `python -m benchmarks.streamed_loss`.

128 images, a 7x7 grid, four directions, offsets 2 to 4, all candidates, 64 dimensions: forward and
gradients of the loss alone. Memory is the growth of the peak of a process that does nothing else;
times are medians by turns in one process. Results: benchmarks/results/streamed_loss.json.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from benchmarks.step import machine
from cpc_keras import InfoNCE
from cpc_keras.ops import DIRECTIONS, rotate_grid

RESULTS = pathlib.Path(__file__).parent / "results" / "streamed_loss.json"
BATCH, ROWS, DIM, OFFSETS = 128, 7, 64, (2, 3, 4)
FORMS = ("dense", "streamed")


def main() -> None:
    """Measure and save, or, with `--peak`, be the process whose memory is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--peak", choices=FORMS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(_peak(arguments.peak, arguments.batch))
        return
    results = measure(arguments.rounds, arguments.batch)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(rounds: int, batch: int) -> dict:
    """Seconds and bytes of both forms, and their ratios."""
    steps = {form: _step(form, batch) for form in FORMS}
    times = {form: [] for form in FORMS}
    results = {form: [np.asarray(x) for x in step()] for form, step in steps.items()}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for form, step in steps.items():
            started = time.perf_counter()
            step()
            times[form].append(time.perf_counter() - started)
    seconds = {form: float(np.median(values)) for form, values in times.items()}
    peaks = {
        form: int(
            subprocess.run(
                [sys.executable, "-m", __spec__.name, "--peak", form, "--batch", str(batch)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()[-1]
        )
        for form in FORMS
    }
    scale = [max(float(np.abs(x).max()), 1e-30) for x in results["dense"]]
    return {
        "machine": machine(),
        "batch": batch,
        "scores": len(DIRECTIONS) * sum(batch * (ROWS - k) * ROWS for k in OFFSETS) * batch * 49,
        "seconds": {form: round(value, 4) for form, value in seconds.items()},
        "peak_bytes": peaks,
        "time, streamed to dense": round(seconds["streamed"] / seconds["dense"], 3),
        "memory, streamed to dense": round(peaks["streamed"] / peaks["dense"], 4),
        # Of loss and gradients, in parts of the largest value.
        "greatest difference": float(
            max(
                np.abs(a - b).max() / s
                for a, b, s in zip(results["dense"], results["streamed"], scale, strict=True)
            )
        ),
    }


def _step(form, batch):
    """A function that gives the loss and its gradients, by the targets first."""
    rng = np.random.default_rng(0)
    targets = tf.constant(rng.normal(size=(batch, ROWS, ROWS, DIM)), "float32")
    predictions = {
        (direction, k): tf.constant(rng.normal(size=(batch, ROWS - k, ROWS, DIM)), "float32")
        for direction in DIRECTIONS
        for k in OFFSETS
    }
    info_nce = InfoNCE()

    def dense():
        turned = {d: rotate_grid(targets, d) for d in DIRECTIONS}
        terms = [
            tf.reduce_mean(info_nce.contrast(turned[d], x).loss)
            for (d, _), x in predictions.items()
        ]
        return sum(terms) / len(terms)

    def streamed():
        return info_nce.contrast_grid(targets, predictions)[0]

    function = {"dense": dense, "streamed": streamed}[form]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([targets, *predictions.values()])
            loss = function()
        return [loss, *tape.gradient(loss, [targets, *predictions.values()])]

    return step


def _peak(form, batch):
    step = _step(form, 2)
    step()  # what a library takes for itself
    step = _step(form, batch)
    before = _high_water()
    for _ in range(2):
        step()
    return _high_water() - before


def _high_water():
    # Not getrusage: its peak begins at that of the process that started this one.
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


if __name__ == "__main__":
    main()
