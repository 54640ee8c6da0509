"""What a training step costs beside its encoder: `python -m benchmarks.step`.

A fixed shape, so that figures compare over time: 64 images of 32x32x3, patches of 8 at stride 4 (a
7x7 grid), four directions, offsets 2 to 4; a pre-activation ResNet of 32, 64 and 256 channels, one
block each, one-group normalisation (10 MFLOP a patch); three masked context blocks of 128.

The floor is the forward and backward pass of encoder and context alone, on patches that are already
cut. All parts run by turns in one process; the medians are saved, with the machine, to
benchmarks/results/step.json, and drawn. Absolute times belong to the machine; compare ratios.
"""

import argparse
import json
import os
import pathlib
import platform
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
# What is measured of the step with all candidates, each with all before it.
STAGES = ("floor", "+ predictions and targets", "+ cutting, augmentation", "+ loss", "fit step")


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
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
    """Run everything by turns, `rounds` times, and return medians in seconds, and ratios."""
    models = {name: build(**options) for name, options in LOSSES.items()}
    model = models["all candidates"]
    steps = {"matrix product": _matrix_product(), "bare convolutions": _bare_convolutions(model)}
    steps |= _stages(model)
    for name, other in models.items():
        steps[f"fit step, {name}"] = _fit_step(other)
    times = {name: [] for name in steps}
    for step in steps.values():
        step()  # traced
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - started)
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    floor = seconds["floor"]
    told = describe(model, batch_size=BATCH)
    flops = 3 * BATCH * sum(told.image_flops.values())
    return {
        "machine": machine(),
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "in floors": {name: round(value / floor, 3) for name, value in seconds.items()},
        "bare convolutions in floors": round(seconds["bare convolutions"] / floor, 3),
        "gflops": {
            "of a step, encoder and heads": round(flops / 1e9, 1),
            "a second, matrix product": round(_PRODUCT / seconds["matrix product"] / 1e9),
            "a second, floor": round(flops / floor / 1e9),
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
    patches = model.network.get_layer("patch_grid")(images)
    patches = tf.reshape(patches, (-1, *PATCH))
    floor = [*model.patch_encoder.trainable_variables, *model.context_network.trainable_variables]
    every = model.network.trainable_variables

    def codes():
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
        "floor": (lambda: summed(_contexts(model, codes())), floor),
        "+ predictions and targets": (lambda: heads(codes()), every),
        "+ cutting, augmentation": (lambda: summed(of_network()), every),
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


def _fit_step(model):
    """What `fit` runs for a step, its input pipeline included."""
    from cpc_keras.data import image_batches

    images = np.random.default_rng(0).integers(0, 256, (16 * BATCH, *SHAPE), "uint8")
    batches = image_batches(images, batch_size=BATCH)
    batches = iter(model.distribute_strategy.experimental_distribute_dataset(batches))
    model.make_train_function()
    return lambda: float(model.train_function(batches)["loss"])


def _draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    floors = results["in floors"]
    bars = {stage: floors[stage] for stage in STAGES[:-1]}
    bars |= {f"fit step, {name}": floors[f"fit step, {name}"] for name in LOSSES}
    bars["bare convolutions"] = floors["bare convolutions"]
    figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
    places = range(len(bars))[::-1]
    axis.barh(places, bars.values(), color=["C1", *["C0"] * (len(bars) - 2), "0.6"])
    for place, value in zip(places, bars.values(), strict=True):
        axis.text(value - 0.01, place, f"{value:.2f}", va="center", ha="right", color="white")
    for name, limit in LIMITS.items():
        place = list(bars).index(f"fit step, {name}")
        axis.plot([limit] * 2, [places[place] - 0.4, places[place] + 0.4], color="C3")
    axis.set_yticks(places, bars)
    axis.set_xlabel("time, in floors (encoder and context alone); red: the aim")
    axis.set_xlim(0, 1.15 * max(bars.values()))
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
