"""What tests of several folders use."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Runs before a script: TensorFlow is as good as not installed.
REFUSE_TENSORFLOW = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("tensorflow"):
            raise ImportError(f"{name} is out of reach")


sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(autouse=True)
def leave_ops_as_they_were():
    """Deterministic operations, which `cpc-keras pretrain` asks for, end with the test.

    Keras compiles no model with XLA while they last, without a word in the results.
    """
    yield
    if config := sys.modules.get("tensorflow.python.framework.config"):
        config.disable_op_determinism()


@pytest.fixture
def run_on_jax():
    """Function that runs a script on Keras's JAX backend in a process that has no TensorFlow.

    It takes the script and its arguments, checks that the script ends well, and returns what it
    printed. Where JAX is not installed the test is skipped.
    """

    def run(script, *arguments):
        if importlib.util.find_spec("jax") is None:
            pytest.skip("jax is not installed")
        root = Path(__file__).resolve().parents[1]
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        done = subprocess.run(
            [sys.executable, "-c", REFUSE_TENSORFLOW + script, *map(str, arguments)],
            env={
                **os.environ,
                "KERAS_BACKEND": "jax",
                "JAX_PLATFORMS": "cpu",
                "PYTHONPATH": os.pathsep.join(paths),
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
