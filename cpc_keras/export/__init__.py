"""The artifact: one directory that every loader opens; write it, verify it, set it right."""

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.check_golden import check_golden
from cpc_keras.export.check_keras_file import check_keras_file
from cpc_keras.export.check_loaders import check_loaders
from cpc_keras.export.load_artifact import load_artifact
from cpc_keras.export.load_keras_file import load_keras_file
from cpc_keras.export.load_saved_model import load_saved_model
from cpc_keras.export.recover import recover
from cpc_keras.export.verify_artifact import verify_artifact
from cpc_keras.export.write_artifact import write_artifact

__all__ = [
    "ArtifactError",
    "check_golden",
    "check_keras_file",
    "check_loaders",
    "load_artifact",
    "load_keras_file",
    "load_saved_model",
    "recover",
    "verify_artifact",
    "write_artifact",
]
