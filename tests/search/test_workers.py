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
    def fit(self, hp, model, images, labels, *, run_directory):
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


def test_a_chief_and_two_workers_share_the_trials(start, tmp_path):
    chief = start("chief", 0.0)
    # Long enough for the other to begin meanwhile.
    workers = [start("worker0", 8.0), start("worker1", 8.0)]
    assert [w.wait(timeout=240) for w in workers] == [0, 0], (tmp_path / "worker0.log").read_text()
    assert chief.wait(timeout=60) == 0, (tmp_path / "chief.log").read_text()
    rows = table(tmp_path)
    assert [row["status"] for row in rows] == ["COMPLETED"] * 4
    assert sorted(row["trial"] for row in rows) == ["0", "1", "2", "3"]
    assert (tmp_path / "found" / "best.yaml").exists()
    began = [p.name for p in (tmp_path / "found" / "trials").glob("*/worker*")]
    assert len(began) == 4 and set(began) == {"worker0", "worker1"}


def test_a_killed_worker_is_told_and_the_rest_finish(start, tmp_path):
    chief = start("chief", 0.0)
    dying = start("worker0", 600.0)
    begun = tmp_path / "found" / "trials" / "0" / "worker0"
    wait_for(begun.exists, 120)
    dying.kill()
    other = start("worker1", 0.0)
    assert other.wait(timeout=240) == 0, (tmp_path / "worker1.log").read_text()
    assert chief.wait(timeout=90) == 0, (tmp_path / "chief.log").read_text()
    rows = {row["trial"]: row for row in table(tmp_path)}
    assert rows["0"]["status"] == "FAILED"
    assert rows["0"]["error"] == "The worker 'worker0' gave no sign of life for 8 seconds."
    assert [rows[n]["status"] for n in "123"] == ["COMPLETED"] * 3
    assert "Trial 0 failed: The worker 'worker0'" in (tmp_path / "chief.log").read_text()
