"""The searches that fixed the settings of recipes: `python -m benchmarks.search_settings mnist_5k`.

Every candidate pre-trains for the same number of epochs on the training images, without labels
(those of CIFAR-10 for about the same time: as many steps as five minutes of one core take), and is
scored by a linear probe on its frozen features: 1 % of the labels, 8 draws, accuracy on a quarter
of these images that is held out from the labels. Test images are not touched. What is there is not
measured again. Results: benchmarks/results/NAME_search.json.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import tempfile

import numpy as np

from cpc_keras.augmentations import image_augmentation
from cpc_keras.cli.change_recipe import FIELDS, change_recipe
from cpc_keras.cli.chosen_data import drawn
from cpc_keras.cli.pretrain import build_model
from cpc_keras.data import hold_out, label_subset, load_data
from cpc_keras.evaluation import ProbeRow, extract_features
from cpc_keras.training import RECIPES, Recipe, pretrain

RESULTS = pathlib.Path(__file__).parent / "results"
NUM_DRAWS = 8


@dataclasses.dataclass(frozen=True)
class Search:
    """What is tried on a data set.

    Attributes:
        data: as `load_data` names it.
        num_images: training images, drawn once; `None`: all.
        augmentation: of the labelled images of the probe.
        num_epochs: of pre-training, where a candidate has no number of steps of its own.
        candidates: recipes by name.
    """

    data: str
    num_images: int | None
    augmentation: str
    num_epochs: int
    candidates: dict[str, Recipe]


def _change(of="mnist_5k", **settings):
    named = {name if name in FIELDS else f"model.{name}": value for name, value in settings.items()}
    return change_recipe(RECIPES[of], named)


def _cifar10(steps, **settings):
    return _change("cifar10", steps_per_epoch=steps, **{"encoder_width": 256, **settings})


ALONE = {"independent_targets": False, "image_augmentation": "none"}
V2 = {"patch_augmentation": "cpc_v2"}
ALL_DIRECTIONS = ["down", "up", "right", "left"]
SEARCHES = {
    "mnist_5k": Search(
        data="mnist_5k",
        num_images=None,
        augmentation="digits",
        num_epochs=20,
        candidates={
            "recipe": _change(),
            "recipe, 3 blocks of 64 filters": _change(context_blocks=3),
            "recipe, learning rate 2e-3": _change(learning_rate=2e-3),
            "recipe, 256 sampled candidates": _change(candidates="sampled", num_negatives=256),
            "recipe, features of codes": _change(features="codes"),
            "targets from the same copy": _change(independent_targets=False),
            "no image augmentation": _change(**ALONE),
            "no image augmentation, 3 blocks of 48 filters": _change(
                **ALONE, context_blocks=3, context_filters=48
            ),
            "no image augmentation, offsets 3 to 5": _change(**ALONE, offsets=(3, 4, 5)),
        },
    ),
    "fashion_mnist": Search(
        data="idx:/usr/share/datasets/fashion-mnist",
        num_images=10_000,
        augmentation="photos",
        num_epochs=10,
        candidates={
            "no image augmentation, patch augmentation of CPC v2": _change(
                flip=True, **ALONE, **V2
            ),
            "recipe of MNIST-5k": _change(flip=True),
            "shifts, patch augmentation of CPC v2": _change(
                flip=True, image_augmentation="photos", **V2
            ),
            "no image augmentation": _change(flip=True, **ALONE),
            "shifts": _change(flip=True, image_augmentation="photos"),
        },
    ),
    "cifar10": Search(
        data="tfds:cifar10",
        num_images=None,
        augmentation="none",
        num_epochs=1,
        candidates={
            "codes of 256": _cifar10(2000),
            "batches of 64": _cifar10(1000, batch_size=64, num_anchors=512),
            "four directions": _cifar10(800, directions=ALL_DIRECTIONS),
            "learning rate 1e-3": _cifar10(2000, learning_rate=1e-3),
            "learning rate 5e-3": _cifar10(2000, learning_rate=5e-3),
            # The recipe.
            "codes of 512": _cifar10(1400, encoder_width=512),
            "candidates: same position": _cifar10(
                1800, candidates="same_position", num_anchors=None
            ),
        },
    ),
}


def main() -> None:
    """Try every candidate and save what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SEARCHES)
    parser.add_argument("--epochs", type=int, help="of pre-training, in place of the search's own")
    parser.add_argument("--only", nargs="*", help="candidates")
    parser.add_argument("--out", type=pathlib.Path, help="by default in benchmarks/results")
    arguments = parser.parse_args()
    search = SEARCHES[arguments.name]
    out = arguments.out or RESULTS / f"{arguments.name}_search.json"
    for name, recipe in search.candidates.items():
        if arguments.only and name not in arguments.only:
            continue
        recipe = dataclasses.replace(recipe, num_epochs=arguments.epochs or search.num_epochs)
        entry = {"recipe": _settings(recipe)}
        name += (
            f", {recipe.num_epochs} epochs"
            if recipe.steps_per_epoch is None
            else f", {recipe.num_epochs * recipe.steps_per_epoch} steps"
        )
        if _read(out).get(name, {}).get("recipe") == entry["recipe"]:
            continue
        entry |= _try(search, recipe)
        print(name, json.dumps(entry), flush=True)
        # Read anew: another process may have added to it.
        out.write_text(json.dumps({**_read(out), name: entry}, indent=1) + "\n")


def table(found: dict, base: str) -> str:
    """Write what was found in Markdown, with differences to one of the candidates, draw by draw.

    Args:
        found: what `main` has written.
        base: name of that candidate there.
    """
    lines = ["| settings | accuracy, % | difference, and its standard error |", "|---|---|---|"]
    expected = np.array(found[base]["accuracies_of_draws"])
    for name, entry in found.items():
        differences = 100 * (np.array(entry["accuracies_of_draws"]) - expected)
        error = differences.std(ddof=1) / len(differences) ** 0.5
        told = "" if name == base else f"{differences.mean():+.1f} ± {error:.1f}"
        lines.append(f"| {name} | {100 * entry['mean_accuracy']:.1f} | {told} |")
    return "\n".join(lines)


def _settings(recipe):
    """The settings that are not every recipe's, and the number of epochs."""
    settings, plain = dataclasses.asdict(recipe), dataclasses.asdict(Recipe())
    kept = {k: v for k, v in settings.items() if v != plain[k] or k == "num_epochs"}
    return json.loads(json.dumps(kept))


def _read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _try(search, recipe):
    train = drawn(load_data(search.data).train, search.num_images)

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
        num_classes=int(train.labels.max()) + 1,
        image_augmentation=image_augmentation(search.augmentation, train.image_shape),
    )
    accuracies = []
    for draw in range(NUM_DRAWS):
        index = label_subset(fit.labels, 0.01 * len(train) / len(fit), seed=draw)
        predicted = row.fit_predict(index, fit.labels[index], setting=row.settings[0])
        accuracies.append(float((predicted.argmax(axis=1) == test.labels).mean()))
    return {
        "accuracies_of_draws": accuracies,
        "mean_accuracy": round(float(np.mean(accuracies)), 4),
    }


if __name__ == "__main__":
    main()
