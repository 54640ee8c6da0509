"""`cpc-keras pretrain`."""

import dataclasses
import inspect
import json
import pathlib
import shlex
import sys

import click
import keras
import numpy as np

from cpc_keras.augmentations import PATCH_AUGMENTATIONS, image_augmentation
from cpc_keras.cli.change_recipe import FIELDS
from cpc_keras.cli.chosen_data import as_options, drawn
from cpc_keras.cli.finetune import tell_classifier
from cpc_keras.cli.options import (
    Numbers,
    data_options,
    groups_option,
    images_option,
    test_fraction_option,
)
from cpc_keras.cli.probe_callbacks import as_seen, probe_callbacks
from cpc_keras.cli.recipe_options import chosen_recipe, recipe_options
from cpc_keras.data import Splits, label_subset
from cpc_keras.data.left_out import LEFT_OUT, write_left_out
from cpc_keras.data.skipped_file import write_skipped
from cpc_keras.encoders import PATCH_ENCODERS
from cpc_keras.losses import CANDIDATES
from cpc_keras.methods import METHODS, needs_labels
from cpc_keras.models import start_from, trained_on
from cpc_keras.training import (
    STRATEGIES,
    CheckpointSchedule,
    Recipe,
    SaveEncoders,
    Worker,
    deterministic_ops,
    distribution_strategy,
    load_newest,
)
from cpc_keras.training import pretrain as run_pretraining
from cpc_keras.training.checkpoints import newest_checkpoint

# How often --on-nan step-back halves the learning rate before it gives up.
STEP_BACKS = 3
# Of larger grids, whose patches are encoded one by one, a step takes minutes on a CPU.
MOST_PATCHES_A_SIDE = 15
# Held-out images that are measured after each epoch; more would only cost time.
NUM_HELD_OUT = 256

# Directory of a run for the classifier of a method that uses labels.
CLASSIFIER = "classifier"

# Between what a run was trained on and what the weights were trained on that it began with.
STARTED = "; started from weights of "

# Epochs from one probe of the features to the next.
PROBE_EVERY = 5


@click.command(context_settings={"show_default": True})
@data_options
@images_option
@test_fraction_option
@groups_option
@click.option(
    "--out", required=True, type=click.Path(path_type=pathlib.Path), help="Run directory."
)
@recipe_options
@click.option("--patch-encoder", type=click.Choice(list(PATCH_ENCODERS)), help="[default: recipe]")
@click.option("--patch-size", type=click.IntRange(1), help="Pixels.  [default: 8]")
@click.option("--patch-stride", type=click.IntRange(1), help="Pixels.  [default: 4]")
@click.option("--offsets", type=Numbers(int), help="Rows ahead to predict.  [default: 2,3,4]")
@click.option("--candidates", type=click.Choice(CANDIDATES), help="[default: recipe]")
@click.option("--num-negatives", type=click.IntRange(1), help='With "sampled" candidates.')
@click.option("--features", type=click.Choice(["codes", "contexts"]), help="[default: recipe]")
@click.option("--pooling", help='"mean", "max" or a coarse grid such as "3x3".  [default: recipe]')
@click.option(
    "--patch-augmentation", type=click.Choice(PATCH_AUGMENTATIONS), help="[default: recipe]"
)
@click.option(
    "--independent-targets/--shared-targets",
    default=None,
    help="Augment the predicted patches' image on its own.  [default: recipe]",
)
@click.option(
    "--label-fraction",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the labels, balanced over classes, that methods which use labels see.  "
    "[default: 1]",
)
@click.option(
    "--init",
    metavar="RUN|PRESET",
    help="Start from these weights instead of random ones: a run, an artifact or the name of a "
    "shipped preset, whose encoder is that of --recipe and its settings.",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Read a folder's images as they are needed: more may be there than fit into memory.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="auto",
    help="Devices that share each batch: auto is multi-worker where TF_CONFIG names several "
    "workers, else mirrored where there are several GPUs.",
)
@click.option(
    "--save-encoders-every",
    type=click.IntRange(0),
    default=0,
    help="Epochs from one kept encoder to the next, for the curve of evaluate; 0 for none.",
)
@click.option(
    "--probe-every",
    type=click.IntRange(0),
    default=PROBE_EVERY,
    help="Epochs from one probe of the features to the next; 0 for none.",
)
@click.option(
    "--tensorboard",
    is_flag=True,
    help="Write TensorBoard logs into OUT/logs, with features for its projector.",
)
@click.option("--keep", type=click.IntRange(1), default=2, help="Checkpoints that stay.")
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(0),
    default=30.0,
    help="Least time between checkpoints, also within epochs.",
)
@click.option(
    "--checkpoint-steps",
    type=click.IntRange(1),
    help="Save after each so many steps of an epoch as well.",
)
@click.option(
    "--on-nan",
    type=click.Choice(["stop", "step-back"]),
    default="stop",
    help="Where the loss is no number or explodes: stop with an error, or go back to the end of "
    f"the last epoch with half the learning rate, at most {STEP_BACKS} times.",
)
@click.option(
    "--deterministic/--no-deterministic",
    default=None,
    help="Whether the same steps give the same bits.  [default: where there is no GPU]",
)
def pretrain(
    chosen,
    out,
    stream,
    strategy,
    save_encoders_every,
    probe_every,
    tensorboard,
    keep,
    checkpoint_seconds,
    checkpoint_steps,
    on_nan,
    deterministic,
    recipe,
    config,
    settings,
    label_fraction,
    init,
    **options,
):
    """Pre-train an encoder on images without labels.

    Probes tell as it goes what the features are worth (where the images have labels: these are
    measured with, not trained on) and when they stop improving. Writes OUT/metrics.csv,
    OUT/artifact, which tf.keras.models.load_model opens, and OUT/config.yaml, which repeats the run
    with --config; of a method that uses labels also OUT/classifier, as cpc-keras finetune does. The
    same command again resumes, also after a kill within an epoch. SIGTERM and Ctrl-C save first.
    With KERAS_BACKEND=jax it trains without TensorFlow; the same command on TensorFlow then writes
    the artifact.
    """
    model = {name: value for name, value in options.items() if name not in FIELDS}
    named = {name: value for name, value in options.items() if name in FIELDS}
    named |= {f"model.{name}": value for name, value in model.items()}
    recipe = chosen_recipe(recipe, config, settings, **named)
    # Before all else that TensorFlow does: it joins the workers.
    strategy = distribution_strategy(strategy)
    if deterministic_ops(deterministic):
        click.echo("The same steps give the same bits (--no-deterministic may be faster).")
    if init is not None:
        # Of the same images those that it has left out are left out again.
        chosen = chosen.as_pretrained([pathlib.Path(init)])
    chosen = chosen.or_else(image_size=recipe.image_size, channels=recipe.channels)
    # Of a run that goes on, what was labelled since makes no other split.
    if newest_checkpoint(out / "checkpoints") and (out / LEFT_OUT).is_file():
        chosen = dataclasses.replace(chosen, left_out=out / LEFT_OUT)
    left_out: list[list] = []
    splits = chosen.load(in_memory=not stream, only_labeled=True, on_split=left_out.append)
    if left_out == [[]] and splits.train.labels is None and chosen.label_source is None:
        click.echo(
            "The images have no labels, so none are kept apart to be tested on. Where a table has "
            "labels for some, give it now: --labels FILE.csv:COLUMN, and --groups, if there are "
            "any. They are not trained on.",
            err=True,
        )
    facts = chosen.facts()
    if needs_labels(METHODS[recipe.method]):
        label_fraction = label_fraction or 1.0
        facts["label_fraction"] = label_fraction
    elif label_fraction is not None:
        raise click.UsageError(
            f"--label-fraction goes with a method that uses labels. Received it with "
            f"{recipe.method!r}, which uses none."
        )
    if init is not None:
        facts["init"] = init
    artifact = pretrain_and_export(
        splits,
        recipe,
        out,
        facts=facts,
        save_encoders_every=save_encoders_every,
        probe_every=probe_every,
        tensorboard=tensorboard,
        command=_command(),
        strategy=strategy,
        checkpoints=CheckpointSchedule(checkpoint_seconds, checkpoint_steps, keep),
        step_backs=STEP_BACKS if on_nan == "step-back" else 0,
        label_fraction=label_fraction,
        init=init,
        left_out=left_out[0] if left_out else None,
    )
    if not Worker.of(strategy).is_first:
        return
    # Again: with --stream some are known only when they were needed.
    if skipped := _write_skipped(splits, out):
        click.echo(f"{skipped} files could not be read: {out / 'skipped.csv'}")
    if not artifact.exists():
        click.echo(
            f"Trained on {keras.backend.backend()}. TensorFlow alone writes an artifact: the same "
            f"command with KERAS_BACKEND=tensorflow trains no more and writes {artifact}."
        )
        return
    click.echo(f"Encoder: {artifact}  (tf.keras.models.load_model opens it)")
    classifier = out / CLASSIFIER
    if classifier.exists():
        tell_classifier(classifier, json.loads((classifier / "metrics.json").read_text("utf-8")))
        return  # evaluate is for encoders that have seen no labels
    told = f"{shlex.quote(str(out))} {as_options({'data': chosen.data})}"
    click.echo(f"What it is worth: cpc-keras evaluate {told}")


def build_model(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    num_classes: int | None = None,
    num_images: int | None = None,
) -> keras.Model:
    """Build the model of a recipe for images of a shape; where the recipe crops, for the crop.

    Args:
        recipe: the recipe.
        image_shape: `(height, width, channels)`.
        num_classes: for methods that use labels.
        num_images: for methods that keep something of each image; without, the recipe tells it.
    """
    shape = tuple(image_shape)
    if recipe.crop_size:
        shape = (recipe.crop_size, recipe.crop_size, shape[-1])
    method, arguments = METHODS[recipe.method], dict(recipe.model)
    if num_classes is not None:
        arguments.setdefault("num_classes", num_classes)
    if num_images is not None and "num_images" in inspect.signature(method).parameters:
        arguments["num_images"] = num_images
    if recipe.image_augmentation != "none":
        # Otherwise what the method itself does.
        arguments["image_augmentation"] = image_augmentation(recipe.image_augmentation, shape)
    model = method(shape, seed=recipe.seed, **arguments)
    grid = getattr(model, "grid", ())
    one_by_one = getattr(model, "shared_encoder", None) is None
    if one_by_one and max(grid, default=0) > MOST_PATCHES_A_SIDE:
        click.echo(_told_of_grid(grid, shape[:2], recipe.batch_size), err=True)
    return model


def _write_skipped(splits, out):
    """Write the table of files that could not be read, if any; return their number."""
    # Parts of one source tell the same files.
    skipped = dict.fromkeys(file for part in splits if part is not None for file in part.skipped)
    if skipped:
        write_skipped(pathlib.Path(out) / "skipped.csv", skipped)
    return len(skipped)


def _told_of_grid(grid, sides, batch_size):
    """What patches that are small for their images cost, and the papers' way out."""
    rows, columns = grid
    strides = [s for s in range(4, min(sides) // 8 + 1) if not sides[0] % s and not sides[1] % s]
    larger = f": --patch-size {2 * strides[-1]} --patch-stride {strides[-1]}" if strides else ""
    return (
        f"The patches are small for images of {sides[0]}x{sides[1]}: their grid is {rows}x{columns}"
        f", and a step encodes {batch_size * rows * columns:,}. The papers' grids are 7x7{larger}. "
        "What a step costs: cpc-keras describe."
    )


def pretrain_and_export(
    splits,
    recipe,
    run_directory,
    *,
    facts,
    command,
    save_encoders_every=0,
    label_fraction=None,
    probe_every=PROBE_EVERY,
    tensorboard=False,
    strategy=None,
    init=None,
    left_out=None,
    **options,
) -> pathlib.Path:
    """Pre-train on the training images into `run_directory` and export `artifact/` once.

    Of a method that uses labels the classifier is measured on the test images, and written into
    `classifier/`, once as well. Of several workers the first one probes and exports; on other
    backends than TensorFlow nobody exports. Which images were split off (`left_out`) is written.

    `options` are those of `training.pretrain` that do not change what a run is.
    """
    callbacks, worker = [], Worker.of(strategy)
    if save_encoders_every and worker.is_first:
        kept = pathlib.Path(run_directory) / "encoders"
        callbacks.append(SaveEncoders(kept, every=save_encoders_every))
    labels = labeled_index = num_classes = None
    if label_fraction is not None:
        labels = splits.train.require_labels()
        # Also of classes that only test images have, on which the classifier is measured.
        of_parts = [p.labels for p in splits if p is not None and p.labels is not None]
        num_classes = max(int(of_part.max()) for of_part in of_parts) + 1
        known = np.flatnonzero(labels >= 0)
        labeled_index = known[label_subset(labels[known], label_fraction, seed=recipe.seed)]
    callbacks += probe_callbacks(
        splits,
        recipe,
        every=probe_every if worker.is_first else 0,
        num_held_out=NUM_HELD_OUT,
        projector=pathlib.Path(run_directory) / "logs" if tensorboard else None,
    )

    def start():
        shape, num_images = splits.train.image_shape, len(splits.train)
        model = build_model(recipe, shape, num_classes, num_images=num_images)
        model = model if init is None else start_from(model, init)
        if worker.is_first:
            file = pathlib.Path(run_directory) / LEFT_OUT
            if left_out is None:
                file.unlink(missing_ok=True)  # of other settings, with which no run began
            else:
                write_left_out(file, left_out)
            _write_skipped(splits, run_directory)
        return model

    model = run_pretraining(
        start,
        splits.train.images,
        run_directory=run_directory,
        recipe=recipe,
        facts=facts,
        held_out_images=None if splits.test is None else drawn(splits.test, NUM_HELD_OUT).images,
        callbacks=callbacks,
        tensorboard=tensorboard,
        labels=labels,
        labeled_index=labeled_index,
        strategy=strategy,
        **options,
    )
    if worker.is_first and keras.backend.backend() == "tensorflow":
        if worker.count > 1:
            model = load_newest(run_directory)  # without the strategy
        told = {"method": recipe.method, "command": command, "seed": recipe.seed}
        # Who loads the encoder elsewhere has to scale alike.
        told |= {name: facts[name] for name in ("pixel_range", "init") if name in facts}
        if init is not None:
            told["data"] = f"{STARTED}{trained_on(init)}"
        _export(model, splits, recipe, run_directory, told, labeled_index, label_fraction)
    with worker.telling_of_losses(pathlib.Path(run_directory) / "checkpoints"):
        worker.wait()  # one that leaves early would end the others
    return pathlib.Path(run_directory) / "artifact"


def _export(model, splits, recipe, run_directory, facts, labeled_index, label_fraction):
    """Write what is not there yet: the artifact, and the classifier of a method with labels."""
    from cpc_keras.evaluation import write_classifier
    from cpc_keras.export import write_artifact

    artifact, classifier = (pathlib.Path(run_directory) / n for n in ("artifact", CLASSIFIER))
    by_labels = labeled_index is not None
    if not artifact.exists():
        told = f"{len(labeled_index)} labels" if by_labels else "no labels"
        data = f"{splits.train.source}, {len(splits.train)} images, {told}" + facts.get("data", "")
        facts_of_encoder = {**facts, "data": data, "num_epochs": recipe.num_epochs}
        write_artifact(model, artifact, facts=facts_of_encoder)
    if by_labels and not classifier.exists():
        write_classifier(
            model.classifier,
            _as_classified(splits, recipe),
            classifier,
            index=labeled_index,
            facts={**facts, "data": splits.train.source, "fraction": label_fraction},
        )


def _as_classified(splits, recipe):
    """The test images of the size that the classifier takes."""
    test = splits.test
    if test is None or not recipe.crop_size:
        return splits
    return Splits(splits.train, dataclasses.replace(test, images=as_seen(test, recipe)))


def _command():
    return shlex.join(["cpc-keras", *sys.argv[1:]])
