"""What CPC's choices are worth on CIFAR-10: `python -m benchmarks.cifar10_choices`.

Every candidate pre-trains the `tiny` encoder on the same 10,000 training images without labels, for
the same number of steps, with three seeds; a linear probe on its mean-pooled features, fitted on
the labels of these images, is scored on 10,000 further training images, so that the test set stays
unseen by what is chosen here. Beside them stand a random encoder, raw pixels, and the same network
trained on the labels. Needs TFDS's cifar10 (`TFDS_DATA_DIR`). What is there is not measured again;
several processes may share the work (`--only`, `--seeds`). Results:
benchmarks/results/cifar10_choices.json; `--report` makes the table and the picture of the docs.
"""

import argparse
import fcntl
import json
import pathlib
import tempfile
import time

import keras
import numpy as np

from cpc_keras import CPCModel
from cpc_keras.augmentations import image_augmentation
from cpc_keras.data import image_batches, load_data
from cpc_keras.evaluation import LinearProbe, NetworkRow, extract_features, image_classifier
from cpc_keras.methods import cpc_v1, cpc_v2
from cpc_keras.training import Recipe, pretrain

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results" / "cifar10_choices.json"
PICTURE = HERE.parent / "docs" / "images" / "cifar10_choices.png"

SMALL = {
    "patch_encoder": "tiny",
    "patch_size": 8,
    "patch_stride": 4,
    "context_blocks": 2,
    "context_filters": 64,
    # The base of the comparison, not `CPCModel`'s default, which follows from it.
    "patch_augmentation": "light",
    # For time: the expected loss is that of all predictions.
    "num_anchors": 512,
}
NUM_IMAGES = 10_000
NUM_EPOCHS = 2
BATCH_SIZE = 32
REGULARIZATIONS = (1.0, 30.0)

CPC_V2 = {"offsets": (2, 3, 4), "patch_augmentation": "cpc_v2"}

# Name: method, its options, whether images are grey.
CANDIDATES = {
    "base": (CPCModel, {}, False),
    "CPC v1, grey": (cpc_v1, {"offsets": (2, 3, 4), "patch_augmentation": "cpc_v1"}, True),
    "CPC v2": (cpc_v2, CPC_V2, False),
    "CPC v2, one direction": (cpc_v2, {**CPC_V2, "directions": ("down",)}, False),
    "CPC v2, no normalization": (cpc_v2, {**CPC_V2, "normalization": "none"}, False),
    "CPC v2, one group": (cpc_v2, {**CPC_V2, "normalization": "group"}, False),
    "one direction": (CPCModel, {"directions": ("down",)}, False),
    "offsets 1 to 3, overlapping": (
        CPCModel,
        {"offsets": (1, 2, 3), "allow_overlap": True},
        False,
    ),
    "candidates: same position": (CPCModel, {"candidates": "same_position"}, False),
    "candidates: 256 sampled": (
        CPCModel,
        {"candidates": "sampled", "num_negatives": 256},
        False,
    ),
    "no normalization": (CPCModel, {"normalization": "none"}, False),
    "layer normalization": (CPCModel, {"normalization": "layer"}, False),
    "no patch augmentation": (CPCModel, {"patch_augmentation": None}, False),
}
# What each is compared with, where that is not the base.
COMPARED_WITH = {
    "CPC v2, one direction": "CPC v2",
    "CPC v2, no normalization": "CPC v2",
    "CPC v2, one group": "CPC v2",
}
BASELINES = ("random encoder", "raw pixels", "labels only")


def main() -> None:
    """Measure what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__)
    everything = [*CANDIDATES, *BASELINES]
    parser.add_argument("--only", nargs="*", default=everything, choices=everything)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="print the table, draw the picture")
    arguments = parser.parse_args()
    if arguments.report:
        report(_read(arguments.out))
        return
    fit, held_out = load_images()
    for seed in arguments.seeds:
        for name in arguments.only:
            key = f"{name}, seed {seed}"
            if name == "raw pixels" and seed:
                continue  # nothing in it is drawn
            if key in _read(arguments.out):
                continue
            entry = {"name": name, "seed": seed, **_measure(name, seed, fit, held_out)}
            print(key, json.dumps(entry), flush=True)
            _add(arguments.out, key, entry)


def load_images():
    """The 10,000 training images to learn from, and the 10,000 to score on."""
    train = load_data("tfds:cifar10").train
    order = np.random.default_rng(0).permutation(len(train))
    return tuple(train.subset(order[n : n + NUM_IMAGES]) for n in (0, NUM_IMAGES))


def _measure(name, seed, fit, held_out):
    if name == "raw pixels":
        pixels = [
            x.images.reshape(len(x.images), -1).astype("float32") / 255 for x in (fit, held_out)
        ]
        return _probe(*pixels, fit.labels, held_out.labels)
    if name == "labels only":
        return _supervised(seed, fit, held_out)
    method, options, grey = CANDIDATES.get(name, CANDIDATES["base"])
    images = [_grey(x.images) if grey else x.images for x in (fit, held_out)]

    def build():
        small = {**SMALL, **options}
        return method(images[0].shape[1:], seed=seed, **small)

    if name == "random encoder":
        keras.utils.set_random_seed(seed)
        return score(build().encoder, images, fit, held_out)
    recipe = Recipe(num_epochs=NUM_EPOCHS, batch_size=BATCH_SIZE, seed=seed)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as directory:
        model = pretrain(build, images[0], run_directory=directory, recipe=recipe)
    seconds = time.process_time() - started
    unseen = model.evaluate(
        image_batches(images[1][:2048], batch_size=BATCH_SIZE, shuffle=False, epochs=1),
        verbose=0,
        return_dict=True,
    )
    return {
        **score(model.encoder, images, fit, held_out),
        "processor_seconds": round(seconds),
        "held_out": {k: round(v, 4) for k, v in unseen.items()},
    }


def _grey(images):
    # Of the primaries of ITU-R BT.601, as image libraries do it.
    return np.round(images @ np.float32([0.299, 0.587, 0.114]))[..., None].astype("uint8")


def score(encoder, images, fit, held_out) -> dict:
    """Accuracy of a linear probe on an encoder's features, and its regularization."""
    features = [extract_features(encoder, x) for x in images]
    return _probe(*features, fit.labels, held_out.labels)


def _probe(train, test, train_labels, test_labels):
    """Accuracy of the better of two regularizations, chosen on a fifth of the labels held out."""
    kept = len(train) * 4 // 5

    def accuracy(regularization, x, y, unseen, truth):
        probe = LinearProbe(regularization).fit(x, y)
        return float((probe.classes[probe.predict_proba(unseen).argmax(axis=1)] == truth).mean())

    tried = {
        r: accuracy(r, train[:kept], train_labels[:kept], train[kept:], train_labels[kept:])
        for r in REGULARIZATIONS
    }
    best = max(tried, key=tried.get)
    return {
        "accuracy": round(accuracy(best, train, train_labels, test, test_labels), 4),
        "regularization": best,
    }


def _supervised(seed, fit, held_out):
    """The same encoder with a linear head on the labels, as many steps, the better of two rates."""
    keras.utils.set_random_seed(seed)
    encoder = CPCModel(fit.image_shape, seed=seed, **SMALL).encoder
    row = NetworkRow(
        "labels only",
        image_classifier(encoder, num_classes=10),
        train_images=fit.images,
        test_images=held_out.images,
        image_augmentation=image_augmentation("photos", fit.image_shape),
        num_steps=lambda num_labels: NUM_EPOCHS * num_labels // BATCH_SIZE,
        batch_size=BATCH_SIZE,
        seed=seed,
    )
    index, kept = np.arange(NUM_IMAGES), NUM_IMAGES * 4 // 5

    def trial(setting):
        predicted = row.fit_predict(
            index[:kept], fit.labels[:kept], setting=setting, held_out=index[kept:]
        )
        return float((predicted.argmax(axis=1) == fit.labels[kept:]).mean())

    setting = max(row.settings, key=trial)
    predicted = row.fit_predict(index, fit.labels, setting=setting)
    accuracy = float((predicted.argmax(axis=1) == held_out.labels).mean())
    return {"accuracy": round(accuracy, 4), **setting}


def _read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def _add(path, key, entry):
    # Another process may be adding to it.
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = dict(sorted({**_read(path), key: entry}.items()))
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found, indent=1) + "\n")
        partial.replace(path)


def rows(found: dict) -> list[dict]:
    """Summarise: mean and deviation of each candidate, and its paired difference to another.

    Args:
        found: what the results file holds.

    Returns:
        One dict a candidate: `name`, `mean`, `deviation` (over seeds, n - 1), `difference` (mean
        over seeds of its accuracy minus that of the base, or of what COMPARED_WITH names, with that
        seed) and `error` (the standard
        error of it), all but the first in percentage points; `None` where there is nothing to tell.
    """
    by_name = {}
    for entry in found.values():
        by_name.setdefault(entry["name"], {})[entry["seed"]] = 100 * entry["accuracy"]
    told = []
    for name in [*CANDIDATES, *BASELINES]:
        if name not in by_name:
            continue
        values = by_name[name]
        other = by_name.get(COMPARED_WITH.get(name, "base"), {})
        paired = [v - other[s] for s, v in values.items() if s in other]
        several = len(values) > 1
        told.append(
            {
                "name": name,
                "num_seeds": len(values),
                "mean": float(np.mean(list(values.values()))),
                "deviation": float(np.std(list(values.values()), ddof=1)) if several else None,
                "difference": float(np.mean(paired)) if paired and name != "base" else None,
                "error": float(np.std(paired, ddof=1) / np.sqrt(len(paired)))
                if len(paired) > 1 and name != "base"
                else None,
            }
        )
    return told


def report(found: dict) -> None:
    """Print the table of the docs in Markdown and draw its picture."""
    table = rows(found)
    print("| | seeds | linear probe, % | difference to the base |")
    print("|---|---|---|---|")
    print("\n".join(map(line, table)))
    _draw(table)


def line(row: dict) -> str:
    """Return a line of the docs' table; bold is a difference that a t-test tells from none."""
    spread = "" if row["deviation"] is None else f" ± {row['deviation']:.1f}"
    against = ""
    if row["difference"] is not None and row["error"] is not None:
        mark = "**" if _is_clear(row["difference"], row["error"], row["num_seeds"]) else ""
        against = f"{mark}{row['difference']:+.1f} ± {row['error']:.1f}{mark}"
    return f"| {row['name']} | {row['num_seeds']} | {row['mean']:.1f}{spread} | {against} |"


def _is_clear(difference, error, num_seeds):
    """Whether a paired t-test at 5 % tells it from none; of two seeds it hardly ever could."""
    from scipy.stats import t

    return num_seeds > 2 and abs(difference) > t.ppf(0.975, num_seeds - 1) * error


def _draw(table):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.34 * len(table) + 1.2), layout="constrained")
    for position, row in enumerate(reversed(table)):
        baseline = row["name"] in BASELINES
        color = "0.55" if baseline else "C1" if row["name"] == "base" else "C0"
        axis.errorbar(row["mean"], position, xerr=row["deviation"], fmt="o", color=color, capsize=3)
    base = next(row for row in table if row["name"] == "base")
    axis.axvline(base["mean"], color="C1", linewidth=0.8, zorder=0)
    axis.set_yticks(range(len(table)), [row["name"] for row in reversed(table)])
    axis.set_xlabel(
        "linear probe on mean-pooled features, accuracy in % (mean, deviation of seeds)"
    )
    axis.grid(axis="x", alpha=0.3)
    figure.savefig(PICTURE, dpi=130)


if __name__ == "__main__":
    main()
