"""Nothing in the package reads a format that runs code of the file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    p for folder in ("cpc_keras", "benchmarks", "scripts") for p in (ROOT / folder).rglob("*.py")
]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def faults(code):
    """Lines that unpickle, or might."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").partition(".")[0]}
        else:
            names = set()
        if names & MODULES:
            found.append((node.lineno, "imports a pickle module"))
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
        if called in ("np.load", "numpy.load") and keywords.get("allow_pickle") != "False":
            found.append((node.lineno, "np.load without allow_pickle=False"))
        if called in ("torch.load",) and keywords.get("weights_only") != "True":
            found.append((node.lineno, "torch.load without weights_only=True"))
        if called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load"):
            found.append((node.lineno, "yaml other than safe_load"))
        if keywords.get("safe_mode", "True") != "True" or "unsafe_deserialization" in called:
            found.append((node.lineno, "Keras's safe mode turned off"))
        if keywords.get("allow_pickle", "False") != "False":
            found.append((node.lineno, "allow_pickle"))
    return found


def test_no_source_unpickles():
    assert SOURCES
    bad = {str(p.relative_to(ROOT)): faults(p.read_text(encoding="utf-8")) for p in SOURCES}
    assert {name: lines for name, lines in bad.items() if lines} == {}


def test_models_are_loaded_through_the_careful_door_alone():
    """`keras.saving.load_model` stands there, and where a run reads its own checkpoints."""
    allowed = {"export/load_keras_file.py", "training/pretrain.py"}
    found = {
        p.relative_to(ROOT / "cpc_keras").as_posix()
        for p in (ROOT / "cpc_keras").rglob("*.py")
        for node in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("saving.load_model")
    }
    assert found <= allowed


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "keras.saving.load_model(path, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()",
    ],
)
def test_what_unpickles_is_found(code):
    assert len(faults(code)) >= 1
