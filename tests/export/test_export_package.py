import ast
from pathlib import Path

import pytest

import cpc_keras


@pytest.mark.parametrize("folder", ["export", "presets"])
def test_tensorflow_is_imported_within_functions_only(folder):
    files = list((Path(cpc_keras.__file__).parent / folder).glob("*.py"))
    assert len(files) > 3
    for file in files:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.partition(".")[0] == "tensorflow"], file
