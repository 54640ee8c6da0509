"""Kills a run again and again and compares its end with one that was never stopped.

`python -m benchmarks.kill_and_resume --kills 20`: a small `CPCModel` (patches augmented, candidates
sampled, averaged weights, cosine schedule) is trained and exported by the code behind `cpc-keras
pretrain`. The process gets SIGKILL at a random moment of its whole life, within the write of a
checkpoint (at a random flush to the disk), or within the export, by turns; the same call is made
again. When a run has come to its end, weights, optimizer, averages, seeds, the state of callbacks,
metrics.csv and the exported weights must be the same to the last bit, and another run begins.
Results: benchmarks/results/kill_and_resume.json.

TensorFlow is imported once; each run is a fork made before any of its operations has run.
"""

import argparse
import io
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time
import traceback
import zipfile

import h5py
import numpy as np

from benchmarks.step import machine
from cpc_keras.cli.pretrain import pretrain_and_export
from cpc_keras.data import ImageData, Splits
from cpc_keras.training import CheckpointSchedule, Recipe, deterministic_ops
from cpc_keras.training.checkpoints import newest_checkpoint

RESULTS = pathlib.Path(__file__).parent / "results" / "kill_and_resume.json"
RECIPE = Recipe(
    model={
        "patch_encoder": "mlp",
        "patch_size": 4,
        "patch_stride": 4,
        "offsets": (1, 2),
        "directions": ("down",),
        "context_blocks": 1,
        "context_filters": 8,
        "candidates": "sampled",
        "num_negatives": 20,
        "patch_augmentation": "light",
    },
    num_epochs=10,
    batch_size=16,
    optimizer_options={"weight_decay": 1e-4, "use_ema": True, "ema_momentum": 0.9},
    seed=1,
)
KINDS = ("moment", "write", "moment", "export", "moment")


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        whole, killed = scratch / "whole", scratch / "killed"
        begun = time.monotonic()
        wait(start(whole), 0)
        seconds = time.monotonic() - begun
        print(f"A run that is not stopped: {seconds:.1f} s", flush=True)
        kills, differences, num_runs = [], [], 0
        while len(kills) < arguments.kills:
            kind = KINDS[len(kills) % len(KINDS)]
            place = kill(kind, killed, seconds, rng)
            if place is not None:
                print(f"{kind}: {place}", flush=True)
                kills.append({"kind": kind, "resumed from": place})
            # A run that was too fast for its kill has come to its end, as has the last one.
            if place is None or len(kills) == arguments.kills:
                wait(start(killed), 0)
                differences += compare(whole, killed)
                num_runs += 1
                print(f"run {num_runs} ended; differences: {differences}", flush=True)
                shutil.rmtree(killed)
    result = {
        "machine": machine(),
        "seconds of a run": round(seconds, 1),
        "runs": num_runs,
        "kills": kills,
        "differences": differences,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"{len(kills)} kills of {num_runs} runs, {len(differences)} differences")
    raise SystemExit(bool(differences))


def start(run, flushes_to_live=None):
    """Fork a process that trains and exports; return its number."""
    child = os.fork()
    if child:
        return child
    errors = os.dup(2)
    try:
        with open(os.devnull, "w") as quiet:
            os.dup2(quiet.fileno(), 1)
            os.dup2(quiet.fileno(), 2)
            if flushes_to_live is not None:
                die_at_flush(flushes_to_live)
            train(run)
        os._exit(0)
    except BaseException:
        os.write(errors, traceback.format_exc().encode())
        os._exit(1)


def train(run):
    """What `cpc-keras pretrain` does, with images from memory."""
    deterministic_ops(True)
    images = np.random.default_rng(0).integers(0, 256, (480, 20, 20, 1), "uint8")
    pretrain_and_export(
        Splits(ImageData(images[:400], source="noise"), ImageData(images[400:], source="noise")),
        RECIPE,
        run,
        facts={"data": "noise"},
        command="python -m benchmarks.kill_and_resume",
        checkpoints=CheckpointSchedule(seconds=0.2, steps=7),
    )


def die_at_flush(number):
    """Have the process killed by its n-th flush to the disk of a checkpoint's file."""
    real, left = os.fsync, [number]

    def fsync(descriptor):
        if "checkpoints" in os.readlink(f"/proc/self/fd/{descriptor}"):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync


def kill(kind, run, seconds, rng):
    """Start a run, kill it, and say where the next one will go on; `None` if it had ended."""
    if kind == "write":
        child = start(run, flushes_to_live=rng.randrange(1, 12))
    else:
        child = start(run)
        if kind == "moment":
            time.sleep(rng.uniform(0, seconds))
        else:
            while alive(child) and not list(run.glob(".artifact.partial-*")):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 1))
        os.kill(child, signal.SIGKILL)  # also where it has ended: it is not yet waited for
    if wait(child) == 0:
        return None
    found = newest_checkpoint(run / "checkpoints")
    return found.place if found else "the beginning"


def alive(child):
    """Whether a child still runs; it is left to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def wait(child, expected=None):
    """Wait for a child; return its exit status, negative for a signal."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status > 0 or (expected is not None and status != expected):
        raise SystemExit(f"A run ended with {status}.")
    return status


def compare(one, other):
    """Names of what differs in any bit between the ends of two runs."""
    a, b = contents(one), contents(other)
    return sorted(name for name in {*a, *b} if a.get(name) != b.get(name))


def contents(run):
    """Bytes of all that a run ends with, by name."""
    found = newest_checkpoint(run / "checkpoints")
    parts = {"metrics.csv": (run / "metrics.csv").read_bytes(), "last": found.path.name}
    with zipfile.ZipFile(found.path) as archive:
        parts["state"] = archive.read("cpc_keras.json")
        arrays = np.load(io.BytesIO(archive.read("cpc_keras.npz")), allow_pickle=False)
        for name, array in arrays.items():
            parts[name] = array.tobytes()
        parts |= datasets("checkpoint", io.BytesIO(archive.read("model.weights.h5")))
    return parts | datasets("artifact", run / "artifact" / "model.weights.h5")


def datasets(prefix, file):
    """Bytes of all arrays of an HDF5 file, by their path."""
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[f"{prefix}/{name}"] = item[()].tobytes()

    with h5py.File(file) as opened:
        opened.visititems(add)
    return found


if __name__ == "__main__":
    main()
