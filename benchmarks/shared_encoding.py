"""What `encoding="shared"` saves and costs: `python -m benchmarks.shared_encoding`.

Times: forward and backward pass of the encoder `valid_cnn` on whole images, patch by patch (patches
are cut in it) and in one pass, with the same weights, by turns in one process; medians. Learning
(`--learn`): the same `CPCModel` on 10,000 images of CIFAR-10 for the same time, patch by patch with
patches augmented, and shared with images augmented, three seeds, a linear probe on 10,000 images
that it has not seen. The time is by the clock for the first seed, on a machine that does nothing
else; the others make its steps. Needs TFDS's cifar10 (`TFDS_DATA_DIR`). What is there is not
measured again. Results: benchmarks/results/shared_encoding.json.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.cifar10_choices import load_images, score
from benchmarks.step import machine
from cpc_keras import CPCModel
from cpc_keras.augmentations import patch_augmentation
from cpc_keras.data import image_batches
from cpc_keras.encoders import count_flops, shared_encoder, valid_cnn
from cpc_keras.ops import extract_patches

RESULTS = pathlib.Path(__file__).parent / "results" / "shared_encoding.json"

# Patch size: side and number of images, so that there are 7x7 patches of each.
SHAPES = {8: (32, 64), 16: (64, 16), 32: (128, 4)}
BATCH_SIZE = 32
SECONDS = 120.0

SIDES = {
    "patch by patch, patches augmented": {"encoding": "patches", "patch_augmentation": "light"},
    "patch by patch, images augmented": {"encoding": "patches", "patch_augmentation": None},
    "shared, images augmented": {"encoding": "shared", "patch_augmentation": None},
}


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--learn", action="store_true", help="measure learning, not times")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of training a run")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()

    def add(part, values):
        found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
        found.setdefault(part, {}).update(values)
        arguments.out.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
        print(json.dumps(values), flush=True)

    if not arguments.learn:
        for size in SHAPES:
            add("times", {f"patch {size}": times(size, arguments.rounds)})
        return
    images = load_images()
    for seed in arguments.seeds:
        for name, options in SIDES.items():
            key = f"{name}, seed {seed}"
            found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
            done = found.get("learning", {})
            if key not in done:
                first = done.get(f"{name}, seed {arguments.seeds[0]}", {})
                budget = (arguments.seconds, first.get("steps"))
                add("learning", {key: learn(options, seed, budget, *images)})


def times(size: int, rounds: int, width: int = 64) -> dict:
    """Median seconds of both ways, their ratio, and how much their codes differ."""
    side, count = SHAPES[size]
    shape, cut = (side, side, 3), {"patch_size": size, "patch_stride": size // 2}
    patch_encoder = valid_cnn((size, size, 3), width=width)
    shared = shared_encoder(patch_encoder, image_shape=shape, **cut)
    images = tf.random.stateless_uniform((count, *shape), (0, 1), 0, 255)

    def by_patch():
        patches = extract_patches(images, **cut)
        return patch_encoder(tf.reshape(patches, (-1, size, size, 3)), training=True)

    ways = {"patch by patch": by_patch, "shared": lambda: shared(images, training=True)}

    def with_gradients(way):
        @tf.function
        def step():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(way()))
            return tape.gradient(loss, [v.value for v in patch_encoder.trainable_variables])

        return lambda: [x.numpy() for x in step()]

    steps = {name: with_gradients(way) for name, way in ways.items()}
    for step in steps.values():
        step()
    taken = {name: [] for name in ways}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - started)
    seconds = {name: float(np.median(values)) for name, values in taken.items()}
    one, other = (np.asarray(way()).reshape(-1, 2 * width) for way in ways.values())
    patches = (shape[0] // (size // 2) - 1) ** 2
    return {
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "ratio": round(seconds["patch by patch"] / seconds["shared"], 2),
        "ratio of operations": round(patches * count_flops(patch_encoder) / count_flops(shared), 2),
        "difference of codes": float(np.abs(one - other).max() / np.abs(one).max()),
        "rounds": rounds,
    }


class _Clock(keras.callbacks.Callback):
    """Ends training when its time, or its steps, are over; the learning rate falls on the way."""

    def __init__(self, seconds, num_steps, rate):
        super().__init__()
        self._seconds, self._num_steps, self._rate, self._start = seconds, num_steps, rate, None
        self.steps = 0

    def on_train_batch_begin(self, batch, logs=None):
        # The first step traces, which is not what is compared.
        if self.steps == 1:
            self._start = time.perf_counter()
        done = 0.0 if self._start is None else time.perf_counter() - self._start
        share = done / self._seconds
        if self._num_steps is not None:
            share = self.steps / (self._num_steps - 1)  # 1 at the last one, which ends it
        share = min(share, 1.0)
        self.model.optimizer.learning_rate = self._rate * 0.5 * (1 + np.cos(np.pi * share))
        if share >= 1.0:
            self.model.stop_training = True

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1


def learn(options: dict, seed: int, budget: tuple, fit, held_out) -> dict:
    """Train for so many seconds, or so many steps where they are known; steps done and accuracy."""
    keras.utils.set_random_seed(seed)
    augmentation = None
    if options["patch_augmentation"] is None:
        # What the other side draws for each patch, drawn for each image.
        augmentation = patch_augmentation("light", fit.image_shape, seed=seed)
    model = CPCModel(
        fit.image_shape,
        patch_encoder=valid_cnn((8, 8, 3), width=32),
        image_augmentation=augmentation,
        context_blocks=2,
        context_filters=64,
        num_anchors=512,
        seed=seed,
        **options,
    )
    model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    clock = _Clock(*budget, 1e-3)
    model.fit(
        image_batches(fit.images, batch_size=BATCH_SIZE, seed=seed),
        steps_per_epoch=10**6,
        callbacks=[clock],
        verbose=0,
    )
    found = score(model.encoder, [fit.images, held_out.images], fit, held_out)
    return {"steps": clock.steps, **found}


if __name__ == "__main__":
    main()
