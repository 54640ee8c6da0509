"""Several processes, as on several machines, train one model."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cpc_keras.training import Worker, distribution_strategy

pytest.importorskip("tensorflow", reason="strategies are TensorFlow's")

RUN = """
import json
import os
import sys

sys.path.insert(0, sys.argv[2])
import test_workers

print(json.dumps(test_workers.run(json.loads(sys.argv[1]))), flush=True)
# TensorFlow's threads of a strategy may crash while Python takes itself down.
os._exit(0)
"""


def run(told):
    """Train in this process, as one of the workers that TF_CONFIG names or alone."""
    strategy = distribution_strategy()  # before TensorFlow has done anything
    import keras

    from cpc_keras import CPCModel
    from cpc_keras.training import CheckpointSchedule, Recipe, pretrain, read_metrics

    images = np.random.default_rng(0).integers(0, 256, (40, 18, 18, 1), "uint8")
    worker = Worker.of(strategy)
    images = images[: 40 - told["fewer"] * worker.index]

    class Fail(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_begin(self, batch, logs=None):
            self.steps += 1
            if self.steps == told["dies_before"] and worker.index == told["which"]:
                os.kill(os.getpid(), told["by"])

        def on_train_batch_end(self, batch, logs=None):
            if self.steps == told["explodes_at"]:
                raise FloatingPointError("The loss explodes.")

    def build():
        model = CPCModel(
            (16, 16, 1),
            patch_encoder="mlp",
            offsets=(2,),
            # One direction of four: the graph of each takes seconds to build.
            directions=("down",),
            context_blocks=1,
            context_filters=8,
            patch_augmentation=None,
            seed=1,
        )
        if told["other_weights"]:
            model.set_weights([weight + 1e-3 * worker.index for weight in model.get_weights()])
        return model

    recipe = Recipe(
        num_epochs=3,
        batch_size=8,
        learning_rate=0.2,
        optimizer="sgd",
        optimizer_options={},
        schedule="constant",
        crop_size=16,
        flip=True,
        seed=4,
    )
    model = pretrain(
        build,
        images,
        run_directory=told["directory"],
        recipe=recipe,
        held_out_images=images[:16],
        strategy=strategy,
        callbacks=[Fail()],
        checkpoints=CheckpointSchedule(steps=1),
        step_backs=told["step_backs"],
    )
    worker.wait()
    return {
        "metrics": read_metrics(told["directory"] + "/metrics.csv"),
        "weights": np.concatenate([w.ravel() for w in model.get_weights()]).tolist(),
    }


def free_ports(count):
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for one in with_sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in with_sockets]
    finally:
        for one in with_sockets:
            one.close()


def start(command, count, directory, **environment):
    """Start the same command on so many workers."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(count)]}
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        config = {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} if count > 1 else {}
        processes.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=directory,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment, **config},
            )
        )
    return processes


USUAL = {
    "dies_before": -1,
    "which": 1,
    "by": signal.SIGKILL,
    "explodes_at": -1,
    "step_backs": 0,
    "fewer": 0,
    "other_weights": False,
}


def train(count, directory, **unusual):
    told = {"directory": str(directory / "run"), **USUAL, **unusual}
    directory.mkdir(exist_ok=True)
    folder = str(Path(__file__).parent)
    return start([sys.executable, "-c", RUN, json.dumps(told), folder], count, directory)


def results(processes):
    found = []
    for process in processes:
        output, error = process.communicate(timeout=240)
        assert process.returncode == 0, error[-3000:]
        found.append(json.loads(output.splitlines()[-1]))
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    found = run({**USUAL, "directory": str(tmp_path_factory.mktemp("alone") / "run")})
    assert [row["epoch"] for row in found["metrics"]] == [1, 2, 3]
    return found


def assert_same(found, alone):
    """The workers have the same bits, and those of one process but for rounding."""
    for other in found[1:]:
        assert other == found[0]
    np.testing.assert_allclose(found[0]["weights"], alone["weights"], rtol=2e-4, atol=2e-6)
    for row, expected in zip(found[0]["metrics"], alone["metrics"], strict=True):
        assert row == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.slow
def test_workers_train_as_one_process_and_leave_the_files_of_one(alone, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    # In the second epoch; all go back to its beginning, with half the rate.
    explosion = {"explodes_at": 7, "step_backs": 1}
    monkeypatch.setenv("TMPDIR", str(temporary))
    processes = train(2, tmp_path / "job", **explosion)
    expected = run({**USUAL, **explosion, "directory": str(tmp_path / "alone")})
    assert np.abs(np.subtract(expected["weights"], alone["weights"])).max() > 1e-3
    assert_same(results(processes), expected)
    assert not list(temporary.glob("worker-*"))
    names = sorted(path.name for path in (tmp_path / "job" / "run").iterdir())
    assert names == [".lock", "checkpoints", "config.yaml", "metrics.csv"]


@pytest.mark.slow
def test_one_worker_dies_then_the_other_and_the_job_goes_on_each_time(alone, tmp_path):
    left, died = train(2, tmp_path / "job", dies_before=8)
    died.communicate(timeout=240)
    assert died.returncode == -signal.SIGKILL
    gone = time.monotonic()
    _, error = left.communicate(timeout=240)
    assert left.returncode != 0 and time.monotonic() - gone < 120
    assert "ConnectionError: Worker 0 of 2 can reach the others no more" in error, error[-3000:]
    saved = {path.name for path in (tmp_path / "job" / "run" / "checkpoints").iterdir()}
    assert "epoch-0001-step-000002.keras" in saved
    # The first, which alone writes files, after five steps more.
    died, left = train(2, tmp_path / "job", dies_before=6, which=0)
    died.communicate(timeout=240)
    assert died.returncode == -signal.SIGKILL
    _, error = left.communicate(timeout=240)
    assert "ConnectionError: Worker 1 of 2 can reach the others no more" in error, error[-3000:]
    assert "they go on after epoch 2 and 2 steps" in error
    assert_same(results(train(2, tmp_path / "job")), alone)


@pytest.mark.slow
def test_a_signal_to_one_worker_saves_and_ends_all_and_one_alone_may_go_on(alone, tmp_path):
    for process in train(2, tmp_path / "job", dies_before=8, by=signal.SIGTERM):
        _, error = process.communicate(timeout=240)
        assert process.returncode == -signal.SIGTERM, error[-3000:]
    assert_same(results(train(1, tmp_path / "job")), alone)


@pytest.mark.slow
def test_workers_with_other_images_than_one_another_are_refused(tmp_path):
    for index, process in enumerate(train(2, tmp_path / "job", fewer=8)):
        _, error = process.communicate(timeout=240)
        told = f"differ in their numbers of images: worker {index} of 2 has {40 - 8 * index} images"
        assert process.returncode != 0 and told in error, error[-3000:]


@pytest.mark.slow
def test_workers_that_begin_with_other_weights_than_one_another_are_refused(tmp_path):
    for index, process in enumerate(train(2, tmp_path / "job", other_weights=True)):
        _, error = process.communicate(timeout=240)
        told = f"The workers begin with different weights (worker {index} of 2)"
        assert process.returncode != 0 and told in error, error[-3000:]


@pytest.mark.slow
def test_the_command_trains_on_workers_and_the_first_exports(tmp_path):
    import keras
    import PIL.Image

    for name in range(20):
        image = np.random.default_rng(name).integers(0, 256, (16, 16), "uint8")
        (tmp_path / "photos").mkdir(exist_ok=True)
        PIL.Image.fromarray(image).save(tmp_path / "photos" / f"{name}.png")
    command = [sys.executable, "-m", "cpc_keras.cli.main", "pretrain", "--data", "photos"]
    command += ["--out", "run", "--strategy", "multi-worker", "--epochs", "1", "--batch-size", "8"]
    command += ["--patch-encoder", "mlp", "--offsets", "2", "--patch-augmentation", "none"]
    for setting in ("context_blocks=1", "context_filters=8", "directions=[down]"):
        command += ["--set", f"model.{setting}"]
    command += ["--probe-every", "1", "--save-encoders-every", "1"]
    first, second = start(command, 2, tmp_path)
    printed, error = first.communicate(timeout=300)
    assert first.returncode == 0, error[-3000:]
    assert "Encoder: run/artifact" in printed
    quiet, error = second.communicate(timeout=60)
    assert second.returncode == 0 and "Encoder" not in quiet, error[-3000:]
    assert "effective_rank" in (tmp_path / "run" / "metrics.csv").read_text()
    encoder = keras.saving.load_model(tmp_path / "run" / "artifact")
    assert tuple(encoder(np.zeros((1, 16, 16, 1))).shape) == (1, 128)


def test_one_process_is_the_first_and_agrees_with_itself(tmp_path):
    worker = Worker.of(None)
    assert worker.is_first and worker.count == 1
    assert worker.agreed(stop=False, time=True) == {"stop": False, "time": True}
    with worker.own_directory(tmp_path) as directory:
        assert directory == tmp_path
    assert worker.shared(lambda share: share) == (0, 1)
    assert worker.differing(images=3) == []


def test_a_worker_that_is_gone_is_told_from_other_errors(tmp_path):
    from tensorflow import errors

    gone = errors.UnavailableError(None, None, "recvmsg:Connection reset by peer")
    with (
        pytest.raises(ConnectionError, match=r"Worker 1 of 2 .* go on from the beginning\.$"),
        Worker(1, 2).telling_of_losses(tmp_path),
    ):
        raise gone
    # One process alone has lost nobody, and too little memory is no loss.
    for worker, error in (
        (Worker(), gone),
        (Worker(1, 2), errors.ResourceExhaustedError(None, None, "")),
    ):
        with pytest.raises(type(error)), worker.telling_of_losses(tmp_path):
            raise error


@pytest.mark.parametrize(
    ("task", "index", "is_first"),
    [(("chief", 0), 0, True), (("worker", 0), 1, False), (("worker", 1), 2, False)],
)
def test_the_chief_is_the_first_where_one_is_named(task, index, is_first, tmp_path):
    import tensorflow as tf

    class Resolver:
        task_type, task_id = task

        @staticmethod
        def cluster_spec():
            return tf.train.ClusterSpec({"chief": ["a:1"], "worker": ["b:1", "c:1"]})

    class Strategy:
        cluster_resolver = Resolver()

    worker = Worker.of(Strategy())
    assert (worker.index, worker.count, worker.is_first) == (index, 3, is_first)
    with worker.own_directory(tmp_path) as directory:
        assert (directory == tmp_path) == is_first and directory.is_dir()
        (directory / "file").write_text("mine")
    assert directory.exists() == is_first


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{}",
        "not json",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"ps": ["a"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": "1"}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "evaluator": ["b:1"]}, '
        '"task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_workers_need_to_be_told_of_each_other(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match=r"found TF_CONFIG=.*Expected the addresses of all"):
        distribution_strategy("multi-worker")


def test_a_config_that_cannot_be_read_is_not_passed_over(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}}')
    with pytest.raises(ValueError, match="which of them this is"):
        distribution_strategy("auto")
    assert distribution_strategy("none") is None
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert distribution_strategy("auto") is None
