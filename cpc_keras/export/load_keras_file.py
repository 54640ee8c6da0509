"""A Keras model from a file that need not be trusted."""

import os
from typing import Any

import keras

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.check_keras_file import check_keras_file


def load_keras_file(path: str | os.PathLike, *, compile: bool = True) -> Any:
    """Load a `.keras` file, or the unzipped directory of one, without running code of it.

    The one door through which this package reads models: `check_keras_file` looks first, Keras
    loads in safe mode, and whatever fails is an `ArtifactError` that names the file.

    Args:
        path: a `.keras` file, or a directory with `config.json` and `model.weights.h5`.
        compile: whether to restore the optimizer, as in `keras.saving.load_model`.

    Returns:
        The model.

    Raises:
        ArtifactError: see `check_keras_file`; or Keras cannot build the model, or the weights do
            not fit it.

    Example:
        >>> load_keras_file("saved_models/mine", compile=False).output_shape
        (None, 64)
    """
    check_keras_file(path)
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    # Keras raises whatever a changed configuration leads it to: KeyError, TypeError, ...
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtifactError(
            f"load_keras_file: Keras cannot load {path}: {reason[:1000]}. Expected a model that "
            "this version of Keras wrote (layers of your own must be imported first, and be "
            "registered with keras.saving.register_keras_serializable)."
        ) from error
