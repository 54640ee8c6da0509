import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cpc_keras
from cpc_keras.export import recover, verify_artifact, write_artifact
from cpc_keras.export.recover import hold, sibling

# What lies at the path after the kill, and after recovery: None, or the artifact's description.
CASES = {
    "fresh-before_saved_model": (None, None),
    "fresh-in_pretraining": (None, None),
    "fresh-before_preset": (None, None),
    "fresh-before_rename_1": (None, None),
    "over-before_saved_model": ("exported once", "exported once"),
    "over-before_preset": ("exported once", "exported once"),
    "over-before_rename_1": ("exported once", "exported once"),
    "over-before_rename_2": (None, "exported once"),
    "over-before_rename_3": ("new", "new"),
    "over-in_removal": ("new", "new"),
}


@pytest.fixture(scope="module")
def killed(exported, tmp_path_factory):
    """A folder for each case, as the kill left it."""
    directory = tmp_path_factory.mktemp("killed")
    for case in CASES:
        (directory / case).mkdir()
        if case.startswith("over"):
            shutil.copytree(exported, directory / case / "mine")
    subprocess.run(
        [sys.executable, Path(__file__).with_name("killed_exports.py"), directory],
        env={**os.environ, "PYTHONPATH": str(Path(cpc_keras.__file__).parents[1])},
        check=True,
        timeout=300,
    )
    return directory


def description(path):
    return verify_artifact(path)["description"] if path.exists() else None


@pytest.mark.parametrize("case", CASES)
def test_a_killed_export_leaves_a_whole_artifact_or_none(killed, small_model, case):
    path = killed / case / "mine"
    after_kill, after_recovery = CASES[case]
    assert description(path) == after_kill
    assert [p for p in path.parent.iterdir() if p != path], "the kill left nothing to sweep"
    recover(path)
    assert description(path) == after_recovery
    assert [p for p in path.parent.iterdir() if p != path] == []
    write_artifact(small_model, path, overwrite=path.exists(), facts={"description": "next"})
    assert description(path) == "next"
    assert list(path.parent.iterdir()) == [path]


def test_the_next_export_recovers_first(exported, tmp_path, small_model):
    path = tmp_path / "mine"
    shutil.copytree(exported, sibling(str(path), "old"))
    os.mkdir(sibling(str(path), "partial"))
    # What was killed while it was replaced counts as being there.
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_artifact(small_model, path)
    assert os.listdir(tmp_path) == ["mine"]
    write_artifact(small_model, path, overwrite=True, facts={"description": "next"})
    assert description(path) == "next"
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize("kind", ["partial", "old"])
def test_what_a_running_export_holds_is_left_alone(tmp_path, kind):
    path = tmp_path / "mine"
    entry = Path(sibling(str(path), kind))
    entry.mkdir()
    with hold(str(entry)) as held:
        assert held
        recover(path)
        assert os.listdir(tmp_path) == [entry.name]
    recover(path)
    assert os.listdir(tmp_path) == ([] if kind == "partial" else ["mine"])


def test_a_directory_is_held_by_one(tmp_path):
    with hold(str(tmp_path)) as first, hold(str(tmp_path)) as second:
        assert (first, second) == (True, False)
    with hold(str(tmp_path)) as third, hold(str(tmp_path / "gone")) as fourth:
        assert (third, fourth) == (True, False)


def test_siblings_of_other_artifacts_and_files_are_left_alone(tmp_path):
    path = tmp_path / "mine"
    others = [
        Path(sibling(str(tmp_path / "yours"), "partial")),
        Path(sibling(str(tmp_path / "mine.partial-1"), "partial")),
        tmp_path / ".mine.partial-by-hand",
        tmp_path / ".mine.older",
    ]
    for other in others:
        other.mkdir()
    Path(sibling(str(path), "partial")).write_text("a file")
    before = set(os.listdir(tmp_path))
    recover(path)
    assert set(os.listdir(tmp_path)) == before


def test_recover_does_without_a_parent(tmp_path):
    recover(tmp_path / "no" / "such" / "place")
    assert os.listdir(tmp_path) == []
