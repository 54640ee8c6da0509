"""Checkpoints that are whole or not there."""

import os
import pathlib
import re
import zipfile

import keras

from cpc_keras.export import load_keras_file

PATTERN = re.compile(r"epoch-(\d+)\.keras")
KEPT = 2


def save_checkpoint(
    model: keras.Model, directory: str | os.PathLike, *, epoch: int
) -> pathlib.Path:
    """Save model and optimizer as `epoch-NNNN.keras` and keep the newest two.

    Written under another name and renamed, so that a kill leaves no torn checkpoint.

    Args:
        model: compiled model.
        directory: made if it is not there.
        epoch: number of finished epochs.

    Returns:
        Path of the checkpoint.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"epoch-{epoch:04d}.keras"
    # Keras wants the ending .keras of the temporary name too.
    partial = directory / f".partial-{path.name}"
    model.save(partial)
    partial.rename(path)
    for old in _all(directory)[:-KEPT]:
        old.unlink()
    return path


def newest_checkpoint(directory: str | os.PathLike) -> tuple[pathlib.Path, int] | None:
    """Return path and number of finished epochs of the newest readable checkpoint, or `None`."""
    for path in reversed(_all(pathlib.Path(directory))):
        # The archive's own checksums find a damaged file; the one before it is then used.
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, OSError):
            damaged = path.name
        if damaged is None:
            return path, int(PATTERN.fullmatch(path.name)[1])
        print(f"The checkpoint {path} is damaged ({damaged}); the one before it is used.")
    return None


def load_newest(run: str | os.PathLike) -> keras.Model:
    """Load the model of a run's newest readable checkpoint, or of a `.keras` file, to be used.

    Where the optimizer averages the weights, the model has the average.

    Args:
        run: run directory of `pretrain`, or a file that `model.save` wrote.

    Raises:
        FileNotFoundError: a directory without a readable checkpoint.
    """
    path = pathlib.Path(run)
    if path.is_dir():
        found = newest_checkpoint(path / "checkpoints")
        if found is None:
            raise FileNotFoundError(
                f"{run} has no readable checkpoint under {path / 'checkpoints'}. Expected a run of "
                "cpc-keras pretrain that finished an epoch, or a .keras file."
            )
        path = found[0]
    model = load_keras_file(path)
    if getattr(model, "optimizer", None) is not None:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def _all(directory):
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if PATTERN.fullmatch(path.name))
