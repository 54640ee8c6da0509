"""Options for every setting of a recipe, and for a file that holds them."""

import dataclasses
import pathlib

import click
import yaml

from cpc_keras.augmentations import IMAGE_AUGMENTATIONS
from cpc_keras.cli.change_recipe import FIELDS, change_recipe, check_name
from cpc_keras.methods import METHODS
from cpc_keras.training import OPTIMIZERS, PRECISIONS, RECIPES, SCHEDULES, Recipe

# What a file may hold besides a recipe's settings; the options of the same name replace them.
DATA = (
    "recipe",
    "data",
    "image_size",
    "channels",
    "pixel_range",
    "label_source",
    "images",
    "test_fraction",
    "groups",
    "label_fraction",
    "init",
)
# What follows from the others, and `training.pretrain` writes beside them.
FACTS = ("num_labels", "labels")
CHOICES = {
    "method": METHODS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "image_augmentation": IMAGE_AUGMENTATIONS,
    "precision": PRECISIONS,
}
HELP = {
    "method": "What builds the model.",
    "num_epochs": "Passes over the images, or parts of --steps-per-epoch.",
    "steps_per_epoch": "Steps of an epoch, if not those of a pass over the images.",
    "batch_size": "Images a step.",
    "optimizer": "By its name.",
    "learning_rate": "The peak.",
    "schedule": "Of the learning rate.",
    "warmup": "Share of the steps over which the cosine schedule's rate rises.",
    "crop_size": "Side of the part of an image that the model sees.",
    "flip": "Mirror every second image of training.",
    "image_augmentation": "In training.",
    "unlabeled_ratio": "Unlabelled images of a batch for each labelled one.",
    "precision": "What layers compute in.",
    "seed": "Of everything that is drawn.",
}
FLAGS = {"num_epochs": "epochs"}
# Numbers that may be less than 1.
KINDS = {"seed": int, "unlabeled_ratio": click.IntRange(0)}


def recipe_options(command):
    """Add `--config`, `--recipe`, `--set`, and an option for each setting of a `Recipe`.

    The command receives `config` (dict), `recipe` (name), `settings` (pairs) and the settings by
    their names in `Recipe`, `None` where they were not given; `chosen_recipe` makes a recipe of
    them. The data options of the command may stand in the file as well.
    """
    options = [
        click.option(
            "--config",
            type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
            callback=_read,
            is_eager=True,
            help="YAML file of settings, such as RUN/config.yaml, which repeats a run. Options "
            "replace what is in it.",
        ),
        click.option(
            "--recipe", type=click.Choice(list(RECIPES)), default="default", help="Start from."
        ),
        *(_option(FIELDS[name]) for name in HELP),
        set_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def chosen_recipe(recipe: str, config: dict, settings: dict, **named) -> Recipe:
    """Return the recipe that the options name: options over the file over the named recipe."""
    given = {name: value for name, value in named.items() if value is not None}
    # A file names all of its options, or single ones.
    chosen = change_recipe(RECIPES[recipe], config)
    return change_recipe(chosen, {**given, **settings})


def _option(field: dataclasses.Field):
    flag = FLAGS.get(field.name, field.name).replace("_", "-")
    text = f"{HELP[field.name]}  [default: recipe]"
    if field.type is bool:
        return click.option(f"--{flag}/--no-{flag}", field.name, default=None, help=text)
    if field.name in CHOICES:
        kind = click.Choice(list(CHOICES[field.name]))
    else:
        kinds = {int: click.IntRange(1), int | None: click.IntRange(1), float: float}
        kind = KINDS.get(field.name) or kinds[field.type]
    return click.option(f"--{flag}", field.name, type=kind, help=text)


def _read(ctx, param, path):
    """Read the file; what of it are options of the command becomes their defaults."""
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is no YAML: {error}", ctx, param) from error
    if not isinstance(found, dict):
        raise click.BadParameter(f"{path} holds no settings by name.", ctx, param)
    if found.get("budget") == "full":
        del found["budget"]  # of `cpc-keras demo`, whose full budget is the recipe's own
    found = {name: value for name, value in found.items() if name not in FACTS}
    try:
        for name in found:
            check_name(str(name).partition(".")[0], {*FIELDS, *DATA}, "setting")
    except ValueError as error:
        raise click.BadParameter(f"{path}: {error}", ctx, param) from error
    defaults = {k: found.pop(k) for k in DATA if k in found}
    # `channels` is a choice among texts.
    defaults = {k: str(v) if k == "channels" else v for k, v in defaults.items() if v is not None}
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
    return found


def _pairs(ctx, param, values):
    pairs = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE. Received: {text!r}.", ctx, param)
        try:
            pairs[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise click.BadParameter(f"{value!r} is no YAML: {error}", ctx, param) from error
    return pairs


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Any other setting: model.context_blocks=3, optimizer_options.use_ema=true.",
)
