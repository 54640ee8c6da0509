"""Exports that kill their own process at the point that is asked for; run by test_recover.py.

    python killed_exports.py DIRECTORY

Each point gets DIRECTORY/POINT/, in which an artifact "mine" may lie already. Forked before any
TensorFlow operation has run, so that TensorFlow is imported once.
"""

import json
import os
import shutil
import signal
import sys
import traceback
import types

import keras

from cpc_keras.export import write_artifact


def kill(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_rename(number):
    real, calls = os.rename, []

    def rename(source, target):
        calls.append(source)
        if len(calls) == number:
            kill()
        real(source, target)

    os.rename = rename


def kill_in_save(model):
    def save(path):
        with open(path, "wb") as file:
            file.write(b"half a file")
        kill()

    model.save = save


def kill_in_removal():
    real = shutil.rmtree

    def rmtree(path, *args, **kwargs):
        if ".partial-" in str(path):
            os.remove(os.path.join(path, "config.json"))
            kill()
        real(path, *args, **kwargs)

    shutil.rmtree = rmtree


POINTS = {
    "before_saved_model": lambda model: setattr(
        type(keras.export.ExportArchive()), "write_out", kill
    ),
    "in_pretraining": kill_in_save,
    "before_preset": lambda model: setattr(json, "dump", kill),
    "before_rename_1": lambda model: kill_at_rename(1),
    "before_rename_2": lambda model: kill_at_rename(2),
    "before_rename_3": lambda model: kill_at_rename(3),
    "in_removal": lambda model: kill_in_removal(),
}


def export(path, point):
    layers = [keras.Input((4, 5, 2)), keras.layers.Flatten(), keras.layers.Dense(3)]
    encoder = keras.Sequential(layers)
    model = types.SimpleNamespace(
        encoder=encoder, image_shape=(4, 5, 2), get_config=dict, save=encoder.save
    )
    POINTS[point](model)
    write_artifact(model, path, overwrite=True, facts={"description": "new"})


def main(directory):
    for case in sorted(os.listdir(directory)):
        child = os.fork()
        if not child:
            try:
                export(os.path.join(directory, case, "mine"), case.partition("-")[2])
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            raise SystemExit(f"{case}: the export was not killed (status {status})")


main(sys.argv[1])
