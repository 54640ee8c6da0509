"""`cpc-keras describe`."""

import dataclasses
import pathlib

import click

from cpc_keras.cli.change_recipe import change_recipe
from cpc_keras.cli.pretrain import build_model
from cpc_keras.cli.recipe_options import set_option
from cpc_keras.models import PretrainingModel
from cpc_keras.models import describe as describe_model
from cpc_keras.presets import load_preset
from cpc_keras.training import RECIPES, load_newest

DEFAULT_SIDE, DEFAULT_CHANNELS = 32, 3


@click.command(context_settings={"show_default": True})
@click.argument("what")
@click.option(
    "--image-size", type=click.IntRange(1), help="Side of images of a recipe.  [default: its own]"
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="Of a recipe.  [default: its own]")
@click.option("--batch-size", type=click.IntRange(1), help="Images a step.  [default: recipe, 64]")
@set_option
def describe(what, image_size, channels, batch_size, settings):
    """Tell what a model is and what a step of its training costs.

    WHAT is the name of a recipe, a run directory, an artifact or the name of a preset. Prints
    patches, candidates, parameters, floating-point operations, memory; nothing is run.
    """
    slots = 2
    if what in RECIPES:
        recipe = change_recipe(RECIPES[what], settings)
        slots = 1 if recipe.optimizer in ("lars", "sgd") else 2
        side = image_size or recipe.crop_size or recipe.image_size or DEFAULT_SIDE
        shape = (side, side, int(channels or recipe.channels or DEFAULT_CHANNELS))
        model = build_model(dataclasses.replace(recipe, crop_size=None), shape)
        batch_size = batch_size or recipe.batch_size
        slots += bool(recipe.optimizer_options.get("use_ema"))
        for name, value in _settings(recipe).items():
            click.echo(f"{name}: {value}")
    elif image_size or channels or settings:
        raise click.UsageError(
            f"--image-size, --channels and --set go with a recipe ({', '.join(RECIPES)}). Received "
            f"{what}, whose model is what it is."
        )
    elif (pathlib.Path(what) / "checkpoints").is_dir():
        model = load_newest(what)
    else:
        model = load_preset(what, PretrainingModel)
    click.echo(describe_model(model, batch_size=batch_size or 64, optimizer_slots=slots))


def _settings(recipe):
    """The recipe's own settings, those that are not the default of every recipe."""
    plain = type(recipe)()
    settings = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)}
    return {name: v for name, v in settings.items() if v != getattr(plain, name)}
