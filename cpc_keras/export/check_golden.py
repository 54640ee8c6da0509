"""Does an artifact compute what it computed when it was exported?"""

import hashlib
import os
from pathlib import Path

import keras
import numpy as np

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.artifact_layout import GOLDEN
from cpc_keras.export.load_keras_file import load_keras_file

_KEYS = ("images", "features")


def check_golden(
    path: str | os.PathLike, *, rtol: float | None = None, encoder: keras.Model | None = None
) -> None:
    """Compare the features of an artifact's encoder with those recorded at its export.

    `verify_artifact` tells whether the files are the same; this tells whether this Keras on this
    machine still computes the same from them. It runs on the CPU, where both were computed: a GPU
    may multiply in TF32. Exports since 0.2 also record a digest of the encoder's weights, which
    must then be equal to the last bit.

    Args:
        path: directory of the artifact.
        rtol: largest deviation accepted, as a share of the largest feature of the images; by
            default 1e-4, and 0.02 for encoders that compute in 16 bits.
        encoder: the encoder, where it was loaded already; by default that of `path`.

    Raises:
        ArtifactError: there are no recorded features, or they or the weights differ.

    Example:
        >>> check_golden("saved_models/mine")
    """
    images, expected, digest = read_golden(path)
    if encoder is None:
        encoder = load_keras_file(path, compile=False)
    if digest is not None and digest != weights_digest(encoder):
        raise ArtifactError(
            f"check_golden: the weights of {path} are not those whose digest {GOLDEN} holds. "
            "Expected equal weights. They were changed after the export: fetch a whole copy."
        )
    if rtol is None:
        rtol = golden_tolerance(encoder)
    received = _features(encoder, images, path)
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


def weights_digest(encoder: keras.Model) -> str:
    """SHA-256 over names of types, shapes and bytes of all weights, in the model's order."""
    digest = hashlib.sha256()
    for weight in encoder.weights:
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def read_golden(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, str | None]:
    """Images, their features and the digest of the weights, as recorded at the export."""
    file = Path(path) / GOLDEN
    if not file.is_file():
        raise ArtifactError(
            f"check_golden: {file} is missing. Expected a directory written by model.export(...)."
        )
    try:
        with np.load(file, allow_pickle=False) as golden:
            images, features = (golden[key] for key in _KEYS)
            digest = str(golden["weights_sha256"]) if "weights_sha256" in golden else None
    # NumPy raises whatever a broken archive leads it to; a pickle is refused as a ValueError.
    except Exception as error:
        raise ArtifactError(
            f"check_golden: {file} cannot be read: {type(error).__name__}: {error}. Expected the "
            f"arrays {_KEYS}. Export it again, or fetch a whole copy of it."
        ) from error
    if not len(images) or not np.isfinite(features).all():
        raise ArtifactError(
            f"check_golden: {file} holds {len(images)} images, and features that are "
            f"{'' if np.isfinite(features).all() else 'not '}finite. Expected at least one image "
            "and finite features. Export it again, or fetch a whole copy of it."
        )
    return images, features, digest


def _features(encoder, images, path):
    try:
        with keras.device("cpu:0"):
            return keras.ops.convert_to_numpy(encoder(images))
    # A changed configuration may still build and fail only here.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArtifactError(
            f"check_golden: the encoder of {path} does not take the images of {GOLDEN}, of shape "
            f"{images.shape}: {reason[:500]}. Export it again, or fetch a whole copy of it."
        ) from error


def golden_tolerance(encoder: keras.Model) -> float:
    """Deviation that two machines may show, as a share of the largest feature."""
    layers = encoder._flatten_layers()
    in_16_bits = any(layer.compute_dtype in ("float16", "bfloat16") for layer in layers)
    return 0.02 if in_16_bits else 1e-4
