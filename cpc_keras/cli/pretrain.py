"""`cpc-keras pretrain`."""

import dataclasses
import inspect
import pathlib

import click
import keras

from cpc_keras.augmentations import (
    IMAGE_AUGMENTATIONS,
    PATCH_AUGMENTATIONS,
    image_augmentation,
)
from cpc_keras.cli.options import Numbers, data_options, load
from cpc_keras.encoders import PATCH_ENCODERS
from cpc_keras.losses import CANDIDATES
from cpc_keras.methods import METHODS
from cpc_keras.training import RECIPES, STRATEGIES, Recipe, distribution_strategy
from cpc_keras.training import pretrain as run_pretraining

# Held-out images that are measured after each epoch; more would only cost time.
NUM_HELD_OUT = 256


@click.command(context_settings={"show_default": True})
@data_options
@click.option(
    "--out", required=True, type=click.Path(path_type=pathlib.Path), help="Run directory."
)
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="default", help="Start from.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the images.  [default: recipe]")
@click.option("--batch-size", type=click.IntRange(1), help="Images a step.  [default: recipe]")
@click.option("--learning-rate", type=float, help="Peak of AdamW's.  [default: recipe]")
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
@click.option("--image-augmentation", type=click.Choice(IMAGE_AUGMENTATIONS), help="In training.")
@click.option(
    "--independent-targets/--shared-targets",
    default=None,
    help="Augment the predicted patches' image on its own.  [default: recipe]",
)
@click.option("--seed", type=int, default=0, help="Of everything that is drawn.")
@click.option(
    "--stream",
    is_flag=True,
    help="Read a folder's images as they are needed: more may be there than fit into memory.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="auto",
    help="Devices that share each batch: auto is mirrored where there are several GPUs.",
)
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard logs into OUT/logs.")
def pretrain(
    data, image_size, channels, out, recipe, seed, stream, strategy, tensorboard, **options
):
    """Pre-train an encoder on images without labels.

    Writes OUT/artifact, which tf.keras.models.load_model opens. The same command again resumes.
    """
    recipe = override(RECIPES[recipe], seed=seed, **options)
    image_size, channels = image_size or recipe.image_size, channels or recipe.channels
    splits = load(data, image_size, channels, in_memory=not stream)
    facts = {"data": data, "image_size": image_size, "channels": channels}
    artifact = pretrain_and_export(
        splits,
        recipe,
        out,
        facts=facts,
        tensorboard=tensorboard,
        command=_command(),
        strategy=distribution_strategy(strategy),
    )
    skipped = splits.train.skipped
    if skipped:
        (out / "skipped.csv").write_text(
            "path,reason\n" + "".join(f'"{f.path}","{f.reason}"\n' for f in skipped)
        )
        click.echo(f"{len(skipped)} files could not be read: {out / 'skipped.csv'}")
    click.echo(f"Encoder: {artifact}  (tf.keras.models.load_model opens it)")
    click.echo(f"What it is worth: cpc-keras evaluate {out} --data {data}")


def override(
    recipe: Recipe,
    *,
    seed,
    epochs=None,
    batch_size=None,
    learning_rate=None,
    image_augmentation=None,
    **model,
) -> Recipe:
    """Return the recipe with the given settings replaced; `None` leaves the recipe's."""
    changes = {
        "num_epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "image_augmentation": image_augmentation,
        "seed": seed,
        "model": {**recipe.model, **{k: v for k, v in model.items() if v is not None}},
    }
    return dataclasses.replace(recipe, **{k: v for k, v in changes.items() if v is not None})


def build_model(
    recipe: Recipe, image_shape: tuple[int, int, int], num_images: int | None = None
) -> keras.Model:
    """Build the model of a recipe for images of a shape; where the recipe crops, for the crop.

    A method that keeps something of each image is told `num_images`; without, the recipe tells it.
    """
    shape = tuple(image_shape)
    if recipe.crop_size:
        shape = (recipe.crop_size, recipe.crop_size, shape[-1])
    method, arguments = METHODS[recipe.method], dict(recipe.model)
    if num_images is not None and "num_images" in inspect.signature(method).parameters:
        arguments["num_images"] = num_images
    if recipe.image_augmentation != "none":
        # Otherwise what the method itself does.
        arguments["image_augmentation"] = image_augmentation(recipe.image_augmentation, shape)
    return method(shape, seed=recipe.seed, **arguments)


def pretrain_and_export(
    splits, recipe, run_directory, *, facts, command, tensorboard=False, strategy=None
) -> pathlib.Path:
    """Pre-train on the training images into `run_directory` and export `artifact/` once."""
    from cpc_keras.export import write_artifact

    model = run_pretraining(
        lambda: build_model(recipe, splits.train.image_shape, len(splits.train)),
        splits.train.images,
        run_directory=run_directory,
        recipe=recipe,
        facts=facts,
        held_out_images=None if splits.test is None else splits.test.images[:NUM_HELD_OUT],
        tensorboard=tensorboard,
        strategy=strategy,
    )
    artifact = pathlib.Path(run_directory) / "artifact"
    if not artifact.exists():
        write_artifact(
            model,
            artifact,
            facts={
                "method": recipe.method,
                "command": command,
                "data": f"{splits.train.source}, {len(splits.train)} images, no labels",
                "num_epochs": recipe.num_epochs,
                "seed": recipe.seed,
            },
        )
    return artifact


def _command():
    import sys

    return " ".join(["cpc-keras", *sys.argv[1:]])
