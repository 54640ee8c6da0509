"""`cpc-keras evaluate`."""

import json
import os
import pathlib
import platform
import shlex
import sys

import click
import keras
import numpy as np

from cpc_keras.augmentations import IMAGE_AUGMENTATIONS
from cpc_keras.cli.options import Numbers, data_options, groups_option, images_option, load
from cpc_keras.cli.read_evidence import read_evidence
from cpc_keras.cli.report import report_title
from cpc_keras.cli.run_protocols import PROTOCOLS, run_protocols
from cpc_keras.data import (
    Splits,
    find_duplicates,
    label_subset,
    read_label_subset,
    write_label_subset,
)
from cpc_keras.evaluation import (
    FRACTIONS,
    ROW_TITLES,
    ResultLog,
    comparison_rows,
    format_table,
    label_efficiency,
    num_fits,
    run_pictures,
    save_pictures,
    summarize,
    verdict,
    write_report,
)
from cpc_keras.models import PretrainingModel
from cpc_keras.version import __version__

PROTOCOL = (
    "Accuracy on {num_test} test images, by which nothing was chosen. Subsets of the labels of "
    "{num_train} training images, class balanced, seeded, nested, the same for every row; "
    "{num_draws} draws for each share below 100 %. For each share a row tries {num_trials} "
    "settings on a quarter of the first draw's labels, held out, and is then fitted on all labels "
    'of each draw. Image augmentation "{augmentation}": networks train on it, probes on up to 16 '
    "augmented copies of each labelled image (raw pixels on copies or none, as their trials say). "
    "Networks: AdamW, {first} to {last} steps of {batch_size} images, half of that in a trial; "
    "fine-tuning begins with the linear probe as its head; the ordinary CNN has as many parameters "
    "as the classifier on CPC."
)


@click.command(context_settings={"show_default": True})
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=pathlib.Path)
)
@data_options
@images_option
@click.option("--out", type=click.Path(path_type=pathlib.Path), help="[default: the first RUN]")
@click.option("--fractions", type=Numbers(float), default="0.01,0.05,0.1,1", help="Of the labels.")
@click.option("--draws", type=click.IntRange(1), default=3, help="Label subsets for each fraction.")
@click.option(
    "--steps",
    type=Numbers(int),
    default="150,250",
    help="Training steps of the networks: at the fewest labels, at most.",
)
@click.option(
    "--augmentation",
    type=click.Choice(IMAGE_AUGMENTATIONS),
    help="For every network.  [default: digits for mnist_5k, else photos]",
)
@click.option("--test-fraction", type=float, default=0.2, help="Where the data has no test split.")
@groups_option
@click.option(
    "--subsets",
    type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path),
    help="Folder of label subsets that an earlier evaluation wrote into OUT/subsets, to use.",
)
@click.option(
    "--protocols",
    default=",".join(PROTOCOLS),
    help="With all labels, beside the label efficiency; none for none.",
)
def evaluate(
    runs,
    data,
    image_size,
    channels,
    images,
    out,
    fractions,
    draws,
    steps,
    augmentation,
    test_fraction,
    groups,
    subsets,
    protocols,
):
    """Measure what the encoders of RUNS are worth with few labels.

    RUNS are run directories or artifacts, one for each pre-training seed. Writes results.json,
    report.html and the label subsets into OUT; where a run has kept encoders
    (pretrain --save-encoders-every), their curve into its iteration_curve.json. The same command
    again goes on where a stopped one ended.
    """
    splits = load(
        data, image_size, channels, test_fraction=test_fraction, groups=groups, images=images
    )
    compare(
        splits,
        runs,
        out or runs[0],
        fractions=fractions,
        num_draws=draws,
        steps=steps,
        augmentation=augmentation or ("digits" if data == "mnist_5k" else "photos"),
        subsets=subsets,
        protocols=_protocols(protocols),
    )


def _protocols(text):
    names = tuple(name.strip() for name in text.split(",")) if text != "none" else ()
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown:
        raise click.BadParameter(
            f"expected some of {', '.join(PROTOCOLS)}, or none. Received: {text!r}.",
            param_hint="--protocols",
        )
    return names


def compare(
    splits: Splits,
    runs,
    out: pathlib.Path,
    *,
    fractions=FRACTIONS,
    num_draws: int = 3,
    steps: tuple[int, int] = (150, 250),
    augmentation: str = "none",
    batch_size: int = 32,
    subsets: pathlib.Path | None = None,
    protocols: tuple[str, ...] = PROTOCOLS,
) -> dict:
    """Measure all rows for every run, print the table, and write results and report; resumable.

    Args:
        splits: labelled training and test images.
        runs: run directories or artifacts, one for each pre-training seed.
        out: directory for `results.json` and `report.html`.
        fractions: shares of the labels.
        num_draws: label subsets for each share below 1.
        steps: training steps of the networks at the fewest labels, and at most.
        augmentation: name of the image augmentation of every network.
        batch_size: images a step.
        subsets: folder of label subsets to use; by default they are drawn, and written to
            `out/subsets`.
        protocols: what is measured with all labels beside.

    Returns:
        What `results.json` holds.
    """
    from tqdm import tqdm

    train, test = splits
    train.require_labels()
    if test is None or not len(test):
        raise ValueError(f"{train.source} has no test images. Pass --test-fraction, such as 0.2.")
    if train.labels.ndim == 2:
        raise ValueError(
            f"{train.source} has images of several classes each. Expected one class an image for "
            "label efficiency. cpc_keras.evaluation.linear_probe and nearest_neighbors take both."
        )
    out.mkdir(parents=True, exist_ok=True)
    artifacts = [run if (run / "preset.json").exists() else run / "artifact" for run in runs]
    settings = {
        "data": train.source,
        "fractions": list(fractions),
        "num_draws": num_draws,
        "steps": list(steps),
        "augmentation": augmentation,
        "batch_size": batch_size,
    }
    if train.groups is not None:
        settings["groups"] = len(set(train.groups))
    if subsets is not None:
        settings["subsets"] = str(subsets)
    subset = _subset_function(train, fractions, num_draws, subsets, out / "subsets")
    log = ResultLog(out / "measurements.jsonl", settings)
    # Each result names the weights it is of: those of other weights are not taken over, and a
    # further seed leaves the others measured.
    weights = [_weights_hash(artifact) for artifact in artifacts]

    def measured(seed):
        return [r for r in log.results if (r["seed"], r["weights"]) == (seed, weights[seed])]

    beside = ResultLog(out / "protocols.jsonl", {"data": train.source})
    bar = None
    for seed, artifact in enumerate(artifacts):
        model = PretrainingModel.from_preset(artifact)
        _check_shape(model, train, artifact)
        # Of the random weights that are compared with: the same command gives the same figures.
        keras.utils.set_random_seed(seed)
        rows = comparison_rows(
            model.encoder,
            type(model).from_config(model.get_config()).encoder,
            splits,
            num_steps=lambda num_labels: _num_steps(num_labels, steps, batch_size),
            augmentation=augmentation,
            batch_size=batch_size,
            seed=seed,
        )
        if seed == 0:
            first_model = model
            total = num_fits(rows, fractions=fractions, num_draws=num_draws)
            bar = tqdm(desc="evaluation", total=total * len(artifacts), unit="fit")
        label_efficiency(
            rows,
            train_labels=train.labels,
            test_labels=test.labels,
            fractions=fractions,
            num_draws=num_draws,
            train_groups=train.groups,
            subset=subset,
            done=measured(seed),
            on_result=lambda result, seed=seed: log.add(
                {**result, "seed": seed, "weights": weights[seed]}
            ),
            on_fit=bar.update,
        )
        if seed == 0:
            predicted, confusion_of = _predictions(rows, measured(0), train, subset)
        run_protocols(
            model.encoder,
            splits,
            names=protocols,
            run=runs[seed],
            done=[r for r in beside.results if (r["seed"], r["weights"]) == (seed, weights[seed])],
            on_result=lambda result, seed=seed: beside.add(
                {**result, "seed": seed, "weights": weights[seed]}
            ),
        )
    bar.close()
    protocol = PROTOCOL.format(
        num_test=len(test),
        num_train=len(train),
        num_draws=num_draws,
        num_trials=len(rows[0].settings),
        first=steps[0],
        last=steps[1],
        batch_size=batch_size,
        augmentation=augmentation,
    )
    found = [result for seed in range(len(artifacts)) for result in measured(seed)]
    results = {
        "verdict": verdict(summarize(found)),
        "protocol": protocol,
        "num_seeds": len(artifacts),
        "settings": settings,
        "weights": weights,
        "summary": summarize(found),
        "results": [{k: v for k, v in result.items() if k != "weights"} for result in found],
        "facts": {**_facts(train, test), "overlap": _overlap(splits)},
        "protocols": [
            r for r in beside.results if r["weights"] in weights and r["protocol"] in protocols
        ],
        # Relative, so that a folder of runs can be moved as a whole.
        "runs": [os.path.relpath(run, out) for run in runs],
        "confusion_of": confusion_of,
    }
    save_pictures(out, run_pictures(first_model, splits, predicted=predicted))
    _publish(results, runs, out)
    return results


def _publish(results, runs, out):
    partial = out / "results.partial.json"
    partial.write_text(json.dumps(results, indent=1))
    partial.replace(out / "results.json")
    evidence = [read_evidence(out)]
    report = write_report(out / "report.html", evidence, title=report_title(evidence))
    click.echo()
    click.echo(format_table(results["summary"]))
    click.echo("mean ± deviation over label draws" + (" ± over seeds" if len(runs) > 1 else ""))
    for told in _told(results["protocols"]):
        click.echo(told)
    click.echo(f"\n{results['verdict']}")
    click.echo(f"\nResults: {out / 'results.json'}\nReport:  {report}")


def _told(results):
    names = {"linear_probe": "linear probe", "nearest_neighbors": "nearest neighbors"}
    for result in results:
        low, high = result["intervals"]["top_1"]
        told = [f"top-1 {result['top_1']:.1%} ({low:.1%} to {high:.1%})"]
        told += [f"top-5 {result['top_5']:.1%}"] if "top_5" in result else []
        told.append(f"balanced {result['balanced_accuracy']:.1%}")
        told += [f"AUROC {result['auroc']:.3f}"] if result["auroc"] is not None else []
        seed = f"seed {result['seed']}, all {result['num_labels']} labels"
        yield f"{names[result['protocol']]}, {seed}: {', '.join(told)}"


def _overlap(splits):
    copies = len(find_duplicates(splits.test.images, splits.train.images))
    return f"{copies} of {len(splits.test)} test images are also training images, by their pixels"


def _subset_function(train, fractions, num_draws, given, written):
    """Label subsets by fraction and draw: those of somebody else, or drawn and written."""

    def name(fraction, draw):
        return f"{fraction:g}-draw-{draw}.csv"

    if given is not None:
        return lambda fraction, draw: read_label_subset(given / name(fraction, draw), train)

    for fraction in fractions:
        for draw in range(num_draws if fraction < 1 else 1):
            index = label_subset(train.labels, fraction, seed=draw)
            path = written / name(fraction, draw)
            # Of other data, in a directory that is measured anew.
            path.unlink(missing_ok=True)
            write_label_subset(path, train, index)
    return lambda fraction, draw: label_subset(train.labels, fraction, seed=draw)


def _num_steps(num_labels, steps, batch_size):
    # Ten passes over the labels, within bounds: few labels need many passes, many need few.
    return int(min(max(steps[0], 10 * num_labels / batch_size), steps[1]))


def _weights_hash(artifact):
    preset = artifact / "preset.json"
    if not preset.exists():
        raise ValueError(
            f"{artifact.parent} holds no artifact. Expected a finished run of cpc-keras pretrain, "
            "or a directory that `model.export` wrote."
        )
    return json.loads(preset.read_text())["sha256"]["model.weights.h5"]


def _check_shape(model, train, artifact):
    if model.image_shape != train.image_shape:
        raise ValueError(
            f"The encoder in {artifact} takes images of shape {model.image_shape}; {train.source} "
            f"has {train.image_shape}. Pass --image-size and --channels that fit."
        )


def _predictions(rows, results, train, subset):
    """Classes that the frozen row gives the test images with the most labels, as it was scored."""
    found = [r for r in results if r["row"] == "cpc_frozen" and r["draw"] == 0]
    most = max(found, key=lambda r: r["fraction"])
    (row,) = (row for row in rows if row.name == "cpc_frozen")
    index = subset(most["fraction"], 0)
    probabilities = row.fit_predict(index, train.labels[index], setting=most["setting"])
    told = f"{ROW_TITLES['cpc_frozen']} on {most['num_labels']} labels, first pre-training seed"
    return probabilities.argmax(axis=1), told


def _facts(train, test):
    import sklearn

    counts = np.bincount(train.labels[train.labels >= 0])
    counts = counts[counts > 0]
    each = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else counts.max()
    skipped = len(train.skipped) + len(test.skipped)
    return {
        "command": shlex.join(["cpc-keras", *sys.argv[1:]]),
        "data": f"{train.source}: {len(train)} training and {len(test)} test images of shape "
        f"{train.image_shape}, {len(counts)} classes of {each} training images"
        + (f"; {skipped} files could not be read" if skipped else ""),
        "versions": f"cpc-keras {__version__}, Keras {keras.__version__} on "
        f"{keras.backend.backend()}, NumPy {np.__version__}, scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    }
