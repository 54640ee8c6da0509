import pathlib
import subprocess
import sys

import cpc_keras.data

# The parent package is put in as an empty one: what it imports is not this package's doing.
_PROBE = """
import sys, types
parent = types.ModuleType("cpc_keras")
parent.__path__ = [sys.argv[1]]
sys.modules["cpc_keras"] = parent
import cpc_keras.data
heavy = {"tensorflow", "tensorflow_datasets", "keras", "PIL", "tqdm", "mlxtend"}
print(sorted(heavy & set(sys.modules)))
"""


def test_importing_the_package_imports_no_source_of_images():
    root = pathlib.Path(cpc_keras.data.__file__).parents[1]
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE, str(root)], capture_output=True, text=True, check=False
    )
    assert (probe.stdout, probe.stderr) == ("[]\n", "")


def test_every_public_name_exists():
    for name in cpc_keras.data.__all__:
        assert getattr(cpc_keras.data, name).__doc__
