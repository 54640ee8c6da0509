"""Is a directory the artifact that was exported?"""

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import Any

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.artifact_layout import FORMAT_VERSION, LOADED, PRESET, REQUIRED

_AGAIN = "Export it again, or fetch a whole copy of it."


def verify_artifact(path: str | os.PathLike) -> dict[str, Any]:
    """Check every file of an artifact against the SHA-256 that was recorded at its export.

    It finds damage and incomplete copies; it is no signature. Files that no loader reads may be
    added.

    Args:
        path: directory of the artifact.

    Returns:
        What `preset.json` holds: format version, name, model, scores, versions, licence, ...

    Raises:
        ArtifactError: no such directory; a file is missing, differs, lies outside the directory or
            was added where a loader would read it; `preset.json` is of another format.

    Example:
        >>> verify_artifact("saved_models/mine")["method"]
        'cpc'
    """
    directory = Path(path)
    if not directory.is_dir():
        raise ArtifactError(
            "verify_artifact: expected a directory written by model.export(...). Received: "
            f"{path}, which {'is a file' if directory.exists() else 'does not exist'}. Check the "
            "path."
        )
    preset = read_preset(directory)
    table = preset["sha256"]
    for name in table:
        _check_inside(directory, name)
    for name in (*REQUIRED, *table):
        if not (directory / name).is_file():
            raise ArtifactError(
                f"verify_artifact: {directory / name} is missing, or is no file. {_AGAIN}"
            )
    for name in _loaded_files(directory):
        if name not in table:
            raise ArtifactError(
                f"verify_artifact: {directory / name} is not listed in {PRESET}, and a loader "
                f"would read it. Remove it if it was added. {_AGAIN}"
            )
    for name, expected in table.items():
        with (directory / name).open("rb") as file:
            received = hashlib.file_digest(file, "sha256").hexdigest()
        if received != expected:
            raise ArtifactError(
                f"verify_artifact: {directory / name} differs from what was exported. Expected "
                f"SHA-256 {expected}, received {received}. {_AGAIN}"
            )
    return preset


def read_preset(directory: Path) -> dict[str, Any]:
    """Read `preset.json` and check its format, not the files it lists."""
    file = directory / PRESET
    try:
        preset = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{file} is missing: {directory} is no artifact, or an incomplete one. Expected a "
            "directory written by model.export(...)."
        ) from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{file} cannot be read: {error}. {_AGAIN}") from error
    version = preset.get("format_version") if isinstance(preset, dict) else None
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"{file}: expected format_version {FORMAT_VERSION}. Received: {version!r}. If it was "
            "written by a newer cpc_keras, upgrade: pip install -U cpc-keras."
        )
    table = preset.get("sha256")
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise ArtifactError(
            f'{file}: expected "sha256", a table from file names to hexadecimal digests. Received: '
            f"{table!r}. {_AGAIN}"
        )
    return preset


def _check_inside(directory, name):
    pure = PurePosixPath(name)
    inside = bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
    if not inside or not (directory / name).resolve().is_relative_to(directory.resolve()):
        raise ArtifactError(
            f"verify_artifact: {directory / PRESET} lists {name!r}, which lies outside "
            f"{directory}. Expected names of files inside it, and no links that lead out. Do not "
            "load it."
        )


def _loaded_files(directory):
    for first in LOADED:
        top = directory / first
        for file in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if file.is_file():
                yield file.relative_to(directory).as_posix()
