"""The artifact: one directory that every loader opens; write it, verify it, set it right."""

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.check_golden import check_golden
from cpc_keras.export.recover import recover
from cpc_keras.export.verify_artifact import verify_artifact
from cpc_keras.export.write_artifact import write_artifact

__all__ = ["ArtifactError", "check_golden", "recover", "verify_artifact", "write_artifact"]
