"""`cpc-keras evaluate`."""

import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import sys

import click
import keras
import numpy as np

from cpc_keras.augmentations import IMAGE_AUGMENTATIONS
from cpc_keras.cli.chosen_data import place
from cpc_keras.cli.measure_runs import RunMeasurement
from cpc_keras.cli.options import (
    Numbers,
    RunPath,
    data_options,
    groups_option,
    images_option,
    test_fraction_option,
)
from cpc_keras.cli.pretrain import STARTED
from cpc_keras.cli.read_evidence import read_evidence
from cpc_keras.cli.report import report_title
from cpc_keras.cli.run_protocols import PROTOCOLS
from cpc_keras.data import (
    Splits,
    find_duplicates,
    label_subset,
    read_label_subset,
    write_label_subset,
)
from cpc_keras.evaluation import (
    COMPARISON_ROWS,
    FRACTIONS,
    comparison_rows,
    format_table,
    method_title,
    result_lock,
    run_pictures,
    save_pictures,
    summarize,
    verdict,
    write_report,
)
from cpc_keras.evaluation.summary_table import FROM_SCRATCH
from cpc_keras.training import deterministic_ops
from cpc_keras.version import __version__

PROTOCOL = (
    "Accuracy on {num_test} test images, by which nothing was chosen. Subsets of the labels of "
    "{num_train} training images, class balanced, seeded, nested, the same for every row; "
    "{num_draws} draws for each share below 100 %. For each share a row tries {num_trials} "
    "settings on a quarter of the first draw's labels, held out, and is then fitted on all labels "
    'of each draw. Image augmentation "{augmentation}": '
)
NETWORKS = ("cpc_fine_tuned", *FROM_SCRATCH)


@click.command(context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, type=RunPath())
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
    "--rows",
    default=",".join(COMPARISON_ROWS),
    help="To measure: cpc_frozen and some to compare it with; the networks take most of the time.",
)
@click.option(
    "--augmentation",
    type=click.Choice(IMAGE_AUGMENTATIONS),
    help="For every network.  [default: digits for mnist_5k, else photos]",
)
@test_fraction_option
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
    chosen,
    out,
    fractions,
    draws,
    steps,
    rows,
    augmentation,
    subsets,
    protocols,
):
    """Measure what the encoders of RUNS are worth with few labels.

    RUNS are run directories, artifacts or names of shipped presets, one for each pre-training seed.
    Writes results.json, report.html and the label subsets into OUT; the curve of the encoders that
    a run has kept (pretrain --save-encoders-every) is among the results. The same command again
    goes on where a stopped one ended; at the same time in several terminals, it shares the work.
    The data options that are not given are those of RUNS, where they are of the same data; a split
    that would measure on images of their training is refused.
    """
    if out is None and (runs[0] / "preset.json").exists():
        raise click.UsageError(
            f"--out is needed: {runs[0]} is an artifact, and results would be written into it."
        )
    # Before minutes are spent on reading the data.
    rows = _names(rows, COMPARISON_ROWS, "--rows")
    protocols = () if protocols == "none" else _names(protocols, PROTOCOLS, "--protocols")
    _check_rows(rows)
    deterministic_ops()
    compare(
        chosen.as_pretrained(runs).load(),
        runs,
        out or runs[0],
        fractions=fractions,
        num_draws=draws,
        steps=steps,
        rows=rows,
        augmentation=augmentation or ("digits" if chosen.data == "mnist_5k" else "photos"),
        subsets=subsets,
        protocols=protocols,
    )


def _names(text, known, option):
    names = tuple(name.strip() for name in text.split(","))
    if not {*names} <= {*known}:
        also = ", or none" if option == "--protocols" else ""
        raise click.BadParameter(
            f"expected some of {', '.join(known)}{also}. Received: {text!r}.", param_hint=option
        )
    return names


def _check_rows(rows):
    if "cpc_frozen" not in rows or all(row.startswith("cpc_") for row in rows):
        raise ValueError(
            "--rows are cpc_frozen and at least one that it is compared with, such as "
            f"random_frozen,raw_pixels. Received: {','.join(rows)}."
        )


def compare(
    splits: Splits,
    runs,
    out: pathlib.Path,
    *,
    fractions=FRACTIONS,
    num_draws: int = 3,
    steps: tuple[int, int] = (150, 250),
    rows: tuple[str, ...] = COMPARISON_ROWS,
    augmentation: str = "none",
    batch_size: int = 32,
    subsets: pathlib.Path | None = None,
    protocols: tuple[str, ...] = PROTOCOLS,
) -> dict:
    """Measure rows for every run, print the table, and write results and report.

    Resumable, and to be shared: called in several processes, each measures a part.

    Args:
        splits: labelled training and test images.
        runs: run directories or artifacts, one for each pre-training seed.
        out: directory for `results.json` and `report.html`.
        fractions: shares of the labels.
        num_draws: label subsets for each share below 1.
        steps: training steps of the networks at the fewest labels, and at most.
        rows: of `COMPARISON_ROWS`, "cpc_frozen" and at least one to compare it with.
        augmentation: name of the image augmentation of every network.
        batch_size: images a step.
        subsets: folder of label subsets to use; by default they are drawn, and written to
            `out/subsets`.
        protocols: what is measured with all labels beside.

    Returns:
        What `results.json` holds.
    """
    _check_rows(rows)
    num_images = sum(len(part) for part in splits if part is not None)
    train, test = splits = splits.labeled()
    if test is None or not len(test):
        raise ValueError(f"{train.source} has no test images. Pass --test-fraction, such as 0.2.")
    if len(steps) != 2 or not 1 <= steps[0] <= steps[1]:
        raise ValueError(
            "--steps are two numbers, at the fewest labels and at most, such as 150,250. Received: "
            f"{','.join(map(str, steps))}."
        )
    if train.labels.ndim == 2:
        raise ValueError(
            f"{train.source} has images of several classes each. Expected one class an image for "
            "label efficiency. cpc_keras.evaluation.linear_probe and nearest_neighbors take both."
        )
    out.mkdir(parents=True, exist_ok=True)
    settings = {
        "data": train.source,
        # Also of which images are for the test, and of the groups.
        "pixels": splits.digest(),
        "fractions": list(fractions),
        "num_draws": num_draws,
        "steps": list(steps),
        "augmentation": augmentation,
        "batch_size": batch_size,
    }
    if train.groups is not None:
        settings["groups"] = len(set(train.groups))
    if subsets is not None:
        settings["subsets"] = _digest_of_files(subsets)

    def make_rows(model, seed):
        return comparison_rows(
            model.encoder,
            type(model).from_config(model.get_config()).encoder,
            splits,
            num_steps=lambda num_labels: _num_steps(num_labels, steps, batch_size),
            augmentation=augmentation,
            batch_size=batch_size,
            seed=seed,
            names=rows,
        )

    with result_lock(out / "locks" / "subsets"):
        subset = _subset_function(train, fractions, num_draws, subsets, out / "subsets")
    measurement = RunMeasurement(
        splits,
        runs,
        out,
        settings=settings,
        rows=rows,
        make_rows=make_rows,
        subset=subset,
        protocols=protocols,
    )
    measurement.run()
    # One process after the other, where several measured: each writes the same.
    with result_lock(out / "locks" / "report"):
        return _publish(measurement, settings, out, num_images)


def _publish(measurement, settings, out, num_images):
    splits, runs, found = measurement.splits, measurement.runs, measurement.results
    predicted, confusion_of = measurement.predict()
    protocol = _protocol(
        measurement.rows,
        num_test=len(splits.test),
        num_train=len(splits.train),
        num_draws=settings["num_draws"],
        num_trials=measurement.num_trials,
        first=settings["steps"][0],
        last=settings["steps"][1],
        batch_size=settings["batch_size"],
        augmentation=settings["augmentation"],
        method=method_title(measurement.method),
    )
    results = {
        "verdict": verdict(summarize(found), method=measurement.method),
        "method": measurement.method,
        "protocol": protocol,
        "num_seeds": len(runs),
        "settings": settings,
        "weights": measurement.weights,
        "summary": summarize(found),
        "results": [{k: v for k, v in result.items() if k != "weights"} for result in found],
        "facts": {
            **_facts(*splits, num_images),
            "overlap": _overlap(splits),
            "pre-training": _pretraining(splits, num_images, measurement.pretrained_on),
        },
        "protocols": measurement.protocol_results,
        "iteration_curves": measurement.iteration_curves,
        # Relative, so that a folder of runs can be moved as a whole.
        "runs": [os.path.relpath(run, out) for run in runs],
        "confusion_of": confusion_of,
    }
    save_pictures(out, run_pictures(measurement.first_model, splits, predicted=predicted))
    _write(results, runs, out)
    return results


def _protocol(rows, **facts):
    """What was done, in words, of the rows that were measured."""
    networks = any(row in rows for row in NETWORKS)
    text = PROTOCOL + ("networks train on it, " if networks else "")
    text += "probes on up to 16 augmented copies of each labelled image"
    if "raw_pixels" in rows:
        text += " (raw pixels on copies or none, as their trials say)"
    text += "."
    if networks:
        text += " Networks: AdamW, {first} to {last} steps of {batch_size} images, half of that in "
        text += "a trial"
        if "cpc_fine_tuned" in rows:
            text += "; fine-tuning begins with the linear probe as its head"
        if "cnn" in rows:
            text += "; the ordinary CNN has as many parameters as the classifier on {method}"
        text += "."
    return text.format(**facts)


def _write(results, runs, out):
    partial = out / "results.partial.json"
    partial.write_text(json.dumps(results, indent=1))
    partial.replace(out / "results.json")
    evidence = [read_evidence(out)]
    report = write_report(out / "report.html", evidence, title=report_title(evidence))
    click.echo()
    click.echo(format_table(results["summary"], method=results["method"]))
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


def _pretraining(splits, num_images, pretrained_on):
    """What the encoders were trained on, and whether the test images were among it."""
    told = "; ".join(text or "not known" for text in pretrained_on)
    parts = [part for text in pretrained_on for part in (text or "").split(STARTED)]
    sources = [re.match(r"(.*), (\d+) images, ", part) for part in parts]
    every = place(splits.train.source), num_images
    if any(found and (place(found[1]), int(found[2])) == every for found in sources):
        told += ": the test images, without their labels, were among them"
        click.echo(
            f"The encoders were pre-trained on {told}. For images that were never seen: pretrain "
            "with the --labels, --test-fraction and --groups of this evaluation.",
            err=True,
        )
    return told


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


def _digest_of_files(directory):
    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.csv")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _num_steps(num_labels, steps, batch_size):
    # Ten passes over the labels, within bounds: few labels need many passes, many need few.
    return int(min(max(steps[0], 10 * num_labels / batch_size), steps[1]))


def _facts(train, test, num_images):
    import sklearn

    counts = np.bincount(train.labels[train.labels >= 0])
    counts = counts[counts > 0]
    each = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else counts.max()
    skipped = len(train.skipped) + len(test.skipped)
    unlabeled = num_images - len(train) - len(test)
    return {
        "command": shlex.join(["cpc-keras", *sys.argv[1:]]),
        "data": f"{train.source}: {len(train)} training and {len(test)} test images of shape "
        f"{train.image_shape}, {len(counts)} classes of {each} training images"
        + (f"; {unlabeled} images without a label are left out" if unlabeled else "")
        + (f"; {skipped} files could not be read" if skipped else ""),
        "versions": f"cpc-keras {__version__}, Keras {keras.__version__} on "
        f"{keras.backend.backend()}, NumPy {np.__version__}, scikit-learn {sklearn.__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}",
    }
