"""Runs that are killed with SIGKILL, by the benchmark that does it twenty times."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    out = tmp_path / "kills.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill_and_resume", "--kills", "4", "--out", out],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    found = json.loads(out.read_text())
    assert found["differences"] == []
    assert [k["kind"] for k in found["kills"]] == ["moment", "write", "moment", "export"]
    # At least one kill met a run that had something to lose.
    assert {kill["resumed from"] for kill in found["kills"]} - {"the beginning"}
