"""Does every loader open an artifact? Tried where a crash does no harm."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.verify_artifact import verify_artifact

_CHILD = "from cpc_keras.export.check_loaders import child; child()"


def check_loaders(path: str | os.PathLike, *, timeout: float = 300.0) -> None:
    """Open an artifact with Keras and as a SavedModel, in a process of its own.

    A SavedModel is a program that TensorFlow runs: a damaged graph can end the process, or keep it
    busy, before Python hears of it, and TensorFlow promises nothing about files of strangers. Call
    this before `tf.saved_model.load` or TensorFlow Serving gets a directory that came from
    elsewhere. `load_artifact` and `from_preset` need it not: they do not read the SavedModel.

    Args:
        path: directory written by `model.export(...)`.
        timeout: seconds until loading is given up.

    Raises:
        ArtifactError: a file differs from its SHA-256, a loader fails, gives other features than
            recorded, ends the process, or does not come to an end; it says which.

    Example:
        >>> check_loaders("saved_models/mine")
    """
    path = Path(path)
    verify_artifact(path)
    command = [sys.executable, "-c", _CHILD, str(path)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise ArtifactError(
            f"check_loaders: loading {path} did not end within timeout={timeout:g} seconds. Do not "
            "load it, or allow more time on a slow machine."
        ) from None
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"stage"')]
    failed = [entry for entry in told if entry.get("error")]
    if failed:
        raise ArtifactError(f"check_loaders: {path}, {failed[0]['stage']}: {failed[0]['error']}")
    if done.returncode:
        stage = told[-1]["stage"] if told else "start"
        raise ArtifactError(
            f"check_loaders: {path}, {stage}: the process that loaded it ended with "
            f"{_ending(done.returncode)}. {' '.join(done.stderr.split())[-300:]} Do not load it."
        )


def child() -> None:
    """Load each form of the artifact that the command line names; a line before and after each."""
    from cpc_keras.export.check_golden import golden_tolerance
    from cpc_keras.export.load_artifact import load_artifact
    from cpc_keras.export.load_saved_model import load_saved_model

    path = sys.argv[1]

    def attempt(stage, load):
        print(json.dumps({"stage": stage}), flush=True)
        try:
            return load()
        except ArtifactError as error:
            print(json.dumps({"stage": stage, "error": str(error)}), flush=True)
            sys.exit(1)

    encoder = attempt("Keras model", lambda: load_artifact(path))
    rtol = golden_tolerance(encoder)
    attempt("SavedModel", lambda: load_saved_model(path, rtol=rtol))


def _ending(code):
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
