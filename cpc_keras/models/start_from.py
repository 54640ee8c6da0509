"""Start a training from the weights of an earlier one."""

import os
import pathlib

import keras
import numpy as np

from cpc_keras.encoders.reapply_layers import reapply_layers
from cpc_keras.models.cpc_model import CPCModel
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.models.semi_supervised_model import SemiSupervisedModel

# Settings that may differ where all weights are taken over: those of images and of the training.
# What an encoder computes, its normalization included, is looked at.
_FREE = {
    *("name", "seed", "dtype", "trainable", "image_shape", "normalization"),
    *("image_augmentation", "patch_augmentation", "independent_targets"),
    *("candidates", "num_negatives", "num_anchors", "chunk_size"),
}


def start_from(model: PretrainingModel, source: str | os.PathLike) -> PretrainingModel:
    """Give a model the weights of a trained one, for example to go on with images of one's own.

    The encoder must be the same. What lies around it (context networks, predictions, heads) is
    taken over too where the models are of one class and its settings are the same; otherwise, and
    where a model keeps something of each image, it starts at random. Images may be of another size,
    where the encoder's weights do not depend on it, and the encoder may come from another method.

    Args:
        model: any model of this package, built.
        source: run directory of `training.pretrain`, directory written by `model.export(...)`,
            `.keras` file of a pre-training model, or the name of a shipped preset.

    Returns:
        The model itself.

    Raises:
        FileNotFoundError: a directory without a readable checkpoint.
        ValueError: no such source, another encoder, or one that was trained with labels: few labels
            would then measure it as if it had not seen the others.

    Example:
        >>> CPCModel((32, 32, 3), patch_encoder="mlp").save("earlier.keras")
        >>> model = start_from(CPCModel((48, 48, 3), patch_encoder="mlp"), "earlier.keras")
        Starting from earlier.keras: all weights.
    """
    found = _open(source)
    if not isinstance(found, PretrainingModel):
        raise ValueError(
            f"{source} holds a {type(found).__name__}. Expected a model of this package, such as "
            "CPCModel."
        )
    if isinstance(found, SemiSupervisedModel):
        raise ValueError(
            f"The encoder of {source} was trained with labels: with few labels, what comes out "
            "would be measured as if it had not seen the others. Expected an encoder that has seen "
            "none."
        )
    if _shapes(found.encoder.weights) != _shapes(model.encoder.weights):
        raise ValueError(_told_of_misfit(model, found, source))
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in model.encoder.weights]
    _assign(model.encoder.weights, found.encoder.weights)
    fits = False
    try:
        fits = _compute_the_same(model, found)
    finally:
        if not fits:
            _assign(model.encoder.weights, before)
    if not fits:
        raise ValueError(_told_of_misfit(model, found, source))
    told = "the encoder's weights"
    if _is_alike(model, found):
        _assign(model.weights, found.weights)
        told = "all weights"
    print(f"Starting from {source}: {told}.")
    return model


def trained_on(source: str | os.PathLike) -> str:
    """Say what images a source of `start_from` was trained on, as far as it tells."""
    from cpc_keras.export.verify_artifact import read_preset
    from cpc_keras.presets import list_presets

    for artifact in (pathlib.Path(source), pathlib.Path(source) / "artifact"):
        if (artifact / "preset.json").is_file():
            return read_preset(artifact)["data"] or "images that are not known"
    known = {} if pathlib.Path(source).exists() else list_presets()
    return known[source]["data"] if source in known else "images that are not known"


def _open(source):
    # Models alone need neither of these, nor what they import.
    from cpc_keras.presets import load_preset
    from cpc_keras.training.checkpoints import load_newest

    path = pathlib.Path(source)
    for artifact in (path, path / "artifact"):
        if (artifact / "preset.json").is_file():
            return load_preset(artifact, PretrainingModel)
    return load_newest(path) if path.exists() else load_preset(source, PretrainingModel)


def _shapes(weights):
    return [tuple(weight.shape) for weight in weights]


def _assign(weights, values):
    for weight, value in zip(weights, values, strict=True):
        weight.assign(keras.ops.convert_to_numpy(value))


def _compute_the_same(model, found):
    """Whether encoders of the same weights give the same features, on images of one size."""
    encoder = found.encoder
    if model.image_shape != found.image_shape:
        # The encoder alone: what the model does to images before may be of one size.
        if isinstance(found, CPCModel):
            encoder = found.image_encoder(model.image_shape)
        else:
            inputs = keras.Input(model.image_shape)
            encoder = keras.Model(inputs, reapply_layers(encoder, inputs))
    images = np.random.default_rng(0).integers(0, 256, (2, *model.image_shape)).astype("float32")
    own, theirs = (keras.ops.convert_to_numpy(e(images)) for e in (model.encoder, encoder))
    # Of another precision they are the same within its own.
    return own.shape == theirs.shape and np.allclose(own, theirs, rtol=0.05, atol=0.05 * own.std())


def _is_alike(model, found):
    own, theirs = (
        {k: v for k, v in m.get_config().items() if k not in _FREE} for m in (model, found)
    )
    return (
        type(found) is type(model)
        and own == theirs
        and "num_images" not in own
        and _shapes(found.weights) == _shapes(model.weights)
    )


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
        f"The encoder of {source} is another than that of the model: {counts} parameters. "
        f"{told}, on the command line by --recipe, --set model.NAME=VALUE or --config of its run."
    )
