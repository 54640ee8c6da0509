import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import fuzz_artifact


def test_a_judge_tells_every_ending_apart():
    expected = {stage: np.ones(3, "float32") for stage in fuzz_artifact.STAGES}
    told = [
        ("encoder", "begun"),
        ("encoder", np.ones(3, "float32")),
        ("pretraining", "begun"),
        ("pretraining", np.nextafter(np.ones(3, "float32"), 2)),
        ("saved_model", "begun"),
        ("crash", -11),
    ]
    outcomes = fuzz_artifact.judge(None, told, expected)
    assert {stage: outcome for stage, (outcome, _) in outcomes.items()} == {
        "encoder": "exact",
        "pretraining": "silent",
        "saved_model": "crash",
    }
    told = [
        ("encoder", "error: /tmp/a/config.json is missing"),
        ("pretraining", "error: wrong"),
        ("saved_model", "unclear: KeyError: 'x'"),
    ]
    outcomes = fuzz_artifact.judge(None, told, expected)
    assert [outcomes[stage][0] for stage in fuzz_artifact.STAGES] == ["error", "unclear", "unclear"]


def test_a_mutation_changes_one_file_and_hides_it_where_asked(tmp_path):
    for number in range(40):
        directory = tmp_path / str(number)
        directory.mkdir()
        files = {f"f{n}": bytes(range(n + 1, 200)) for n in range(3)}
        for name, data in files.items():
            (directory / name).write_bytes(data)
        (directory / "preset.json").write_text(json.dumps({"sha256": dict.fromkeys(files, "old")}))
        rng = np.random.default_rng(number)
        what = fuzz_artifact.mutate(directory, rng, rehash=True)
        name = what.split()[-1]
        others = [n for n in files if n != name]
        assert name in files
        assert all((directory / n).read_bytes() == files[n] for n in others)
        table = json.loads((directory / "preset.json").read_text())["sha256"]
        assert {n: table[n] for n in others} == dict.fromkeys(others, "old")
        assert table.get(name) != "old"


@pytest.mark.slow
def test_a_share_of_the_mutations_is_found_or_harmless(tmp_path):
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks.fuzz_artifact", "--count", "25", "--seed", "7"]
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, check=False
    )
    result = json.loads(out.read_text())
    assert done.returncode == 0 and result["failures"] == [], done.stderr[-2000:]
    assert result["count"] == 25 and result["with_new_checksums"] == 10
