"""What a user waits for before the first step is through: `python -m benchmarks.startup`.

Importing the package beside Keras, `cpc-keras --help`, and `fit` of one step of the default model,
which traces it. Each sample is a process of its own, by turns; medians go to
benchmarks/results/startup.json.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from benchmarks.step import HERE, machine

RESULTS = HERE / "results" / "startup.json"
# Seconds that each may take.
LIMITS = {"import beside Keras": 0.3, "cpc-keras --help": 1.5, "first fit step": 20.0}

SAMPLE = """
import time
started = time.perf_counter()
import keras
of_keras = time.perf_counter()
import cpc_keras
from cpc_keras import CPCModel
imported = time.perf_counter()
import numpy as np
images = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), "uint8")
model = CPCModel((32, 32, 3))
model.compile(optimizer=keras.optimizers.AdamW(1e-3))
fitted = time.perf_counter()
model.fit(images, batch_size=32, verbose=0)
print(of_keras - started, imported - of_keras, time.perf_counter() - fitted)
"""


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    results = measure(arguments.rounds)
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(rounds: int, sample: str = SAMPLE) -> dict:
    """Take `rounds` samples of each; return medians, in seconds, and all samples."""
    command = shutil.which("cpc-keras", path=str(pathlib.Path(sys.executable).parent))
    if command is None:
        raise FileNotFoundError("cpc-keras is not installed beside this Python: pip install -e .")
    samples = {"import keras": [], **{name: [] for name in LIMITS}}
    for _ in range(rounds):
        shown = subprocess.run(
            [sys.executable, "-c", sample], check=True, capture_output=True, text=True
        )
        of_keras, beside, fitted = map(float, shown.stdout.split()[-3:])
        samples["import keras"].append(of_keras)
        samples["import beside Keras"].append(beside)
        samples["first fit step"].append(fitted)
        started = time.perf_counter()
        subprocess.run([command, "--help"], check=True, capture_output=True)
        samples["cpc-keras --help"].append(time.perf_counter() - started)
    return {
        "machine": machine(),
        "seconds": {name: round(statistics.median(t), 3) for name, t in samples.items()},
        "limits": LIMITS,
        "samples": {name: [round(x, 3) for x in t] for name, t in samples.items()},
    }


if __name__ == "__main__":
    main()
