"""A pre-training model from a preset or an exported directory."""

import os
from pathlib import Path

import keras

from cpc_keras.export import check_golden, load_keras_file, recover, verify_artifact
from cpc_keras.export.artifact_layout import PRETRAINING
from cpc_keras.presets.preset_directory import preset_directory


def load_preset(preset: str | os.PathLike, model_class: type[keras.Model]) -> keras.Model:
    """Load a pre-training model with all weights; compile it to train it.

    Every file is checked against its SHA-256 first, no code from the artifact is run, and its
    encoder must give the features that were recorded at the export. An artifact whose replacement
    was killed is brought back.

    The optimizer that the model was trained with is left where it is, in `pretraining.keras`: its
    learning-rate schedule tends to be at its end, where `fit` changes nothing.

    Args:
        preset: directory written by `model.export(...)`, or the name of a shipped preset.
        model_class: what the model must be; its module registers what the file needs.

    Returns:
        The model, an instance of `model_class`, not compiled.

    Raises:
        ValueError: no such directory or name; the shipped names are listed. Or the directory is
            incomplete, damaged or changed (`ArtifactError`, which names the file), or holds another
            model.

    Example:
        >>> model = load_preset("saved_models/mine", CPCModel)
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-4))
        >>> _ = model.fit(images, verbose=0)
    """
    directory = _directory(preset)
    verify_artifact(directory)
    model = load_keras_file(directory / PRETRAINING, compile=False)
    if not isinstance(model, model_class):
        raise ValueError(
            f"{directory / PRETRAINING} holds a {type(model).__name__}. Expected: "
            f"{model_class.__name__}. Call {type(model).__name__}.from_preset({str(preset)!r})."
        )
    check_golden(directory, encoder=model.encoder)
    return model


def _directory(preset):
    recover(preset)
    path = Path(preset)
    if (path / "preset.json").is_file():
        return path
    if not isinstance(preset, str) or path.name != preset:
        # It can only be a path: verify_artifact says what is wrong with it.
        return path
    try:
        return preset_directory(preset)
    except ValueError:
        if path.exists():
            return path
        raise
