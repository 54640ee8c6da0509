"""`cpc-keras finetune`."""

import pathlib
import shlex
import sys

import click

from cpc_keras.augmentations import IMAGE_AUGMENTATIONS
from cpc_keras.cli.options import (
    RunPath,
    data_options,
    groups_option,
    images_option,
    test_fraction_option,
)
from cpc_keras.export import load_keras_file


@click.command(context_settings={"show_default": True})
@click.argument("run", type=RunPath())
@data_options
@images_option
@groups_option
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=pathlib.Path),
    help="Directory to write; must not be there.",
)
@click.option("--fraction", type=float, default=1.0, help="Of the training labels, balanced.")
@click.option("--steps", type=click.IntRange(1), default=250, help="Of training.")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Images a step.")
@click.option(
    "--learning-rate", type=float, help="Peak.  [default: chosen of two on held-out labels]"
)
@click.option(
    "--augmentation",
    type=click.Choice(IMAGE_AUGMENTATIONS),
    help="[default: digits for mnist_5k, else photos]",
)
@click.option(
    "--class-weight",
    type=click.Choice(["none", "balanced"]),
    default="none",
    help="balanced: rare classes count as much as frequent ones.",
)
@test_fraction_option
@click.option("--seed", type=int, default=0, help="Of the labels, the head and the order.")
def finetune(
    run,
    chosen,
    out,
    fraction,
    steps,
    batch_size,
    learning_rate,
    augmentation,
    class_weight,
    seed,
):
    """Train the encoder of RUN with a classifier on labels.

    RUN is a run directory, an artifact, a .keras file of images to features, or the name of a
    shipped preset. Writes OUT/classifier.keras and OUT/saved_model, which open without this
    package, and OUT/metrics.json. A run that is stopped leaves nothing in OUT. The data options
    that are not given are those of RUN, where it is of the same data.
    """
    from tqdm import tqdm

    from cpc_keras.evaluation import fine_tune
    from cpc_keras.training import deterministic_ops

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        # Before minutes are spent on reading the data.
        raise FileExistsError(f"{out} is there already. Choose another directory for --out.")
    deterministic_ops()
    encoder = load_encoder(run)
    chosen = chosen.as_pretrained([run])
    splits = chosen.load().labeled()
    data = chosen.data
    shape, expected = splits.train.image_shape, tuple(encoder.input_shape[1:])
    if shape != expected:
        raise ValueError(
            f"The encoder in {run} takes images of shape {expected}; {data} has {shape}. Pass "
            "--image-size and --channels that fit."
        )
    with tqdm(desc="fine-tuning", unit="step") as bar:
        result = fine_tune(
            encoder,
            splits,
            out,
            fraction=fraction,
            num_steps=steps,
            learning_rate=learning_rate,
            augmentation=augmentation or ("digits" if data == "mnist_5k" else "photos"),
            batch_size=batch_size,
            class_weight=None if class_weight == "none" else class_weight,
            seed=seed,
            # With what was taken over from the run: new images are to be scaled alike.
            facts={"command": shlex.join(["cpc-keras", *sys.argv[1:]]), **chosen.facts()},
            on_start=lambda total: bar.reset(total),
            on_step=bar.update,
        )
    tell_classifier(out, result)


def tell_classifier(out: pathlib.Path, result: dict) -> None:
    """Say what a classifier is worth, by the result of `write_classifier`, and where it lies."""
    if "top_1" in result:
        low, high = result["intervals"]["top_1"]
        click.echo(
            f"{result['top_1']:.1%} of {result['num_images']} test images ({low:.1%} to "
            f"{high:.1%}), balanced {result['balanced_accuracy']:.1%}, with "
            f"{result['num_labels']} labels"
        )
    click.echo(f"Classifier: {out / 'classifier.keras'}  (keras.saving.load_model opens it)")
    click.echo(f"SavedModel: {out / 'saved_model'}  (tf.saved_model.load opens it)")


def load_encoder(run: pathlib.Path):
    """Load the encoder of a run, an artifact or a `.keras` file."""
    from cpc_keras.models import PretrainingModel

    if run.is_file():
        model = load_keras_file(run, compile=False)
        return getattr(model, "encoder", model)
    artifact = run if (run / "preset.json").exists() else run / "artifact"
    if not (artifact / "preset.json").exists():
        raise ValueError(
            f"{run} holds no artifact. Expected a finished run of cpc-keras pretrain, a directory "
            "that `model.export` wrote, or a .keras file."
        )
    return PretrainingModel.from_preset(artifact).encoder
