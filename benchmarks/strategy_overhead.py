"""What a strategy costs where there is one device: `python -m benchmarks.strategy_overhead`.

The `fit` step of `benchmarks.step` (all candidates) under `tf.distribute.MirroredStrategy` with one
device, beside the same step without a strategy; by turns in one process, which comes first by turns
as well. The median of the ratios goes to benchmarks/results/strategy_overhead.json.
"""

import argparse
import json
import pathlib
import time

import numpy as np
import tensorflow as tf

from benchmarks.step import HERE, _train_step, build, machine

RESULTS = HERE / "results" / "strategy_overhead.json"
# The most that a step under the strategy may take, beside one without.
LIMIT = 1.03


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    results = measure(arguments.rounds)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(rounds: int, build_model=build) -> dict:
    """Time both sides `rounds` times by turns; return medians and the median ratio."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        mirrored = build_model()
    steps = {
        "one device": _train_step(build_model()),
        "strategy of one device": _train_step(mirrored),
    }
    for step in steps.values():
        step()  # traced
        step()
    times = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps)[:: 1 if number % 2 else -1]:
            started = time.perf_counter()
            steps[name]()
            times[name].append(time.perf_counter() - started)
    plain, under = (np.array(times[name]) for name in steps)
    return {
        "machine": machine(),
        "seconds": {name: round(float(np.median(t)), 4) for name, t in times.items()},
        "ratio": round(float(np.median(under / plain)), 3),
        "quartiles of the ratio": np.quantile(under / plain, [0.25, 0.75]).round(3).tolist(),
        "limit": LIMIT,
        "rounds": rounds,
    }


if __name__ == "__main__":
    main()
