"""The example manifests start workers that find each other."""

import json
import os
import pathlib
import subprocess
import time

import pytest
import yaml

CLUSTER = pathlib.Path(__file__).parents[1] / "docs" / "cluster"
SHOW = '#!/bin/sh\necho "$TF_CONFIG" | tr -d "\\n" >> told; echo "|$*" >> told\n'


def commands(directory, **scripts):
    """Put commands of these names first on the path."""
    for name, text in scripts.items():
        path = directory / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}


def told(directory):
    """TF_CONFIG and arguments that `cpc-keras` was called with."""
    lines = (directory / "told").read_text().splitlines()
    return [(json.loads(line.split("|")[0]), line.split("|")[1]) for line in lines]


def test_every_task_of_slurm_is_told_of_all_hosts_and_of_its_own_place(tmp_path):
    environment = commands(
        tmp_path,
        cpc_keras=SHOW,
        scontrol='#!/bin/sh\n[ "$1" = requeue ] && echo requeued || printf "n1\\nn2\\nn3\\n"\n',
        srun='#!/bin/sh\nshift\nfor i in 0 1 2; do SLURM_NODEID=$i "$@" || exit 1; done\n',
    )
    environment |= {"SLURM_JOB_NODELIST": "n[1-3]", "SLURM_JOB_ID": "7"}
    script = ["bash", str(CLUSTER / "slurm.sbatch")]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    # No artifact is there: the time was up.
    assert done.returncode == 0 and "requeued" in done.stdout, done.stderr
    calls = told(tmp_path)
    assert [config["task"] for config, _ in calls] == [
        {"type": "worker", "index": index} for index in range(3)
    ]
    for config, arguments in calls:
        assert config["cluster"] == {"worker": ["n1:2222", "n2:2222", "n3:2222"]}
        assert arguments.startswith("pretrain ") and "--strategy multi-worker" in arguments


@pytest.mark.parametrize(
    ("status", "restarts", "queued"),
    [(0, 3, True), (1, 3, True), (1, 100, False), (2, 0, False)],
)
def test_slurm_begins_again_but_not_without_end(status, restarts, queued, tmp_path):
    environment = commands(
        tmp_path,
        srun=f"#!/bin/sh\nexit {status}\n",
        scontrol='#!/bin/sh\n[ "$1" = requeue ] && echo requeued || echo n1\n',
    )
    environment |= {"SLURM_JOB_NODELIST": "n1", "SLURM_JOB_ID": "7"}
    environment |= {"SLURM_RESTART_COUNT": str(restarts)}
    script = ["bash", str(CLUSTER / "slurm.sbatch")]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == status and ("requeued" in done.stdout) == queued, done.stderr


def test_every_pod_of_kubernetes_is_told_of_all_pods_and_of_its_own_place(tmp_path):
    service, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"] == job["metadata"]["name"] == "cpc"
    (container,) = pod["containers"]
    (count,) = (int(e["value"]) for e in container["env"] if e["name"] == "NUM_WORKERS")
    assert count == job["spec"]["completions"] == job["spec"]["parallelism"]
    environment = pod_environment(tmp_path, cpc_keras=SHOW + 'mkdir -p "$RUN/artifact"\n')
    subprocess.run(pod_command(), cwd=tmp_path, env=environment, check=True)
    # The second time there is nothing to do.
    subprocess.run(pod_command(), cwd=tmp_path, env=environment, check=True)
    ((config, arguments),) = told(tmp_path)
    assert config["task"] == {"type": "worker", "index": 2}
    assert config["cluster"]["worker"] == [f"cpc-{i}.cpc:2222" for i in range(count)]
    assert "--strategy multi-worker" in arguments
    mounted = {m["mountPath"] for m in container["volumeMounts"]}
    assert "/runs" in mounted and "/data" in mounted


def test_a_pod_is_done_when_the_artifact_is_there_and_passes_signals_on(tmp_path):
    # One that saves when it is told to end, and ends with 0.
    saves = (
        "#!/bin/sh\ntrap 'touch saved; exit 0' TERM\ntouch ready\nwhile :; do sleep 0.05; done\n"
    )
    environment = pod_environment(tmp_path, cpc_keras=saves)
    pod = subprocess.Popen(pod_command(), cwd=tmp_path, env=environment)
    try:
        until = time.monotonic() + 30
        while not (tmp_path / "ready").exists() and time.monotonic() < until:
            time.sleep(0.02)
        pod.terminate()
        # Not 0, or Kubernetes would take the job for done.
        assert pod.wait(timeout=30) == 1
    finally:
        pod.kill()
    assert (tmp_path / "saved").exists()
    commands(tmp_path, cpc_keras="#!/bin/sh\nexit 3\n")
    assert subprocess.run(pod_command(), cwd=tmp_path, env=environment).returncode == 3


def pod_container():
    _, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container


def pod_command():
    container = pod_container()
    return [*container["command"], *container["args"]]


def pod_environment(directory, **scripts):
    """What the manifest sets, with the run in a directory of the test."""
    told = {e["name"]: e["value"] for e in pod_container()["env"]}
    run = {"RUN": str(directory / "run"), "JOB_COMPLETION_INDEX": "2"}
    return {**commands(directory, **scripts), **told, **run}
