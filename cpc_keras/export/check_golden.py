"""Does an artifact compute what it computed when it was exported?"""

import os
from pathlib import Path

import keras
import numpy as np

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.artifact_layout import GOLDEN


def check_golden(path: str | os.PathLike, *, rtol: float = 1e-4) -> None:
    """Compare the features of an artifact's encoder with those recorded at its export.

    `verify_artifact` tells whether the files are the same; this tells whether this Keras on this
    machine still computes the same from them. It runs on the CPU, where both were computed: a GPU
    may multiply in TF32.

    Args:
        path: directory of the artifact.
        rtol: largest deviation accepted, as a share of the largest feature of the images.
            Encoders that compute in 16 bits need about 0.02 between machines.

    Raises:
        ArtifactError: there are no recorded features, or they differ.

    Example:
        >>> check_golden("saved_models/mine")
    """
    file = Path(path) / GOLDEN
    if not file.is_file():
        raise ArtifactError(
            f"check_golden: {file} is missing. Expected a directory written by model.export(...)."
        )
    with np.load(file, allow_pickle=False) as golden:
        images, expected = golden["images"], golden["features"]
    with keras.device("cpu:0"):
        encoder = keras.saving.load_model(path, compile=False)
        received = keras.ops.convert_to_numpy(encoder(images))
    if received.shape != expected.shape:
        raise ArtifactError(
            f"check_golden: {path} gives features of shape {received.shape}. Expected "
            f"{expected.shape}, as recorded in {GOLDEN}. Export it again."
        )
    deviation = np.max(np.abs(received - expected))
    # The other way round a NaN would pass.
    if not deviation <= rtol * np.max(np.abs(expected)):
        raise ArtifactError(
            f"check_golden: the features of {path} deviate by {deviation:.3g} from those recorded "
            f"in {GOLDEN}, whose largest is {np.max(np.abs(expected)):.3g}. Expected at most rtol="
            f"{rtol:g} of that. It was exported by other versions ({Path(path) / 'preset.json'}, "
            '"versions"), or its weights were changed.'
        )
