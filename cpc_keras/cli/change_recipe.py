"""A recipe with some of its settings replaced, by name."""

import dataclasses
import difflib
import inspect
import re

from cpc_keras.methods import METHODS, model_of
from cpc_keras.training import OPTIMIZERS, Recipe

FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
NESTED = ("model", "optimizer_options")
# YAML 1.1 reads 1e-3, without a point, as text.
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def change_recipe(recipe: Recipe, settings: dict) -> Recipe:
    """Return the recipe with settings replaced, each looked up by its name.

    Args:
        recipe: where to start from.
        settings: names of `Recipe`'s attributes, with their values. "model" and "optimizer_options"
            replace all of these; "model.context_blocks" and so on one of them.

    Raises:
        ValueError: a name that is none, with the nearest one that is; or a value of another type.

    Example:
        >>> from cpc_keras.cli.change_recipe import change_recipe
        >>> recipe = change_recipe(RECIPES["mnist_5k"], {"model.context_blocks": 3})
        >>> recipe.model["context_blocks"], recipe.model["patch_encoder"]
        (3, 'mlp')
    """
    changes = {}
    for name, value in settings.items():
        first, dot, rest = str(name).partition(".")
        check_name(first, FIELDS, "setting")
        value = _with_numbers(value)
        if dot and first in NESTED:
            changes[first] = {**changes.get(first, getattr(recipe, first)), rest: value}
        elif dot:
            raise ValueError(f"{first} holds no further settings. Received: {name!r}.")
        else:
            changes[first] = _checked(FIELDS[first], value)
    changed = dataclasses.replace(recipe, **changes)
    check_name(changed.method, METHODS, "method")
    for name in changed.model:
        check_name(name, _arguments_of_method(METHODS[changed.method]), "setting", "model.")
    check_name(changed.optimizer, OPTIMIZERS, "optimizer")
    for name in changed.optimizer_options:
        options = _arguments(OPTIMIZERS[changed.optimizer])
        check_name(name, options, "setting", "optimizer_options.")
    return changed


def check_name(name: str, known, kind: str, prefix: str = "") -> None:
    """Refuse a name that is not among those that are known; name the nearest."""
    if name in known:
        return
    near = difflib.get_close_matches(str(name), list(known), 1)
    meant = f" Did you mean {prefix}{near[0]}?" if near else ""
    names = ", ".join(sorted(known))
    raise ValueError(
        f"There is no {kind} {prefix}{name}.{meant} Expected one of: {names}."
        if len(known) < 50
        else f"There is no {kind} {prefix}{name}.{meant}"
    )


def _arguments_of_method(method):
    # What a method does not take itself, it passes on to its model.
    return _arguments(method) | _arguments(model_of(method))


def _arguments(function):
    parameters = inspect.signature(function).parameters
    given = {"image_shape", "image_augmentation", "seed", "learning_rate", "args", "kwargs"}
    return {
        name
        for name, p in parameters.items()
        if name not in given | {"name", "options"} and p.kind is not p.VAR_KEYWORD
    }


def _with_numbers(value):
    if isinstance(value, dict):
        return {k: _with_numbers(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_with_numbers(v) for v in value]
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return float(value)
    return value


def _checked(field, value):
    kinds = {
        str: (str, "text"),
        int: (int, "a whole number"),
        float: (int | float, "a number"),
        bool: (bool, "true or false"),
        dict: (dict, "settings by name"),
        int | None: (int | None, "a whole number or null"),
    }
    kind, words = kinds[field.type]
    is_truth = isinstance(value, bool) and field.type is not bool
    if not isinstance(value, kind) or is_truth:
        raise ValueError(f"The setting {field.name} is {words}. Received: {value!r}.")
    return float(value) if field.type is float else value
