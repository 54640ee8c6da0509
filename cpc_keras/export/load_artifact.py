"""The encoder of an artifact, checked from the first byte to the last feature."""

import os

import keras

from cpc_keras.export.check_golden import check_golden
from cpc_keras.export.load_keras_file import load_keras_file
from cpc_keras.export.recover import recover
from cpc_keras.export.verify_artifact import verify_artifact


def load_artifact(path: str | os.PathLike) -> keras.Model:
    """Load the encoder of an exported directory, or tell why it is not what was exported.

    As `tf.keras.models.load_model(path)`, and more careful: every file is checked against its
    SHA-256, no code of it is run, and the features of the recorded images must be the recorded
    ones. So files that were changed together with their checksums are found as well.

    Args:
        path: directory written by `model.export(...)`. One whose replacement was killed is brought
            back.

    Returns:
        The encoder, images `[batch, height, width, channels]` to features `[batch, d]`; not
        compiled.

    Raises:
        ArtifactError: a file is missing or damaged, holds code, or the features are others.

    Example:
        >>> load_artifact("saved_models/mine").output_shape
        (None, 64)
    """
    recover(path)
    verify_artifact(path)
    encoder = load_keras_file(path, compile=False)
    check_golden(path, encoder=encoder)
    return encoder
