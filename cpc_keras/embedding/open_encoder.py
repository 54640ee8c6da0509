"""An encoder from whatever holds one."""

import os
import pathlib

import keras

from cpc_keras.export import load_artifact
from cpc_keras.presets import preset_directory


def open_encoder(path: str | os.PathLike) -> keras.Model:
    """Load an encoder from an artifact, a run, a `.keras` file, or by a preset's name.

    Nothing of it is run as code, and an artifact is checked to its last file (`load_artifact`).

    Args:
        path: a directory written by `model.export(...)`; a run directory of `cpc-keras pretrain`,
            whose `artifact/` or, before there is one, newest checkpoint is taken; a `.keras` file
            of a pre-training model or of any model from images to features; or the name of a
            shipped preset.

    Returns:
        Model from images `[batch, height, width, channels]` to features `[batch, ...]`.

    Raises:
        FileNotFoundError: a directory that is none of these.
        ValueError: a damaged file (`ArtifactError`), or no such file and no preset of that name.

    Example:
        >>> keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()]).save("my.keras")
        >>> open_encoder("my.keras").output_shape
        (None, 64)
    """
    import cpc_keras.methods  # noqa: F401  the classes that files name
    from cpc_keras.training import load_newest

    place = pathlib.Path(path)
    if (place / "preset.json").is_file():
        return load_artifact(place)
    if (place / "artifact" / "preset.json").is_file():
        return load_artifact(place / "artifact")
    if not place.exists() and isinstance(path, str) and place.name == path:
        return load_artifact(preset_directory(path))
    model = load_newest(place)
    return getattr(model, "encoder", model)
