"""Whole files or none, whatever ends the writer."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cpc_keras.training import write_atomically as module_or_function

write_atomically = getattr(module_or_function, "write_atomically", module_or_function)

WRITER = """
import os, runpy, signal, sys
source, path, moment = sys.argv[1:]
write_atomically = runpy.run_path(source)["write_atomically"]

def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before the rename":
    os.fsync = kill
if moment == "after the rename":
    real = os.fsync
    os.fsync = lambda f: kill() if os.path.isdir(f"/proc/self/fd/{f}") else real(f)
with write_atomically(path) as partial:
    with open(partial, "w") as file:
        file.write("ne")
        file.flush()
        if moment == "within the write":
            kill()
        file.write("w")
"""


@pytest.mark.parametrize(
    ("moment", "expected"),
    [("within the write", "old"), ("before the rename", "old"), ("after the rename", "new")],
)
def test_a_kill_leaves_the_old_content_or_the_new(moment, expected, tmp_path):
    source = Path(sys.modules[write_atomically.__module__].__file__)
    path = tmp_path / "file.txt"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", WRITER, source, path, moment], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == expected
    with write_atomically(path) as partial:
        partial.write_text("next")
    assert path.read_text() == "next"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_an_error_leaves_the_old_content_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), write_atomically(path) as partial:
        partial.write_text("new")
        1 / 0  # noqa: B018
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_full_disk_is_named_and_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(OSError, match=r"No space left .*file\.txt.*Make room"):  # noqa: SIM117
        with write_atomically(tmp_path / "file.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError, match=r"^.Errno 13. no$"):  # noqa: SIM117
        with write_atomically(tmp_path / "file.txt"):
            raise PermissionError(errno.EACCES, "no")
