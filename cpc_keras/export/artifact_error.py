"""The error of a directory that is not a whole artifact."""


class ArtifactError(ValueError):
    """A directory is not an artifact, or not what was exported; names the file and what differs.

    Example:
        >>> raise ArtifactError("saved_models/mine/config.json is missing.")
        Traceback (most recent call last):
        cpc_keras.export.artifact_error.ArtifactError: saved_models/mine/config.json is missing.
    """
