"""The search that fixed the settings of the demo: `python -m benchmarks.search_mnist_5k`.

Every candidate pre-trains for the same number of epochs on the 4,000 training images, without
labels, and is scored by a linear probe on its frozen features: 4 labels a class, 8 draws, accuracy
on 1,000 of these images that are held out from the labels. The demo's 1,000 test images are not
touched. What is there is not measured again. Results: benchmarks/results/mnist_5k_search.json.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import tempfile

import numpy as np

from cpc_keras.augmentations import image_augmentation
from cpc_keras.cli.pretrain import build_model, override
from cpc_keras.data import hold_out, label_subset, load_data
from cpc_keras.evaluation import ProbeRow, extract_features
from cpc_keras.training import RECIPES, Recipe, pretrain

RESULTS = pathlib.Path(__file__).parent / "results" / "mnist_5k_search.json"
RECIPE = RECIPES["mnist_5k"]
change = functools.partial(override, RECIPE, seed=RECIPE.seed)


ALONE = {"independent_targets": False, "image_augmentation": "none"}
CANDIDATES = {
    "recipe": RECIPE,
    "recipe, 3 blocks of 64 filters": change(context_blocks=3),
    "recipe, learning rate 2e-3": change(learning_rate=2e-3),
    "recipe, 256 sampled candidates": change(candidates="sampled", num_negatives=256),
    "recipe, features of codes": change(features="codes"),
    "targets from the same copy": change(independent_targets=False),
    "no image augmentation": change(**ALONE),
    "no image augmentation, 3 blocks of 48 filters": change(
        **ALONE, context_blocks=3, context_filters=48
    ),
    "no image augmentation, offsets 3 to 5": change(**ALONE, offsets=(3, 4, 5)),
}
NUM_DRAWS = 8


def main() -> None:
    """Try every candidate and save what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="of pre-training")
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), choices=CANDIDATES)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in arguments.only:
        recipe = dataclasses.replace(CANDIDATES[name], num_epochs=arguments.epochs)
        entry = {"recipe": _settings(recipe)}
        name = f"{name}, {recipe.num_epochs} epochs"
        if _read(arguments.out).get(name, {}).get("recipe") == entry["recipe"]:
            continue
        entry |= _try(recipe)
        print(name, json.dumps(entry), flush=True)
        # Read anew: another process may have added to it.
        found = {**_read(arguments.out), name: entry}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


def _settings(recipe):
    """The settings that are not every recipe's, and the number of epochs."""
    settings, plain = dataclasses.asdict(recipe), dataclasses.asdict(Recipe())
    kept = {k: v for k, v in settings.items() if v != plain[k] or k == "num_epochs"}
    return json.loads(json.dumps(kept))


def _read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _try(recipe):
    train = load_data("mnist_5k").train

    with tempfile.TemporaryDirectory() as directory:
        model = pretrain(
            lambda: build_model(recipe, train.image_shape),
            train.images,
            run_directory=directory,
            recipe=recipe,
        )
    kept, held_out = hold_out(train.labels, seed=0)
    fit, test = train.subset(kept), train.subset(held_out)
    row = ProbeRow(
        "cpc_frozen",
        functools.partial(extract_features, model.encoder),
        train_images=fit.images,
        test_images=test.images,
        num_classes=10,
        image_augmentation=image_augmentation("digits", train.image_shape),
    )
    accuracies = []
    for draw in range(NUM_DRAWS):
        index = label_subset(fit.labels, 40 / len(fit), seed=draw)
        predicted = row.fit_predict(index, fit.labels[index], setting=row.settings[0])
        accuracies.append(float((predicted.argmax(axis=1) == test.labels).mean()))
    return {
        "accuracies_of_draws": accuracies,
        "mean_accuracy": round(float(np.mean(accuracies)), 4),
    }


if __name__ == "__main__":
    main()
