"""What a step waits for its images: `python -m benchmarks.input`.

The step of benchmarks/step.py with 512 anchors, the shorter of the two, is fed from an array, from
folders of image files that are read as it goes, from TFDS, and with one batch again and again.
Blocks of steps run by turns, so that what is read ahead is read while steps run, as in training; of
a block the first steps, which find the buffers full or empty, do not count. Told are the share of
the time in which a step waited for its batch, and the whole time beside that of the batch that is
there already, since reading takes time from computing where they share cores. Medians of blocks are
saved to benchmarks/results/input.json.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.embed import FILE_SIDE, make_photos
from benchmarks.step import BATCH, LOSSES, SHAPE, build, machine
from cpc_keras.data import image_batches, load_data

RESULTS = pathlib.Path(__file__).parent / "results" / "input.json"
NUM_IMAGES = 64 * BATCH
# Of a block; the first are not counted.
STEPS, SKIPPED = 11, 3
SAME = "the same batch"


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tfds", default="cifar10", help="A dataset under TFDS_DATA_DIR.")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        images = sources(pathlib.Path(directory), arguments.tfds)
        results = measure(images, arguments.rounds)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def sources(directory: pathlib.Path, tfds: str | None, *, num_images: int = NUM_IMAGES) -> dict:
    """Images of each source by its name; those of a folder are files that are not read yet."""
    array = np.random.default_rng(0).integers(0, 256, (num_images, *SHAPE), "uint8")
    small = directory / "small"
    small.mkdir()
    for number, image in enumerate(array):
        keras.utils.save_img(small / f"{number:06d}.png", image, scale=False)
    photos = make_photos(directory / "photos", num_images // 4)
    found = {"array": array}
    for name, folder in (("PNG of 32 pixels", small), (f"JPEG of {FILE_SIDE} pixels", photos)):
        data = load_data(
            f"folder:{folder}", image_size=SHAPE[:2], channels=SHAPE[2], in_memory=False
        )
        found[f"folder, {name}"] = data.train.images
    if tfds:
        found["TFDS"] = load_data(f"tfds:{tfds}").train.images
    return found


def measure(images: dict, rounds: int) -> dict:
    """Run a block of each source by turns, `rounds` times, and return medians of their shares."""
    model = build(**LOSSES["512 anchors"])
    step = tf.function(lambda batch: model.train_step(batch)["loss"], reduce_retracing=True)
    first = next(iter(image_batches(images["array"], batch_size=BATCH)))
    float(step(first))
    batches = {SAME: tf.data.Dataset.from_tensors(first).repeat()}
    batches |= {name: image_batches(given, batch_size=BATCH) for name, given in images.items()}
    blocks = {name: [] for name in batches}
    for _ in range(rounds):
        for name, dataset in batches.items():
            blocks[name].append(_block(step, iter(dataset)))
    whole = np.median([total for _, total in blocks[SAME]])
    return {
        "machine": machine(),
        "images": len(images["array"]),
        "batch": BATCH,
        "steps of a block": STEPS - SKIPPED,
        "rounds": rounds,
        "sources": {
            name: {
                "share of the time waiting": round(float(np.median([w / t for w, t in told])), 5),
                "time, to the same batch": round(float(np.median([t for _, t in told]) / whole), 3),
            }
            for name, told in blocks.items()
        },
    }


def _block(step, batches):
    """Seconds of waiting, and in all, of the steps that count."""
    waited = total = 0.0
    for number in range(STEPS):
        started = time.perf_counter()
        batch = next(batches)
        there = time.perf_counter()
        float(step(batch))
        if number >= SKIPPED:
            waited += there - started
            total += time.perf_counter() - started
    return waited, total


if __name__ == "__main__":
    main()
    # TFDS leaves threads behind that keep the process.
    os._exit(0)
