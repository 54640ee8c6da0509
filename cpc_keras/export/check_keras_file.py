"""Is a model file what Keras may be given?"""

import json
import os
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from cpc_keras.export.artifact_error import ArtifactError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
# What Keras writes into a model file; everything else it would not read, or read as something else.
_KERAS = {CONFIG, WEIGHTS, "metadata.json", "assets"}
# What checkpoints of a run hold beside it: JSON, and arrays that are read without pickle.
RUN_STATE, RUN_ARRAYS = "cpc_keras.json", "cpc_keras.npz"
_ADVICE = "Do not load it; fetch a whole copy from whoever made it."


def check_keras_file(path: str | os.PathLike) -> dict[str, Any]:
    """Refuse a `.keras` file, or the unzipped directory of one, that is damaged or could do harm.

    Nothing of it is run. Refused are: an archive whose own checksums do not fit; members outside
    the archive's directory (absolute names, `..`, links); a `Lambda` layer or any other function
    stored as code, whatever Keras's `safe_mode` says of it; weights that point into other files
    (HDF5 links, external and virtual datasets).

    Args:
        path: a `.keras` file, or a directory with `config.json` and `model.weights.h5`.

    Returns:
        The model's configuration, as `config.json` holds it.

    Raises:
        ArtifactError: one of the above, or a file is missing; it names file and member.

    Example:
        >>> check_keras_file("saved_models/mine")["class_name"]
        'Functional'
    """
    path = Path(path)
    if path.is_dir():
        for name in (CONFIG, WEIGHTS):
            if not (path / name).is_file():
                raise ArtifactError(f"check_keras_file: {path / name} is missing. {_ADVICE}")
        config = _config(path / CONFIG, (path / CONFIG).read_bytes())
        _check_weights(path / WEIGHTS, path / WEIGHTS)
        return config
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
            config = _config(f"{path}:{CONFIG}", archive.read(CONFIG))
            with archive.open(WEIGHTS) as weights:
                _check_weights(f"{path}:{WEIGHTS}", weights)
    except ArtifactError:
        raise
    except FileNotFoundError:
        raise ArtifactError(
            f"check_keras_file: {path} does not exist. Expected a .keras file or a directory."
        ) from None
    # A damaged header leads zipfile to these as well.
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise ArtifactError(
            f"check_keras_file: {path} is damaged: {error or type(error).__name__}. Expected the "
            f"archive that model.save(...) wrote. {_ADVICE}"
        ) from error
    return config


def _check_members(path, archive):
    names = [info.filename for info in archive.infolist()]
    for info in archive.infolist():
        pure = PurePosixPath(info.filename)
        outside = pure.is_absolute() or ".." in pure.parts or "\\" in info.filename
        if outside or stat.S_ISLNK(info.external_attr >> 16):
            raise ArtifactError(
                f"check_keras_file: {path} holds {info.filename!r}, which leads out of its "
                f"directory. Expected plain names inside it. {_ADVICE}"
            )
        if not pure.parts or pure.parts[0] not in {*_KERAS, RUN_STATE, RUN_ARRAYS}:
            raise ArtifactError(
                f"check_keras_file: {path} holds {info.filename!r}. Expected {sorted(_KERAS)} "
                f"alone. {_ADVICE}"
            )
    for name in (CONFIG, WEIGHTS):
        # Twice would be read as one by us and as the other by Keras.
        if names.count(name) != 1:
            raise ArtifactError(
                f"check_keras_file: {path} holds {names.count(name)} members {name!r}. Expected "
                f"one. {_ADVICE}"
            )
    damaged = archive.testzip()
    if damaged is not None:
        raise ArtifactError(
            f"check_keras_file: {path} is damaged: the checksum of {damaged!r} does not fit. "
            f"{_ADVICE}"
        )


def _config(where, data):
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"check_keras_file: {where} is no JSON: {error}. {_ADVICE}") from error
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise ArtifactError(
            f"check_keras_file: {where} does not describe a model. Expected an object with "
            f'"class_name". {_ADVICE}'
        )
    # A list of what is still to be looked at: a config may be nested deeper than Python recurses.
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            _check_not_code(where, value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return config


def _check_not_code(where, value):
    name = value.get("class_name")
    # "Package>Lambda" is a class registered under that name: it is imported, not read.
    if name in ("Lambda", "__lambda__") or value.get("registered_name") == "Lambda":
        inner = value.get("config")
        layer = inner.get("name") if isinstance(inner, dict) else None
        raise ArtifactError(
            f"check_keras_file: {where} holds a Lambda{f' layer, {layer!r}' if layer else ''}: a "
            "function stored as code, which loading would run. Save the model with a layer class "
            f"of its own in place of it. {_ADVICE}"
        )


def _check_weights(where, file):
    import h5py

    def refuse(name, what):
        raise ArtifactError(
            f"check_keras_file: {where} holds {name!r}, {what}, which leads to another file or "
            f"place. Expected plain datasets alone. {_ADVICE}"
        )

    try:
        with h5py.File(file, "r") as weights:
            left = [weights]
            while left:
                group = left.pop()
                for name in group:
                    link = group.get(name, getlink=True)
                    if not isinstance(link, h5py.HardLink):
                        refuse(f"{group.name}/{name}", f"a {type(link).__name__}")
                    item = group[name]
                    if isinstance(item, h5py.Group):
                        left.append(item)
                    elif isinstance(item, h5py.Dataset) and item.external:
                        refuse(item.name, "an external dataset")
                    elif isinstance(item, h5py.Dataset) and item.is_virtual:
                        refuse(item.name, "a virtual dataset")
                _check_end(where, len(left))
    except ArtifactError:
        raise
    # h5py raises whatever a broken file leads the HDF5 library to.
    except Exception as error:
        raise ArtifactError(
            f"check_keras_file: {where} is damaged: {error}. Expected the HDF5 file that Keras "
            f"wrote. {_ADVICE}"
        ) from error


def _check_end(where, num_groups):
    # A hard link to a group above is a loop without end.
    if num_groups > 1_000_000:
        raise ArtifactError(f"check_keras_file: {where} has groups without end. {_ADVICE}")
