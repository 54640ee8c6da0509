"""The examples in the docstrings run and print what they say."""

import ast
import doctest
import importlib
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import cpc_keras

tf = pytest.importorskip("tensorflow")

PACKAGE = Path(cpc_keras.__file__).parent

# Module: what its example needs beside the package.
NEEDS = {"cpc_keras.embedding.beam_step": "apache_beam"}
# Their examples open "saved_models/mine", which the one of write_artifact writes.
OPEN_AN_EXPORT = {
    "cpc_keras.export.check_golden",
    "cpc_keras.export.check_keras_file",
    "cpc_keras.export.check_loaders",
    "cpc_keras.export.load_artifact",
    "cpc_keras.export.load_keras_file",
    "cpc_keras.export.load_saved_model",
    "cpc_keras.export.model_card",
    "cpc_keras.export.recover",
    "cpc_keras.export.verify_artifact",
    "cpc_keras.presets.load_preset",
}


def module_names():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if "saved_models" not in parts:
            yield ".".join(parts).removesuffix(".__init__")


def has_example(name):
    source = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
    if not source.exists():
        source = source.with_suffix("") / "__init__.py"
    nodes = ast.walk(ast.parse(source.read_text(encoding="utf-8")))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return any(">>> " in (ast.get_docstring(n) or "") for n in nodes if isinstance(n, kinds))


EXAMPLES = [name for name in module_names() if has_example(name)]


def public_names(tested):
    """What a reader has at hand: NumPy, Keras, images and what the folders show.

    A name that two folders have (`LinearProbe`) is that of the module's own.
    """
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), "uint8")
    names = {"np": np, "keras": keras, "tf": tf, "images": images}
    for path in sorted(PACKAGE.glob("*/__init__.py")):
        if path.parent.name != "saved_models":
            module = importlib.import_module(f"cpc_keras.{path.parent.name}")
            names.update({name: getattr(module, name) for name in getattr(module, "__all__", ())})
    names.update({name: getattr(cpc_keras, name) for name in cpc_keras.__all__})
    folder = importlib.import_module(tested.rpartition(".")[0])
    names.update({name: getattr(folder, name) for name in getattr(folder, "__all__", ())})
    return names


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example that writes a file writes it there
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def eager(request):
    """Examples that train a step or two take longer to be made graphs of than to run."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name", "")
    trains = bool(name) and name.startswith(("cpc_keras.training.", "cpc_keras.models."))
    tf.config.run_functions_eagerly(trains)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """The directory of an exported model of 8 x 8 grey images."""
    path = tmp_path_factory.mktemp("export") / "mine"
    model = cpc_keras.CPCModel(
        (8, 8, 1),
        patch_encoder="tiny",
        patch_size=4,
        patch_stride=2,
        offsets=(2,),
        directions=("down",),
        context_blocks=1,
        context_filters=8,
    )
    model.compile(optimizer="sgd")
    model.export(path)
    return path


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run(name, request):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name in OPEN_AN_EXPORT:
        shutil.copytree(request.getfixturevalue("export"), "saved_models/mine")
    module = importlib.import_module(name)
    finder, report = doctest.DocTestFinder(exclude_empty=True), []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    tests = finder.find(module, name, module, extraglobs=public_names(name))
    for test in tests:
        runner.run(test, out=report.append)
    assert sum(len(test.examples) for test in tests) > 0
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_every_module_that_needs_more_exists_and_has_an_example():
    assert {*NEEDS, *OPEN_AN_EXPORT} <= set(EXAMPLES)


def test_the_examples_were_found():
    assert {"cpc_keras.ops.info_nce", "cpc_keras.models.cpc_model"} <= set(EXAMPLES)
