import csv
import os
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

# One process of a search; a trial takes time and scores by its settings: test_run_search trains.
PROCESS = """
import os, sys, time
import numpy as np
from cpc_keras.data import ImageData
from cpc_keras.search import CPCHyperModel, run_search

directory, seconds = sys.argv[1], float(sys.argv[2])
class Slow(CPCHyperModel):
    def build(self, hp):
        self.recipe(hp)
    def fit(self, hp, model, images, labels, *, groups, run_directory):
        run_directory.mkdir(parents=True)
        (run_directory / os.environ["KERASTUNER_TUNER_ID"]).touch()
        time.sleep(seconds)
        return {"probe_accuracy": 1 / (1 + self.recipe(hp).model["scale"]), "loss": 1.0}

run_search(
    Slow((16, 16, 1)),
    ImageData(np.zeros((4, 16, 16, 1), "uint8"), labels=np.array([0, 0, 1, 1])),
    directory=directory, num_trials=4, worker_timeout=8.0,
)
"""


@pytest.fixture
def start(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []

    def begin(tuner_id, seconds):
        environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": tuner_id,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": str(port),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        log = (tmp_path / f"{tuner_id}.log").open("w")
        command = [sys.executable, "-c", PROCESS, str(tmp_path / "found"), str(seconds)]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        )
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def table(tmp_path):
    with (tmp_path / "found" / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_chief_and_workers_share_the_trials_and_a_killed_one_is_told(start, tmp_path):
    chief = start("chief", 0.0)
    # Long enough for the other to begin meanwhile.
    dying, other = start("worker0", 8.0), start("worker1", 8.0)
    trials = tmp_path / "found" / "trials"
    # Each has trained one to its end: killed in its second.
    wait_for(lambda: len(list(trials.glob("*/worker0"))) == 2, 240)
    dying.kill()
    assert other.wait(timeout=240) == 0, (tmp_path / "worker1.log").read_text()
    assert chief.wait(timeout=90) == 0, (tmp_path / "chief.log").read_text()
    rows = {row["trial"]: row for row in table(tmp_path)}
    assert sorted(rows) == ["0", "1", "2", "3"]
    began = {path.parent.name: path.name for path in trials.glob("*/worker*")}
    assert began.keys() == rows.keys() and set(began.values()) == {"worker0", "worker1"}
    (lost,) = (name for name, row in rows.items() if row["status"] == "FAILED")
    assert lost == max(name for name, worker in began.items() if worker == "worker0")
    assert rows[lost]["error"] == "The worker 'worker0' gave no sign of life for 8 seconds."
    assert [row["status"] for row in rows.values()].count("COMPLETED") == 3
    told = (tmp_path / "chief.log").read_text()
    assert f"Trial {lost} failed: The worker 'worker0'" in told
    assert (tmp_path / "found" / "best.yaml").exists()
