"""The example manifests start workers that find each other."""

import json
import os
import pathlib
import subprocess

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
    commands(tmp_path, cpc_keras="#!/bin/sh\nexit 1\n")
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "requeued" in done.stdout


def test_every_pod_of_kubernetes_is_told_of_all_pods_and_of_its_own_place(tmp_path):
    service, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"] == job["metadata"]["name"] == "cpc"
    (container,) = pod["containers"]
    (count,) = (int(e["value"]) for e in container["env"] if e["name"] == "NUM_WORKERS")
    assert count == job["spec"]["completions"] == job["spec"]["parallelism"]
    environment = {**commands(tmp_path, cpc_keras=SHOW), "NUM_WORKERS": str(count)}
    subprocess.run(
        [*container["command"], *container["args"]],
        cwd=tmp_path,
        env={**environment, "JOB_COMPLETION_INDEX": "2"},
        check=True,
    )
    ((config, arguments),) = told(tmp_path)
    assert config["task"] == {"type": "worker", "index": 2}
    assert config["cluster"]["worker"] == [f"cpc-{i}.cpc:2222" for i in range(count)]
    assert "--strategy multi-worker" in arguments
    mounted = {m["mountPath"] for m in container["volumeMounts"]}
    assert "/runs" in mounted and "/data" in mounted
