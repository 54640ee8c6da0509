"""The shell scripts' own logic: no network, no pip."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ["bash", "dirname", "env", "find", "grep", "head", "mktemp", "mv", "rm", "sed", "tail"]


@pytest.fixture
def checkout(tmp_path):
    """A repository with nothing but what environment.sh reads; `bin` is all of its PATH."""
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    (root / "cpc_keras").mkdir()
    (root / "bin").mkdir()
    for name in ("scripts/environment.sh", "scripts/test.sh", "setup.py", "cpc_keras/version.py"):
        shutil.copy(ROOT / name, root / name)
    for tool in TOOLS:
        (root / "bin" / tool).symlink_to(shutil.which(tool))
    return root


def write_python(checkout, name, *, version=None, body=""):
    """A fake interpreter that reports a version, or fails as a pyenv shim without one does."""
    last = f"echo {version}" if version else "echo 'command not found' >&2; exit 127"
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n{last}\n")
    path.chmod(0o755)
    return path


def run(checkout, command, **variables):
    """`command` in a bash that has sourced environment.sh, from another directory."""
    environment = {"PATH": str(checkout / "bin"), "TMPDIR": str(checkout), **variables}
    return subprocess.run(
        ["bash", "-c", f'. "{checkout}/scripts/environment.sh"; {command}'],
        cwd=checkout.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_python3_is_preferred_where_it_is_in_range(checkout):
    write_python(checkout, "python3.13", version="3.13")
    expected = write_python(checkout, "python3", version="3.11")
    result = run(checkout, "choose_python")
    assert (result.returncode, result.stdout.strip()) == (0, str(expected))


@pytest.mark.parametrize("unfit", ["3.9", "3.10", "3.14", "2.7", None])
def test_an_unfit_python3_is_passed_over(checkout, unfit):
    write_python(checkout, "python3", version=unfit)
    write_python(checkout, "python3.13")
    expected = write_python(checkout, "python3.12", version="3.12")
    result = run(checkout, "choose_python")
    assert (result.returncode, result.stdout.strip()) == (0, str(expected))


def test_no_fitting_python_is_refused_with_what_was_found_and_the_range(checkout):
    write_python(checkout, "python3", version="3.9")
    write_python(checkout, "python3.12")
    result = run(checkout, "choose_python")
    assert result.returncode != 0
    assert result.stdout == ""
    for words in ("python3 (3.9)", "python3.12 (does not run)", "3.11 to 3.13", "PYTHON="):
        assert words in result.stderr


def test_the_variable_python_wins_and_is_not_replaced_silently(checkout):
    write_python(checkout, "python3", version="3.13")
    mine = write_python(checkout, "mine", version="3.11")
    old = write_python(checkout, "old", version="3.9")
    assert run(checkout, "choose_python", PYTHON=str(mine)).stdout.strip() == str(mine)
    for unfit, found in ((str(old), "found 3.9"), (str(checkout / "gone"), "none that runs")):
        result = run(checkout, "choose_python", PYTHON=unfit)
        assert result.returncode != 0
        assert result.stdout == ""
        assert found in result.stderr
        assert "3.11 to 3.13" in result.stderr


def make_venv(path, *, python=sys.executable, files=()):
    """What `python -m venv` leaves behind, without starting it."""
    (path / "bin").mkdir(parents=True)
    (path / "lib").mkdir()
    (path / "pyvenv.cfg").write_text("home = somewhere\n")
    (path / "bin" / "python").symlink_to(python)
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("mine")
    return path


def state_of(checkout, path):
    result = run(checkout, f'venv_state "{path}"')
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_a_virtual_environment_that_runs_is_usable(checkout):
    assert state_of(checkout, make_venv(checkout / ".venv")) == "usable"


def test_nothing_is_absent(checkout):
    assert state_of(checkout, checkout / ".venv") == "absent"


def test_a_virtual_environment_whose_python_is_gone_is_broken(checkout):
    path = make_venv(checkout / ".venv", python="/nowhere/python3", files=["lib/a/b.py"])
    assert state_of(checkout, path) == "broken"


def test_a_skeleton_without_files_is_broken(checkout):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "lib64").symlink_to("lib")
    assert state_of(checkout, checkout / ".venv") == "broken"


@pytest.mark.parametrize("name", ["my notes.txt", "bin/tool", ".secret"])
def test_a_folder_with_files_is_foreign(checkout, name):
    path = checkout / ".venv" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert state_of(checkout, checkout / ".venv") == "foreign"


def test_a_broken_virtual_environment_with_a_users_file_is_foreign(checkout):
    path = make_venv(checkout / ".venv", python="/nowhere/python3", files=["my notes.txt"])
    assert state_of(checkout, path) == "foreign"


def test_a_file_and_a_dangling_link_are_foreign(checkout):
    (checkout / "file").write_text("mine")
    (checkout / "link").symlink_to("nowhere")
    assert state_of(checkout, checkout / "file") == "foreign"
    assert state_of(checkout, checkout / "link") == "foreign"


def test_a_users_folder_named_venv_is_refused_and_kept(checkout):
    write_python(checkout, "python3", version="3.11")
    (checkout / ".venv").mkdir()
    notes = checkout / ".venv" / "notes.txt"
    notes.write_text("mine")
    result = run(checkout, "prepare_environment test")
    assert result.returncode != 0
    assert "left untouched" in result.stderr
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["notes.txt"]
    assert notes.read_text() == "mine"


def test_a_virtual_environment_with_an_old_python_is_refused_and_kept(checkout):
    old = write_python(checkout, "old", version="3.9")
    path = make_venv(checkout / ".venv", python=old)
    result = run(checkout, "prepare_environment test")
    assert result.returncode != 0
    assert "3.9" in result.stderr
    assert "3.11 to 3.13" in result.stderr
    assert (path / "bin" / "python").is_symlink()


# In place of pip: notes each call, and makes the console script as an install would.
FAKE_PIP = """
case "$*" in
  *"pip install"*) echo "$*" >>"$CALLS"; [ -z "$BREAK" ] || { echo "no space left"; exit 9; }
    printf '#!/bin/sh\\n' >"$VENV/bin/cpc-keras"; chmod +x "$VENV/bin/cpc-keras"; exit 0 ;;
  *"pip --version"*) exit 0 ;;
esac
"""


@pytest.fixture
def installed(checkout):
    """Prepares an environment whose pip is a fake; returns result and the installs so far."""
    inner = checkout / "bin" / "inner"
    inner.write_text(f'#!/bin/sh\n{FAKE_PIP}\nexec "{sys.executable}" "$@"\n')
    inner.chmod(0o755)
    make_venv(checkout / ".venv", python="../../bin/inner")
    calls = checkout / "calls"
    calls.touch()

    def prepare(extra, **variables):
        variables = {"VENV": str(checkout / ".venv"), "CALLS": str(calls), "BREAK": "", **variables}
        variables["PATH"] = f"{checkout / 'bin'}{os.pathsep}{os.defpath}"
        result = run(checkout, f"prepare_environment {extra}", **variables)
        return result, len(calls.read_text().splitlines())

    return prepare


def test_a_second_run_installs_nothing(installed):
    assert installed("test")[0].returncode == 0
    result, installs = installed("test")
    assert (result.returncode, installs, result.stderr) == (0, 1, "")


def test_an_extra_that_is_missing_is_added_and_the_first_stays(installed):
    installed("test")
    assert installed("demo")[1] == 2
    assert installed("test")[1] == 2
    assert installed("demo")[1] == 2


def test_a_changed_setup_installs_again(installed, checkout):
    installed("test")
    with (checkout / "setup.py").open("a") as file:
        file.write("# another requirement\n")
    assert installed("test")[1] == 2


def test_a_moved_checkout_installs_again(installed, checkout):
    installed("test")
    moved = checkout.rename(checkout.with_name("moved"))
    stamped = (moved / ".venv" / ".cpc-keras-installed").read_text().splitlines()[0]
    key = run(moved, "installation_key", PATH=os.defpath).stdout.strip()
    assert len(key) == len(stamped)
    assert key != stamped


def test_a_lost_console_script_installs_again(installed, checkout):
    installed("test")
    (checkout / ".venv" / "bin" / "cpc-keras").unlink()
    assert installed("test")[1] == 2


def test_an_install_that_failed_is_named_with_its_log_and_taken_up_again(installed, checkout):
    installed("test")
    result, _ = installed("demo", BREAK="yes")
    assert result.returncode != 0
    last = result.stderr.splitlines()[-1]
    assert "FAILED: pip install" in last
    assert "no space left" in result.stderr
    log = Path(last.split("log: ")[1])
    assert "no space left" in log.read_text()
    assert not (checkout / ".venv" / ".cpc-keras-installed").exists()
    assert installed("test")[0].returncode == 0
    assert installed("test")[1] == 3


def test_the_test_script_passes_pytests_status_on_and_says_what_failed(installed, checkout):
    (checkout / "test_one.py").write_text("def test_one():\n    assert False\n")
    installed("test")
    environment = {**os.environ, "VENV": "", "CALLS": os.devnull, "BREAK": ""}
    for arguments, status, words in (
        ([], 1, "tests failed"),
        (["--slow"], 5, "no test was selected"),
        (["--no-such-option"], 4, "arguments"),
    ):
        result = subprocess.run(
            ["bash", str(checkout / "scripts" / "test.sh"), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == status, result.stdout + result.stderr
        assert words in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("script", sorted([*ROOT.glob("scripts/*.sh"), ROOT / ".ci" / "run"]))
def test_scripts_are_bash_and_free_of_what_bash_3_lacks(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    for newer in ("mapfile", "readarray", "declare -A", "local -n", "&>>", "|&", ",,}", "^^}"):
        assert newer not in text
