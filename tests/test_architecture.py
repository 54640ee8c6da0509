"""Imports only point down, TensorFlow stays at the edges, and no file holds odds and ends."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "cpc_keras"

# The house, top floor first: a folder imports from itself and from the floors below.
FLOORS = (
    {"cli"},
    {"search", "embedding"},
    {"methods"},  # each a choice of the parts of a model
    {"models"},
    {"presets", "training"},  # training probes its features
    {"evaluation"},
    {"export"},  # a preset is an artifact, so `presets` reads with `export`
    {"data"},
    {"views", "losses", "encoders"},
    {"layers", "augmentations"},
    {"ops"},
    {"version"},
)
HEIGHT = {folder: -depth for depth, floor in enumerate(FLOORS) for folder in floor}
# Where TensorFlow may be imported within functions only, so that Keras on JAX or PyTorch suffices.
TENSORFLOW_FREE = {
    *("ops", "layers", "losses", "encoders", "augmentations", "views", "methods", "models")
}
DRAWERS = {"utils", "helpers", "common"}


def sources(package: Path) -> list[Path]:
    """All Python files of the package."""
    return sorted(package.rglob("*.py"))


def folder_of(path: Path, package: Path) -> str:
    """The folder of the house a file is in; `""` for the package's own `__init__.py`."""
    first = path.relative_to(package).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported_names(path: Path, package: Path) -> list[tuple[str, int]]:
    """Every dotted name a file imports anywhere, with its line; relative ones made absolute."""
    here = [package.name, *path.relative_to(package).parent.parts]
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            names += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            argument = node.args[0]
            if called in {"import_module", "__import__"} and isinstance(argument, ast.Constant):
                names.append((str(argument.value), node.lineno))
    return names


def imports_that_point_up(package: Path) -> list[str]:
    """The imports that break the order of the floors, as `file:line: reason`."""
    faults = []
    for path in sources(package):
        importer = folder_of(path, package)
        if importer == "":
            continue  # the front door shows what it likes
        where = path.relative_to(package)
        if importer not in HEIGHT:
            faults.append(f"{where}:1: {importer!r} is on no floor of the house")
            continue
        for name, line in imported_names(path, package):
            parts = name.split(".")
            if parts[0] != package.name:
                continue
            target = parts[1] if len(parts) > 1 else ""
            if target == importer or HEIGHT.get(target, 1) < HEIGHT[importer]:
                continue
            faults.append(f"{where}:{line}: {importer!r} imports {name!r}, which is not below it")
    return faults


def nodes_run_at_import(node: ast.AST):
    """The statements that run when a module is imported: not in functions, not for types alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            child = ast.Module(body=child.orelse, type_ignores=[])
        yield child
        yield from nodes_run_at_import(child)


def tensorflow_at_import(package: Path) -> list[str]:
    """The imports of TensorFlow that run when a module of the core is imported."""
    faults = []
    for path in sources(package):
        if folder_of(path, package) not in TENSORFLOW_FREE:
            continue
        for node in nodes_run_at_import(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            if any(name.split(".")[0].startswith("tensorflow") for name in names):
                faults.append(f"{path.relative_to(package)}:{node.lineno}")
    return faults


def drawers(package: Path) -> list[str]:
    """The modules and folders named for nothing in particular."""
    found = [path for path in package.rglob("*") if path.stem in DRAWERS]
    return sorted(str(path.relative_to(package)) for path in found)


def test_imports_only_point_down():
    assert imports_that_point_up(PACKAGE) == []


def test_the_core_imports_tensorflow_within_functions_only():
    assert tensorflow_at_import(PACKAGE) == []


def test_no_module_is_a_drawer():
    assert drawers(PACKAGE) == []


def test_the_checks_see_the_package():
    assert {"ops", "layers"} <= {folder_of(path, PACKAGE) for path in sources(PACKAGE)}
    assert set(HEIGHT) >= TENSORFLOW_FREE


def plant(tmp_path, name, code):
    """A package named as ours with one file."""
    path = tmp_path / "cpc_keras" / name
    path.parent.mkdir(parents=True)
    path.write_text(code)
    return tmp_path / "cpc_keras"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ops/a.py", "from cpc_keras.layers.patch_grid import PatchGrid"),
        ("ops/a.py", "import cpc_keras.layers"),
        ("ops/a.py", "import numpy, cpc_keras.layers.patch_grid as grid"),
        ("ops/a.py", "from cpc_keras import layers"),
        ("ops/a.py", "from ..layers import PatchGrid"),
        ("ops/a.py", "from .. import layers"),
        ("ops/deeper/a.py", "from ...layers.patch_grid import PatchGrid"),
        ("ops/__init__.py", "from ..layers import PatchGrid"),
        ("ops/a.py", "def f():\n    from cpc_keras.layers import PatchGrid"),
        ("ops/a.py", "class A:\n    async def f(self):\n        from ..layers import PatchGrid"),
        ("ops/a.py", "import importlib\nimportlib.import_module('cpc_keras.layers')"),
        ("ops/a.py", "from cpc_keras import CPCModel"),
        ("ops/a.py", "import cpc_keras"),
        ("layers/a.py", "from cpc_keras.augmentations import RandomShift"),
        ("losses/a.py", "from cpc_keras.methods import cpc"),
        ("models/a.py", "from cpc_keras.methods import cpc"),
        ("evaluation/a.py", "from cpc_keras.models import CPCModel"),
        ("presets/a.py", "from cpc_keras.training import fit"),
        ("export/a.py", "from cpc_keras.presets import list_presets"),
        ("models/a.py", "from cpc_keras.cli.main import main"),
        ("models/a.py", "from cpc_keras.attic import a"),
        ("version.py", "from cpc_keras import ops"),
        ("attic/a.py", ""),
    ],
)
def test_an_import_that_points_up_is_found(tmp_path, name, code):
    faults = imports_that_point_up(plant(tmp_path, name, code))
    assert len(faults) == 1
    assert faults[0].startswith(f"{name}:")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("layers/a.py", "from cpc_keras.ops import f\nfrom ..ops.g import g\nfrom . import b"),
        ("layers/deeper/a.py", "from .b import b\nfrom ..c import c\nfrom ... import ops"),
        ("models/a.py", "from cpc_keras.ops import f\nfrom cpc_keras import presets, version"),
        ("presets/a.py", "from cpc_keras.export import verify_artifact"),
        ("ops/a.py", "import keras\nimport cpc_keras_contrib.layers"),
        ("__init__.py", "from cpc_keras.models.cpc_model import CPCModel"),
    ],
)
def test_an_import_that_points_down_is_let_pass(tmp_path, name, code):
    assert imports_that_point_up(plant(tmp_path, name, code)) == []


@pytest.mark.parametrize(
    "code",
    [
        "import tensorflow as tf",
        "import numpy, tensorflow.data",
        "from tensorflow import data",
        "import tensorflow_datasets as tfds",
        "try:\n    import tensorflow as tf\nexcept ImportError:\n    tf = None",
        "class A:\n    import tensorflow as tf",
        "if True:\n    pass\nelse:\n    from tensorflow.data import Dataset",
        "if TYPE_CHECKING:\n    import numpy\nelse:\n    import tensorflow",
    ],
)
@pytest.mark.parametrize("folder", sorted(TENSORFLOW_FREE))
def test_tensorflow_at_import_is_found(tmp_path, folder, code):
    assert len(tensorflow_at_import(plant(tmp_path, f"{folder}/deeper/a.py", code))) == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ops/a.py", "def f():\n    import tensorflow as tf"),
        ("ops/a.py", "class A:\n    def f(self):\n        import tensorflow as tf"),
        ("ops/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tensorflow"),
        ("data/a.py", "import tensorflow as tf"),
        ("export/a.py", "from tensorflow import saved_model"),
    ],
)
def test_tensorflow_in_its_place_is_let_pass(tmp_path, name, code):
    assert tensorflow_at_import(plant(tmp_path, name, code)) == []


@pytest.mark.parametrize("name", ["ops/utils.py", "helpers.py", "layers/common/a.py"])
def test_a_drawer_is_found(tmp_path, name):
    assert len(drawers(plant(tmp_path, name, ""))) == 1
