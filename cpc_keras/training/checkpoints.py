"""Checkpoints that are whole or not there."""

import hashlib
import io
import json
import os
import pathlib
import re
import zipfile
from typing import NamedTuple

import keras
import numpy as np

from cpc_keras.export import load_keras_file
from cpc_keras.export.check_keras_file import RUN_ARRAYS as ARRAYS
from cpc_keras.export.check_keras_file import RUN_STATE as STATE
from cpc_keras.training.write_atomically import PARTIAL, write_atomically

PATTERN = re.compile(r"epoch-(\d+)(?:-step-(\d+))?\.keras")
# The comment that ends the archive: the digest of all bytes before the 64 of the digest itself.
SEAL = b"sha256:"
SEALED = re.compile(SEAL + rb"[0-9a-f]{64}")


class Checkpoint(NamedTuple):
    """Where training stood, and the file that holds it.

    Attributes:
        path: the `.keras` file.
        epoch: number of finished epochs.
        step: steps of the next epoch that are done as well.
    """

    path: pathlib.Path
    epoch: int
    step: int

    @property
    def place(self) -> str:
        """The epoch and the step, in words."""
        return f"epoch {self.epoch}" + (f" and {self.step} steps" if self.step else "")

    def state(self) -> dict | None:
        """Read what `save_checkpoint` was given as state; `None` in files without."""
        with zipfile.ZipFile(self.path) as archive:
            if STATE not in archive.namelist():
                return None
            state = json.loads(archive.read(STATE))
            arrays = np.load(io.BytesIO(archive.read(ARRAYS)), allow_pickle=False)
            return _with_arrays(state, arrays)


def save_checkpoint(
    model: keras.Model,
    directory: str | os.PathLike,
    *,
    epoch: int,
    step: int = 0,
    state: dict | None = None,
    keep: int = 2,
    keep_epoch: bool = False,
) -> pathlib.Path:
    """Save model, optimizer and state as one `.keras` file, and keep the newest ones.

    The file is called `epoch-NNNN.keras`, within an epoch `epoch-NNNN-step-NNNNNN.keras`. It opens
    with `keras.saving.load_model` after `import cpc_keras.training`, which registers the classes in
    it; `load_newest` does both. It ends with its own SHA-256, and is written under another name and
    renamed, so that no kill leaves a torn one. Older files go when the new one is in place.

    Args:
        model: compiled model.
        directory: made if it is not there.
        epoch: number of finished epochs.
        step: number of steps of the next epoch that are done as well.
        state: what else is to be known when training goes on: dicts and lists of JSON's types and
            arrays.
        keep: how many of the newest files stay, at least 1.
        keep_epoch: the newest that was taken at the end of an epoch stays as well.

    Returns:
        Path of the checkpoint.

    Raises:
        OSError: the file could not be written, on a full disk for example; what was there stays.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    name = f"epoch-{epoch:04d}" + (f"-step-{step:06d}" if step else "")
    path = directory / f"{name}.keras"
    for left_by_a_kill in directory.glob(f"{PARTIAL}*"):
        left_by_a_kill.unlink()
    with write_atomically(path) as partial:
        model.save(partial)
        _add_state(partial, state or {})
        _seal(partial)
    # Later ones are damaged, or the run would have gone on from them: they take no place.
    checkpoints = [c for c in all_checkpoints(directory) if c[1:] <= (epoch, step)]
    epoch_ends = [c for c in checkpoints if not c.step] if keep_epoch else []
    for old in checkpoints[:-keep]:
        if old not in epoch_ends[-1:]:
            old.path.unlink()
    return path


def all_checkpoints(directory: str | os.PathLike) -> list[Checkpoint]:
    """Return the checkpoints of a directory, oldest first; they have not been looked into."""
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        return []
    found = ((path, PATTERN.fullmatch(path.name)) for path in directory.iterdir())
    checkpoints = [Checkpoint(path, int(m[1]), int(m[2] or 0)) for path, m in found if m]
    return sorted(checkpoints, key=lambda c: (c.epoch, c.step))


def newest_checkpoint(
    directory: str | os.PathLike, *, whole_epochs: bool = False
) -> Checkpoint | None:
    """Return the newest checkpoint that is as it was written, or `None`; damaged ones are named.

    Args:
        directory: of the checkpoints.
        whole_epochs: leave out those that were taken within an epoch.
    """
    for checkpoint in reversed(all_checkpoints(directory)):
        if whole_epochs and checkpoint.step:
            continue
        damage = damage_of(checkpoint.path)
        if damage is None:
            return checkpoint
        print(f"The checkpoint {checkpoint.path} is damaged ({damage}); the one before it is used.")
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
        path = found.path
    model = load_keras_file(path)
    if getattr(model, "optimizer", None) is not None:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def damage_of(path: pathlib.Path) -> str | None:
    """Say what is wrong with a checkpoint's bytes; `None` if they are those that were written."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = len(SEAL) + 64
            file.seek(max(0, size - length))
            seal = file.read()
            if SEALED.fullmatch(seal):
                digest = _digest(file, size - 64)
                return None if seal[-64:] == digest else "its SHA-256 is another"
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            # A torn file may pass for the smaller archive that one of its members is.
            if archive.comment or STATE in names or "config.json" not in names:
                return "its SHA-256 is missing"
            # A file of an earlier version: the archive's own checksums.
            damaged = archive.testzip()
            return None if damaged is None else f"{damaged} in it"
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        return str(error) or type(error).__name__


def _add_state(path, state):
    arrays = {}
    state = _without_arrays(state, arrays)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(STATE, json.dumps(state))
        archive.writestr(ARRAYS, stream.getvalue())
        archive.comment = SEAL + b"0" * 64


def _seal(path):
    with open(path, "r+b") as file:
        end = os.fstat(file.fileno()).st_size - 64
        digest = _digest(file, end)
        file.seek(end)
        file.write(digest)


def _digest(file, size):
    digest = hashlib.sha256()
    file.seek(0)
    while size:
        block = file.read(min(size, 1 << 20))
        if not block:
            break
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()


def _without_arrays(value, arrays):
    """The value with names in the place of arrays, which are put into `arrays`."""
    if isinstance(value, dict):
        return {str(k): _without_arrays(v, arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(v, arrays) for v in value]
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise ValueError(
                "A checkpoint's state holds arrays of numbers, and lists of JSON's types. Received "
                "an array of objects, which would need pickle. Convert it to one of these."
            )
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"__array__": name}
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value, arrays):
    if isinstance(value, dict):
        if value.keys() == {"__array__"}:
            return arrays[value["__array__"]]
        return {k: _with_arrays(v, arrays) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_arrays(v, arrays) for v in value]
    return value
