"""One directory that every loader opens, whole or not there."""

import contextlib
import datetime
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cpc_keras.export.artifact_error import ArtifactError
from cpc_keras.export.artifact_layout import (
    FORMAT_VERSION,
    GOLDEN,
    LOADED,
    PRESET,
    PRETRAINING,
    README,
)
from cpc_keras.export.check_golden import weights_digest
from cpc_keras.export.model_card import model_card
from cpc_keras.export.recover import hold, recover, sibling
from cpc_keras.export.save_portable import save_portable
from cpc_keras.export.verify_artifact import read_preset
from cpc_keras.version import __version__

_GOLDEN_IMAGES = 4


def write_artifact(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    overwrite: bool = False,
    input_signature=None,
    verbose: bool = False,
    include_optimizer: bool = True,
    facts: Mapping[str, Any] | None = None,
    **kwargs,
) -> None:
    """Write a model's encoder, and the model itself, as one directory.

    The directory opens with `tf.keras.models.load_model` (to train on; Keras 3.7 or later),
    `keras.layers.TFSMLayer` and `tf.saved_model.load` (endpoints `serve`, float32, also under
    "serving_default", and `serve_uint8`) where this package is not installed, and with
    `CPCModel.from_preset`. It is written beside its target and renamed: whatever happens, the
    target is whole or as it was.

    Args:
        model: pre-training model with an `encoder`, a `keras.Model` from images to features, and an
            `image_shape`.
        path: directory to write; its parents are made. An empty directory may be there.
        overwrite: whether an artifact that is there may be replaced; nothing else ever is.
        input_signature: replaces the signature of the endpoint `serve`, as in `keras.Model.export`.
        verbose: whether to print what was written.
        include_optimizer: whether `pretraining.keras` holds the optimizer's state too, which of
            Adam is twice as large as the weights. `from_preset` does without.
        facts: what to record in `preset.json` and the model card, of JSON's types: "name",
            "method", "description", "data", "command" (how it was trained), "scores" (a list of
            dicts, each with protocol, metric, value and seeds), "licence" (of the weights, by
            default Apache-2.0); any others are kept under "facts".
        **kwargs: further arguments that Keras takes for a SavedModel.

    Raises:
        FileExistsError: something is there, and `overwrite` is not set or it is not an artifact.
        NotImplementedError: Keras runs on another backend than TensorFlow.
        TypeError: an unknown argument, or facts that JSON cannot hold.
        ValueError: a path that no loader would open, or one that is not on this machine.

    Example:
        >>> model = CPCModel((32, 32, 3), patch_encoder="tiny")
        >>> write_artifact(model, "saved_models/mine", facts={"data": "60 000 photographs"})
        >>> tf.keras.models.load_model("saved_models/mine").output_shape
        (None, 64)
    """
    path = _checked_path(path)
    _check_backend()
    archive = _archive(model, input_signature, kwargs)
    preset = _preset(model, os.path.basename(path), facts)
    recover(path)
    _check_free(path, overwrite)
    _make_parent(path)
    partial = sibling(path, "partial")
    os.mkdir(partial)
    try:
        with hold(partial):
            _write_files(model, archive, preset, Path(partial), include_optimizer)
            # Again: something else may have been written there meanwhile.
            _check_free(path, overwrite)
            _move(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if verbose:
        print(f"Saved artifact at '{path}', with the endpoints serve and serve_uint8.")


def _checked_path(path):
    text = os.fspath(path)
    if "://" in text:
        raise ValueError(
            "write_artifact: expected a path on this machine: a whole directory cannot be renamed "
            f"into place elsewhere. Received: {text}. Export locally and copy the directory."
        )
    # Through links, so that a link keeps its place and what it leads to is replaced.
    path = os.path.realpath(text)
    if not text or path.endswith(".keras") or not os.path.basename(path):
        raise ValueError(
            "write_artifact: expected the path of a directory, not ending in .keras, which Keras "
            f"opens as a file. Received: {text!r}. Leave the ending out; a single .keras file is "
            "written by model.save(...)."
        )
    return path


def _check_backend():
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise NotImplementedError(
            f"write_artifact: Keras runs on {backend!r}; a SavedModel that trains on is written on "
            "TensorFlow alone. Save the model with model.save('mine.keras'), then load and export "
            "it in a process with KERAS_BACKEND=tensorflow."
        )


def _archive(model, input_signature, kwargs):
    encoder = model.encoder
    spec = {"shape": (None, *model.image_shape), "name": "images"}
    if input_signature is None:
        input_signature = [keras.InputSpec(dtype="float32", **spec)]
    archive = keras.export.ExportArchive()
    # The first endpoint is also "serving_default".
    archive.track_and_add_endpoint("serve", encoder, input_signature, **kwargs)
    if kwargs:
        # Keras has refused those it knows for other backends; it ignores the rest, also misspelt.
        raise TypeError(
            f"write_artifact: unknown arguments {sorted(kwargs)}. Expected: overwrite, "
            "input_signature, verbose, include_optimizer, facts."
        )

    def serve_uint8(images):
        return encoder(keras.ops.cast(images, "float32"))

    archive.add_endpoint("serve_uint8", serve_uint8, [keras.InputSpec(dtype="uint8", **spec)])
    return archive


def _preset(model, name, facts):
    facts, kind = dict(facts or {}), type(model).__name__
    preset = {
        "format_version": FORMAT_VERSION,
        "name": facts.pop("name", name),
        "method": facts.pop("method", "cpc" if kind == "CPCModel" else kind),
        "description": facts.pop("description", None),
        "data": facts.pop("data", None),
        "command": facts.pop("command", None),
        "scores": list(facts.pop("scores", None) or []),
        "licence": facts.pop("licence", "Apache-2.0"),
        "facts": facts,
        "model": _model_facts(model),
        "versions": _versions(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    try:
        # What is read back is what is written: tuples are lists from here on.
        return json.loads(json.dumps(preset, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(
            "write_artifact: facts must be of JSON's types: dicts, lists, strings, finite numbers, "
            f"booleans, None. {error}. Convert with float(...) or str(...)."
        ) from error


def _model_facts(model):
    config = {name: _summary(value) for name, value in model.get_config().items()}
    return {
        "class": type(model).__name__,
        **config,
        "image_shape": list(model.image_shape),
        "feature_dim": model.encoder.output_shape[-1],
        "num_parameters": model.encoder.count_params(),
    }


def _summary(value):
    if isinstance(value, dict):
        # A layer, model or policy as Keras serialises it: pretraining.keras holds the whole of it.
        config = value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        return name or value.get("class_name")
    if isinstance(value, list | tuple):
        return [_summary(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _versions():
    import tensorflow as tf

    return {
        "cpc_keras": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _check_free(path, overwrite):
    if not os.path.lexists(path) or (os.path.isdir(path) and not os.listdir(path)):
        return
    reason = _not_artifact(Path(path))
    if reason:
        raise FileExistsError(
            f"write_artifact: {path} {reason}. Nothing but an artifact is ever replaced, with "
            "overwrite=True. Move it away or choose another path."
        )
    if not overwrite:
        raise FileExistsError(
            f"write_artifact: {path} is there already, an artifact. Pass overwrite=True to replace "
            "it, or choose another path."
        )


def _not_artifact(directory):
    if not directory.is_dir():
        return "is there already, and is a file"
    known = {PRESET, README, *LOADED}
    names = {entry.name for entry in directory.iterdir()}
    try:
        known |= {name.partition("/")[0] for name in read_preset(directory)["sha256"]}
    except ArtifactError:
        if not {"saved_model.pb", "config.json"} <= names:
            return "is there already, and is not an artifact"
    if names - known:
        listed = ", ".join(sorted(names - known)[:5])
        return f"is there already, and holds what no export wrote ({listed})"
    return None


def _make_parent(path):
    parent = os.path.dirname(path)
    try:
        os.makedirs(parent, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"write_artifact: {parent} cannot be made a directory: {error}. Choose another path."
        ) from error


def _write_files(model, archive, preset, directory, include_optimizer):
    # Keras's files first: in the other order save_model writes weights that do not load.
    save_portable(model.encoder, directory)
    archive.write_out(str(directory), verbose=False)
    # Nothing is lost: version control and wheels drop empty directories anyway.
    with contextlib.suppress(OSError):
        (directory / "assets").rmdir()
    (model if include_optimizer else _uncompiled(model)).save(directory / PRETRAINING)
    _write_golden(model, directory / GOLDEN)
    (directory / README).write_text(model_card(preset), encoding="utf-8")
    table = {
        file.relative_to(directory).as_posix(): _digest(file)
        for file in sorted(directory.rglob("*"))
        if file.is_file()
    }
    with (directory / PRESET).open("w", encoding="utf-8") as file:
        json.dump({**preset, "sha256": table}, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    for folder in {directory, *(file.parent for file in directory.rglob("*"))}:
        _sync_directory(folder)


def _uncompiled(model):
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    return bare


def _write_golden(model, file):
    shape = (_GOLDEN_IMAGES, *model.image_shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with keras.device("cpu:0"):
        features = keras.ops.convert_to_numpy(model.encoder(images))
    np.savez(
        file,
        images=images,
        features=features.astype(np.float32),
        weights_sha256=weights_digest(model.encoder),
    )


def _digest(file):
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        # On the disk before its name is, or a power cut leaves empty files under the final name.
        os.fsync(opened.fileno())
    return digest


def _move(partial, path):
    if os.path.lexists(path) and os.listdir(path):
        try:
            with hold(path):
                os.rename(path, sibling(path, "old"))
                os.rename(partial, path)
        finally:
            # Removes the old one if the new one is in place, and else brings it back.
            recover(path)
    else:
        # Also over an empty directory, never over one that holds something.
        os.rename(partial, path)
    _sync_directory(os.path.dirname(path))


def _sync_directory(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
