"""Start a training from the weights of an earlier one."""

import os
import pathlib

import keras

from cpc_keras.models import PretrainingModel, SemiSupervisedModel
from cpc_keras.presets import load_preset
from cpc_keras.training.checkpoints import load_newest


def start_from(model: PretrainingModel, source: str | os.PathLike) -> PretrainingModel:
    """Give a model the weights of a trained one, for example to go on with images of one's own.

    The encoder's weights must fit, to the last. What lies around the encoder (context networks,
    predictions, heads, memory banks) is taken over too where the models are of one class and all of
    it fits; otherwise it starts at random. Images may be of another size, where the encoder's
    weights do not depend on it, and the encoder may come from another method.

    Args:
        model: any model of this package, built.
        source: run directory of `pretrain`, directory written by `model.export(...)`, `.keras` file
            of a pre-training model, or the name of a shipped preset.

    Returns:
        The model itself.

    Raises:
        FileNotFoundError: a directory without a readable checkpoint.
        ValueError: no such source, an encoder with other weights, or one that was trained with
            labels for a model that is trained without: few labels would measure it as if it had not
            seen the others.

    Example:
        >>> model = start_from(CPCModel((32, 32, 3)), "saved_models/mine")
        Starting from saved_models/mine: all weights.
    """
    found = _open(source)
    if not isinstance(found, PretrainingModel):
        raise ValueError(
            f"{source} holds a {type(found).__name__}. Expected a model of this package, such as "
            "CPCModel."
        )
    if isinstance(found, SemiSupervisedModel) and not isinstance(model, SemiSupervisedModel):
        raise ValueError(
            f"The encoder of {source} was trained with labels, and {type(model).__name__} learns "
            "without: what came out would be taken for features that no label has shaped. Expected "
            "an encoder that has seen none."
        )
    if _shapes(found.encoder.weights) != _shapes(model.encoder.weights):
        raise ValueError(_told_of_misfit(model, found, source))
    parts, told = [(model.encoder.weights, found.encoder.weights)], "the encoder's weights"
    if type(found) is type(model) and _shapes(found.weights) == _shapes(model.weights):
        parts, told = [(model.weights, found.weights)], "all weights"
    for own, theirs in parts:
        for variable, value in zip(own, theirs, strict=True):
            variable.assign(keras.ops.convert_to_numpy(value))
    print(f"Starting from {source}: {told}.")
    return model


def _open(source):
    path = pathlib.Path(source)
    for artifact in (path, path / "artifact"):
        if (artifact / "preset.json").is_file():
            return load_preset(artifact, PretrainingModel)
    return load_newest(path) if path.exists() else load_preset(source, PretrainingModel)


def _shapes(weights):
    return [tuple(weight.shape) for weight in weights]


def _told_of_misfit(model, found, source):
    own, theirs = model.get_config(), found.get_config()
    different = [
        f"{name}={value!r} (here {own[name]!r})"
        for name, value in theirs.items()
        # Settings of the encoder are names and numbers; layers would fill pages.
        if name in own
        and value != own[name]
        and isinstance(value, str | int | float | list | tuple | None)
        and name not in ("name", "seed", "image_shape")
    ]
    counts = " and ".join(f"{m.encoder.count_params():,}" for m in (found, model))
    told = (
        f"Its {type(found).__name__} has {', '.join(different)}. Give these settings"
        if different and type(found) is type(model)
        else f"It is of a {type(found).__name__}, this is a {type(model).__name__}. Give the same "
        "encoder"
    )
    return (
        f"The encoder of {source} has other weights than that of the model: {counts} parameters. "
        f"{told}, on the command line by --recipe, --set model.NAME=VALUE or --config of its run."
    )
