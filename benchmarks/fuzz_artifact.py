"""Mutate the files of an artifact and load it: the exact features, or a clear error?

    python -m benchmarks.fuzz_artifact --count 500

Two of five mutations are followed by new checksums in preset.json, as one who means harm would
write them. Each is loaded in a process of its own, forked after the imports, in three ways: the
encoder (`load_artifact`), the pre-training model (`from_preset`) and the SavedModel
(`load_saved_model`). What came of each is one of

- `exact`: the features of other images are those of the untouched artifact, to the last bit;
- `error`: an `ArtifactError`, or another `ValueError` of this package, that names a file;
- `crash`, `hang`: the process ended by a signal, or was still busy after `--timeout` seconds;
- `silent`: other features, and no error. The worst of all.

`crash` and `hang` of the SavedModel are what `check_loaders` exists for, and are asserted to
become errors there. Anything else but `exact` and `error` ends the command with status 1.
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np

STAGES = ("encoder", "pretraining", "saved_model")
KINDS = ("flip_bits", "random_bytes", "truncate", "append", "zero", "swap", "delete", "text")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=120.0)
    parser.add_argument("--artifact", type=pathlib.Path, help="By default a small new one.")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        artifact = arguments.artifact or in_a_process(make_artifact, directory / "made")
        result = fuzz(artifact, directory, arguments.count, arguments.seed, arguments.timeout)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(1 if result["failures"] else 0)


def fuzz(artifact, directory, count, seed, timeout) -> dict:
    """Mutate and load `count` times; counts by stage and outcome, and every failure."""
    # Imported here and used in forked children alone: TensorFlow starts its threads on first use.
    import cpc_keras.methods
    import cpc_keras.presets  # noqa: F401

    started = time.time()
    expected, told = load_in_child(artifact, timeout)
    if expected is None:
        raise RuntimeError(f"The untouched artifact cannot be loaded: {told}")
    counts = {kind: collections.Counter() for kind in ("as it is", "new checksums")}
    failures, isolated = [], 0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        target = directory / "mutated"
        shutil.copytree(artifact, target)
        rehash = number % 5 < 2
        what = mutate(target, rng, rehash=rehash)
        outcomes = judge(*load_in_child(target, timeout), expected)
        for stage, (outcome, reason) in outcomes.items():
            if stage == "saved_model" and outcome in ("crash", "hang"):
                isolated += 1
                outcome, reason = isolate(target, timeout)
                outcome = f"error after {reason}" if outcome == "error" else outcome
            counts["new checksums" if rehash else "as it is"][f"{stage}: {outcome}"] += 1
            if not outcome.startswith(("exact", "error")):
                entry = {"number": number, "what": what, "rehash": rehash, "stage": stage}
                failures.append({**entry, "outcome": outcome, "reason": str(reason)[:500]})
                print(json.dumps(failures[-1]), file=sys.stderr, flush=True)
        shutil.rmtree(target)
        if (number + 1) % 50 == 0:
            seconds = time.time() - started
            print(f"{number + 1}/{count}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return {
        "count": count,
        "with_new_checksums": sum(number % 5 < 2 for number in range(count)),
        "seed": seed,
        "outcomes": {kind: dict(sorted(counter.items())) for kind, counter in counts.items()},
        "crashes_of_tensorflow_turned_into_errors": isolated,
        "failures": failures,
        "seconds": round(time.time() - started, 1),
    }


def make_artifact(path):
    """Export a small CPC model, in a process that ends."""
    import keras

    from cpc_keras import CPCModel

    keras.utils.set_random_seed(0)
    model = CPCModel(
        (8, 8, 1),
        patch_encoder="tiny",
        patch_size=4,
        patch_stride=2,
        offsets=(2,),
        directions=("down",),
        context_blocks=1,
        context_filters=8,
    )
    model.compile(keras.optimizers.AdamW(1e-3))
    model.fit(np.zeros((8, 8, 8, 1), "uint8"), batch_size=4, verbose=0)
    model.export(path)


def in_a_process(function, path):
    """Run `function(path)` in a child, so that this process has not started TensorFlow."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=(path,))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function.__name__} ended with {process.exitcode}.")
    return path


def mutate(artifact, rng, *, rehash) -> str:
    """Change one file, and where `rehash` its checksum in preset.json; tell what was done."""
    files = sorted(p.relative_to(artifact).as_posix() for p in artifact.rglob("*") if p.is_file())
    # Small files would hardly ever be hit if bytes were drawn; README.md is read by nobody.
    names = [name for name in files if name != "README.md"]
    if rehash:
        names.remove("preset.json")
    name = names[rng.integers(len(names))]
    kind = KINDS[rng.integers(len(KINDS))]
    file = artifact / name
    data = bytearray(file.read_bytes())
    size = len(data)
    place = int(rng.integers(size))
    length = int(min(size - place, rng.integers(1, 65)))
    if kind == "flip_bits":
        for _ in range(int(rng.integers(1, 9))):
            data[int(rng.integers(size))] ^= 1 << int(rng.integers(8))
    elif kind == "random_bytes":
        data[place : place + length] = rng.bytes(length)
    elif kind == "truncate":
        del data[place:]
    elif kind == "append":
        data += rng.bytes(length)
    elif kind == "zero":
        data[place : place + length] = bytes(length)
    elif kind == "swap":
        other = int(rng.integers(size))
        data[place], data[other] = data[other], data[place]
    elif kind == "text":
        # Where a file holds numbers as text, another number: still well formed.
        digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
        for i in rng.choice(digits, min(len(digits), 3), replace=False) if digits else ():
            data[int(i)] = ord(str(rng.integers(10)))
    if kind == "delete":
        file.unlink()
    else:
        file.write_bytes(data)
    if rehash:
        preset = json.loads((artifact / "preset.json").read_text())
        preset["sha256"].pop(name, None)
        if file.exists():
            preset["sha256"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
        (artifact / "preset.json").write_text(json.dumps(preset))
    return f"{kind} {name}"


def load_in_child(artifact, timeout):
    """Load in a forked child; features by stage, and what it told before it ended."""
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=child, args=(artifact, sender))
    process.start()
    sender.close()
    told, deadline = [], time.time() + timeout
    ending = None
    try:
        while receiver.poll(max(0.0, deadline - time.time())):
            told.append(receiver.recv())
        ending = "hang"
    except EOFError:
        pass
    if ending == "hang":
        process.kill()
    process.join()
    if ending is None and process.exitcode:
        ending = "crash"
    if ending:
        told.append((ending, process.exitcode))
    features = {stage: value for stage, value in told if isinstance(value, np.ndarray)}
    return (features if set(features) == set(STAGES) else None), told


def child(artifact, sender):
    """Load in every way; sends `(stage, features or error)` after each."""
    with open(os.devnull, "w") as quiet:
        os.dup2(quiet.fileno(), 2)
        os.dup2(quiet.fileno(), 1)
    from cpc_keras import CPCModel
    from cpc_keras.export import load_artifact, load_saved_model

    images = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), "uint8")
    loads = {
        "encoder": lambda: load_artifact(artifact),
        "pretraining": lambda: CPCModel.from_preset(artifact).encoder,
        "saved_model": lambda: load_saved_model(artifact).serve_uint8,
    }
    if artifact_shape(artifact):
        images = np.random.default_rng(1).integers(0, 256, (3, *artifact_shape(artifact)), "uint8")
    for stage, load in loads.items():
        sender.send((stage, "begun"))
        try:
            compute = load()
            # Bound to a name: TensorFlow deletes the variables of what nobody holds.
            sender.send((stage, np.asarray(compute(images))))
        except ValueError as error:  # ArtifactError is one
            sender.send((stage, f"error: {error}"))
        except BaseException as error:
            sender.send((stage, f"unclear: {type(error).__name__}: {error}"))
    sender.close()
    os._exit(0)


def artifact_shape(artifact):
    """The shape of images that preset.json tells, where it can still be read."""
    try:
        return tuple(json.loads((artifact / "preset.json").read_text())["model"]["image_shape"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def judge(features, told, expected):
    """Outcome and reason by stage."""
    outcomes = {}
    last = dict(told)
    ending = next((entry for entry in told if entry[0] in ("crash", "hang")), None)
    for stage in STAGES:
        value = last.get(stage)
        if isinstance(value, np.ndarray):
            same = np.array_equal(value, expected[stage])
            outcomes[stage] = ("exact" if same else "silent", deviation(value, expected[stage]))
        elif value == "begun":
            outcomes[stage] = ending or ("crash", "no ending")
        elif value is None:
            outcomes[stage] = ("not reached", ending)
        elif value.startswith("error: ") and "/" in value:
            outcomes[stage] = ("error", value)
        else:
            outcomes[stage] = ("unclear", value)
    return outcomes


def deviation(value, expected):
    """The largest deviation, where the shapes agree."""
    return float(np.max(np.abs(value - expected))) if value.shape == expected.shape else "shape"


def isolate(artifact, timeout):
    """What `check_loaders` says of an artifact that ends or occupies the process."""
    from cpc_keras.export import ArtifactError, check_loaders

    try:
        check_loaders(artifact, timeout=timeout)
    except ArtifactError as error:
        return "error", "crash" if "signal" in str(error) else "hang"
    return "silent", "check_loaders let it pass"


if __name__ == "__main__":
    main()
