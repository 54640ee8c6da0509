"""What a killed export left beside an artifact, set right."""

import contextlib
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator


def recover(path: str | os.PathLike) -> None:
    """Bring back an artifact whose replacement was killed, and sweep unfinished ones.

    An export writes into `.NAME.partial-<pid>-<id>` beside its target, and an overwriting one moves
    what was there to `.NAME.old-<pid>-<id>` for the moment between two renames. Whoever writes them
    holds a lock on them, which ends with the process; those of a running export are left alone.
    `write_artifact` and `load_preset` call this first.

    Args:
        path: where the artifact is, or should be.

    Raises:
        OSError: the old artifact could not be moved back.

    Example:
        >>> recover("saved_models/mine")
    """
    path = os.path.realpath(path)
    for entry in _siblings(path, "old"):
        with hold(entry) as held:
            if held and not os.path.lexists(path):
                os.rename(entry, path)
            elif held:
                # Deleted under the other name: what is called old is always whole.
                with contextlib.suppress(OSError):
                    os.rename(entry, sibling(path, "partial"))
    for entry in _siblings(path, "partial"):
        with hold(entry) as held:
            if held:
                shutil.rmtree(entry, ignore_errors=True)


def sibling(path: str, kind: str) -> str:
    """A new name beside `path`, of the kind "partial" or "old"."""
    parent, name = os.path.split(path)
    return os.path.join(parent, f".{name}.{kind}-{os.getpid()}-{uuid.uuid4().hex[:8]}")


@contextlib.contextmanager
def hold(directory: str) -> Iterator[bool]:
    """Lock a directory while the block runs; False if another holds it, or it is gone."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor):
    # A lock, not the process id in the name: in a restarted container the same id lives again, and
    # on a shared disk it is another machine's.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks.
        return True
    return True


def _siblings(path, kind):
    parent, name = os.path.split(path)
    # The whole name: an artifact may itself be called "x.partial-1".
    pattern = re.compile(re.escape(f".{name}.{kind}-") + r"\d+-[0-9a-f]{8}")
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    entries = [os.path.join(parent, n) for n in names if pattern.fullmatch(n)]
    return [e for e in entries if os.path.isdir(e) and not os.path.islink(e)]
