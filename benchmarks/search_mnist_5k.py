"""The search that fixed the settings of the demo: `python -m benchmarks.search_mnist_5k`.

Every candidate pre-trains for the same time on the 4,000 training images, without labels, and is
scored by the error at 4 labels a class on 1,000 of these images that are held out from the labels.
The demo's 1,000 test images are not touched. Results: benchmarks/results/mnist_5k_search.json.
"""

import argparse
import dataclasses
import json
import pathlib
import tempfile
import time

import keras
import numpy as np

from cpc_keras import CPCModel
from cpc_keras.augmentations import image_augmentation
from cpc_keras.data import Splits, hold_out, image_batches, load_data
from cpc_keras.evaluation import comparison_rows, label_efficiency
from cpc_keras.training import Recipe, pretrain

RESULTS = pathlib.Path(__file__).parent / "results" / "mnist_5k_search.json"

BASE = {
    "patch_encoder": "mlp",
    "candidates": "same_position",
    "context_blocks": 2,
    "context_filters": 64,
    "features": "contexts",
    "pooling": "3x3",
}

CANDIDATES = {
    "mlp": Recipe(BASE, learning_rate=5e-3),
    "mlp, lower learning rate": Recipe(BASE, learning_rate=2e-3),
    "mlp, digits augmented": Recipe(BASE, learning_rate=5e-3, image_augmentation="digits"),
    "mlp, 3 blocks": Recipe({**BASE, "context_blocks": 3}, learning_rate=5e-3),
    "mlp, patches of 12": Recipe({**BASE, "patch_size": 12, "offsets": (3, 4)}, learning_rate=5e-3),
    "mlp, sampled candidates": Recipe(
        {**BASE, "candidates": "sampled", "num_negatives": 256}, learning_rate=5e-3
    ),
    "tiny": Recipe({**BASE, "patch_encoder": "tiny"}, learning_rate=5e-3),
}


def main() -> None:
    """Try every candidate and save what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="pre-training time of each")
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    found = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.only:
        found[name] = _try(CANDIDATES[name], arguments.seconds)
        print(name, json.dumps(found[name]), flush=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


def _try(recipe, seconds):
    train = load_data("mnist_5k").train

    def build():
        return CPCModel(
            train.image_shape,
            image_augmentation=image_augmentation(recipe.image_augmentation, train.image_shape),
            seed=recipe.seed,
            **recipe.model,
        )

    step = _seconds_a_step(build(), train.images, recipe)
    num_epochs = max(1, round(seconds / step / (len(train) // recipe.batch_size)))
    recipe = dataclasses.replace(recipe, num_epochs=num_epochs)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        model = pretrain(build, train.images, run_directory=directory, recipe=recipe)
    took = time.monotonic() - started
    kept, held_out = hold_out(train.labels, seed=0)
    splits = Splits(train.subset(kept), train.subset(held_out))
    rows = comparison_rows(
        model.encoder, build().encoder, splits, num_steps=lambda _: 200, augmentation="digits"
    )
    results = label_efficiency(
        [row for row in rows if row.name in ("cpc_frozen", "cpc_fine_tuned")],
        train_labels=splits.train.labels,
        test_labels=splits.test.labels,
        fractions=(40 / len(splits.train),),
    )
    accuracy = {
        name: round(float(np.mean([r["accuracy"] for r in results if r["row"] == name])), 4)
        for name in ("cpc_frozen", "cpc_fine_tuned")
    }
    return {
        "recipe": dataclasses.asdict(recipe),
        "seconds": round(took),
        "accuracy_at_4_labels_a_class": accuracy,
        "num_draws": 3,
    }


def _seconds_a_step(model, images, recipe):
    model.compile(optimizer=keras.optimizers.AdamW(1e-6))
    batches = image_batches(images, batch_size=recipe.batch_size)
    model.fit(batches, steps_per_epoch=5, verbose=0)
    started = time.monotonic()
    model.fit(batches, steps_per_epoch=30, verbose=0)
    return (time.monotonic() - started) / 30


if __name__ == "__main__":
    main()
