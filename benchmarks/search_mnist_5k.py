"""The search that fixed the settings of the demo: `python -m benchmarks.search_mnist_5k`.

Every candidate pre-trains for the same number of epochs on the 4,000 training images, without
labels, and is scored by the accuracy at 4 labels a class on 1,000 of these images that are held out
from the labels. The demo's 1,000 test images are not touched. What is there is not measured again.
Results: benchmarks/results/mnist_5k_search.json.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import tempfile
import time

import numpy as np

from cpc_keras import CPCModel
from cpc_keras.augmentations import image_augmentation
from cpc_keras.cli.pretrain import override
from cpc_keras.data import Splits, hold_out, load_data
from cpc_keras.evaluation import comparison_rows, label_efficiency
from cpc_keras.training import RECIPES, pretrain

RESULTS = pathlib.Path(__file__).parent / "results" / "mnist_5k_search.json"
RECIPE = RECIPES["mnist_5k"]
change = functools.partial(override, RECIPE, seed=RECIPE.seed)


CANDIDATES = {
    "recipe": RECIPE,
    "learning rate 2e-3": change(learning_rate=2e-3),
    "batches of 32": change(batch_size=32),
    "3 blocks of 32 filters": change(context_blocks=3, context_filters=32),
    "image augmentation": change(image_augmentation="digits"),
    "patches of 12 pixels": change(patch_size=12, offsets=(3, 4)),
    "256 sampled candidates": change(candidates="sampled", num_negatives=256),
    "features of codes": change(features="codes"),
}


def main() -> None:
    """Try every candidate and save what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="of pre-training")
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in arguments.only:
        recipe = dataclasses.replace(CANDIDATES[name], num_epochs=arguments.epochs)
        entry = {"recipe": json.loads(json.dumps(dataclasses.asdict(recipe)))}
        if _read(arguments.out).get(name, {}).get("recipe") == entry["recipe"]:
            continue
        entry |= _try(recipe)
        print(name, json.dumps(entry), flush=True)
        # Read anew: another process may have added to it.
        found = {**_read(arguments.out), name: entry}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


def _read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _try(recipe):
    train = load_data("mnist_5k").train

    def build():
        return CPCModel(
            train.image_shape,
            image_augmentation=image_augmentation(recipe.image_augmentation, train.image_shape),
            seed=recipe.seed,
            **recipe.model,
        )

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        model = pretrain(build, train.images, run_directory=directory, recipe=recipe)
    took = time.monotonic() - started
    kept, held_out = hold_out(train.labels, seed=0)
    splits = Splits(train.subset(kept), train.subset(held_out))
    rows = comparison_rows(
        model.encoder, build().encoder, splits, num_steps=lambda _: 150, augmentation="digits"
    )
    results = label_efficiency(
        [row for row in rows if row.name in ("cpc_frozen", "cpc_fine_tuned")],
        train_labels=splits.train.labels,
        test_labels=splits.test.labels,
        fractions=(40 / len(splits.train),),
    )
    accuracies = {
        name: [r["accuracy"] for r in results if r["row"] == name]
        for name in ("cpc_frozen", "cpc_fine_tuned")
    }
    return {
        "pre_training_seconds": round(took),
        "accuracies_of_draws": accuracies,
        "mean_accuracy": {name: round(float(np.mean(a)), 4) for name, a in accuracies.items()},
    }


if __name__ == "__main__":
    main()
