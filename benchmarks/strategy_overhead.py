"""What a strategy of one device costs beside none: `python -m benchmarks.strategy_overhead`.

Two models of the shape of `benchmarks.step` (64 images, all candidates), equal to the last bit, one
built under a `MirroredStrategy` of one device. Both do the step that `fit` does, with the input
pipeline that `fit` makes for them, in one process, in pairs whose order changes from one to the
next, so that what slows the machine down slows both. A pair gives a ratio of times; the median of
the ratios is the overhead, and its interval is that of a bootstrap over the pairs (95 %).
Results: benchmarks/results/strategy_overhead.json.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks import step
from cpc_keras import CPCModel
from cpc_keras.data import image_batches
from cpc_keras.training.distribution_strategy import scope_of

RESULTS = pathlib.Path(__file__).parent / "results" / "strategy_overhead.json"
# The most that one device under a strategy may take, beside the device alone.
LIMIT = 1.03
SMALL = {
    "patch_encoder": "mlp",
    "offsets": (2,),
    "directions": ("down",),
    "context_blocks": 1,
    "context_filters": 8,
    "patch_augmentation": None,
}


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=41)
    parser.add_argument("--quick", action="store_true", help="a tiny model; needs --out")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.quick and arguments.out is None:
        parser.error("--quick takes the place of no published result: pass --out.")
    found = measure(arguments.pairs, quick=arguments.quick)
    text = json.dumps(found, indent=1)
    (arguments.out or RESULTS).write_text(text + "\n")
    print(text)


def measure(pairs: int, *, quick: bool = False) -> dict:
    """Seconds of a step without and with the strategy, and the ratio of pairs of them."""
    device = (tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))[0]
    strategies = {"none": None, "mirrored": tf.distribute.MirroredStrategy([device.name])}
    steps = {name: _fit_step(strategy, quick) for name, strategy in strategies.items()}
    # The first traces; what follows is also the proof that both do the same.
    losses = {name: [run() for _ in range(3)] for name, run in steps.items()}
    np.testing.assert_allclose(losses["mirrored"], losses["none"], rtol=1e-4)
    times = {name: [] for name in steps}
    for pair in range(pairs):
        for name in list(steps)[:: 1 - 2 * (pair % 2)]:
            started = time.perf_counter()
            steps[name]()
            times[name].append(time.perf_counter() - started)
    return {
        "machine": {**step.machine(), "device": device.device_type},
        "pairs": pairs,
        "seconds": {name: round(float(np.median(x)), 5) for name, x in times.items()},
        **summarize(times["none"], times["mirrored"]),
        "limit": LIMIT,
    }


def summarize(alone, under_strategy) -> dict:
    """Return the median ratio of pairs of times, and its interval.

    Args:
        alone: seconds of each pair's step without the strategy.
        under_strategy: seconds of the same pairs' steps with it.
    """
    ratios = np.asarray(under_strategy) / np.asarray(alone)
    drawn = np.random.default_rng(0).integers(len(ratios), size=(2000, len(ratios)))
    low, high = np.quantile(np.median(ratios[drawn], axis=1), (0.025, 0.975))
    return {
        "ratio": round(float(np.median(ratios)), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
    }


def _fit_step(strategy, quick):
    """What `fit` runs for a step under a strategy, its input pipeline included."""
    with scope_of(strategy):
        keras.utils.set_random_seed(0)
        if quick:
            model = CPCModel((16, 16, 1), seed=0, **SMALL)
            model.compile(optimizer=keras.optimizers.AdamW(1e-3))
        else:
            model = step.build(**step.LOSSES["all candidates"])
        model.optimizer.build(model.trainable_variables)
    batch = 8 if quick else step.BATCH
    images = np.random.default_rng(0).integers(0, 256, (16 * batch, *model.image_shape), "uint8")
    batches = image_batches(images, batch_size=batch)
    if strategy is not None:
        batches = strategy.experimental_distribute_dataset(batches)
    batches = iter(batches)
    model.make_train_function()
    return lambda: float(model.train_function(batches)["loss"])


if __name__ == "__main__":
    main()
