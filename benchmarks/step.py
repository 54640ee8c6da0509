"""What a training step costs beside its encoder: `python -m benchmarks.step`.

A fixed shape, so that figures compare over time: 64 images of 32x32x3, patches of 8 at stride 4 (a
7x7 grid), four directions, offsets 2 to 4; a pre-activation ResNet of 32, 64 and 256 channels, one
block each, one-group normalisation (10 MFLOP a patch); three masked context blocks of 128.

The floor is the forward and backward pass of encoder and context alone, on patches that are already
cut. All parts run by turns in one process. Told are medians of each round's ratios to its floor:
what else the machine does for a while then falls on both. They are saved, with the machine, to
benchmarks/results/step.json, and drawn. Absolute times belong to the machine.
"""

import argparse
import json
import os
import pathlib
import platform
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from cpc_keras import CPCModel
from cpc_keras.encoders import resnet_v2
from cpc_keras.encoders.trace_layers import trace_layers
from cpc_keras.models import describe

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "step.json"
PICTURE = HERE.parent / "docs" / "images" / "step.png"
BATCH, SHAPE, PATCH = 64, (32, 32, 3), (8, 8, 3)
LOSSES = {
    "512 anchors": {"num_anchors": 512, "candidates": "sampled", "num_negatives": 511},
    "all candidates": {"candidates": "all"},
}
# The most that a full step may take, in floors.
LIMITS = {"512 anchors": 1.10, "all candidates": 1.35}
# What is measured of the step with all candidates, each with all before it. The optimizer comes
# with the metrics; the step that has its input besides is what is called the `fit` step.
STAGES = (
    "floor",
    "+ predictions and targets",
    "+ cutting",
    "+ augmentation",
    "+ loss",
    "+ optimizer",
    "+ input",
    "+ logging",
)
FIT_STEP = {"512 anchors": "fit step, 512 anchors", "all candidates": "+ input"}


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--picture", type=pathlib.Path, default=PICTURE)
    parser.add_argument("--draw", action="store_true", help="only draw what is saved")
    arguments = parser.parse_args()
    if arguments.draw:
        _draw(json.loads(arguments.out.read_text()), arguments.picture)
        return
    results = measure(arguments.rounds)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
    _draw(results, arguments.picture)


def measure(rounds: int) -> dict:
    """Run everything by turns, `rounds` times, and return medians of seconds and of ratios."""
    models = {name: build(**options) for name, options in LOSSES.items()}
    model = models["all candidates"]
    steps = {"matrix product": _matrix_product(), "bare convolutions": _bare_convolutions(model)}
    steps |= _stages(model)
    steps["+ optimizer"] = _train_step(model, same_batch=True)
    steps |= {FIT_STEP[name]: _train_step(other) for name, other in models.items()}
    steps = {name: _timed(step) for name, step in steps.items()}
    times = {name: [] for name in (*steps, "+ logging")}
    with tempfile.TemporaryDirectory() as directory:
        steps["+ logging"] = _logged_step(model, pathlib.Path(directory))
        for step in steps.values():
            step()  # traced
            step()
        order = np.random.default_rng(0)
        for _ in range(rounds):
            # Not always behind the same one, which leaves its traces in memory and caches.
            for name in order.permutation(list(steps)):
                times[name].append(steps[name]())
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    floors = {
        name: float(np.median(np.divide(values, times["floor"]))) for name, values in times.items()
    }
    told = describe(model, batch_size=BATCH)
    flops = 3 * BATCH * sum(told.image_flops.values())
    return {
        "machine": machine(),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "in floors": {name: round(value, 3) for name, value in floors.items()},
        "gflops": {
            "of a step, encoder and heads": round(flops / 1e9, 1),
            "a second, matrix product": round(_PRODUCT / seconds["matrix product"] / 1e9),
            "a second, floor": round(flops / seconds["floor"] / 1e9),
        },
        "limits in floors": LIMITS,
        "rounds": rounds,
    }


def build(**options) -> CPCModel:
    """The model of the fixed shape."""
    encoder = resnet_v2(PATCH, widths=(32, 64, 256), blocks=(1, 1, 1))
    model = CPCModel(
        SHAPE,
        patch_encoder=encoder,
        context_blocks=3,
        context_filters=128,
        patch_augmentation="light",
        seed=0,
        **options,
    )
    model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    return model


def machine() -> dict:
    """What ran it."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    wanted = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
    return {
        "processor": fields.get("model name", platform.processor()),
        "instructions": sorted(wanted & set(fields.get("flags", "").split())),
        "cores": os.cpu_count(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }


def _timed(step):
    """The seconds that it takes."""

    def seconds():
        started = time.perf_counter()
        step()
        return time.perf_counter() - started

    return seconds


_SIDE = 2048
_PRODUCT = 2 * _SIDE**3


def _matrix_product():
    a, b = (tf.random.normal((_SIDE, _SIDE)) for _ in range(2))
    product = tf.function(lambda: tf.matmul(a, b))
    return lambda: product().numpy()


def _bare_convolutions(model):
    """Every convolution and dense layer of the floor alone: its output and both gradients."""
    calls = []
    codes = keras.Input((*model.grid, model.patch_encoder.output_shape[-1]))
    contexts = keras.Model(codes, list(_contexts(model, codes).values()))
    for part, batch in ((model.patch_encoder, BATCH * 49), (contexts, BATCH)):
        trace_layers(
            part,
            lambda layer: isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)),
            lambda layer, x, y, batch=batch: calls.append((layer, (batch, *x.shape[1:]))),
        )
    first = calls[0][0]
    runs = []
    for layer, shape in calls:
        inputs = tf.random.normal(shape)

        @tf.function
        def run(inputs, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer.convolution_op(inputs, layer.kernel)
            wanted = [layer.kernel.value] if layer is first else [layer.kernel.value, inputs]
            return tape.gradient(outputs, wanted, output_gradients=outputs)

        runs.append((run, inputs))
    return lambda: [run(inputs)[0].numpy() for run, inputs in runs]


def _contexts(model, codes):
    return model._contexts(codes, model._context_of, skipped_rows=2)


def _stages(model):
    """The stages of a step that come before the whole, each with its gradients."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE)).astype("float32")
    images = tf.constant(images)

    def cut():
        return tf.reshape(model.network.get_layer("patch_grid")(images), (-1, *PATCH))

    patches = cut()
    floor = [*model.patch_encoder.trainable_variables, *model.context_network.trainable_variables]
    every = model.network.trainable_variables

    def codes(patches):
        return tf.reshape(model.patch_encoder(patches, training=True), (BATCH, *model.grid, -1))

    def summed(outputs):
        return sum(tf.reduce_sum(x) for x in outputs.values())

    def heads(grid):
        return summed(model.heads(grid, grid))

    def of_network():
        return model.network(images, training=True)

    def loss():
        return model.compute_loss(y_pred=of_network(), training=True)

    forward = {
        "floor": (lambda: summed(_contexts(model, codes(patches))), floor),
        "+ predictions and targets": (lambda: heads(codes(patches)), every),
        "+ cutting": (lambda: heads(codes(cut())), every),
        "+ augmentation": (lambda: summed(of_network()), every),
        "+ loss": (loss, every),
    }

    def with_gradients(function, variables):
        @tf.function
        def step():
            with tf.GradientTape() as tape:
                result = function()
            return tape.gradient(result, [v.value for v in variables])

        return lambda: step()[0].numpy()

    return {name: with_gradients(*value) for name, value in forward.items()}


def _batches():
    from cpc_keras.data import image_batches

    images = np.random.default_rng(0).integers(0, 256, (16 * BATCH, *SHAPE), "uint8")
    return image_batches(images, batch_size=BATCH)


def _train_step(model, *, same_batch=False):
    """What `fit` runs for a step, with its input pipeline or without."""
    batches = _batches()
    if same_batch:
        batches = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    batches = iter(model.distribute_strategy.experimental_distribute_dataset(batches))
    model.make_train_function()
    return lambda: float(model.train_function(batches)["loss"])


def _logged_step(model, directory):
    """A step within `fit`, with the callbacks of `training.pretrain`: from begin to begin."""
    from cpc_keras.training.callbacks import (
        Checkpoints,
        EpochSeeds,
        MetricsCSV,
        TrainingProgress,
    )
    from cpc_keras.training.stop_at_nan import StopAtNaN

    begins = []
    clock = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: begins.append(time.perf_counter())
    )
    batches = _batches()

    def seconds():
        begins.clear()
        checkpoints, steps = directory / "checkpoints", 3
        progress = TrainingProgress(1, steps)
        callbacks = [
            StopAtNaN(checkpoints=checkpoints),
            EpochSeeds(0),
            MetricsCSV(directory / "metrics.csv"),
            progress,
            Checkpoints(checkpoints, 2, steps),
        ]
        options = {"steps_per_epoch": steps, "shuffle": False, "verbose": 0}
        model.fit(batches, callbacks=[clock, *callbacks], **options)
        progress.close()
        return begins[2] - begins[1]  # the first step of `fit` waits for its input

    return seconds


def _draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    floors = results["in floors"]
    bars = {stage: floors[stage] for stage in STAGES}
    bars |= {name: floors[name] for name in ("fit step, 512 anchors", "bare convolutions")}
    figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
    places = range(len(bars))[::-1]
    axis.barh(places, bars.values(), color=["C1", *["C0"] * (len(bars) - 2), "0.6"])
    for place, value in zip(places, bars.values(), strict=True):
        axis.text(value - 0.01, place, f"{value:.2f}", va="center", ha="right", color="white")
    for name, limit in LIMITS.items():
        place = list(bars).index(FIT_STEP[name])
        axis.plot([limit] * 2, [places[place] - 0.4, places[place] + 0.4], color="C3")
    axis.set_yticks(places, bars)
    axis.set_xlabel("time, in floors (encoder and context alone); red: the aim")
    axis.set_xlim(0, 1.15 * max(bars.values()))
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
