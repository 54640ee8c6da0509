"""The SavedModel of an artifact, compared with the recorded features."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.check_golden import read_golden
from cpc_keras.export.verify_artifact import verify_artifact


def load_saved_model(path: str | os.PathLike, *, rtol: float = 1e-4) -> Any:
    """Load an artifact as TensorFlow Serving does, or tell why it is not what was exported.

    TensorFlow runs a SavedModel as a program and may crash on a damaged one: with a directory of
    unknown origin call `check_loaders` first, which tries this in a process of its own.

    Args:
        path: directory written by `model.export(...)`.
        rtol: largest deviation from the recorded features, as a share of the largest; 0.02 for
            encoders that compute in 16 bits.

    Returns:
        What `tf.saved_model.load` returns: `serve` takes float32 images, `serve_uint8` uint8. Keep
        it as long as you call them.

    Raises:
        ArtifactError: a file differs from its SHA-256, TensorFlow cannot load it, or its endpoints
            give other features than recorded.

    Example:
        >>> loaded = load_saved_model("saved_models/mine")
        >>> loaded.serve_uint8(images).shape
        TensorShape([4, 64])
    """
    import tensorflow as tf

    path = Path(path)
    verify_artifact(path)
    images, expected, _ = read_golden(path)
    computed = {}
    try:
        loaded = tf.saved_model.load(os.fspath(path))
        with tf.device("/CPU:0"):
            computed["serve"] = np.asarray(loaded.serve(images.astype("float32")))
            computed["serve_uint8"] = np.asarray(loaded.serve_uint8(images))
    # TensorFlow raises whatever a changed graph leads it to.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtifactError(
            f"load_saved_model: TensorFlow cannot load {path}: {reason[:1000]}. Export it again, "
            "or fetch a whole copy of it."
        ) from error
    for endpoint, features in computed.items():
        same_shape = features.shape == expected.shape
        # The other way round a NaN would pass.
        if not same_shape or not (
            np.max(np.abs(features - expected)) <= rtol * np.max(np.abs(expected))
        ):
            raise ArtifactError(
                f"load_saved_model: the endpoint {endpoint} of {path} gives other features than "
                "were recorded at the export. Its graph or its variables were changed: fetch a "
                "whole copy."
            )
    return loaded
