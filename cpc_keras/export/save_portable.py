"""A Keras model as a file or a directory that older versions of Keras open too."""

import json
import pathlib
import zipfile

import keras

from cpc_keras.export.portable_config import portable_config

CONFIG = "config.json"


def save_portable(model: keras.Model, path: pathlib.Path) -> None:
    """Save a model as Keras does, with a configuration that Keras 3.7 reads (`portable_config`).

    Args:
        model: of stock layers.
        path: a file whose name ends in `.keras`, or a directory that is made.

    Example:
        >>> import pathlib
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> save_portable(model, pathlib.Path("line.keras"))
        >>> keras.saving.load_model("line.keras").output_shape
        (None, 1)
    """
    if path.suffix != ".keras":
        keras.saving.save_model(model, path, zipped=False)
        (path / CONFIG).write_text(_portable((path / CONFIG).read_bytes()), encoding="utf-8")
        return
    keras.saving.save_model(model, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, _portable(content) if name == CONFIG else content)


def _portable(content: bytes) -> str:
    return json.dumps(portable_config(json.loads(content)))
